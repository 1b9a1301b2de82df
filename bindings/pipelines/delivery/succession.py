"""Which INSERT comes in whose place when the catalogue has changed, where it begins, and what must end before it does.

An INSERT keeps its id while SQL is edited and names change (plan.py). One that is replayed, or writes to another sink,
is a new one: it goes on where the old ones of its pipeline are committed.

A roll whose intent stands is half out: its records may be in the sink and are not committed. So an INSERT that leaves
behind such a roll is ending: it still publishes and commits it, and whoever goes on from its place waits, also while
the sink fails: the status says for what, and that to delete the sink is to give up on it. Then the records go where the
pipeline writes now, and those that were out are in both. The roll of a failing sink that nobody waits for stays as it
is: should its INSERT come back, it is finished then.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

from ..stream_log.stream_folders import FILES_READER
from .insert_runner import reader_of
from .plan import InsertPlan
from .replay import place_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from pathlib import Path

    from ....runtime.core.host import Logger
    from ..catalogue import Catalogue
    from ..objects import SinkObject
    from ..stream_log.disk import Disk
    from ..stream_log.stream_folders import StreamFolders
    from .store import DeliveryStore, InsertKey, InsertState


class Succession:
    """The INSERTs of one leader, when the catalogue has changed. Blocks."""

    def __init__(
        self,
        fence: int,
        catalogue: Catalogue,
        store: DeliveryStore,
        folders: StreamFolders,
        *,
        staging: Path,
        disk: Disk,
        log: Logger,
    ) -> None:
        """`staging` has a folder of each INSERT."""
        self._fence = fence
        self._catalogue = catalogue
        self._store = store
        self._folders = folders
        self._staging = staging
        self._disk = disk
        self._log = log

    def decide_due(self, plans: Mapping[str, InsertPlan]) -> dict[str, InsertPlan]:
        """What runs now: the plans, but for those that wait, and what is ending."""
        known = {state.key.id: state for state in self._store.inserts()}
        due = dict(plans)
        for insert_id in (self._store.intents() & known.keys()) - plans.keys():
            state = known[insert_id]
            heirs = [plan.key for key, plan in plans.items() if key not in known and _goes_on_from(plan.key, state.key)]
            ending = self._ending(state, heirs)
            if ending is not None and (heirs or not state.failure):
                due[insert_id] = ending
                for heir in heirs:
                    due.pop(heir.id, None)
        return due

    def settle(self, due: Mapping[str, InsertPlan], plans: Mapping[str, InsertPlan]) -> None:
        """Give new INSERTs their place in the log, and forget those that are no more.

        Args:
            due: what `decide_due` made of `plans`.

        Raises:
            FencedError: another process runs the pipelines now.
        """
        known = {state.key.id: state for state in self._store.inserts()}
        if renamed := [plan.key for key, plan in due.items() if key in known and known[key].key != plan.key]:
            for insert in renamed:
                self._store.begin_insert(self._fence, insert, {})
            known = {state.key.id: state for state in self._store.inserts()}
        for key, plan in due.items():
            if key not in known:
                self._inherit(plan, [state for state in known.values() if self._is_of_this_log(state)], due)
        for state in known.values():
            if state.key.id not in due:
                self._forget(state, plans)

    def _ending(self, state: InsertState, heirs: Sequence[InsertKey]) -> InsertPlan | None:
        """A plan to publish the roll that is half out; None: where it went is gone.

        Its failure shows in the pipeline that waits for it, which may have another id by now.
        """
        stream, sink = self._catalogue.stream(state.key.stream_id), self._sink_of(state.key)
        if stream is None or sink is None or not self._is_of_this_log(state):
            return None
        key = replace(state.key, pipeline_id=heirs[0].pipeline_id) if heirs else state.key
        is_moved = any(heir.sink_id != key.sink_id for heir in heirs)
        return InsertPlan(key, stream, sink=sink, is_ending=True, is_moved=is_moved)

    def _sink_of(self, key: InsertKey) -> SinkObject | None:
        """The very sink that an INSERT wrote to; None: it is gone, and one that was made anew is another.

        Before format 17 the store did not say when it was made: 0. Then it is the one that is there.
        """
        sink = self._catalogue.sink(key.sink_id)
        return sink if sink is not None and key.sink_made_at in {0.0, sink.created_at} else None

    def _is_of_this_log(self, state: InsertState) -> bool:
        """Whether an INSERT's offsets are those of the log that is there now: its cursors go with a deleted one."""
        folder = self._folders.folder(state.key.stream_id) if state.key.stream_id else None
        return folder is not None and folder.has_cursor(reader_of(state.key))

    def _inherit(self, plan: InsertPlan, known: Iterable[InsertState], due: Collection[str]) -> None:
        """An edited pipeline's new INSERT goes on where its others are committed, and never before its own end.

        One that comes back with a roll half published finishes that roll, so it goes on at its own end. One that is to
        replay starts no later than where the one in whose place it comes is committed; when there is none, because the
        pipeline was deleted and made again, the replay was then.
        """
        key = plan.key
        starts: dict[int, int] = {}
        is_interrupted = self._store.intent(key.id) is not None
        others = [state for state in known if plan.pipeline and not is_interrupted and _goes_on_from(key, state.key)]
        for state in others:
            for partition, one in state.progress.items():
                starts[partition] = min(one.committed, starts.get(partition, one.committed))
        is_replaced = any(state.key.sink_id == key.sink_id and state.key.id not in due for state in others)
        is_alone = plan.pipeline and not is_replaced and not is_interrupted
        ends = self._store.account_ends(key.account) if is_alone else self._store.retired_ends(key.id)
        starts |= {partition: max(end, starts.get(partition, end)) for partition, end in ends.items()}
        folder = self._folders.folder(key.stream_id)
        if plan.pipeline and plan.pipeline.replay and is_replaced and not ends:
            starts = {one: min(start, place_of(plan.pipeline.replay, folder, one)) for one, start in starts.items()}
        for partition, start in starts.items():
            if is_interrupted:
                folder.save_cursor(reader_of(key), partition, start, self._disk)
            else:  # meanwhile the log may have been trimmed
                starts[partition] = folder.begin_cursor(reader_of(key), partition, self._disk, at_least=start)
        if starts:
            self._store.begin_insert(self._fence, key, starts)

    def _forget(self, state: InsertState, plans: Mapping[str, InsertPlan]) -> None:
        """Let go of the log for an INSERT that is no more."""
        key, folder = state.key, self._folders.folder(state.key.stream_id) if state.key.stream_id else None
        may_come_back, intent = self._sink_of(key) is not None, self._store.intent(key.id)
        is_read = any(plan.pipeline and plan.key.stream_id == key.stream_id for plan in plans.values())
        if folder is not None and self._is_of_this_log(state):
            if key.pipeline_id and not is_read:  # records go out as files again, but not those delivered here
                for partition, one in state.progress.items():
                    delivered = max(one.committed, folder.delivered_until(partition))
                    folder.save_cursor(FILES_READER, partition, delivered, self._disk)
            folder.remove_cursors(reader_of(key), self._disk)
        self._store.remove_insert(self._fence, key.id, has_given_up=not may_come_back)
        if intent is not None and may_come_back:  # its files may be half there, and are finished then
            return
        shutil.rmtree(self._staging / key.id, ignore_errors=True)
        if intent is not None:
            counts = {"record_count": intent.record_count, "since": dict(intent.roll.since)}
            self._log.warning("half_roll_given_up", insert_id=key.id, sink_id=key.sink_id, **counts)


def _goes_on_from(new: InsertKey, old: InsertKey) -> bool:
    is_of_pipeline = (new.pipeline_id, new.stream_id) == (old.pipeline_id, old.stream_id)
    return is_of_pipeline or (new.account != "" and new.account == old.account)
