"""The plan as plain frozen values. Standard library only: a Lambda start reads a plan without loading pydantic.

`load.py` makes a WorkerConfig from text; `plan.py` freezes it to JSON and thaws it.
Defaults of Edge's own settings live here and nowhere else. Named tuples, because making six frozen dataclasses costs a
Lambda start 8 ms and these 2. What may hold secrets has no repr, so that it reaches no log by accident.
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - pydantic reads the annotations of the settings at run time
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

LOCAL_ACCOUNT_ID = "00000000000000000000000000000001"
"""Where the wrangler file names no account."""


class Limits(NamedTuple):
    """`[limits]` of edge.toml: what one request may cost. Source of the figures: spec "Reliability", section 4."""

    header_count: int = 100
    header_bytes: int = 16 * 1024
    url_bytes: int = 16 * 1024
    body_bytes: int = 100 * 1024 * 1024
    header_timeout_seconds: float = 10.0
    body_grace_seconds: float = 10.0
    body_bytes_per_second: int = 1024
    write_stall_seconds: float = 30.0
    keep_alive_seconds: float = 75.0
    connections_per_address: int = 1024
    drain_seconds: float = 10.0


class ServerSettings(NamedTuple):
    """`[server]` of edge.toml. `allowed_hosts` is added to localhost and the loopback addresses."""

    allowed_hosts: tuple[str, ...] = ()


class AwsSettings(NamedTuple):
    """`[aws]` of edge.toml: how bindings map to AWS. Names default to `edge-<worker>-<env>-<binding or id>`."""

    region: str | None = None
    kv_table: str | None = None
    kv_consistent: bool = False
    kv_index_shards: int = 1
    kv_values_bucket: str | None = None
    stream: Literal["firehose", "kinesis"] = "firehose"
    stream_names: Mapping[str, str] = {}
    wait_until: Literal["extension", "before-return"] = "extension"

    def __repr__(self) -> str:
        return object.__repr__(self)


class Settings(NamedTuple):
    """Edge's own settings, from edge.toml or edge.jsonc."""

    server: ServerSettings = ServerSettings()
    limits: Limits = Limits()
    aws: AwsSettings = AwsSettings()
    products: Mapping[str, Any] = {}
    """Sections that bindings bring (`streams`, `sinks` ...), as the types they declare. A frozen plan has none."""

    def __repr__(self) -> str:
        return object.__repr__(self)


class CheckedSettings(NamedTuple):
    """Settings in force, and which of their values were references: "aws.region" -> "MY_REGION"."""

    settings: Settings = Settings()
    references: Mapping[str, str] = {}
    files: tuple[Path, ...] = ()
    """Files that the settings name; of a file without errors."""


class DevSettings(NamedTuple):
    """`dev` of the wrangler file."""

    ip: str = "localhost"
    port: int = 8787


class WorkerConfig(NamedTuple):
    """One Worker, one environment chosen, checked."""

    path: Path
    """The wrangler file. Paths inside it are relative to its folder; state lives in `.edge/` beside it."""
    name: str
    main: Path | None
    """The handler file, absolute. Its folder is the import root."""
    environment: str | None
    compatibility_date: str | None
    compatibility_flags: tuple[str, ...]
    vars: Mapping[str, Any]
    """Vars and secrets after precedence, as the handler sees them."""
    secret_names: frozenset[str]
    """Names in `vars` whose values came from .dev.vars, .env or `secrets`: redacted everywhere."""
    bindings: Mapping[str, tuple[Any, ...]]
    """Section name -> entries, each an instance of the section's entry dataclass."""
    unsupported: Mapping[str, str]
    """Binding name -> section, for bindings wrangler knows and Edge does not have yet."""
    dev: DevSettings = DevSettings()
    settings: Settings = Settings()
    files: tuple[Path, ...] = ()
    """Every file this was read from (wrangler file, edge.toml, .dev.vars, .env ...): what a reload watches."""
    value_files: tuple[Path, ...] = ()
    """Those of them that gave vars and secrets: .dev.vars, .env ... or what --env-file names."""
    warnings: tuple[str, ...] = ()
    """Rendered warnings and notes, `file:line:col: text`, in file order."""
    declared_vars: Mapping[str, Any] = {}
    """Vars without the values of .dev.vars, .env and the process: what a frozen plan may hold."""
    settings_references: Mapping[str, str] = {}
    """Settings written as `{ env = "NAME" }`: "aws.region" -> "NAME". A frozen plan holds the name alone."""
    account_id: str = LOCAL_ACCOUNT_ID
    """The one account that the REST API of this machine has."""
    is_strict: bool = False
    """`--compat strict`: what works on Edge only is refused (runtime/core/edge_only.py)."""

    def __repr__(self) -> str:
        return object.__repr__(self)

    def aws_name(self, what: str) -> str:
        """What an AWS resource is called by default. Without an environment it is "production"."""
        environment = self.environment or "production"
        return f"edge-{self.name.removesuffix(f'-{environment}')}-{environment}-{what}"
