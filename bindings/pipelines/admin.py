"""What the commands and the REST API do with streams, sinks and pipelines, beside a running server or without one.

A change is seen by every process within a moment (`Catalogue.version`), so nothing here talks to one.
"""

from __future__ import annotations

import json
import os
import shutil
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from .catalogue import Catalogue, NoSuchObjectError, TableNames
from .ids import id_of
from .objects import HttpIngest, PipelineObject, RollingPolicy, SinkFormat, SinkObject, StreamObject
from .pipeline_readers import PipelineReaders
from .stream_log.disk import Disk, write_file
from .stream_log.lock import PartitionInUseError, lock_partition
from .stream_log.reader import PartitionReader
from .stream_log.segments import base_offsets
from .stream_log.stream_folders import DELETED_MARK, StreamFolders

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from .delivery.status import PipelineStatus
    from .objects import Replay
    from .schemas.schema import Schema
    from .sql_plans import PlannedInsert
    from .stream_log.stream_folders import StreamFolder


@dataclass(frozen=True, slots=True)
class PipelinesAdmin:
    """Everything about pipelines in one state folder."""

    state_dir: Path
    catalogue: Catalogue
    folders: StreamFolders

    @classmethod
    def of(cls, state_dir: Path) -> PipelinesAdmin:
        catalogue = Catalogue(state_dir)
        return cls(state_dir, catalogue, StreamFolders(state_dir, PipelineReaders(catalogue)))

    def close(self) -> None:
        """Let go of the catalogue; the next call opens it again."""
        self.catalogue.close()

    def status_of(self, pipeline_id: str) -> PipelineStatus:
        """Whether a pipeline delivers, and if not, why."""
        from .delivery.status import DeliveryStatus  # noqa: PLC0415 - a start asks for none

        with closing(DeliveryStatus(self.state_dir, self.folders)) as status:
            return status.of_pipeline(pipeline_id)

    def left_behind_count(self, sink_id: str) -> int:
        """Records that pipelines which were moved elsewhere wait to see in a sink: it may have some of them."""
        from .delivery.status import DeliveryStatus  # noqa: PLC0415 - as above

        users = {one.id for one in self.catalogue.pipelines_using(sink_id)}
        with closing(DeliveryStatus(self.state_dir, self.folders)) as status:
            return status.half_out_count(sink_id, except_of=users)

    def create_stream(
        self, name: str, now: float, *, schema: Schema | None = None, http: HttpIngest | None = None, **more: Any
    ) -> StreamObject:
        """Make a stream. `more` are other fields of StreamObject.

        Raises:
            InvalidNameError, ObjectExistsError, TooManyObjectsError: it was not made.
        """
        stream_id = self._free_stream_id(name, now)
        stream = StreamObject(
            stream_id, name, now, now, schema=schema, http=http or HttpIngest(), **{"origin": "api", **more}
        )
        self.catalogue.add_stream(stream)
        return stream

    def create_sink(
        self,
        name: str,
        sink_type: str,
        now: float,
        *,
        config: Mapping[str, Any],
        sink_format: SinkFormat,
        rolling_policy: RollingPolicy,
    ) -> SinkObject:
        """Make a sink; `config` was checked against the type's `Config`. Raises as `Catalogue.add_sink` does."""
        sink = SinkObject(
            id_of("sink", name), name, sink_type, now, now, config, sink_format, rolling_policy, origin="api"
        )
        self.catalogue.add_sink(sink)
        return sink

    def create_pipeline(self, name: str, sql: str, now: float) -> PipelineObject:
        """Make a pipeline.

        Raises:
            SqlError: the SQL is none a pipeline may have, names a stream or sink that does not exist, or does not fit
                the columns of its streams.
            UnsupportedError: the SQL engine is not installed.
            InvalidNameError, ObjectExistsError, TooManyObjectsError: it was not made.
        """
        pipeline = PipelineObject(id_of("pipeline", name), name, sql, now, now, started_at=now, origin="api")
        self.plan_sql(sql)
        self.catalogue.add_pipeline(pipeline, table_names(sql))
        return pipeline

    def replay_pipeline(self, pipeline_id: str, replay: Replay) -> None:
        """Have a pipeline deliver again; who runs it sees that within a moment.

        Raises:
            NoSuchObjectError: nothing has this id.
        """
        pipeline = self.catalogue.pipeline(pipeline_id)
        if pipeline is None:
            raise NoSuchObjectError("pipeline", pipeline_id, (one.name for one in self.catalogue.pipelines()))
        changed = replace(pipeline, replay=replay, modified_at=replay.asked_at)
        self.catalogue.change_pipeline(changed, table_names(pipeline.sql))

    def warnings_of(self, pipeline: PipelineObject) -> list[str]:
        """What is allowed of a pipeline and perhaps not meant, a sentence each."""
        from .shared_index import index_of, shared_index_warnings  # noqa: PLC0415 - as in plan_sql

        targets = {sink.name: index_of(sink.type, sink.config) for sink in self.catalogue.sinks()}
        others = [one for one in self.catalogue.pipelines() if one.id != pipeline.id]
        texts = [(one.name, one.sql) for one in (*others, pipeline)]
        return [text for name, text in shared_index_warnings(texts, targets) if name == pipeline.name]

    def plan_sql(self, sql: str) -> tuple[PlannedInsert, ...]:
        """What each INSERT of a pipeline that is not made yet would write. Raises as `create_pipeline` does."""
        from .sql_plans import plan_pipeline  # noqa: PLC0415 - the engine is loaded by who has SQL

        streams, sinks = self.catalogue.streams(), self.catalogue.sinks()
        return plan_pipeline(sql, {one.name: one for one in streams}, {one.name: one for one in sinks})

    def unprocessed_count(self, stream_id: str) -> int:
        """Records in the log that a reader has not delivered yet; of a stream nobody reads, all that the log holds.

        Raises:
            BackendError: the log is damaged.
        """
        folder = self.folders.folder(stream_id)
        if not folder.path.is_dir():
            return 0
        return sum(_unprocessed_count(folder, number) for number in folder.partitions())

    def delete_stream(self, stream_id: str, *, force: bool = False) -> bool:
        """Delete a stream with its log, and with `force` the pipelines that read it.

        Returns whether the log is gone already: while another process holds it, it stays until that one starts anew.

        Raises:
            NoSuchObjectError, StillReferencedError: nothing was deleted.
        """
        self.catalogue.delete_stream(stream_id, force=force)
        folder = self.folders.folder(stream_id)
        if not folder.path.is_dir():
            return True
        write_file(Disk(), folder.path / DELETED_MARK, json.dumps(_ends(folder)).encode())
        try:
            _remove_log(folder)
        except PartitionInUseError:
            return False
        return True

    def remove_deleted_logs(self) -> None:
        """Remove what `delete_stream` had to leave. Called at start, before a stream is opened."""
        for folder in self.folders.all():
            if self._is_deleted(folder):
                try:
                    _remove_log(folder)
                except PartitionInUseError:
                    continue

    def _free_stream_id(self, name: str, now: float) -> str:
        """The id of the name; another one while a running server holds the log of a deleted stream of that name."""
        stream_id = id_of("stream", name)
        folder = self.folders.folder(stream_id)
        if self._is_deleted(folder):
            try:
                _remove_log(folder)
            except PartitionInUseError:
                return id_of("stream", f"{name} made at {now}")
        return stream_id

    def _is_deleted(self, folder: StreamFolder) -> bool:
        """Whether all of the folder may go: a stream made again has the mark to begin behind it."""
        return (folder.path / DELETED_MARK).exists() and self.catalogue.stream(folder.id) is None


