"""What would stop a declared pipeline at its start, found before: columns, steps that cannot work, changed schemas."""

from __future__ import annotations

from contextlib import closing, suppress
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from ...runtime.core.errors import UnsupportedError
from ...wrangler_config.section import Problem
from .catalogue import Catalogue
from .declared import objects_of, sql_of
from .declared_places import told_places
from .extras import needing
from .processing.declared import FilterStep, IngestDeclaration, RulesStep, SampleStep
from .processing.routing import quoted
from .reconcile import refused_changes
from .sql.sql_error import SqlError
from .sql.statements import parse_pipeline, parse_statements
from .sql_plans import plan_inserts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from ...wrangler_config.section import ReadProducts
    from .declared import Declared, PipelineDeclaration
    from .objects import StreamObject
    from .processing.declared import Step
    from .sql.statements import Insert


def start_problems(read: ReadProducts, state_dir: Path) -> list[Problem]:
    """All of them, of the declarations that are right by themselves. Loads the SQL engine; changes nothing.

    A broken stream, INSERT or step is left out, with what can only be judged by it; a broken sink says nothing about
    the columns that SQL reads.
    """
    ingest = read.products.get("ingest") or IngestDeclaration()
    pipelines = _right(read, ("pipelines",), enumerate(read.products.get("pipelines", ())))
    steps = _right(read, ("ingest", "steps"), enumerate(ingest.steps))
    products = {
        "streams": _right(read, ("streams",), read.products.get("streams", {}).items()),
        "sinks": _right(read, ("sinks",), read.products.get("sinks", {}).items()),
        "pipelines": tuple(pipelines.values()),
        "ingest": replace(ingest, steps=tuple(steps.values())),
    }
    declared = objects_of(products, (read.place.bindings or {}).get("pipelines", ()), read.place.folder)
    with closing(Catalogue(state_dir)) as catalogue:
        problems = [_numbered(one, pipelines) for one in refused_changes(catalogue, declared)]
        problems += _engine_problems(read, steps, declared)
        if not problems and len(pipelines) == len(read.products.get("pipelines", ())):  # none seems to have vanished
            problems = [
                _numbered(Problem(text, at=("pipelines", name), is_error=False), pipelines)
                for name, text in told_places(catalogue, declared)
            ]
    return problems


def _right(read: ReadProducts, at: tuple[str, ...], entries: Iterable[tuple[Any, Any]]) -> dict[Any, Any]:
    """The entries without problems of their own, by the name or number they have in the file."""
    return {key: one for key, one in entries if read.is_right((*at, key))}


def _numbered(problem: Problem, pipelines: Mapping[int, PipelineDeclaration]) -> Problem:
    """The problem at the place in the file: pipelines have numbers there, not names."""
    section, name = problem.at
    numbers = [number for number, one in pipelines.items() if section == "pipelines" and one.name == name]
    return problem._replace(at=(section, *numbers)) if numbers else problem


def _engine_problems(read: ReadProducts, steps: Mapping[int, Step], declared: Declared) -> Iterator[Problem]:
    try:
        yield from _sql_problems(read, declared)
        yield from _step_problems(steps, declared)
    except UnsupportedError as error:  # not installed
        yield Problem(str(error), at=("pipelines",))


def _sql_problems(read: ReadProducts, declared: Declared) -> Iterator[Problem]:
    """Of the SQL in `[[pipelines]]`; what rules become is checked as the rules are written."""
    streams = {one.name: one for one in declared.streams}
    sinks = {one.name: one for one in declared.sinks}
    for number, one in enumerate(read.products.get("pipelines", ())):
        inserts = [*_inserts_of(one, read)] if one is not None and _is_right_but_for_sql(one, number, read) else []
        for error in plan_inserts(inserts, streams, sinks)[1] if inserts else ():
            text = f'SQL of "{one.name}", line {error.line}, column {error.column}: {error.message}'
            yield Problem(text, at=("pipelines", number, "sql_file" if one.sql is None else "sql"))


def _is_right_but_for_sql(declared: PipelineDeclaration, number: int, read: ReadProducts) -> bool:
    names = {field.name for field in fields(declared)} - {"sql", "sql_file"}
    return all(read.is_right(("pipelines", number, name)) for name in names)


def _inserts_of(declared: PipelineDeclaration, read: ReadProducts) -> Iterator[Insert]:
    """Those that are right in themselves; what is wrong with the others was told."""
    if (declared.sql is None) != (declared.sql_file is None):
        with suppress(SqlError, OSError, ValueError):
            inserts, _ = parse_statements(sql_of(declared, read.place.folder))
            yield from (one for one in inserts if one.sink in read.products.get("sinks", {}))


def _step_problems(steps: Mapping[int, Step], declared: Declared) -> Iterator[Problem]:
    """What is wrong with the conditions of steps."""
    conditions = [
        (("ingest", "steps", number, *at), step, sql)
        for number, step in steps.items()
        for at, sql in _conditions_of(step)
    ]
    for stream in declared.streams:
        for at, step, sql in conditions:
            if step.streams and stream.name not in step.streams:
                continue
            try:
                _require_condition(sql, stream)
            except SqlError as error:
                place = f"line {error.line - 1}, column {error.column}"  # of the condition, which begins in line 2
                yield Problem(f'{at[-1]} for stream "{stream.name}", {place}: {error.message}', at=at)


def _conditions_of(step: Step) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Every SQL expression of a step, with where it is in the step: ("rules", 0, "when")."""
    if isinstance(step, FilterStep):
        yield ("where",), step.where
    elif isinstance(step, SampleStep):
        yield from (((name,), sql) for name, sql in (("key", step.key), ("always", step.always)) if sql)
    elif isinstance(step, RulesStep):
        yield from ((("rules", number, "when"), rule.when) for number, rule in enumerate(step.rules))


def _require_condition(sql: str, stream: StreamObject) -> None:
    """Raise SqlError when this is no SQL over the stream's columns."""
    with needing("Pipelines need"):
        from .delivery.columns import StreamColumns  # noqa: PLC0415 - pyarrow and the engine are loaded by who plans
        from .sql.engine import compile_insert  # noqa: PLC0415 - as above
    text = f"INSERT INTO kept SELECT * FROM {quoted(stream.name)} WHERE (\n{sql}\n) IS NOT NULL"  # noqa: S608 - SQL by declaration
    (insert,) = parse_pipeline(text)
    compile_insert(insert, StreamColumns(stream).schema, started_at=0.0)
