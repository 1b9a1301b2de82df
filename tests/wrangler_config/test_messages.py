"""Every message of the spec, word for word: "wrangler configuration", sections 2 to 4."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from edge.wrangler_config.diagnostics import warning_block

if TYPE_CHECKING:
    from conftest import Project

LONG = "a" * 5000
"""No file system takes such a name."""
ERRORS: list[tuple[dict[str, Any], str]] = [
    ({"compatibility_flags": "x"}, 'Expected "compatibility_flags" to be of type string array but got "x".'),
    ({"compatibility_flags": ["a", 1]}, 'Expected "compatibility_flags" to be of type string array but got ["a",1].'),
    ({"compatibility_flags": True}, 'Expected "compatibility_flags" to be of type string array but got true.'),
    ({"account_id": 5}, 'Expected "account_id" to be of type string but got 5.'),
    ({"workers_dev": "yes"}, 'Expected "workers_dev" to be of type boolean but got "yes".'),
    (
        {"name": "Bad_Name"},
        'Expected "name" to be of type string, alphanumeric and lowercase with dashes only but got "Bad_Name".',
    ),
    ({"name": 7}, 'Expected "name" to be of type string, alphanumeric and lowercase with dashes only but got 7.'),
    ({"main": "src/nope.py"}, 'The entry-point file at "src/nope.py" was not found.'),
    ({"main": 5}, 'Expected "main" to be of type string but got 5.'),
    ({"main": "a\0b"}, 'The entry-point file at "a\0b" was not found.'),
    ({"main": LONG}, f'The entry-point file at "{LONG}" was not found.'),
    ({"main": None}, "Missing entry-point to Worker script or to assets directory"),
    (
        {"compatibility_date": "2026-13-45"},
        '"compatibility_date" field should be a valid ISO-8601 date (YYYY-MM-DD), but got "2026-13-45".',
    ),
    ({"route": "a/*", "routes": ["b/*"]}, 'Expected exactly one of the following fields ["routes","route"].'),
    (
        {"routes": ["a/*", 5]},
        (
            'Expected "routes" to be an array of either strings or objects with the shape '
            "{ pattern, custom_domain, zone_id | zone_name, enabled, previews_enabled }, "
            "but these weren't valid: [\n        5\n      ]."
        ),
    ),
    ({"routes": "x"}, 'Expected "routes" to be an array but got "x".'),
    ({"route": 5}, 'Expected "route" to be either a string, or an object with shape { pattern, '),
    ({"triggers": 5}, 'Expected "triggers" to be of type object but got 5.'),
    ({"secrets": []}, 'The field "secrets" should be an object but got [].'),
    ({"define": 5}, 'The field "define" should be an object but got 5.'),
    ({"routes": [{"pattern": "a.com/x", "custom_domain": True}]}, "Paths are not allowed in Custom Domains"),
    ({"triggers": {"crons": {"a": 1}}}, 'Expected "triggers.crons" to be of type array, but got {"crons":{"a":1}}.'),
    ({"vars": "x"}, 'The field "vars" should be an object but got "x".'),
    ({"secrets": {"required": "x"}}, 'Expected "secrets.required" to be an array of strings but got "x"'),
    ({"limits": {"cpu_ms": "x"}}, 'Expected "limits.cpu_ms" to be of type number but got "x".'),
    (
        {"observability": {"head_sampling_rate": 2}},
        '"observability.head_sampling_rate" must be a value between 0 and 1.',
    ),
    ({"migrations": [{"new_classes": ["A"]}]}, '"migrations[0].tag" is a required field.'),
    ({"migrations": [], "exports": {}}, 'The "migrations" and "exports" fields are mutually exclusive.'),
    ({"legacy_env": True}, 'The "legacy_env" field is no longer supported, so please remove it'),
    ({"python_modules": {"exclude": "x"}}, 'Expected "python_modules.exclude" to be of type string array but got "x".'),
    (
        {"assets": {"directory": ".", "html_handling": "foo"}},
        (
            'Expected "assets.html_handling" field to be one of '
            '["auto-trailing-slash","force-trailing-slash","drop-trailing-slash","none"] but got "foo".'
        ),
    ),
    (
        {"assets": {"directory": ".", "run_worker_first": "y"}},
        'The field "assets.run_worker_first" should be an array of strings or a boolean, but got "y".',
    ),
    (
        {"assets": {}},
        "The `assets` property in your configuration is missing the required `directory` property.",
    ),
    (
        {"main": None, "assets": {"directory": ".", "binding": "A"}},
        "Cannot use assets with a binding in an assets-only Worker.",
    ),
    (
        {"placement": {"mode": "x"}},
        'Expected "placement.mode" field to be one of ["off","smart","targeted"] but got "x".',
    ),
    ({"dev": {"ip": 1}}, 'Expected "dev.ip" to be of type string but got 1.'),
    ({"dev": {"port": "x"}}, 'Expected "dev.port" to be of type number but got "x".'),
    ({"dev": {"port": True}}, 'Expected "dev.port" to be of type number but got true.'),
    (
        {"dev": {"local_protocol": "ftp"}},
        'Expected "dev.local_protocol" field to be one of ["http","https"] but got "ftp".',
    ),
    ({"kv_namespaces": {"a": 1}}, 'The field "kv_namespaces" should be an array but got {"a":1}.'),
    ({"r2_buckets": "x"}, 'The field "r2_buckets" should be an array but got "x".'),
    ({"queues": []}, 'The field "queues" should be an object but got [].'),
    ({"durable_objects": {"bindings": 1}}, 'The field "durable_objects.bindings" should be an array but got 1.'),
    (
        {"kv_namespaces": [{"id": "x"}]},
        '"kv_namespaces[0]" bindings should have a string "binding" field but got {"id":"x"}.',
    ),
    (
        {"kv_namespaces": [{"binding": "A"}, {"binding": "B", "id": 5}]},
        '"kv_namespaces[1]" bindings should have a string "id" field but got {"binding":"B","id":5}.',
    ),
    (
        {"kv_namespaces": [{"binding": "A", "id": ""}]},
        '"kv_namespaces[0]" bindings should have a string "id" field but got {"binding":"A","id":""}.',
    ),
    (
        {"kv_namespaces": [{"binding": "A", "preview_id": 5}]},
        (
            '"kv_namespaces[0]" bindings should, optionally, have a string "preview_id" field but got '
            '{"binding":"A","preview_id":5}.'
        ),
    ),
    ({"kv_namespaces": ["A"]}, '"kv_namespaces" bindings should be objects, but got "A"'),
    (
        {"pipelines": [{"binding": "P"}]},
        '"pipelines[0]" bindings must have a string "stream" field but got {"binding":"P"}.',
    ),
    (
        {"pipelines": [{"binding": "P", "stream": ""}]},
        '"pipelines[0]" bindings must have a string "stream" field but got {"binding":"P","stream":""}.',
    ),
    (
        {"pipelines": [{"binding": "P", "stream": 5}]},
        '"pipelines[0]" bindings must have a string "stream" field but got {"binding":"P","stream":5}.',
    ),
    (
        {"pipelines": [{"pipeline": "s"}]},
        '"pipelines[0]" bindings must have a string "binding" field but got {"pipeline":"s"}.',
    ),
    ({"d1_databases": [{}]}, '"d1_databases[0]" bindings should have a string "binding" field but got {}.'),
    ({"ai": {}}, 'binding should have a string "binding" field.'),
    (
        {"vars": {"A": 1}, "kv_namespaces": [{"binding": "A"}]},
        "A assigned to KV Namespace and Environment Variable bindings.",
    ),
    (
        {"kv_namespaces": [{"binding": "A"}, {"binding": "A"}]},
        "A assigned to multiple KV Namespace bindings.",
    ),
    (
        {"vars": {"A": 1}, "kv_namespaces": [{"binding": "A"}], "r2_buckets": [{"binding": "A"}]},
        "A assigned to KV Namespace, R2 Bucket, and Environment Variable bindings.",
    ),
    (
        {"vars": {"X": 1}, "secrets": {"required": ["X"]}},
        "X assigned to Environment Variable and Secret bindings.",
    ),
]

EDGES_ERRORS: list[tuple[dict[str, Any], str]] = [
    (
        {"main": "wrangler.jsonc"},
        'wrangler.jsonc:3:2: "main" must name a Python file, one that ends in .py, but got "wrangler.jsonc".',
    ),
    (
        {"main": "my.entry.py"},
        '"main" names my.entry.py, which Python cannot import: a dot parts packages. Give it another name.',
    ),
    (
        {"main": "json.py"},
        '"main" names json.py, but "import json" is a module of Python\'s standard library. Give it another name.',
    ),
    ({"main": "js.py"}, '"main" names js.py, but "import js" is a module of Edge. Give it another name.'),
    ({"env": [1]}, 'wrangler.jsonc:7:2: The field "env" should be an object but got [1].'),
    ({"env": "s"}, 'wrangler.jsonc:7:2: The field "env" should be an object but got "s".'),
]
"""What wrangler has no text for."""

WRANGLER = "wrangler@4.86.0"
NEWER_THAN_WRANGLER = ("exports", "legacy_env", '"stream" field')
"""Parts of texts that only versions after the one above say."""

WARNINGS: list[tuple[dict[str, Any], str]] = [
    (
        {"foo": 1, "kv_namespace": []},
        (
            'Unexpected fields found in top-level field: "foo","kv_namespace"\n'
            'Did you mean "kv_namespaces" instead of "kv_namespace" in line 8?'
        ),
    ),
    (
        {"kv_namespaces": [{"binding": "A", "foo": 1}]},
        'Unexpected fields found in kv_namespaces[0] field: "foo"',
    ),
    ({"observability": {"foo": 1}}, 'Unexpected fields found in observability field: "foo"'),
    (
        {"aws": {}},
        'Unexpected fields found in top-level field: "aws"\n"aws" in line 7 belongs in edge.toml, beside this file.',
    ),
    ({"limits": {"cpu_ms": 5, "body_bytes": 1}}, '"limits.body_bytes" belongs in edge.toml, beside this file.'),
    (
        {"pipelines": [{"binding": "P", "pipeline": "s"}]},
        'The "pipeline" field in "pipelines[0]" bindings is deprecated. Use "stream" instead.',
    ),
    (
        {"r2_buckets": [{"binding": "B"}, {"binding": "C"}]},
        '"r2_buckets" bindings are not supported by Edge yet, using env.B and env.C raises UnsupportedError.',
    ),
    ({"triggers": {"crons": ["* * * * *"]}}, '"triggers" is not supported by Edge yet and has no effect.'),
    ({"unsafe": {"metadata": {}}}, '"unsafe" fields are experimental and may change or break at any time.'),
    (
        {"compatibility_flags": None},
        (
            "note: The `python_workers` compatibility flag is required to use Python. "
            'Edge runs this file without it; Cloudflare wants "compatibility_flags": ["python_workers"].'
        ),
    ),
    (
        {"kv_namespaces": [{"binding": "MY-KV"}]},
        'The binding name "MY-KV" is no Python identifier: write getattr(env, "MY-KV") in place of env.MY-KV.',
    ),
    ({"dev": {"port": 70000}}, '"dev.port" must be a whole number from 0 to 65535 but got 70000; 8787 is used.'),
    (
        {"secrets": {"required": ["EDGE_TEST_NO_SUCH_NAME"]}},
        (
            "Missing required secrets: EDGE_TEST_NO_SUCH_NAME. "
            "Add them to .dev.vars, .env, or set as environment variables."
        ),
    ),
]

SILENT: list[dict[str, Any]] = [
    {},
    {"$schema": "x", "observability": {"enabled": True}, "workers_dev": False, "placement": {"mode": "smart"}},
    {"routes": ["a/*", {"pattern": "b", "zone_id": "1"}, {"pattern": "c", "custom_domain": True}]},
    {"kv_namespaces": [{"binding": "A"}], "pipelines": [{"binding": "P", "stream": "s", "remote": False}]},
    {"vars": {"A": "a", "B": {"c": [1, None]}}},
    {"compatibility_date": "2030-01-01", "compatibility_flags": ["python_workers", "no_such_flag"]},
    {"triggers": {"crons": []}, "rules": [], "dev": {"port": 0}},
]


@pytest.mark.parametrize(("keys", "text"), ERRORS, ids=[text[:60] for _, text in ERRORS])
def test_error_text_is_wranglers(project: Project, keys: dict[str, Any], text: str) -> None:
    project.config(**keys)
    report = project.refusal()
    assert report.startswith("✘ [ERROR] Processing wrangler.jsonc configuration:\n    - wrangler.jsonc:")
    assert text in report


@pytest.mark.parametrize(("keys", "text"), EDGES_ERRORS, ids=[text[:60] for _, text in EDGES_ERRORS])
def test_error_text_is_edges(project: Project, keys: dict[str, Any], text: str) -> None:
    for name in ("my.entry.py", "json.py", "js.py"):
        project.write(name, "")
    project.config(**keys)
    assert text in project.refusal()


@pytest.mark.parametrize("number", ["nan", "inf", "-inf", "1e999"])
def test_a_port_that_is_no_number_is_warned_of(project: Project, number: str) -> None:
    project.write("wrangler.toml", f'main = "entry.py"\n[dev]\nport = {number}\n')
    config = project.load()
    text = (
        f'wrangler.toml:3:1: "dev.port" must be a whole number from 0 to 65535 but got {float(number)}; 8787 is used.'
    )
    assert text in config.warnings
    assert config.dev.port == 8787


@pytest.mark.parametrize(("keys", "text"), WARNINGS, ids=[text[:60] for _, text in WARNINGS])
def test_warning_text_and_the_config_still_loads(project: Project, keys: dict[str, Any], text: str) -> None:
    project.config(**keys)
    assert text in project.warnings()


@pytest.mark.parametrize("keys", SILENT)
def test_nothing_is_said_about_a_sound_config(project: Project, keys: dict[str, Any]) -> None:
    project.config(**keys)
    assert project.warnings() == []


def test_all_problems_are_reported_at_once_each_at_its_place(project: Project) -> None:
    project.write(
        "wrangler.jsonc",
        '{\n  "name": 5,\n  "main": "entry.py",\n  "kv_namespaces": [{ "id": "x" }],\n  "wat": 1\n}\n',
    )
    assert project.refusal() == (
        "✘ [ERROR] Processing wrangler.jsonc configuration:\n"
        '    - wrangler.jsonc:2:3: Expected "name" to be of type string, alphanumeric and lowercase with dashes only '
        "but got 5.\n"
        "    - wrangler.jsonc:4:21: "
        '"kv_namespaces[0]" bindings should have a string "binding" field but got {"id":"x"}.\n'
        "\n"
        "▲ [WARNING] Processing wrangler.jsonc configuration:\n"
        '    - wrangler.jsonc:5:3: Unexpected fields found in top-level field: "wat"\n'
        "    - wrangler.jsonc:3:3: note: The `python_workers` compatibility flag is required to use Python. "
        'Edge runs this file without it; Cloudflare wants "compatibility_flags": ["python_workers"].'
    )


def test_the_warning_block_of_a_config_that_loads(project: Project) -> None:
    project.config(wat=1, aws=2)
    assert warning_block(project.load()) == (
        "▲ [WARNING] Processing wrangler.jsonc configuration:\n"
        '    - wrangler.jsonc:7:2: Unexpected fields found in top-level field: "wat","aws"\n'
        '      "aws" in line 8 belongs in edge.toml, beside this file.'
    )
    project.config()
    assert warning_block(project.load()) == ""


def test_warnings_stand_under_the_file_they_are_about(project: Project) -> None:
    project.config(wat=1)
    project.write("edge.toml", "[limits]\nnope = 1\n[wat]")
    wrangler, edge = warning_block(project.load()).split("\n\n")
    assert wrangler.splitlines()[0] == "▲ [WARNING] Processing wrangler.jsonc configuration:"
    assert "    - wrangler.jsonc:" in wrangler
    assert edge.splitlines()[0] == "▲ [WARNING] Processing edge.toml configuration:"
    assert edge.count("    - edge.toml:") == 2


def test_duplicate_names_are_followed_by_wranglers_advice(project: Project) -> None:
    project.config(kv_namespaces=[{"binding": "A"}, {"binding": "A"}])
    assert (
        "Bindings must have unique names, so that they can all be referenced in the worker.\n"
        "      Please change your bindings to have unique names."
    ) in project.refusal()


def test_unsupported_kinds_are_named_for_the_error_at_use(project: Project) -> None:
    project.config(
        r2_buckets=[{"binding": "BUCKET"}],
        queues={"producers": [{"binding": "Q", "queue": "q"}]},
        durable_objects={"bindings": [{"name": "DO", "class_name": "A"}]},
        ratelimits=[{"name": "RATE"}],
        ai={"binding": "AI"},
    )
    assert project.load().unsupported == {
        "BUCKET": "r2_buckets",
        "Q": "queues",
        "DO": "durable_objects",
        "RATE": "ratelimits",
        "AI": "ai",
    }


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("wrangler.json", '{"main": "entry.py", "pipelines": [{"pipeline": "<STREAM_ID>", "binding": "STREAM"}]}'),
        ("wrangler.toml", 'main = "entry.py"\n[[pipelines]]\npipeline = "<STREAM_ID>"\nbinding = "STREAM"\n'),
    ],
)
def test_both_forms_of_a_stream_binding(project: Project, name: str, text: str) -> None:
    project.write(name, text)
    (entry,) = project.load().bindings["pipelines"]
    assert (entry.env_name, entry.stream_id) == ("STREAM", "<STREAM_ID>")


def test_stream_wins_over_pipeline(project: Project) -> None:
    project.config(pipelines=[{"binding": "P", "stream": "new", "pipeline": "old"}])
    assert [e.stream_id for e in project.load().bindings["pipelines"]] == ["new"]


def test_kv_without_id_is_called_as_its_binding_and_previews_use_their_id(project: Project) -> None:
    project.config(kv_namespaces=[{"binding": "A"}, {"binding": "B", "id": "b", "preview_id": "p"}])
    a, b = project.load().bindings["kv_namespaces"]
    assert (a.namespace_id, a.as_preview().namespace_id) == ("A", "A")
    assert (b.namespace_id, b.as_preview().namespace_id) == ("b", "p")


def test_a_list_of_vars_is_taken_by_index_as_in_wrangler(project: Project) -> None:
    project.config(vars=["a", 2])
    assert project.load().vars == {"0": "a", "1": 2}


def test_a_top_level_array_is_an_empty_config(project: Project) -> None:
    project.write("wrangler.jsonc", "[1, 2]")
    assert "Missing entry-point to Worker script or to assets directory" in project.refusal()


def test_toml_dates_are_refused_with_wranglers_advice(project: Project) -> None:
    project.write(
        "wrangler.toml", 'name = "d"\nmain = "entry.py"\ncompatibility_date = 2026-04-01\n[vars]\nD = 2025-12-19\n'
    )
    report = project.refusal()
    assert 'wrangler.toml:3:1: Expected "compatibility_date" to be of type string but got "2026-04-01".' in report
    assert 'The field "vars.D" is a TOML date, which is not supported. ' in report
    assert 'Please use a string instead, e.g. D = "2025-12-19".' in report


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("keys", "text"),
    [(k, t) for k, t in ERRORS if "compatibility_flags" not in k and not any(n in t for n in NEWER_THAN_WRANGLER)],
)
def test_wrangler_itself_says_so(project: Project, keys: dict[str, Any], text: str) -> None:
    """Needs npx. Wrong flags are left out: wrangler stops at its Python check before it reads its own report."""
    project.config(**({"compatibility_date": "2026-01-01"} | keys))
    done = subprocess.run(
        ["npx", "--yes", WRANGLER, "deploy", "--dry-run"],
        cwd=project.folder,
        env=os.environ | {"CI": "1", "WRANGLER_SEND_METRICS": "false", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert " ".join(text.split()) in " ".join((done.stdout + done.stderr).split())
