"""One Iceberg table: made from the first roll's columns, and given each roll's files in one transaction.

Theory of operation. A roll's data files go up first; nobody reads them, since no snapshot names them. Then one
transaction adds them to the table and sets the property `edge.<insert>.offset` to what the roll was: either both are in
the table or neither is. A retry reads the property. It is a property and not a line of the snapshot's summary, because
a commit of somebody else makes a newer snapshot, while properties stay.

Two runners can meet here, when one stalled and another took over its lease. The transaction is refused when the table
has a newer snapshot than the one the property was read with; then it is read again. pyiceberg's own retry is off: it
would add the files anew without reading the property.

What a crash leaves: before the transaction, files without a snapshot, uploaded again under the same names; after it,
a property that says "done".
Source: Iceberg spec, "Optimistic Concurrency"; spec "Pipelines" 5.6.
"""

from __future__ import annotations

import logging
import shutil
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

import msgspec
import pyarrow.parquet as pq
from pyiceberg.catalog import load_catalog
from pyiceberg.exceptions import (
    CommitFailedException,
    NamespaceAlreadyExistsError,
    NoSuchNamespaceError,
    NoSuchTableError,
    TableAlreadyExistsError,
)
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.transforms import DayTransform

from ..stream_log.disk import Disk
from .iceberg_columns import INGEST_COLUMN, iceberg_type
from .sink import SinkMisconfiguredError, SinkUnavailableError

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa
    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table

    from .iceberg_place import TablePlace
    from .sink import Roll, StagedFile

STATE_PROPERTY = "edge.state"
"""Whose table it is: the id of the state folder of the Edge that made it."""
COMMIT_TRIES_MAX = 5
"""How often one publish meets somebody else's commit before it waits for its next turn."""
COPY_BYTES = 1024 * 1024

TABLE_PROPERTIES = {
    "format-version": "2",
    "commit.manifest-merge.enabled": "true",
    "commit.manifest.min-count-to-merge": "32",
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "20",
}
"""Every commit writes a metadata file and a manifest: these keep only the newest ones of the former, and join the
latter. Measured over 60 commits without them: 17 to 49 ms a commit, growing. Source: Iceberg docs, "Configuration"."""


@dataclass(frozen=True, slots=True)
class RollNote:
    """What the table's property says of the last roll of an INSERT."""

    epoch: int
    fence: int
    until: dict[str, int]
    files: str
    """A hash over every file's name and content: the roll itself, whatever the numbers above are counted from."""

    @staticmethod
    def of(roll: Roll) -> RollNote:
        files = sha256("\n".join(sorted(f"{file.key} {file.sha256}" for file in roll.files)).encode()).hexdigest()[:32]
        return RollNote(roll.epoch, roll.fence, {str(number): end for number, end in roll.until.items()}, files)

    @staticmethod
    def in_table(table: Table, insert_id: str) -> RollNote | None:
        text = table.properties.get(property_of(insert_id))
        return None if text is None else msgspec.json.decode(text, type=RollNote)


def property_of(insert_id: str) -> str:
    return f"edge.{insert_id}.offset"


def is_published(table: Table, roll: Roll) -> bool:
    """Whether the table has this very roll.

    Raises:
        SinkUnavailableError: a runner with a newer lease has published since, so this one must not.
    """
    note = RollNote.in_table(table, roll.insert_id)
    if note is None:
        return False
    if note.files == RollNote.of(roll).files:
        return True
    if note.fence > roll.fence:
        raise SinkUnavailableError("Another process has taken over this pipeline and published after this roll.")
    return False


