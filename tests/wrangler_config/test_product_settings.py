"""Sections of edge.toml that bindings bring: checked like the others, all problems at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edge.bindings.pipelines.declared import PipelineDeclaration, SinkDeclaration, StreamDeclaration
from edge.bindings.pipelines.objects import RollingPolicy, StreamLimits
from edge.bindings.pipelines.schemas.schema import Field, Schema
from edge.runtime.serve import product_settings
from edge.wrangler_config.known_keys import PRODUCT_SETTINGS_KEYS, TOP_LEVEL_KEYS

if TYPE_CHECKING:
    from conftest import Project

FLIGHTS = """
[streams.flights]
http = { enabled = true, authentication = false, cors = { origins = ["*"] } }
limits = { bytes_per_second = 1000 }
[[streams.flights.schema.fields]]
name = "carrier"
type = "string"
required = true
[sinks.far]
type = "local"
path = "out/far"
format = { type = "parquet", compression = "zstd" }
rolling_policy = { interval_seconds = 5, file_size_bytes = 104857600 }
[[pipelines]]
name = "far"
sql = "INSERT INTO far SELECT upper(carrier) AS carrier FROM flights"
"""
PARQUET = "format.type = 'parquet'\n"
SINK = '[sinks.far]\ntype = "local"\npath = "x"\n'


def test_sections_arrive_as_the_types_their_binding_declares(project: Project) -> None:
    project.config()
    project.write("edge.toml", FLIGHTS)
    config = project.load()
    products = config.settings.products
    assert config.warnings == ()
    stream = products["streams"]["flights"]
    assert isinstance(stream, StreamDeclaration)
    assert stream.schema == Schema((Field("string", "carrier", required=True),))
    assert stream.http.cors.origins == ("*",)
    assert stream.limits == StreamLimits(bytes_per_second=1000)
    sink = products["sinks"]["far"]
    assert isinstance(sink, SinkDeclaration)
    assert sink.config == {"path": "out/far"}
    assert sink.rolling_policy == RollingPolicy(5, 104857600)
    assert products["pipelines"] == (
        PipelineDeclaration("far", "INSERT INTO far SELECT upper(carrier) AS carrier FROM flights"),
    )


def test_both_spellings_of_the_file_give_the_same(project: Project) -> None:
    project.config()
    path = project.write("edge.toml", FLIGHTS)
    toml = project.load().settings
    path.unlink()
    project.write(
        "edge.jsonc",
        """{"streams": {"flights": {
            "http": {"enabled": true, "authentication": false, "cors": {"origins": ["*"]}}, // anyone
            "limits": {"bytes_per_second": 1000},
            "schema": {"fields": [{"name": "carrier", "type": "string", "required": true}]}}},
         "sinks": {"far": {"type": "local", "path": "out/far", "format": {"type": "parquet", "compression": "zstd"},
            "rolling_policy": {"interval_seconds": 5, "file_size_bytes": 104857600}}},
         "pipelines": [{"name": "far", "sql": "INSERT INTO far SELECT upper(carrier) AS carrier FROM flights"}]}""",
    )
    assert project.load().settings == toml


def test_an_environments_section_replaces_the_whole_section(project: Project) -> None:
    project.config(env={"prod": {}})
    project.write("edge.toml", "[streams.a]\n[streams.b]\n[sinks.far]\ntype='local'\npath='x'\n[env.prod.streams.c]\n")
    assert set(project.load().settings.products["streams"]) == {"a", "b"}
    products = project.load("prod").settings.products
    assert set(products["streams"]) == {"c"}
    assert set(products["sinks"]) == {"far"}


ERRORS = [
    ("streams = 5", 'edge.toml:1:1: Expected "streams" to be of type object but got 5.'),
    ("[streams]\na = 5", 'edge.toml:2:1: Expected "streams.a" to be of type object but got 5.'),
    ("[pipelines]\na = 5", 'edge.toml:1:2: Expected "pipelines" to be of type array but got {"a":5}.'),
    ("pipelines = [5]", 'Expected "pipelines[0]" to be of type object but got 5.'),
    ("[streams.a]\nhttp = { enabled = 1 }", 'edge.toml:2:10: Expected "streams.a.http.enabled" to be of type boolean'),
    ('[streams.a]\nvalidation = "lax"', '"streams.a.validation" field to be one of ["cloudflare","strict"] but got'),
    ("[streams.a.schema]\nfields = [{ type = 5 }]", 'Expected "streams.a.schema.fields[0].type" field to be one of ['),
    (
        "[streams.a.schema]\nfields = [\n{ name = 'b', type = 'list', items = { type = 'strng' } } ]",
        'edge.toml:3:40: Expected "streams.a.schema.fields[0].items.type" field to be one of [',
    ),
    (
        "[streams.a.schema]\nfields = [\n{ name = 'b', type = 'list' } ]",
        "edge.toml:3:1: streams.a.schema.fields[0].items: a list needs `items`",
    ),
    ("[streams.a.schema]\n", 'edge.toml:1:12: "streams.a.schema.fields" is a required field.'),
    ("[streams.a-b]", 'edge.toml:1:10: The stream name "a-b" is not allowed'),
    (f"[streams.{'x' * 129}]", "1 to 128 of them"),
    ("[streams.a]\nid = 'X'", 'edge.toml:2:1: The id "X" is not 32 hex digits in lower case.'),
    (f"[streams]\na.id = '{'0' * 32}'\nb.id = '{'0' * 32}'", "edge.toml:3:3: The id"),
    ("[streams.a]\nschema_file = 'nope.json'", "edge.toml:2:1: nope.json cannot be read: No such file or directory."),
    (
        "[streams.a]\nschema_file = 'x'\nschema = { fields = [{ name = 'b', type = 'json' }] }",
        'edge.toml:2:1: Both "schema" and "schema_file" are given; write one of them.',
    ),
    ("[streams.a]\nhttp.cors.origins = ['*', 'http://a.test']", '"*" allows every origin and stands alone.'),
    ("[streams.a]\nhttp.cors.origins = ['http://a.test/b']", 'The origin "http://a.test/b" is neither "*" nor'),
    ("[streams.a]\nlimits.request_bytes = 0", 'edge.toml:2:8: "limits.request_bytes" must be above 0 but is 0.'),
    ("[sinks.far]", 'edge.toml:1:8: "sinks.far.type" is a required field.'),
    ("[sinks.far]\ntype = 5", 'Expected "sinks.far.type" to be of type string but got 5.'),
    ("[sinks.far]\ntype = 'locl'", 'edge.toml:2:1: There is no sink type "locl". The types are: '),
    ("[sinks.far]\ntype = 'sink'", 'There is no sink type "sink".'),
    ("[sinks.far]\ntype = '../local'", 'There is no sink type "../local".'),
    ("[sinks.far]\ntype = 'local'", 'edge.toml:1:8: "sinks.far.path" is a required field.'),
    ("[sinks.far]\ntype = 'local'\npath = 5", 'edge.toml:3:1: Expected "sinks.far.path" to be of type string but got'),
    (
        SINK + "rolling_policy.interval_seconds = 0.5",
        '"rolling_policy.interval_seconds" must be at least 1 but is 0.5.',
    ),
    (SINK + "rolling_policy.file_size_bytes = 1.5", 'file_size_bytes" to be of type whole number but got 1.5.'),
    (SINK + "format.compression = 'zip'", '"sinks.far.format.compression" field to be one of ["uncompressed","none",'),
    (SINK + "format = { type = 'json', compression = 'snappy' }", "JSON files cannot be compressed with snappy."),
    ("[sinks.far]\ntype = 'local'\npath = ''", "edge.toml:1:8: \"sinks.far\": path '' is no folder."),
    (SINK + "partitioning.time_pattern = '%Q'", "edge.toml:4:1: \"sinks.far.partitioning\": The time pattern '%Q' has"),
    ("[sinks.far]\ntype = 'r2'\nbucket = 'bucket'\npath = '../../x'", "The path '../../x' is no place inside"),
    ("[sinks.far]\ntype = 's3'\nbucket = 'bucket'\npath = 'a//x'", "The path 'a//x' is no place inside"),
    (SINK + "[streams.far]", 'edge.toml:1:8: "far" is the name of a stream and of a sink'),
    (
        "[streams.ev]\n[streams.EV]",
        'edge.toml:2:10: The stream "EV" and the stream "ev" differ in case alone, which SQL does not see',
    ),
    (SINK + "[streams.Far]", 'The sink "far" and the stream "Far" differ in case alone'),
    ("[[pipelines]]", 'edge.toml:1:3: "pipelines[0].name" is a required field.'),
    ("[[pipelines]]\nname = 'a'", 'The pipeline "a" needs "sql" or "sql_file", one of them.'),
    (
        "[[pipelines]]\nname = 'a'\nsql_file = 'a.sql'",
        "edge.toml:3:1: a.sql cannot be read: No such file or directory.",
    ),
    ("[[pipelines]]\nname = 'a'\nsql = 'SELECT 1'", 'edge.toml:3:1: SQL of "a", line 1, column 1: '),
    (
        SINK + "[streams.flights]\n[[pipelines]]\nname = 'a'\nsql = 'INSERT INTO fra SELECT * FROM flights'",
        'edge.toml:7:1: SQL of "a", line 1, column 13: There is no sink "fra". Did you mean "far"?',
    ),
    (
        SINK + "[[pipelines]]\nname = 'a'\nsql = 'INSERT INTO far SELECT * FROM nope'",
        'edge.toml:6:1: SQL of "a", line 1, column 31: There is no stream "nope". None is declared.',
    ),
    (
        SINK + "[streams.Up]\n[[pipelines]]\nname = 'a'\nsql = 'INSERT INTO far SELECT * FROM Up'",
        'There is no stream "up". Names without quotes are folded to lower case: write "Up", with the quotes.',
    ),
    (
        SINK + "[streams.s]\n" + "[[pipelines]]\nname = 'a'\nsql = 'INSERT INTO far SELECT * FROM s'\n" * 2,
        'edge.toml:9:1: There are 2 pipelines with the name "a". Give each its own.',
    ),
    (
        "[[ingest.steps]]\ntype = 'maks'",
        'edge.toml:2:1: Expected "ingest.steps[0].type" field to be one of ["parse","enrich","mask",',
    ),
    ("[[ingest.steps]]\nstreams = []", 'edge.toml:1:10: "ingest.steps[0].type" is a required field.'),
    (
        "[[ingest.steps]]\ntype = 'mask'\ndetectors = ['email', 'crad']",
        'edge.toml:3:23: Expected "ingest.steps[0].detectors[1]" field to be one of ["email","card",',
    ),
    (
        "[[ingest.steps]]\ntype = 'rules'\nrules = [{ to = 'far' }]",
        'edge.toml:3:12: Expected "ingest.steps[0].rules[0].to" to be of type array but got "far".',
    ),
    ("\n".join(f"[streams.s{i}]" for i in range(21)), "There are 21 streams; there may be 20."),
]


@pytest.mark.parametrize(("text", "message"), ERRORS, ids=[message for _, message in ERRORS])
def test_error_text_and_place(project: Project, text: str, message: str) -> None:
    project.config()
    project.write("edge.toml", text)
    report = project.refusal()
    assert report.startswith("✘ [ERROR] Processing edge.toml configuration:\n    - edge.toml:")
    assert message in report


WARNINGS = [
    (
        "[stream.a]",
        'Unexpected fields found in top-level field: "stream"\n"stream" in line 1 belongs in wrangler.jsonc.',
    ),
    (
        "[strams.a]",
        'Unexpected fields found in top-level field: "strams"\nDid you mean "streams" instead of "strams" in line 1?',
    ),
    (
        "[streams.a]\nhttps = {}",
        'Unexpected fields found in streams.a field: "https"\nDid you mean "http" instead of "https" in line 2?',
    ),
    (
        "[streams.a.http]\nauthentification = true",
        (
            'Unexpected fields found in streams.a.http field: "authentification"\n'
            'Did you mean "authentication" instead of "authentification" in line 2?'
        ),
    ),
    (
        "[[ingest.steps]]\ntype = 'mask'\nkep = 3\npaths = ['a']",
        ('Unexpected fields found in ingest.steps[0] field: "kep"\nDid you mean "keep" instead of "kep" in line 3?'),
    ),
    (
        SINK + "pth = 5",
        'Unexpected fields found in sinks.far field: "pth"\nDid you mean "path" instead of "pth" in line 4?',
    ),
]


@pytest.mark.parametrize(("text", "message"), WARNINGS, ids=[text for text, _ in WARNINGS])
def test_unknown_keys_are_warnings_with_the_nearest_name(project: Project, text: str, message: str) -> None:
    project.config()
    project.write("edge.toml", text)
    assert project.warnings() == [message]


def test_inserts_of_one_stream_that_share_an_elasticsearch_index_are_warned_of(project: Project) -> None:
    project.config()
    sink = '[sinks.{0}]\ntype = "elasticsearch"\nurl = "https://es.test"\nindex = "{1}"\n'
    pipeline = '[[pipelines]]\nname = "{0}"\nsql = "INSERT INTO {1} SELECT * FROM {2}"\n'
    sinks = "[streams.flights]\n[streams.other]\n" + sink.format("one", "all") + sink.format("two", "all")
    apart = sinks + sink.format("three", "far") + pipeline.format("a", "one", "flights")
    apart += pipeline.format("b", "three", "flights") + pipeline.format("c", "two", "other")
    project.write("edge.toml", apart)
    assert project.warnings() == []
    project.write("edge.toml", apart + pipeline.format("d", "two", "flights"))
    [warning] = project.warnings()
    assert warning == (
        '2 INSERTs send records of the stream "flights" to the index "all" of https://es.test (pipelines: a, d): '
        "a record that two of them send becomes one document there, the first. Give each INSERT an index of its own."
    )


def test_sinks_that_write_to_one_place_are_warned_of(project: Project) -> None:
    project.config()
    beside = SINK.replace("far", "near")
    project.write("edge.toml", SINK + beside.replace('"x"', '"x/y"') + beside.replace("near", "pq") + PARQUET)
    assert project.warnings() == []
    project.write("edge.toml", SINK + beside.replace('"x"', '"./x/"'))
    [warning] = project.warnings()
    assert warning == (
        "The sinks far and near write to one place, so edge query cannot tell their files apart. "
        "Give each a path of its own."
    )


def test_a_binding_of_the_wrangler_file_in_edge_toml_is_told_where_it_belongs(project: Project) -> None:
    project.config()
    project.write("edge.toml", '[[pipelines]]\nbinding = "S"\nstream = "flights"')
    report = project.refusal()
    assert '"binding" in line 2 belongs in wrangler.jsonc.\n' in report
    assert '"stream" in line 3 belongs in wrangler.jsonc.' in report


def test_a_section_of_edge_toml_in_the_wrangler_file_is_told_where_it_belongs(project: Project) -> None:
    project.config(streams={"a": {}}, sinks={})
    (warning,) = project.warnings()
    assert '"streams" in line 7 belongs in edge.toml, beside this file.' in warning
    brought = {key for product in product_settings() for key in product.types}
    assert brought - TOP_LEVEL_KEYS <= PRODUCT_SETTINGS_KEYS


def test_a_secret_is_taken_as_a_reference_only(project: Project) -> None:
    project.config()
    sink = '[sinks.es]\ntype = "elasticsearch"\nurl = "https://search.example.com"\nindex = "a"\n'
    project.write("edge.toml", sink + 'api_key = "hush"')
    assert 'edge.toml:5:1: "sinks.es.api_key" is a secret and may not be written here. Write { env = "NAME" }' in (
        report := project.refusal()
    )
    assert "hush" not in report
    project.write("edge.toml", sink + 'api_key = { env = "EDGE_TEST_KEY" }')
    project.write(".dev.vars", "EDGE_TEST_KEY=hush")
    config = project.load()
    assert config.settings.products["sinks"]["es"].config["api_key"] == "hush"
    assert config.settings_references == {"sinks.es.api_key": "EDGE_TEST_KEY"}
    assert "hush" not in repr(config.settings.products)


def test_a_secret_inside_a_step_is_taken_as_a_reference_only(project: Project) -> None:
    project.config()
    step = "[[ingest.steps]]\ntype = 'mask'\npaths = ['a']\naction = 'hmac'\n"
    project.write("edge.toml", step + "key = 'hush'")
    assert 'edge.toml:5:1: "ingest.steps[0].key" is a secret and may not be written here.' in project.refusal()
    project.write("edge.toml", step + 'key = { env = "EDGE_TEST_KEY" }')
    project.write(".dev.vars", "EDGE_TEST_KEY=hush")
    assert project.load().settings.products["ingest"].steps[0].key == "hush"


def test_a_member_named_env_of_names_one_chooses_is_no_reference(project: Project) -> None:
    project.config()
    step = '[[ingest.steps]]\ntype = "enrich"\nconstants = { env = "dev" }\n'
    sink = '[sinks.hook]\ntype = "webhook"\nurl = "https://a.test"\nheaders = { env = { env = "EDGE_TEST_KEY" } }\n'
    project.write("edge.toml", step + sink)
    project.write(".dev.vars", "EDGE_TEST_KEY=hush")
    config = project.load()
    assert config.settings.products["ingest"].steps[0].constants == {"env": "dev"}
    assert config.settings.products["sinks"]["hook"].config["headers"] == {"env": "hush"}
    assert config.settings_references == {"sinks.hook.headers.env": "EDGE_TEST_KEY"}


def test_a_secret_written_under_the_name_env_is_refused(project: Project) -> None:
    project.config()
    project.write("edge.toml", '[sinks.hook]\ntype = "webhook"\nurl = "https://a.test"\nheaders = { env = "hush" }')
    report = project.refusal()
    assert '"sinks.hook.headers.env" is a secret and may not be written here.' in report
    assert "hush" not in report


def test_a_wrong_type_in_one_step_hides_no_problem_of_the_others(project: Project) -> None:
    project.config()
    project.write(
        "edge.toml",
        """
        [streams.a]
        [[ingest.steps]]
        type = "sample"
        rate = 2
        [[ingest.steps]]
        type = "filter"
        where = 5
        [[ingest.steps]]
        type = "sample"
        rate = 0.5
        streams = ["nope"]
        [[ingest.steps]]
        type = "made_up"
        [[ingest.steps]]
        type = "mask"
        """,
    )
    report = project.refusal()
    for text in (
        'edge.toml:3:18: "rate" is 2.0; it is a share, from 0 to 1.',
        'Expected "ingest.steps[1].where" to be of type string but got 5.',
        'edge.toml:12:20: There is no stream "nope". Declared are: a.',
        '"ingest.steps[3].type"',
        'edge.toml:15:18: A mask step hides nothing without "paths", "detectors" or "pattern".',
    ):
        assert text in report
    assert report.count("edge.toml:") == 5


def test_a_step_that_is_no_object_beside_one_of_a_wrong_type_is_told(project: Project) -> None:
    project.config()
    project.write("edge.toml", "[ingest]\nsteps = [{ type = 'mask', paths = 5 }, 5]")
    told = project.refusal()
    assert 'Expected "ingest.steps[0].paths" to be of type array but got 5.' in told
    assert '"ingest.steps[1].type" is a required field.' in told


def test_a_wrong_type_hides_no_other_problem_of_its_entry(project: Project) -> None:
    project.config()
    project.write(
        "edge.toml",
        SINK.replace('"x"', "5")
        + """
        id = 7
        rolling_policy = { interval_seconds = -5, file_size_bytes = "x" }
        format.row_group_bytes = 0
        [streams.s]
        limits = { request_bytes = -1, bytes_per_second = "x" }
        http.cors.origins = ["http://a.test/b"]
        http.enabled = 1
        [[pipelines]]
        name = "a"
        sql_file = "nope.sql"
        on_error = 5
        [[pipelines]]
        name = "b"
        sql = 5
        """,
    )
    report = project.refusal()
    for text in (
        'Expected "sinks.far.path" to be of type string but got 5.',
        'Expected "sinks.far.id" to be of type string but got 7.',
        'Expected "sinks.far.rolling_policy.file_size_bytes" to be of type whole number but got "x".',
        '"rolling_policy.interval_seconds" must be at least 1 but is -5',
        '"format.row_group_bytes" must be above 0 but is 0.',
        'Expected "streams.s.limits.bytes_per_second" to be of type whole number but got "x".',
        '"limits.request_bytes" must be above 0 but is -1.',
        'The origin "http://a.test/b" is neither',
        'Expected "streams.s.http.enabled" to be of type boolean but got 1.',
        'Expected "pipelines[0].on_error" field to be one of ["dead_letter","fail"] but got 5.',
        "nope.sql cannot be read: No such file or directory.",
        'Expected "pipelines[1].sql" to be of type string but got 5.',
    ):
        assert text in report
    assert report.count("edge.toml:") == 12


def test_the_files_that_declarations_name_are_watched(project: Project) -> None:
    project.config()
    schema = project.write("a.json", '{"fields": [{"name": "b", "type": "json"}]}')
    sql = project.write("a.sql", "INSERT INTO far SELECT * FROM a")
    text = SINK + "[streams.a]\nschema_file = 'a.json'\n[[pipelines]]\nname = 'a'\nsql_file = 'a.sql'"
    project.write("edge.toml", text)
    assert {schema, sql, project.folder / "edge.toml"} <= set(project.load().files)


def test_a_stream_that_the_wrangler_file_binds_may_be_read(project: Project) -> None:
    project.config(pipelines=[{"binding": "S", "stream": "my-stream"}])
    project.write("edge.toml", SINK + "[[pipelines]]\nname = 'a'\nsql = 'INSERT INTO far SELECT * FROM \"my-stream\"'")
    assert project.load().warnings == ()


def test_problems_of_both_files_are_reported_at_once(project: Project) -> None:
    project.config(account_id=5)
    project.write("edge.toml", "[streams.a-b]")
    report = project.refusal()
    assert 'Expected "account_id" to be of type string but got 5.' in report
    assert 'The stream name "a-b" is not allowed' in report
