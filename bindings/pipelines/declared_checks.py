"""What is wrong with `[streams]`, `[sinks]` and `[[pipelines]]` of edge.toml although every type is right."""

from __future__ import annotations

import json
import re
from collections import Counter
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from ...runtime.core.edge_only import EdgeOnly
from ...runtime.core.errors import ConfigError, UnsupportedError
from ...wrangler_config.section import Problem
from .declared_names import count_problems, find_name_problems, name_problems, shared_places
from .sink_types import CLOUDFLARE_TYPES, sink_type_name
from .sinks.sink_config import problem_of_format

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from ...wrangler_config.section import SettingsPlace

ICEBERG_INTERVAL_SECONDS = 60
"""Cloudflare allows no shorter one: more commits than a table's metadata bears for long."""
_ORIGIN = re.compile(r"https?://(\[[0-9a-fA-F:]+\]|[A-Za-z0-9._-]+)(:\d{1,5})?")


def find_problems(products: Mapping[str, Any], place: SettingsPlace) -> Iterator[Problem]:
    """Every problem. `products` as in `ProductSettings`: an entry whose types are wrong is None, and told already."""
    streams, sinks, pipelines = (products.get(key) or {} for key in ("streams", "sinks", "pipelines"))
    yield from find_name_problems(products, streams, sinks)
    for name, stream in streams.items():
        if stream is not None:
            yield from _stream_problems(stream, ("streams", name), place.folder)
    for name, sink in sinks.items():
        if sink is not None:
            yield from _sink_problems(sink, ("sinks", name), place)
    yield from shared_places(sinks, place.folder)
    yield from _pipelines_problems(pipelines, {*streams}, {*sinks}, place)
    yield from _shared_indexes(pipelines, sinks)
    if products.get("ingest") is not None:
        yield from _ingest_problems(products["ingest"], {*streams}, {*sinks}, place)


def named_files(products: Mapping[str, Any], folder: Path) -> Iterator[Path]:
    """The files that declarations without problems name."""
    names = [one.schema_file for one in products.get("streams", {}).values()]
    names += [one.sql_file for one in products.get("pipelines", ())]
    yield from (folder / name for name in names if name is not None)


def _stream_problems(stream: Any, at: tuple[str | int, ...], folder: Path) -> Iterator[Problem]:
    from .schemas.schema_json import SchemaError, schema_from_json, schema_to_json  # noqa: PLC0415 - see declared.py

    if stream.schema is not None and stream.schema_file is not None:
        yield Problem('Both "schema" and "schema_file" are given; write one of them.', at=(*at, "schema_file"))
    if stream.format.unstructured and (stream.schema or stream.schema_file):
        yield Problem(
            'A stream with a schema is not "unstructured". Leave one out.', at=(*at, "format", "unstructured")
        )
    if stream.schema is not None:
        try:
            schema_from_json(schema_to_json(stream.schema))
        except SchemaError as error:
            for path, message in error.problems:
                yield Problem(f"{'.'.join(map(str, at))}.schema.{path}: {message}", at=(*at, "schema", *_steps(path)))
    if stream.schema_file is not None:
        yield from _schema_file_problems(folder / stream.schema_file, (*at, "schema_file"))
    yield from origin_problems(stream.http.cors.origins, (*at, "http", "cors", "origins"))
    for key in ("request_bytes", "bytes_per_second", "requests_per_second"):
        yield from _above_zero(getattr(stream.limits, key), (*at, "limits", key))
    yield from _above_zero(stream.retention.backlog_bytes, (*at, "retention", "backlog_bytes"))
    if not stream.retention.seconds >= 0:
        yield Problem(
            f'"retention.seconds" must not be below 0 but is {stream.retention.seconds}.', at=(*at, "retention")
        )


def _schema_file_problems(file: Path, at: tuple[str | int, ...]) -> Iterator[Problem]:
    from .schemas.schema_json import SchemaError, schema_from_json  # noqa: PLC0415 - see declared.py

    try:
        schema_from_json(json.loads(file.read_bytes()))
    except (OSError, ValueError) as error:  # ValueError: no JSON, no UTF-8, a zero byte in the name
        yield Problem(f"{file.name} cannot be read: {getattr(error, 'strerror', None) or error}.", at=at)
    except RecursionError:
        yield Problem(f"{file.name} cannot be read: it is nested too deeply.", at=at)
    except SchemaError as error:
        for path, message in error.problems:
            yield Problem(f"{file.name}: {path}: {message}", at=at)


