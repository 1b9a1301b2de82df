"""What would stop a declared pipeline at its start, found before: columns, steps that cannot work, changed schemas."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from ...runtime.core.errors import UnsupportedError
from ...wrangler_config.section import Problem
from .catalogue import Catalogue
from .declared import declared_objects
from .extras import needing
from .processing.declared import FilterStep, RulesStep, SampleStep
from .processing.routing import quoted
from .reconcile import refused_changes
from .sql.sql_error import SqlError
from .sql.statements import parse_pipeline
from .sql_plans import plan_pipeline

if TYPE_CHECKING:
    from collections.abc import Container, Iterator
    from pathlib import Path

    from ...wrangler_config.worker_config import WorkerConfig
    from .declared import Declared
    from .objects import StreamObject
    from .processing.declared import Step


def start_problems(config: WorkerConfig, state_dir: Path) -> list[Problem]:
    """All of them, of a config whose own checks passed. Loads the SQL engine; changes nothing."""
    declared = declared_objects(config)
    with closing(Catalogue(state_dir)) as catalogue:
        refused = refused_changes(catalogue, declared)
    written = {one.name for one in config.settings.products.get("pipelines", ())}
    texts = [*refused, *_sql_problems(declared, written)]
    return list(dict.fromkeys([*map(Problem, texts), *_step_problems(declared)]))  # a missing engine is told once


def _sql_problems(declared: Declared, written: Container[str]) -> Iterator[str]:
    """`written`: the pipelines that have SQL of their own; what rules become is checked as the rules are written."""
    streams = {one.name: one for one in declared.streams}
    sinks = {one.name: one for one in declared.sinks}
    for pipeline in declared.pipelines:
        if pipeline.name not in written:
            continue
        try:
            plan_pipeline(pipeline.sql, streams.get, sinks.get)
        except SqlError as error:
            yield f'SQL of "{pipeline.name}", line {error.line}, column {error.column}: {error.message}'
        except UnsupportedError as error:
            yield str(error)
            return


def _step_problems(declared: Declared) -> Iterator[Problem]:
    """What is wrong with the conditions of steps."""
    conditions = [
        (("ingest", "steps", number, *at), step, sql)
        for number, step in enumerate(declared.ingest.steps)
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
            except UnsupportedError as error:
                yield Problem(str(error))
                return


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
