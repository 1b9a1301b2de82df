"""What `validate_sql` finds out: tables, types, the graph."""

from __future__ import annotations

import pyarrow as pa
import pytest

from edge.bindings.pipelines.sql.check import check_pipeline
from edge.bindings.pipelines.sql.statements import SqlError, UnknownTableError

STREAMS = {
    "flights": pa.schema([("carrier", pa.string()), ("distance", pa.int64())]),
    "Events": pa.schema([("value", pa.string())]),
}


def test_graph_runs_from_each_stream_to_its_sinks() -> None:
    sql = """INSERT INTO far SELECT upper(carrier) AS c FROM flights WHERE distance > 1000;
             INSERT INTO raw SELECT * FROM flights"""
    checked = check_pipeline(sql, STREAMS, ["far", "raw"])
    assert [each.names for each in checked.output_schemas] == [["c"], ["carrier", "distance"]]
    graph = checked.graph
    assert [(n["node_id"], n["operator"], n["parallelism"]) for n in graph["nodes"]] == [
        (0, "ConnectorSource", 1),
        (1, "ArrowValue", 1),
        (2, "ConnectorSink", 1),
        (3, "ConnectorSink", 1),
    ]
    assert [(e["src_id"], e["dest_id"]) for e in graph["edges"]] == [(0, 1), (1, 2), (0, 3)]
    assert graph["edges"][1] == {
        "src_id": 1,
        "dest_id": 2,
        "edge_type": "forward",
        "key_type": "()",
        "value_type": "c: string",
    }


@pytest.mark.parametrize(
    ("sql", "message", "column"),
    [
        ("INSERT INTO far SELECT * FROM flight", 'There is no stream "flight". There is: Events, flights.', 31),
        ("INSERT INTO near SELECT * FROM flights", 'There is no sink "near". There is: far.', 13),
        (
            "INSERT INTO far SELECT * FROM Events",
            'There is no stream "events". Names fold to lower case unless quoted: write "Events".',
            31,
        ),
    ],
)
def test_unknown_table_is_its_own_error(sql: str, message: str, column: int) -> None:
    with pytest.raises(UnknownTableError) as caught:
        check_pipeline(sql, STREAMS, ["far"])
    assert (caught.value.message, caught.value.column) == (message, column)


def test_every_insert_is_planned() -> None:
    sql = "INSERT INTO far SELECT * FROM flights;\nINSERT INTO far SELECT distance + carrier AS x FROM flights"
    with pytest.raises(SqlError, match=r"Cannot coerce arithmetic expression Int64 \+ Utf8") as caught:
        check_pipeline(sql, STREAMS, ["far"])
    assert caught.value.line == 2


def test_every_problem_of_every_insert_is_told_in_order() -> None:
    sql = (
        "INSERT INTO near SELECT nope FROM flights;\n"
        "INSERT INTO far SELECT * FROM flights LIMIT 5;\n"
        "INSERT INTO far SELECT distance FROM flights;\n"
        "INSERT INTO far SELECT nope FROM flights"
    )
    with pytest.raises(UnknownTableError) as caught:
        check_pipeline(sql, STREAMS, ["far"])
    assert [(one.line, one.column, one.message.partition(".")[0][:24]) for one in caught.value.all] == [
        (1, 13, 'There is no sink "near"'),
        (1, 25, "There is no column nope"),
        (2, 39, "LIMIT is not supported: "),
        (4, 24, "There is no column nope"),
    ]
