"""A pipeline's SQL checked against the streams and sinks there are: what `validate_sql` answers."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from .engine import compile_insert
from .sql_error import SqlError, joined, unknown_table
from .statements import parse_statements

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    import pyarrow as pa

    from .statements import Insert


@dataclass(frozen=True, slots=True)
class Node:
    """One operator of the graph. Names follow Arroyo, whose plan the hosted API shows."""

    node_id: int
    operator: str
    description: str
    parallelism: int = 1


@dataclass(frozen=True, slots=True)
class Edge:
    src_id: int
    dest_id: int
    edge_type: Literal["forward"] = "forward"
    key_type: str = "()"
    value_type: str = ""


@dataclass(frozen=True, slots=True)
class CheckedPipeline:
    """SQL that plans: its INSERTs, what each puts out, and the graph."""

    inserts: tuple[Insert, ...]
    output_schemas: tuple[pa.Schema, ...]
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]

    @property
    def graph(self) -> dict[str, Any]:
        """As the REST API shows it."""
        return {"nodes": [asdict(each) for each in self.nodes], "edges": [asdict(each) for each in self.edges]}


def check_pipeline(
    sql: str, streams: Mapping[str, pa.Schema], sinks: Collection[str], *, started_at: float = 0.0
) -> CheckedPipeline:
    """Parse and plan every INSERT. `streams`: name -> its columns; `sinks`: names.

    Raises:
        UnknownTableError: a stream or sink does not exist.
        SqlError: anything else that the SQL cannot be. The first in the text is raised, and knows the others.
    """
    inserts, errors = parse_statements(sql)
    outputs: list[pa.Schema] = []
    for insert in inserts:
        errors += unknown_table(sql, insert.sink, insert.sink_at, sinks, "sink")
        errors += unknown_table(sql, insert.stream, insert.stream_at, streams, "stream")
        try:
            if insert.stream in streams:
                compiled = compile_insert(insert, streams[insert.stream], started_at=started_at)
                outputs.append(compiled.output_schema)
        except SqlError as error:
            errors.append(error)
    if errors:
        raise joined(errors)
    nodes, edges = _graph(inserts, streams, outputs)
    return CheckedPipeline(inserts, tuple(outputs), nodes, edges)


def _graph(
    inserts: tuple[Insert, ...], streams: Mapping[str, pa.Schema], outputs: Sequence[pa.Schema]
) -> tuple[tuple[Node, ...], tuple[Edge, ...]]:
    """A source per stream, then per INSERT its query (none for a pass-through) and its sink."""
    nodes: list[Node] = []
    edges: list[Edge] = []

    def add(operator: str, description: str) -> int:
        nodes.append(Node(len(nodes), operator, description))
        return nodes[-1].node_id

    sources: dict[str, int] = {}
    for insert, output in zip(inserts, outputs, strict=True):
        if insert.stream not in sources:
            sources[insert.stream] = add("ConnectorSource", f"stream {insert.stream}")
        last, value_type = sources[insert.stream], _columns(streams[insert.stream])
        if not insert.is_pass_through:
            query = add("ArrowValue", " ".join(insert.select.split()))
            edges.append(Edge(last, query, value_type=value_type))
            last, value_type = query, _columns(output)
        edges.append(Edge(last, add("ConnectorSink", f"sink {insert.sink}"), value_type=value_type))
    return tuple(nodes), tuple(edges)


def _columns(schema: pa.Schema) -> str:
    return ", ".join(f"{each.name}: {each.type}" for each in schema)
