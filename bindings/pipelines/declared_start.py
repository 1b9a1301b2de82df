"""What would stop a declared pipeline at its start, found before: columns, steps that cannot work, changed schemas."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from ...runtime.core.errors import ConfigError, UnsupportedError
from .catalogue import Catalogue
from .declared import declared_objects
from .extras import needing
from .processing.processor import Processor
from .reconcile import refused_changes
from .sql.sql_error import SqlError
from .sql_plans import plan_pipeline

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ...wrangler_config.worker_config import WorkerConfig
    from .declared import Declared
    from .objects import StreamObject


def start_problems(config: WorkerConfig, state_dir: Path) -> list[str]:
    """A sentence for each, of a config whose own checks passed. Loads the SQL engine; changes nothing."""
    declared = declared_objects(config)
    with closing(Catalogue(state_dir)) as catalogue:
        refused = refused_changes(catalogue, declared)
    return [*refused, *_sql_problems(declared), *_step_problems(declared, config.path.parent)]


def _sql_problems(declared: Declared) -> Iterator[str]:
    streams = {one.name: one for one in declared.streams}
    for pipeline in declared.pipelines:
        try:
            plan_pipeline(pipeline.sql, streams.get)
        except SqlError as error:
            yield f'SQL of "{pipeline.name}", line {error.line}, column {error.column}: {error.message}'
        except UnsupportedError as error:
            yield str(error)
            return


def _step_problems(declared: Declared, folder: Path) -> Iterator[str]:
    for stream in declared.streams:
        try:
            processor = Processor.of(declared.ingest, stream.name, folder)
            if processor is not None and processor.routing.keep is not None:
                _require_conditions(processor, stream)
        except UnsupportedError:  # told with the pipelines
            return
        except ConfigError as error:
            yield str(error)


def _require_conditions(processor: Processor, stream: StreamObject) -> None:
    """Raise ConfigError when filter and sample are no SQL over the stream's columns."""
    with needing("Pipelines need"):
        from .delivery.columns import StreamColumns  # noqa: PLC0415 - pyarrow and the engine are loaded by who plans
    StreamColumns(stream, processor)
