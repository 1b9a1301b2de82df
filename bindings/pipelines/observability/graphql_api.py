"""The part of Cloudflare's GraphQL API that tells of pipelines: `viewer { accounts { pipelines... } }`.

graphql-core parses, validates and runs a query, so variables, aliases, fragments and introspection are as everywhere,
and a field that is not there is an error. Queries that name nothing of pipelines are not ours.
Source: Cloudflare docs, "GraphQL Analytics API", Pipelines "Metrics and analytics".
"""

from __future__ import annotations

import asyncio
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from ..._shared.permissions import PIPELINES_READ
from ..delivery.facts import delivery_facts
from ..delivery.store import DeliveryStore
from .graphql_datasets import DATASETS, LISTED, OPERATORS, ROWS_MAX, STRING, Source, grouped, is_wanted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from graphql import DocumentNode, FieldNode, GraphQLResolveInfo, GraphQLSchema, SelectionSetNode

    from ..._shared.rest import Call, Question
    from ..admin import PipelinesAdmin
    from .graphql_datasets import Dataset, Row

TOKENS_MAX = 1_000
DATASETS_MAX = 10
"""Of one query, by any alias: each looks at a day."""
_NAMES = {"String": "string", "Int": "uint64"}
"""What people write for Cloudflare's own scalars."""


async def answer_pipelines(admin: PipelinesAdmin, call: Call) -> dict[str, Any] | None:
    """What a query about pipelines is answered; None for any other."""
    question: Question = call.body
    if "pipelines" not in question.query:
        return None
    if not call.token.permits(PIPELINES_READ):
        return _failed("not authorized for that account: the token does not allow to read pipelines")
    return await asyncio.to_thread(_answer, admin, call)


def _answer(admin: PipelinesAdmin, call: Call) -> dict[str, Any]:
    try:
        from graphql import GraphQLError, execute_sync, parse, validate  # noqa: PLC0415 - 0.16 s, for who asks
    except ImportError:
        return _failed(
            "Figures of pipelines need graphql-core, which is not installed. Run: pip install 'edge-workers[pipelines]'"
        )
    question: Question = call.body
    try:
        document = _with_own_names(parse(question.query, max_tokens=TOKENS_MAX))
    except GraphQLError as error:
        return {"data": None, "errors": [error.formatted]}
    schema = _schema()
    if errors := validate(schema, document):
        return {"data": None, "errors": [error.formatted for error in errors]}
    with closing(DeliveryStore(admin.state_dir)) as store, closing(delivery_facts(admin.state_dir)) as facts:
        keys = {state.key.id: state.key for state in store.inserts()}
        result = execute_sync(
            schema,
            document,
            context_value=_Asked(call.account_id, Source(facts, keys, call.now)),
            variable_values=question.variables,
            operation_name=question.operationName,
        )
    return {"data": result.data, "errors": [error.formatted for error in result.errors or ()] or None}


@dataclass(slots=True)
class _Asked:
    """One query while it runs."""

    account_id: str
    source: Source
    dataset_count: int = 0


def _schema() -> GraphQLSchema:
    from graphql import build_schema  # noqa: PLC0415 - as above

    schema: Any = build_schema("\n".join([_FRAME, *map(_declared, DATASETS)]))
    for name, parse in (("string", _string), ("uint64", _whole), ("Time", _time), ("Date", _date)):
        schema.type_map[name].coerce_input_value = parse
    schema.query_type.fields["viewer"].resolve = lambda *_: {}
    schema.type_map["viewer"].fields["accounts"].resolve = _accounts
    for dataset in DATASETS:
        schema.type_map["account"].fields[dataset.name].resolve = _resolver(dataset)
    made: GraphQLSchema = schema
    return made


_ARGUMENTS = "limit: uint64!, filter: OfFilter_InputObject, orderBy: [OfOrderBy!]"
_FRAME = f"""
scalar string
scalar uint64
"Of the last day, as 2026-01-31T12:00:00Z."
scalar Time
scalar Date
schema {{ query: Query }}
type Query {{ viewer: viewer! }}
type viewer {{ accounts(filter: AccountFilter_InputObject): [account!]! }}
input AccountFilter_InputObject {{ accountTag: string }}
type account {{
{chr(10).join(f"  {one.name}({_ARGUMENTS.replace('Of', one.name)}): [{one.name}!]!" for one in DATASETS)}
}}
"""