def origin_problems(origins: Iterable[str], at: tuple[str | int, ...]) -> Iterator[Problem]:
    """What is wrong with a stream's CORS origins; the REST API asks too."""
    origins = tuple(origins)
    if "*" in origins and len(origins) > 1:
        yield Problem('"*" allows every origin and stands alone. Leave the others out.', at=at)
    for index, origin in enumerate(origins):
        if origin != "*" and not _ORIGIN.fullmatch(origin):
            text = f'The origin "{origin}" is neither "*" nor http(s)://host[:port] without a path.'
            yield Problem(text, at=(*at, index))


def _above_zero(number: float | None, at: tuple[str | int, ...]) -> Iterator[Problem]:
    if number is not None and not number > 0:
        yield Problem(f'"{".".join(map(str, at[2:]))}" must be above 0 but is {number}.', at=at)


def _sink_problems(sink: Any, at: tuple[str | int, ...], place: SettingsPlace) -> Iterator[Problem]:
    if place.is_strict and sink_type_name(sink.type) not in CLOUDFLARE_TYPES:
        yield Problem(f'Sink type "{sink.type}": {EdgeOnly.SINK_TYPE.refusal}', at=(*at, "type"))
    policy = sink.rolling_policy
    for key in ("file_size_bytes", "inactivity_seconds"):
        yield from _above_zero(getattr(policy, key), (*at, "rolling_policy", key))
    yield from _above_zero(sink.format.row_group_bytes, (*at, "format", "row_group_bytes"))
    if problem := problem_of_format(sink.type, sink.format.type, sink.format.compression):
        yield Problem(problem, at=(*at, "format", "compression"))
    interval_s = policy.interval_seconds
    where = (*at, "rolling_policy", "interval_seconds")
    if interval_s is None:
        return
    if not interval_s >= 1:
        yield Problem(f'"rolling_policy.interval_seconds" must be at least 1 but is {interval_s}.', at=where)
    elif interval_s < ICEBERG_INTERVAL_SECONDS and sink.type in {"iceberg", "r2_data_catalog", "r2-data-catalog"}:
        text = (
            f"A table commit every {interval_s:g} s makes much metadata; Cloudflare allows "
            f"{ICEBERG_INTERVAL_SECONDS} s and more."
        )
        yield Problem(text, at=where, is_error=place.is_strict)


def _pipelines_problems(
    pipelines: Iterable[Any], declared: set[str], sinks: set[str], place: SettingsPlace
) -> Iterator[Problem]:
    pipelines = tuple(pipelines)
    counts = Counter(one.name for one in pipelines if one is not None)
    yield from count_problems("pipelines", len(pipelines))
    streams = None if place.bindings is None else declared | _bound_streams(place)
    seen: set[str] = set()
    for index, one in enumerate(pipelines):
        if one is None:
            continue
        at: tuple[str | int, ...] = ("pipelines", index)
        yield from name_problems("pipeline", one.name, (*at, "name"))
        if counts[one.name] > 1 and one.name in seen:
            text = f'There are {counts[one.name]} pipelines with the name "{one.name}". Give each its own.'
            yield Problem(text, at=(*at, "name"))
        seen.add(one.name)
        if (one.sql is None) == (one.sql_file is None):
            yield Problem(f'The pipeline "{one.name}" needs "sql" or "sql_file", one of them.', at=(*at, "sql"))
        elif one.sql is not None:
            yield from _sql_problems(one.sql, f'SQL of "{one.name}"', (*at, "sql"), streams, sinks)
        else:
            yield from _sql_file_problems(place.folder / one.sql_file, (*at, "sql_file"), streams, sinks)


def _shared_indexes(pipelines: Iterable[Any], sinks: Mapping[str, Any]) -> Iterator[Problem]:
    from .shared_index import index_of, shared_index_warnings  # noqa: PLC0415 - for pipelines alone

    targets = {name: sink and index_of(sink.type, sink.config) for name, sink in sinks.items()}
    if not any(targets.values()):
        return
    places = {one.name: index for index, one in enumerate(pipelines) if one is not None}
    texts = [(one.name, one.sql) for one in pipelines if one is not None and one.sql is not None]
    for name, text in shared_index_warnings(texts, targets):
        yield Problem(text, at=("pipelines", places[name], "sql"), is_error=False)


