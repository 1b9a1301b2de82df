"""edge.toml as streams, sinks and pipelines. Its messages are tested in tests/wrangler_config."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from edge.bindings.pipelines.ids import id_of
from edge.bindings.pipelines.objects import Cors, HttpIngest, RollingPolicy, SinkFormat, StreamObject
from edge.bindings.pipelines.schemas.schema import Field, Schema
from edge.bindings.pipelines.sink_types import find_sink_type, sink_type_name, sink_type_names

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge.bindings.pipelines.declared import Declared

TYPES = {
    *("local", "r2", "s3", "iceberg", "r2_data_catalog"),
    *("elasticsearch", "splunk_hec", "snowflake", "kafka", "webhook", "otlp"),
}
HEAVY = {"pyarrow", "datafusion", "obstore", "pyiceberg", "confluent_kafka", "snowflake", "opentelemetry"}


def test_a_bare_stream_has_cloudflares_defaults(declared: Callable[..., Declared]) -> None:
    (stream,) = declared("[streams.flights]").streams
    assert stream == StreamObject(id_of("stream", "flights"), "flights", 0.0, 0.0)
    assert stream.http == HttpIngest(enabled=True, authentication=True, cors=Cors())
    assert stream.schema is None
    assert stream.origin == "declared"


def test_every_setting_of_a_stream_arrives(declared: Callable[..., Declared]) -> None:
    text = f"""
    [streams.flights]
    id = "{"0" * 31}a"
    http = {{ enabled = false, authentication = false, cors = {{ origins = ["https://a.test:8000"] }} }}
    worker_binding = {{ enabled = false }}
    format = {{ type = "json", timestamp_format = "unix_millis" }}
    validation = "strict"
    extra_fields = "reject"
    limits = {{ request_bytes = 1000, requests_per_second = 2.5 }}
    retention = {{ seconds = 3600, backlog_bytes = 1000 }}
    [[streams.flights.schema.fields]]
    name = "raw"
    type = "bytes"
    """
    (stream,) = declared(text).streams
    assert stream.id == "0" * 31 + "a"
    assert stream.http == HttpIngest(enabled=False, authentication=False, cors=Cors(("https://a.test:8000",)))
    assert not stream.worker_binding
    assert stream.timestamp_format == "unix_millis"
    assert (stream.validation, stream.extra_fields) == ("strict", "reject")
    assert (stream.limits.request_bytes, stream.limits.requests_per_second) == (1000, 2.5)
    assert (stream.retention.seconds, stream.retention.backlog_bytes) == (3600, 1000)
    assert stream.schema == Schema((Field("binary", "raw"),))


def test_a_schema_file_is_read_from_beside_edge_toml(declared: Callable[..., Declared], tmp_path: Path) -> None:
    (tmp_path / "flights.json").write_text(json.dumps({"fields": [{"name": "carrier", "type": "string"}]}))
    (stream,) = declared('[streams.flights]\nschema_file = "flights.json"').streams
    assert stream.schema == Schema((Field("string", "carrier"),))


def test_a_stream_that_only_a_binding_names_is_declared_with_http_off(declared: Callable[..., Declared]) -> None:
    bindings = [
        {"binding": "A", "stream": "flights"},
        {"binding": "B", "stream": "my-stream"},
        {"binding": "C", "stream": "my-stream"},
        {"binding": "D", "stream": id_of("stream", "flights")},
    ]
    flights, bound = declared("[streams.flights]", pipelines=bindings).streams
    assert flights.origin == "declared"
    assert (bound.name, bound.id, bound.origin) == ("my-stream", id_of("stream", "my-stream"), "binding")
    assert not bound.http.enabled


def test_a_sinks_own_settings_are_its_config(declared: Callable[..., Declared]) -> None:
    text = """
    [sinks.far]
    type = "local"
    path = "out"
    partitioning = { time_pattern = "day=%d" }
    format = { type = "parquet", compression = "zstd", row_group_bytes = 1000 }
    rolling_policy = { interval_seconds = 5, file_size_bytes = 100 }
    """
    (sink,) = declared(text).sinks
    assert (sink.id, sink.name, sink.type) == (id_of("sink", "far"), "far", "local")
    assert sink.config == {"path": "out", "partitioning": {"time_pattern": "day=%d"}}
    assert sink.format == SinkFormat("parquet", "zstd", 1000)
    assert sink.rolling_policy == RollingPolicy(5, 100)


def test_none_and_uncompressed_are_the_same_word(declared: Callable[..., Declared]) -> None:
    text = '[sinks.{0}]\ntype = "local"\npath = "out"\nformat.compression = "{1}"\n'
    sinks = declared(text.format("a", "none") + text.format("b", "uncompressed")).sinks
    assert [sink.format.compression for sink in sinks] == ["uncompressed", "uncompressed"]


def test_a_pipelines_sql_may_be_in_a_file(declared: Callable[..., Declared], tmp_path: Path) -> None:
    (tmp_path / "far.sql").write_text("INSERT INTO far\nSELECT * FROM flights")
    text = '[streams.flights]\n[sinks.far]\ntype = "local"\npath = "out"\n'
    text += '[[pipelines]]\nname = "far"\nsql_file = "far.sql"\non_error = "fail"'
    (pipeline,) = declared(text).pipelines
    assert (pipeline.id, pipeline.name, pipeline.on_error) == (id_of("pipeline", "far"), "far", "fail")
    assert pipeline.sql == "INSERT INTO far\nSELECT * FROM flights"


@pytest.mark.parametrize(
    ("text", "name"),
    [("r2", "r2"), ("r2-data-catalog", "r2_data_catalog"), ("basin_catalog", "r2_data_catalog"), ("local", "local")],
)
def test_wranglers_and_newer_names_of_a_sink_type_are_the_apis(text: str, name: str) -> None:
    assert sink_type_name(text) == name


def test_every_file_of_sink_types_is_one_and_nothing_else_is() -> None:
    assert set(sink_type_names()) == TYPES
    assert find_sink_type("iceberg_table") is None
    for name in sink_type_names():
        found = find_sink_type(name)
        assert found is not None
        assert callable(found.open_sink)
        assert set(found.SECRETS) <= set(found.Config.__dataclass_fields__)


def test_declaring_a_sink_loads_no_library_of_its_type() -> None:
    code = (
        "import sys; from edge.bindings.pipelines.declared import SinkDeclaration;"
        f"found = SinkDeclaration.rest_types(); assert len(found) == {len(TYPES)}, found;"
        f"print(*{HEAVY} & {{name.partition('.')[0] for name in sys.modules}})"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "\n"
