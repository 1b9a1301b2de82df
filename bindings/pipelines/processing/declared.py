"""`[ingest]` of edge.toml: the steps that records pass on their way to the SQL, in the order of the file.

    [[ingest.steps]]
    type = "mask"
    streams = ["events"]
    detectors = ["email", "card"]

`streams` names the streams a step is for; every stream by default. Parse, enrich and mask change records one by one;
filter, sample and rules become SQL (`routing.py`), so there is one executor.
Source: spec "Pipelines", section 8.
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - pydantic reads the annotations at run time
from dataclasses import dataclass, field
from typing import ClassVar, Literal, TypeAlias

ParseFormat: TypeAlias = Literal["json", "logfmt", "key_value", "csv", "regex", "syslog", "cef", "user_agent", "url"]
OnFailure: TypeAlias = Literal["keep", "drop", "dead_letter"]
Detector: TypeAlias = Literal["email", "card", "ip", "phone", "jwt", "bearer"]
MaskAction: TypeAlias = Literal["redact", "keep_last", "hmac", "remove"]


@dataclass(frozen=True, slots=True)
class ParseStep:
    """Reads the text in one field into fields of its own."""

    type: Literal["parse"]
    format: ParseFormat
    field: str
    """Path of the text: "message", "request.url"."""
    into: str | None = None
    """Path of the object that takes what was found; None: the record itself, whose own fields win."""
    streams: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    """Of csv."""
    separator: str = ","
    """Of csv, one character; of key_value, between pairs."""
    pattern: str | None = None
    """Of regex: named groups become fields."""
    remove: bool = False
    """Take the text out of the record once it was read."""
    on_failure: OnFailure = "keep"
    """keep: as it is, with the step named in `_parse_failed`."""


@dataclass(frozen=True, slots=True)
class LookupTable:
    """A file of rows, found by the value of one field. Read at start and whenever it changes."""

    file: str
    """CSV with a header line, or JSON: an array of objects. Relative to edge.toml."""
    column: str
    """Of the table: what is compared."""
    field: str
    """Of the record: what it is compared with."""
    into: str
    """Path of the object that takes the row; a record without a match stays as it is."""


@dataclass(frozen=True, slots=True)
class GeoDatabase:
    """A MaxMind DB file (GeoLite2 and the like), asked with the address in one field."""

    file: str
    field: str
    into: str = "geo"


@dataclass(frozen=True, slots=True)
class EnrichStep:
    """Adds what the record does not say of itself. A field that is there already wins."""

    type: Literal["enrich"]
    streams: tuple[str, ...] = ()
    constants: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    facts: tuple[Literal["ip", "user_agent", "received_at"], ...] = ()
    """Of the request the record came in, as fields of that name; a `send` has `received_at` alone."""
    lookup: LookupTable | None = None
    geo: GeoDatabase | None = None


@dataclass(frozen=True, slots=True)
class MaskStep:
    """Hides values: the ones at `paths` whole, and what `detectors` or `pattern` find inside any text, keys too."""

    SECRETS: ClassVar[tuple[str, ...]] = ("key",)

    type: Literal["mask"]
    streams: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    detectors: tuple[Detector, ...] = ()
    pattern: str | None = None
    """A regular expression of your own."""
    action: MaskAction = "redact"
    keep: int = 4
    """Of keep_last: how many characters stay."""
    key: str | None = None
    """Of hmac: the secret of HMAC-SHA-256, given as { env = "NAME" }."""
    stage: Literal["ingest", "process"] = "process"
    """ingest: before the log, so that the value never reaches the disk."""


@dataclass(frozen=True, slots=True)
class FilterStep:
    """Keeps the records for which a condition is true."""

    type: Literal["filter"]
    where: str
    """A SQL expression over the stream's columns."""
    streams: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SampleStep:
    """Keeps a share of the records, decided by a hash: a retry decides the same."""

    type: Literal["sample"]
    rate: float
    """0 to 1."""
    key: str | None = None
    """A SQL expression; records with one key stay together. None: each record by its offset."""
    always: str | None = None
    """A SQL condition that keeps a record whatever its hash: errors."""
    streams: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rule:
    to: tuple[str, ...]
    """Names of sinks."""
    when: str = "true"
    """A SQL condition."""
    final: bool = False
    """A record this matches is not shown to the rules after it."""


@dataclass(frozen=True, slots=True)
class RulesStep:
    """Sends each record to the sinks of every rule it matches, to `default` when it matches none."""

    type: Literal["rules"]
    rules: tuple[Rule, ...]
    default: tuple[str, ...] = ()
    streams: tuple[str, ...] = ()


Step: TypeAlias = ParseStep | EnrichStep | MaskStep | FilterStep | SampleStep | RulesStep


@dataclass(frozen=True, slots=True)
class IngestDeclaration:
    steps: tuple[Step, ...] = ()

    def of(self, stream: str) -> tuple[Step, ...]:
        """The steps of one stream, in order."""
        return tuple(step for step in self.steps if not step.streams or stream in step.streams)
