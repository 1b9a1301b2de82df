"""A table of Snowflake's, which is there already."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..sink_config import config_of

if TYPE_CHECKING:
    from ...objects import SinkObject
    from ..sink import SinkSite
    from ..snowflake_table import SnowflakeSink

SECRETS = ("password", "token", "private_key_pem")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_$]{0,254}")


@dataclass(frozen=True, slots=True)
class Config:
    """`[sinks.NAME]` with `type = "snowflake"`. The table must be there; `EDGE_OFFSETS` is made beside it."""

    account: str
    """As "myorg-account123"."""
    user: str
    database: str
    schema: str
    table: str
    warehouse: str | None = None
    role: str | None = None
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    """A programmatic access token, instead of the password."""
    private_key_pem: str | None = field(default=None, repr=False)
    """Of key-pair authentication, instead of the password: PKCS #8 as text, without a passphrase."""
    timeout_seconds: int = 60
    """Of logging in and of each call over the network."""

    def __post_init__(self) -> None:
        for name, value in (("database", self.database), ("schema", self.schema), ("table", self.table)):
            if not _NAME.fullmatch(value):
                msg = (
                    f"{name} = {value!r} is no plain identifier: letters, digits, _ and $, not beginning with a digit."
                )
                raise ValueError(msg)
        if sum(secret is not None for secret in (self.password, self.token, self.private_key_pem)) != 1:
            raise ValueError("give one of password, token and private_key_pem.")


def open_sink(sink: SinkObject, site: SinkSite) -> SnowflakeSink:  # noqa: ARG001 - the port's signature
    """Open the sink; Snowflake is first asked by the first roll.

    Raises:
        SinkMisconfiguredError: the settings do not make sense.
    """
    from ..snowflake_table import SnowflakeSink  # noqa: PLC0415 - it loads pyarrow: for opening a sink, not declaring one

    return SnowflakeSink(config_of(Config, sink), sink.format)
