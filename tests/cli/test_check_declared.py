"""`edge check` of what edge.toml declares: all that would stop a pipeline, before it starts."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from edge.bindings.pipelines.catalogue import Catalogue
from edge.bindings.pipelines.declared import declared_objects
from edge.bindings.pipelines.reconcile import reconcile
from edge.bindings.pipelines.sink_types import sink_type_names
from edge.runtime.cli.main import main
from edge.runtime.serve import ConfigChoice, load_config

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DECLARED = """
[streams.flights]
schema = { fields = [{ name = "carrier", type = "string" }] }
[sinks.far]
type = "local"
path = "out"
[[pipelines]]
name = "far"
sql = "INSERT INTO far SELECT carrier FROM flights"
"""
HEAVY = {"aiohttp", "datafusion", "numpy", "obstore", "pandas", "pyarrow", "structlog"}


@pytest.fixture
def check(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[Any, str]]:
    """`edge check` with this edge.toml: exit code, and what is said."""
    monkeypatch.chdir(project)

    def run(edge_toml: str) -> tuple[Any, str]:
        (project / "edge.toml").write_text(edge_toml)
        with pytest.raises(SystemExit) as ended:
            main(["check"])
        output, errors = capsys.readouterr()
        return ended.value.code, output + errors

    return run


def start(project: Path) -> None:
    """What a start with DECLARED leaves in the state folder."""
    (project / "edge.toml").write_text(DECLARED)
    config = load_config(ConfigChoice(project / "wrangler.jsonc"))
    with closing(Catalogue(project / ".edge" / "state")) as catalogue:
        reconcile(catalogue, declared_objects(config), 1.0)


def test_a_whole_declaration_has_no_problems(check: Callable[..., tuple[Any, str]], project: Path) -> None:
    assert check(DECLARED) == (0, "wrangler.jsonc: no problems found.\n")
    assert not (project / ".edge").exists()


def test_declaring_streams_and_sinks_loads_no_heavy_library(project: Path) -> None:
    (project / "edge.toml").write_text(DECLARED.partition("[[pipelines]]")[0])
    code = (
        "import sys; from edge.runtime.cli.command_line import edge; edge(['check'], standalone_mode=False);"
        f"print(*{HEAVY} & {{name.partition('.')[0] for name in sys.modules}}, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=project, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("wrangler.jsonc: no problems found.\n", "\n")


def test_every_problem_of_the_sections_is_told_and_the_exit_code_is_1(check: Callable[..., tuple[Any, str]]) -> None:
    code, said = check(DECLARED.replace("INTO far", "INTO fra").replace('"local"', '"locl"'))
    assert code == 1
    assert 'edge.toml:5:1: There is no sink type "locl".' in said
    assert 'edge.toml:9:1: SQL of "far", line 1, column 13: There is no sink "fra". Did you mean "far"?' in said


def test_sql_that_does_not_fit_its_streams_columns_is_told(check: Callable[..., tuple[Any, str]]) -> None:
    code, said = check(DECLARED.replace("SELECT carrier", "SELECT crrier"))
    assert code == 1
    assert 'edge.toml:9:1: SQL of "far", line 1, column 24: There is no column crrier. Did you mean carrier?' in said


def test_every_problem_of_several_inserts_is_told_with_its_place(check: Callable[..., tuple[Any, str]]) -> None:
    inserts = (
        "INSERT INTO far SELECT carrier FROM flights LIMIT 5; INSERT INTO fra SELECT carrier FROM flights; "
        "INSERT INTO far SELECT crrier FROM flights; INSERT INTO far SELECT 1 FROM flights GROUP BY 1"
    )
    code, said = check(DECLARED.replace("INSERT INTO far SELECT carrier FROM flights", inserts))
    assert code == 1
    lines = [line.strip() for line in said.splitlines() if "SQL of" in line]
    assert [line.split(": ")[1].split(", ", 1)[1] for line in lines] == [
        "line 1, column 45", "line 1, column 181", "line 1, column 66", "line 1, column 122"
    ]  # fmt: skip


def test_an_ingest_step_that_cannot_work_is_told(check: Callable[..., tuple[Any, str]]) -> None:
    code, said = check(DECLARED + '[[ingest.steps]]\ntype = "mask"\npattern = "("')
    assert code == 1
    assert "edge.toml:10:10: '(' is no regular expression" in said


def test_every_step_that_cannot_work_is_told_where_it_stands(check: Callable[..., tuple[Any, str]]) -> None:
    steps = """
    [[ingest.steps]]
    type = "mask"
    [[ingest.steps]]
    type = "sample"
    rate = 2.0
    [[ingest.steps]]
    type = "rules"
    rules = [{ to = ["far"] }]
    [[ingest.steps]]
    type = "rules"
    streams = ["flights"]
    rules = [{ to = ["far"] }]
    """
    code, said = check(DECLARED + steps)
    assert code == 1
    assert "edge.toml:11:14: A mask step hides nothing" in said
    assert 'edge.toml:13:14: "rate" is 2.0' in said
    assert 'edge.toml:19:14: Stream "flights" has a rules step already' in said
    assert said.count("edge.toml:") == 3


def test_conditions_are_told_as_they_are_written(check: Callable[..., tuple[Any, str]]) -> None:
    steps = """
    [[ingest.steps]]
    type = "filter"
    where = "carrier = 'a' AND nope > 1"
    [[ingest.steps]]
    type = "sample"
    rate = 0.5
    key = "nope"
    [[ingest.steps]]
    type = "rules"
    rules = [{ to = ["far"], when = "true" }, { to = ["far"], when = "carrier >" }]
    """
    code, said = check(DECLARED + steps)
    assert code == 1
    assert 'edge.toml:13:5: where for stream "flights", line 1, column 19: There is no column nope' in said
    assert 'edge.toml:17:5: key for stream "flights", line 1, column 1: There is no column nope' in said
    assert 'edge.toml:20:63: when for stream "flights", line ' in said
    assert "IS TRUE" not in said


def test_a_schema_that_differs_from_the_streams_is_told_with_the_way_to_go(
    check: Callable[..., tuple[Any, str]], project: Path
) -> None:
    start(project)
    assert check(DECLARED)[0] == 0
    code, said = check(DECLARED.replace('"string"', '"json"'))
    assert code == 1
    assert 'edge.toml:2:10: The schema of stream "flights" differs from the one it was made with' in said
    assert "Declare a new stream with the new schema, or delete this one" in said


def test_where_a_renamed_pipeline_goes_on_is_told_before_it_does(
    check: Callable[..., tuple[Any, str]], project: Path
) -> None:
    start(project)
    renamed = DECLARED.replace('name = "far"', 'name = "further"')
    code, said = check(renamed)
    assert code == 0
    assert 'edge.toml:7:3: The pipeline "far" is now declared as "further": it goes on' in " ".join(said.split())
    code, said = check(renamed.replace("sinks.far", "sinks.near").replace("INTO far", "INTO near"))
    assert code == 0
    assert 'The pipeline "further" is new, and begins at the oldest record that the log of flights has.' in said
    assert "goes on beside it" in said
    assert "is new" not in check(renamed + "[[pipelines]]\nname = 5\n")[1], "what is broken did not vanish"


def test_a_wrong_type_elsewhere_hides_no_problem_that_takes_the_sql_engine_to_see(
    check: Callable[..., tuple[Any, str]],
) -> None:
    broken = """
    [limits]
    body_bytes = "x"
    [streams.birds]
    validation = 5
    [sinks.near]
    type = "locl"
    [[pipelines]]
    name = "near"
    sql = "INSERT INTO near SELECT nope FROM flights"
    [[ingest.steps]]
    type = "sample"
    rate = "all"
    [[ingest.steps]]
    type = "filter"
    where = "nop > 1"
    """
    code, said = check(DECLARED.replace("SELECT carrier", "SELECT crrier") + broken)
    assert code == 1
    columns = "The stream has: carrier."
    assert [line.strip() for line in said.splitlines() if line] == [
        "✘ [ERROR] Processing edge.toml configuration:",
        '- edge.toml:12:5: Expected "limits.body_bytes" to be of type whole number but got "x".',
        '- edge.toml:14:5: Expected "streams.birds.validation" field to be one of ["cloudflare","strict"] but got 5.',
        f'- edge.toml:16:5: There is no sink type "locl". The types are: {", ".join(sink_type_names())}.',
        '- edge.toml:22:5: Expected "ingest.steps[0].rate" to be of type number but got "all".',
        '- edge.toml:9:1: SQL of "far", line 1, column 24: There is no column crrier. Did you mean carrier?',
        f'- edge.toml:19:5: SQL of "near", line 1, column 25: There is no column nope. {columns}',
        f'- edge.toml:25:5: where for stream "flights", line 1, column 1: There is no column nop. {columns}',
    ]


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ('type = "string"', 'type = "strng"'),
        ("schema = {", 'limits = { request_bytes = "x" }\nschema = {'),
        ("schema = {", 'schema_file = "none.json"\nschema = {'),
        ('name = "far"', 'name = "far"\non_error = 1'),
        ("INTO far", "INTO fra"),
    ],
    ids=["a column", "another member of the stream", "the stream's files", "the pipeline", "the SQL"],
)
def test_what_follows_from_a_broken_stream_or_pipeline_is_not_told(
    check: Callable[..., tuple[Any, str]], right: str, wrong: str
) -> None:
    step = '[[ingest.steps]]\ntype = "filter"\nwhere = "carrier = \'a\'"\n'
    code, said = check((DECLARED + step).replace(right, wrong).replace("SELECT carrier", "SELECT crrier"))
    assert code == 1
    assert "crrier" not in said
    assert "carrier" not in said.replace('"name":"carrier"', "")


def test_a_wrong_type_in_the_wrangler_file_hides_no_sql_problem(
    check: Callable[..., tuple[Any, str]], project: Path
) -> None:
    (project / "wrangler.jsonc").write_text('{"name": 5, "pipelines": [{"binding": "BOUND", "stream": "bound"}]}')
    bound = """
    [[pipelines]]
    name = "bound"
    sql = "INSERT INTO far SELECT nope FROM bound"
    [[ingest.steps]]
    type = "filter"
    where = "true"
    streams = ["bound"]
    """
    code, said = check(DECLARED.replace("SELECT carrier", "SELECT crrier") + bound)
    assert code == 1
    assert 'wrangler.jsonc:1:2: Expected "name" to be of type string' in said
    assert 'edge.toml:9:1: SQL of "far", line 1, column 24: There is no column crrier.' in said
    assert "bound" not in said


def test_problems_of_an_environments_sections_are_told_where_they_stand(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    (project / "wrangler.jsonc").write_text('{"main": "main.py", "env": {"prod": {}}}')
    pipelines = """[[env.prod.pipelines]]
    name = "broken"
    on_error = 1
    [[env.prod.pipelines]]
    name = "prod"
    sql = "INSERT INTO far SELECT nope FROM flights"
    """
    (project / "edge.toml").write_text(DECLARED + pipelines)
    with pytest.raises(SystemExit):
        main(["check", "--env", "prod"])
    said = capsys.readouterr().err
    assert 'edge.toml:15:5: SQL of "prod", line 1, column 24: There is no column nope' in said
    assert said.count("SQL of") == 1


def test_a_pipeline_that_would_take_anothers_name_is_told_where_it_stands(
    check: Callable[..., tuple[Any, str]], project: Path
) -> None:
    start(project)
    second = '[[pipelines]]\nname = "first"\nsql = "INSERT INTO far SELECT * FROM flights"\n[[pipelines]]'
    other = DECLARED.replace('name = "far"', f'name = "far"\nid = "{"0" * 32}"').replace("[[pipelines]]", second)
    code, said = check(other)
    assert code == 1
    assert 'edge.toml:10:3: The pipeline "far" exists with the id' in said


def test_the_schema_for_editors_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["check", "--schema"])
    assert ended.value.code == 0
    assert {"streams", "sinks", "pipelines", "ingest"} <= set(json.loads(capsys.readouterr().out)["properties"])


@pytest.mark.parametrize("sink_type", ["iceberg", "r2_data_catalog"])
@pytest.mark.parametrize("column", ["now() - now() AS waited", "arrow_cast(1, 'Decimal256(60, 2)') AS sum"])
def test_a_column_that_an_iceberg_table_cannot_hold_is_told_at_its_place(
    check: Callable[..., tuple[Any, str]], sink_type: str, column: str
) -> None:
    table = f'type = "{sink_type}"\ntable_name = "far"\n' + ('bucket = "far"' if sink_type != "iceberg" else "")
    edge_toml = DECLARED.replace('type = "local"\npath = "out"', table).replace(
        "carrier FROM", f"carrier, {column} FROM"
    )
    code, said = check(edge_toml)
    assert code == 1
    assert 'SQL of "far", line 1, column 33: Column' in said
    assert "which an Iceberg table cannot hold" in said
