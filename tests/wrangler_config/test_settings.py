"""edge.toml and edge.jsonc: Edge's own settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edge.wrangler_config.worker_config import AwsSettings, Limits, Settings

if TYPE_CHECKING:
    from conftest import Project


def test_without_a_file_the_defaults_hold(project: Project) -> None:
    project.config()
    assert project.load().settings == Settings()


def test_both_spellings_of_the_file_give_the_same(project: Project) -> None:
    project.config()
    project.write(
        "edge.toml",
        '[server]\nallowed_hosts = ["a.test"]\n[limits]\nbody_bytes = 10\ndrain_seconds = 1\n'
        '[aws]\nregion = "eu-west-1"\nstream = "kinesis"\nstream_names = { S = "name" }\n',
    )
    toml = project.load().settings
    (project.folder / "edge.toml").unlink()
    project.write(
        "edge.jsonc",
        '{"server": {"allowed_hosts": ["a.test"]}, "limits": {"body_bytes": 10, "drain_seconds": 1}, // why\n'
        '"aws": {"region": "eu-west-1", "stream": "kinesis", "stream_names": {"S": "name"},},}',
    )
    assert project.load().settings == toml
    assert toml.server.allowed_hosts == ("a.test",)
    assert toml.limits == Limits(body_bytes=10, drain_seconds=1)
    assert toml.aws == AwsSettings(region="eu-west-1", stream="kinesis", stream_names={"S": "name"})


def test_an_environments_section_replaces_the_whole_section(project: Project) -> None:
    project.config(env={"prod": {}})
    project.write(
        "edge.toml",
        '[limits]\nbody_bytes = 10\nheader_count = 5\n[aws]\nregion = "top"\n[env.prod.limits]\nbody_bytes = 20\n',
    )
    settings = project.load("prod").settings
    assert settings.limits == Limits(body_bytes=20)
    assert settings.aws.region == "top"
    assert project.load().settings.limits == Limits(body_bytes=10, header_count=5)


ERRORS = [
    (
        '[limits]\nbody_bytes = "x"',
        'edge.toml:2:1: Expected "limits.body_bytes" to be of type whole number but got "x".',
    ),
    ("[limits]\nbody_bytes = 1.5", 'Expected "limits.body_bytes" to be of type whole number but got 1.5.'),
    ("[limits]\ndrain_seconds = true", 'Expected "limits.drain_seconds" to be of type number but got true.'),
    ("limits = 5", 'edge.toml:1:1: Expected "limits" to be of type object but got 5.'),
    ("env = 5", 'Expected "env" to be of type object but got 5.'),
    ('[server]\nallowed_hosts = "x"', 'Expected "server.allowed_hosts" to be of type array but got "x".'),
    (
        '[server]\nallowed_hosts = ["x",\n 5]',
        'edge.toml:3:2: Expected "server.allowed_hosts[1]" to be of type string but got 5.',
    ),
    ('[aws]\nstream = "x"', 'Expected "aws.stream" field to be one of ["firehose","kinesis"] but got "x".'),
    ('[aws]\nkv_consistent = "x"', 'Expected "aws.kv_consistent" to be of type boolean but got "x".'),
    ("[aws]\nstream_names = []", 'Expected "aws.stream_names" to be of type object but got [].'),
    ("[aws]\nregion = 2026-01-01", 'Expected "aws.region" to be of type string but got "2026-01-01".'),
    (
        '[aws]\nregion = { env = "EDGE_TEST_NOT_SET" }',
        '"aws.region" refers to the variable EDGE_TEST_NOT_SET, which is not set.',
    ),
]


@pytest.mark.parametrize(("text", "message"), ERRORS, ids=[message for _, message in ERRORS])
def test_error_text_and_place(project: Project, text: str, message: str) -> None:
    project.config()
    project.write("edge.toml", text)
    report = project.refusal()
    assert report.startswith("✘ [ERROR] Processing edge.toml configuration:\n    - edge.toml:")
    assert message in report


@pytest.mark.parametrize("text", ["[]", "null", "5", '"text"'])
def test_a_file_that_is_no_object_is_refused(project: Project, text: str) -> None:
    project.config()
    project.write("edge.jsonc", text)
    assert "edge.jsonc:1:1: The file must hold one JSON object: { ... }." in project.refusal()


WARNINGS = [
    (
        "[limit]\na = 1",
        'Unexpected fields found in top-level field: "limit"\nDid you mean "limits" instead of "limit" in line 1?',
    ),
    (
        "[limits]\nbody_byte = 1",
        (
            'Unexpected fields found in limits field: "body_byte"\n'
            'Did you mean "body_bytes" instead of "body_byte" in line 2?'
        ),
    ),
    (
        '[[kv_namespaces]]\nbinding = "A"',
        (
            'Unexpected fields found in top-level field: "kv_namespaces"\n'
            '"kv_namespaces" in line 1 belongs in wrangler.jsonc.'
        ),
    ),
    (
        "[limits]\ncpu_ms = 1",
        'Unexpected fields found in limits field: "cpu_ms"\n"cpu_ms" in line 2 belongs in wrangler.jsonc.',
    ),
    (
        "[limits]\nbody_bytes = -1",
        '"limits.body_bytes" must be a finite number above 0 but got -1; the default 104857600 is used.',
    ),
    *(
        (
            f"[limits]\ndrain_seconds = {number}",
            f'"limits.drain_seconds" must be a finite number above 0 but got {number}; the default 10.0 is used.',
        )
        for number in ("nan", "inf")
    ),
]


@pytest.mark.parametrize(("text", "message"), WARNINGS, ids=[text for text, _ in WARNINGS])
def test_warning_text_and_the_default_holds(project: Project, text: str, message: str) -> None:
    project.config()
    project.write("edge.toml", text)
    assert project.warnings() == [message]
    assert project.load().settings == Settings()


def test_a_wrong_value_behind_a_reference_is_not_shown(project: Project) -> None:
    project.config()
    project.write(".dev.vars", "EDGE_TEST_SECRET=hush")
    project.write("edge.toml", '[aws]\nstream = { env = "EDGE_TEST_SECRET" }')
    report = project.refusal()
    assert (
        'Expected "aws.stream" field to be one of ["firehose","kinesis"] but got {"env":"EDGE_TEST_SECRET"}.' in report
    )
    assert "hush" not in report


def test_an_environment_that_is_no_object(project: Project) -> None:
    project.config(env={"prod": {}})
    project.write("edge.toml", "[env]\nprod = 5")
    assert 'edge.toml:2:1: Expected "env.prod" to be of type object but got 5.' in project.refusal("prod")


def test_problems_of_both_files_are_reported_at_once(project: Project) -> None:
    project.config(account_id=5)
    project.write("edge.toml", "limits = 5")
    report = project.refusal()
    assert 'Expected "account_id" to be of type string but got 5.' in report
    assert 'Expected "limits" to be of type object but got 5.' in report


def test_a_reference_takes_its_value_from_the_files_and_then_from_the_process(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.config()
    monkeypatch.setenv("EDGE_TEST_TABLE", "process")
    monkeypatch.setenv("EDGE_TEST_REGION", "process")
    project.write(".dev.vars", "EDGE_TEST_REGION=file")
    project.write("edge.toml", '[aws]\nregion = { env = "EDGE_TEST_REGION" }\nkv_table = { env = "EDGE_TEST_TABLE" }')
    config = project.load()
    assert (config.settings.aws.region, config.settings.aws.kv_table) == ("file", "process")
    assert config.settings_references == {"aws.region": "EDGE_TEST_REGION", "aws.kv_table": "EDGE_TEST_TABLE"}