def _declared(dataset: Dataset) -> str:
    """The types of one dataset."""
    name = dataset.name
    columns = " ".join(f"{column}: {kind}!" for column, kind in dataset.columns.items())
    sums = " ".join(f"{one}: uint64!" for one in dataset.sums)
    if not dataset.is_grouped:
        fields, extra = columns, ""
    else:
        count = "count: uint64!" if dataset.has_count else f"sum: {name}Sum!"
        fields, extra = f"dimensions: {name}Dimensions! {count}", f"type {name}Dimensions {{ {columns} }}\n"
        extra += f"type {name}Sum {{ {sums} }}\n" if sums else ""
    filters = " ".join(
        f"{column}{'_' * bool(operator)}{operator}: {f'[{kind}!]' if operator in LISTED else kind}"
        for column, kind in dataset.columns.items()
        for operator in OPERATORS
        if (kind == STRING) == (operator in {"neq", *LISTED}) or not operator
    )
    ordered = [*dataset.columns, *(f"sum_{one}" for one in dataset.sums), *(["count"] * dataset.has_count)]
    orders = " ".join(f"{one}_{way}" for one in ordered for way in ("ASC", "DESC"))
    return (
        f"type {name} {{ {fields} }}\n{extra}input {name}Filter_InputObject {{ {filters} }}\n"
        f"enum {name}OrderBy {{ {orders} }}"
    )


def _accounts(_viewer: Any, info: GraphQLResolveInfo[Any], filter: Mapping[str, Any] | None = None) -> list[Row]:  # noqa: A002 - the argument's name
    from graphql import GraphQLError  # noqa: PLC0415 - as above

    if (filter or {}).get("accountTag", info.context.account_id) != info.context.account_id:
        raise GraphQLError("not authorized for that account", extensions={"code": "authz"})
    return [{}]


def _resolver(dataset: Dataset) -> Callable[..., list[Row]]:
    from graphql import GraphQLError  # noqa: PLC0415 - as above

    def resolve(_account: Any, info: GraphQLResolveInfo[Any], **asked: Any) -> list[Row]:
        context: _Asked = info.context
        context.dataset_count += 1
        if context.dataset_count > DATASETS_MAX:
            raise GraphQLError(f"A query may ask for {DATASETS_MAX} datasets at most.")
        if (limit := asked["limit"]) > ROWS_MAX:
            raise GraphQLError(f"limit must be {ROWS_MAX} at most, not {limit}.")
        rows = [row for row in dataset.rows(context.source) if is_wanted(row, asked.get("filter") or {})]
        orders = [order.rpartition("_") for order in asked.get("orderBy") or ()]
        if dataset.is_grouped:
            shown = _dimensions(info)
            by = {column for column, _, _ in orders if column in dataset.columns}
            rows = grouped(dataset, rows, sorted(shown | by))
        for column, _, way in reversed(orders):
            name = column.removeprefix("sum_")
            rows.sort(key=lambda row: row[name], reverse=way == "DESC")
        return [_shown(dataset, row) for row in rows[:limit]]

    return resolve


def _shown(dataset: Dataset, row: Row) -> Row:
    return {**row, "dimensions": row, "sum": row} if dataset.is_grouped else row


def _dimensions(info: GraphQLResolveInfo[Any]) -> set[str]:
    """What the query asks of `dimensions`: rows are grouped by that."""

    def fields(selections: Iterable[SelectionSetNode | None]) -> Iterator[FieldNode]:
        for one in selections:
            for node in one.selections if one else ():
                kind: Any = node
                if kind.kind == "field":
                    yield kind
                else:
                    inner = info.fragments[kind.name.value] if kind.kind == "fragment_spread" else kind
                    yield from fields([inner.selection_set])

    dimensions = [
        one for one in fields(node.selection_set for node in info.field_nodes) if one.name.value == "dimensions"
    ]
    names = (one.name.value for one in fields(node.selection_set for node in dimensions))
    return {name for name in names if not name.startswith("__")}


def _with_own_names(document: DocumentNode) -> DocumentNode:
    """The query with `String` and `Int` in its variables as Cloudflare's scalars."""
    from graphql import NamedTypeNode, NameNode, Visitor, visit  # noqa: PLC0415 - as above

    class Named(Visitor):
        def enter_named_type(self, node: NamedTypeNode, *_: Any) -> NamedTypeNode | None:
            own = _NAMES.get(node.name.value)
            return NamedTypeNode(name=NameNode(value=own, loc=node.name.loc), loc=node.loc) if own else None

    named: DocumentNode = visit(document, Named())
    return named


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected a string, not {value!r}")
    return value


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise TypeError(f"expected a whole number, not {value!r}")
    return value


def _time(value: Any) -> str:
    moment = datetime.fromisoformat(_string(value))
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _date(value: Any) -> str:
    return date.fromisoformat(_string(value)).isoformat()


def _failed(message: str) -> dict[str, Any]:
    return {"data": None, "errors": [{"message": message}]}
