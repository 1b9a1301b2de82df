"""Snowflake: rows loaded into a table, exactly once.

A roll is one Parquet file with a fixed name. PUT lays it into the table's own stage: after a crash the same bytes again
under the same name. Then one transaction does two things: it moves this INSERT's row of the table `EDGE_OFFSETS` to the
roll's epoch, unless it is there already, and COPY loads the file. Both are committed or neither is, so the offset says
for certain whether the file was loaded; a retry that moves no row loads nothing.

COPY alone would skip a file that it knows, but it forgets after 64 days, and a table made anew forgets at once. Hence
the offset decides, and COPY is told to load (`FORCE`). MERGE row by row would do too, but needs a key in the table.

Columns are matched by name, letter case aside. What the table does not take stops the sink with Snowflake's reason.
Source: Snowflake docs, "COPY INTO <table>", "PUT", "Transactions".
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from ..objects import SinkFormat
from .file_layout import FileLayout
from .file_stager import FileStager, published_files
from .sink import SinkMisconfiguredError, SinkUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .sink import Published, Roll, StagedFile
    from .types.snowflake import Config

OFFSETS_TABLE = "EDGE_OFFSETS"
SESSION_ENDED = frozenset({390111, 390112, 390114, 390195})
"""Error numbers of a session or its token that ended by time: a new connection mends it."""
TOLD_CHARS_MAX = 300
"""How much of Snowflake's words a failure reason repeats."""
_FORMAT = "FILE_FORMAT = (TYPE = PARQUET USE_LOGICAL_TYPE = TRUE) MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE FORCE = TRUE"


class SnowflakeSink:
    """The Sink. The connector blocks, so each publish runs in a thread."""

    promise: Literal["exactly once", "at least once"] = "exactly once"

    def __init__(self, config: Config, form: SinkFormat) -> None:
        self._config = config
        # Snappy whatever the sink's format says: of Parquet's codecs it is the one that Snowflake names.
        self._form = SinkFormat(type="parquet", compression="snappy", row_group_bytes=form.row_group_bytes)
        self._connection: Any = None

    def open_stager(self, folder: Path, insert_id: str, epoch: int) -> FileStager:
        return FileStager(folder, insert_id, epoch, form=self._form, layout=FileLayout(time_pattern=""))

    async def publish(self, roll: Roll, folder: Path) -> Published:
        if roll.files:
            await asyncio.to_thread(self._publish, roll, folder)
        return published_files(roll)

    async def aclose(self) -> None:
        """Log out."""
        await asyncio.to_thread(self._disconnect)

    def _publish(self, roll: Roll, folder: Path) -> None:
        with self._mapped():
            if self._connection is None:
                self._connection = _connect(self._config)
            with self._connection.cursor() as cursor:
                self._prepare(cursor, roll.insert_id)
                stage = f"@%{self._config.table}/edge/{roll.insert_id}/{roll.epoch}"
                for file in roll.files:
                    path = str(folder / file.name).replace("\\", "\\\\").replace("'", "\\'")
                    cursor.execute(f"PUT 'file://{path}' {stage}/ AUTO_COMPRESS = FALSE OVERWRITE = TRUE")
                self._load(cursor, roll, stage)
                with suppress(_library().Error):  # what is left behind is never loaded, it only takes space
                    cursor.execute(f"REMOVE {stage}/")

    def _prepare(self, cursor: Any, insert_id: str) -> None:
        """Have this INSERT's row in the offsets table. Outside the transaction: a DDL statement would commit it."""
        cursor.execute(f"CREATE TABLE IF NOT EXISTS {OFFSETS_TABLE} (insert_id VARCHAR, epoch INT, until VARCHAR)")
        cursor.execute(
            f"INSERT INTO {OFFSETS_TABLE} SELECT %s, 0, '' "  # noqa: S608 - a constant
            f"WHERE NOT EXISTS (SELECT 1 FROM {OFFSETS_TABLE} WHERE insert_id = %s)",
            (insert_id, insert_id),
        )

    def _load(self, cursor: Any, roll: Roll, stage: str) -> None:
        """Move the offset and load the files, in one transaction; nothing when the offset is there already."""
        until = msgspec.json.encode({str(partition): offset for partition, offset in roll.until.items()}).decode()
        cursor.execute("BEGIN TRANSACTION")
        try:
            cursor.execute(
                f"UPDATE {OFFSETS_TABLE} SET epoch = %s, until = %s WHERE insert_id = %s AND epoch < %s",  # noqa: S608 - as above
                (roll.epoch, until, roll.insert_id, roll.epoch),
            )
            if cursor.rowcount:
                for file in roll.files:
                    self._copy(cursor, file, stage)
        except BaseException:
            with suppress(_library().Error):  # the session is gone, and its transaction with it
                cursor.execute("ROLLBACK")
            raise
        cursor.execute("COMMIT")

    def _copy(self, cursor: Any, file: StagedFile, stage: str) -> None:
        cursor.execute(f"COPY INTO {self._config.table} FROM {stage}/{file.name} {_FORMAT}")
        columns = [description[0].lower() for description in cursor.description]
        loaded = dict(zip(columns, cursor.fetchone() or (), strict=False)).get("rows_loaded")
        if loaded != file.row_count:
            msg = f"Snowflake loaded {loaded} of {file.row_count} rows into {self._config.table}; nothing was kept."
            raise SinkMisconfiguredError(msg)

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    @contextmanager
    def _mapped(self) -> Iterator[None]:
        """Turn the connector's errors into a sink's. A failed connection is used no more."""
        library = _library()
        try:
            yield
        except library.Error as error:
            with suppress(library.Error):
                self._disconnect()
            told = " ".join(str(error.msg or error).split())[:TOLD_CHARS_MAX].rstrip(".")
            msg = f"Snowflake account {self._config.account}: {told}."
            if isinstance(error, _passing(library)) or error.errno in SESSION_ENDED:
                raise SinkUnavailableError(msg) from error
            raise SinkMisconfiguredError(
                f"{msg} Check the sink's settings, the table and the role's rights."
            ) from error