def table_names(sql: str) -> TableNames:
    """The tables that a pipeline's SQL names.

    Raises:
        SqlError: the SQL is none a pipeline may have.
    """
    from .sql.statements import parse_pipeline  # noqa: PLC0415 - the SQL parser is loaded by who has SQL

    inserts = parse_pipeline(sql)
    return TableNames(tuple(one.stream for one in inserts), tuple(one.sink for one in inserts))


def _unprocessed_count(folder: StreamFolder, number: int) -> int:
    path = folder.partition(number)
    bases = base_offsets(path)
    if not bases:
        return 0
    oldest = folder.oldest(number)
    done = min(folder.load_cursors(number).values(), default=oldest)
    return max(0, _end(folder, number) - max(done, oldest))


def _ends(folder: StreamFolder) -> dict[str, int]:
    return {str(number): _end(folder, number) for number in folder.partitions()}


def _end(folder: StreamFolder, number: int) -> int:
    """The offset after the newest record; reads the newest segment."""
    path = folder.partition(number)
    newest = PartitionReader(path, max(base_offsets(path), default=0))
    for _ in newest.frames():
        pass  # leaves the reader at the end of the log
    return newest.offset


def _remove_log(folder: StreamFolder) -> None:
    """Remove the folder of a deleted stream, held by nobody else; if its log went on, only the mark.

    Raises:
        PartitionInUseError: another process holds a partition; nothing was removed.
    """
    with ExitStack() as stack:
        for number in folder.partitions():
            stack.callback(os.close, lock_partition(folder.partition(number)))
        mark = folder.path / DELETED_MARK
        if json.loads(mark.read_bytes()) == _ends(folder):
            doomed = folder.path.rename(folder.path.with_name(f"{DELETED_MARK}-{folder.id}"))
            shutil.rmtree(doomed)  # under another name: who opens the stream meanwhile begins a new log
        else:
            mark.unlink()