def _bound_streams(place: SettingsPlace) -> set[str]:
    """Ids or names; none while nobody can tell, and then no stream may be called unknown."""
    return {entry.stream_id for entry in (place.bindings or {}).get("pipelines", ())}


def _ingest_problems(ingest: Any, declared: set[str], sinks: set[str], place: SettingsPlace) -> Iterator[Problem]:
    streams = declared | _bound_streams(place)
    with_rules: set[str] = set()
    for number, step in enumerate(ingest.steps):
        if step is None:
            continue
        at: tuple[str | int, ...] = ("ingest", "steps", number)
        if place.is_strict:
            yield Problem(f'Step type "{step.type}": {EdgeOnly.INGEST_STEP.refusal}', at=at)
        yield from _step_problems(step, at, place.folder)
        if step.type == "rules":
            ruled = streams & {*step.streams} if step.streams else streams
            for stream in sorted(ruled & with_rules):
                yield Problem(f'Stream "{stream}" has a rules step already; put all rules into that one.', at=at)
            with_rules |= ruled
        for index, name in enumerate(step.streams):
            if name not in streams and place.bindings is not None:
                yield Problem(unknown_table("stream", name, streams), at=(*at, "streams", index))
        if step.type == "rules":
            named = [
                ((*at, "rules", n, "to", index), name)
                for n, one in enumerate(step.rules)
                for index, name in enumerate(one.to)
            ]
            named += [((*at, "default", index), name) for index, name in enumerate(step.default)]
            yield from (Problem(unknown_table("sink", name, sinks), at=at) for at, name in named if name not in sinks)


def _step_problems(step: Any, at: tuple[str | int, ...], folder: Path) -> Iterator[Problem]:
    from .processing.processor import Processor  # noqa: PLC0415 - for projects with steps

    try:
        Processor((step,), "", folder)
    except UnsupportedError:  # what it needs is not installed: told at the start
        return
    except ConfigError as error:
        is_named = str(error).startswith("ingest.steps")  # with step and stream, which the place says here
        yield Problem(str(error.__cause__ if is_named else error), at=at)


def _sql_file_problems(
    file: Path, at: tuple[str | int, ...], streams: set[str] | None, sinks: set[str]
) -> Iterator[Problem]:
    try:
        sql = file.read_text("utf-8")
    except (OSError, ValueError) as error:
        yield Problem(f"{file.name} cannot be read: {getattr(error, 'strerror', None) or error}.", at=at)
    else:
        yield from _sql_problems(sql, file.name, at, streams, sinks)


def _sql_problems(
    sql: str, name: str, at: tuple[str | int, ...], streams: set[str] | None, sinks: set[str]
) -> Iterator[Problem]:
    from .sql.statements import SqlError, parse_statements  # noqa: PLC0415 - for pipelines alone

    try:
        inserts, errors = parse_statements(sql)
    except SqlError as error:
        inserts, errors = (), [error]
    for wrong in errors:
        yield Problem(f"{name}, line {wrong.line}, column {wrong.column}: {wrong.message}", at=at)
    for one in inserts:
        for kind, table, offset, known in (
            ("sink", one.sink, one.sink_at, sinks),
            ("stream", one.stream, one.stream_at, streams),
        ):
            if known is not None and table not in known:
                before = sql[:offset]
                line, column = before.count("\n") + 1, offset - before.rfind("\n")
                text = f"{name}, line {line}, column {column}: {unknown_table(kind, table, known)}"
                yield Problem(text, at=at)


def unknown_table(kind: str, name: str, known: set[str]) -> str:
    """`There is no sink "fra". Did you mean "far"?`"""
    text = f'There is no {kind} "{name}".'
    if folded := [one for one in known if one.lower() == name]:
        return f'{text} Names without quotes are folded to lower case: write "{folded[0]}", with the quotes.'
    if close := get_close_matches(name, known, n=1):
        return f'{text} Did you mean "{close[0]}"?'
    return f"{text} Declared are: {', '.join(sorted(known))}." if known else f"{text} None is declared."


def _steps(path: str) -> tuple[str | int, ...]:
    """`fields[2].items.unit` as steps."""
    return tuple(int(part) if part.isdigit() else part for part in re.findall(r"[^.\[\]]+", path))