def _library() -> Any:
    try:
        import snowflake.connector.errors  # noqa: PLC0415 - an extra, loaded by who uses it
    except ImportError as error:
        raise SinkMisconfiguredError("Snowflake needs a library: pip install 'edge-workers[snowflake]'") from error
    return snowflake.connector.errors


def _passing(library: Any) -> tuple[type[Exception], ...]:
    """Errors that may pass by themselves: the network, and answers 429 and 5xx."""
    return (
        library.BadGatewayError,
        library.GatewayTimeoutError,
        library.InterfaceError,
        library.InternalServerError,
        library.OperationalError,
        library.OtherHTTPRetryableError,
        library.RequestTimeoutError,
        library.ServiceUnavailableError,
        library.TooManyRequests,
    )


def _connect(config: Config) -> Any:
    import snowflake.connector  # noqa: PLC0415 - an extra, loaded by who uses it

    settings = {
        "account": config.account,
        "user": config.user,
        "password": config.password,
        "token": config.token,
        "authenticator": "PROGRAMMATIC_ACCESS_TOKEN" if config.token else None,
        "private_key": config.private_key_pem and _base64_in(config.private_key_pem),
        "database": config.database,
        "schema": config.schema,
        "warehouse": config.warehouse,
        "role": config.role,
        "login_timeout": config.timeout_seconds,
        "network_timeout": config.timeout_seconds,
        "application": "Edge",
        "session_parameters": {"CLIENT_TELEMETRY_ENABLED": False},
    }
    return snowflake.connector.connect(**{name: value for name, value in settings.items() if value is not None})


def _base64_in(pem: str) -> str:
    """The key without the lines around it, as the connector takes it."""
    return "".join(line.strip() for line in pem.splitlines() if not line.startswith("-----"))