class IcebergTable:
    """Every method blocks. One call at a time."""

    def __init__(self, place: TablePlace, state_id: str) -> None:
        self.place = place
        self._state_id = state_id
        self._catalog: Catalog | None = None

    def publish(self, roll: Roll, folder: Path) -> Table:
        """Have the roll in the table, now or from an earlier try; returns the table as it is then.

        Raises:
            SinkMisconfiguredError: the table is somebody else's, or has other columns.
            SinkUnavailableError: others kept committing.
            Exception: whatever catalog and store raise (iceberg_errors.py).
        """
        columns = pq.read_schema(folder / roll.files[0].name)
        table = self._open_or_make(columns)
        if is_published(table, roll):
            return table
        locations = [self._upload(table, file, folder) for file in roll.files]
        for _ in range(COMMIT_TRIES_MAX):
            with suppress(CommitFailedException):
                self._commit(table, roll, locations)
                return table
            table = self.load()
            self._check_columns(table, columns)
            if is_published(table, roll):
                return table
        raise SinkUnavailableError(f"{self.place}: others committed {COMMIT_TRIES_MAX} times meanwhile. Tried again.")

    def load(self) -> Table:
        """The table as it is now.

        Raises:
            NoSuchTableError: it has not been made yet.
        """
        if self._catalog is None:
            logging.getLogger("pyiceberg").setLevel(logging.WARNING)  # it tells of each file it opens
            for folder in self.place.folders:
                Disk().make_folder(folder)
            self._catalog = load_catalog("edge", **self.place.catalog)
        table = self._catalog.load_table(self.place.identifier)
        table.metadata.properties["commit.retry.num-retries"] = "0"  # of this handle only: it is never written
        return table

    def made(self, table: Table) -> bool:
        """Whether this Edge made it."""
        return table.properties.get(STATE_PROPERTY) == self._state_id

    def close(self) -> None:
        if self._catalog is not None:
            self._catalog.close()
            self._catalog = None

    def _open_or_make(self, columns: pa.Schema) -> Table:
        try:
            table = self.load()
        except (NoSuchTableError, NoSuchNamespaceError):
            self._make(columns)
            table = self.load()
        is_ours = self.made(table)
        if not is_ours and self.place.existing_table == "refuse":
            raise SinkMisconfiguredError(
                f"{self.place} exists, and this Edge did not make it. Give the sink another table_name, "
                f'or set existing_table = "append".'
            )
        if is_ours and table.spec().is_unpartitioned() and table.current_snapshot() is None:
            with table.update_spec() as update:  # after making it, so that a crash in between is mended here
                update.add_field(INGEST_COLUMN, DayTransform(), f"{INGEST_COLUMN}_day")
        self._check_columns(table, columns)
        return table

    def _make(self, columns: pa.Schema) -> None:
        assert self._catalog is not None, "the table was looked for first"
        with suppress(NamespaceAlreadyExistsError):
            self._catalog.create_namespace_if_not_exists(self.place.namespace)
        with suppress(TableAlreadyExistsError):  # another process made it at the same time
            self._catalog.create_table(
                self.place.identifier, columns, properties={**TABLE_PROPERTIES, STATE_PROPERTY: self._state_id}
            )

    def _check_columns(self, table: Table, columns: pa.Schema) -> None:
        found = {one.name: iceberg_type(one.type) for one in schema_to_pyarrow(table.schema(), include_field_ids=False)}
        given = {one.name: one.type for one in columns}
        if given == found:
            return
        problems = [f"{name} is not in the table" for name in given if name not in found]
        problems += [f"{name} is missing" for name in found if name not in given]
        problems += [f"{n} is {given[n]}, not {found[n]}" for n in given if n in found and given[n] != found[n]]
        raise SinkMisconfiguredError(
            f"{self.place} has other columns than the SQL gives: {'; '.join(problems)}. A table's columns do not "
            f"change: give the sink another table_name, or make the SQL give the table's columns."
        )

    def _upload(self, table: Table, file: StagedFile, folder: Path) -> str:
        location = f"{table.location().rstrip('/')}/{file.key}"
        with (folder / file.name).open("rb") as source, table.io.new_output(location).create(overwrite=True) as target:
            shutil.copyfileobj(source, target, COPY_BYTES)
        return location

    def _commit(self, table: Table, roll: Roll, locations: list[str]) -> None:
        with table.transaction() as transaction:
            transaction.add_files(
                locations,
                {"edge.insert": roll.insert_id, "edge.epoch": str(roll.epoch)},
                check_duplicate_files=False,  # the property tells; looking costs 239 ms at 120 files
            )
            note = msgspec.json.encode(RollNote.of(roll)).decode()
            transaction.set_properties({property_of(roll.insert_id): note})
