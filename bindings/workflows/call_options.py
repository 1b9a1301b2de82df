"""What callers give to the calls of a workflow and of its instances, checked; keys nobody knows are ignored.

A malformed one is a BindingError named "TypeError", or "RangeError" for a batch: said before anything is done.
Source: spec "Workflows", 2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from ...runtime.core.errors import BindingError
from .admission import BATCH_COUNT_MAX
from .durations import parse_retention_ms
from .engine.decisions import KIND_WORDS, Start
from .journal.records import Kind

_STEP_KINDS = {word: kind for kind, word in KIND_WORDS.items()} | {"step": Kind.DO, None: None}


def asked(call: str, options: object, named: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a call, which takes them as an object or as keywords."""
    if options is not None and not isinstance(options, Mapping):
        _refuse(f"{call}() takes an object of options", options)
    return {**(options or {}), **named}


def is_rolling_back(options: Mapping[str, Any]) -> bool:
    """Of `terminate`."""
    rollback = options.get("rollback")
    if not isinstance(rollback, bool | None):
        _refuse("rollback of terminate() is True or False", rollback)
    return rollback is True


def restart_start(options: Mapping[str, Any]) -> Start | None:
    """The step that `restart` begins from; None: from the top."""
    start = options.get("from", options.get("from_"))
    if start is None:
        return None
    given = start if isinstance(start, Mapping) else {}
    name, count, kind = given.get("name"), given.get("count", 1), given.get("type")
    is_count = isinstance(count, int) and not isinstance(count, bool) and count >= 1
    if not isinstance(name, str) or not is_count or not isinstance(kind, str | None) or kind not in _STEP_KINDS:
        _refuse("from of restart() is a step, {name, count?, type?: do, sleep or waitForEvent}", start)
    return Start(_STEP_KINDS[kind], name, count)


def retention_ms(options: Mapping[str, Any], which: str, default_ms: int) -> int:
    """How long `create` wants an instance kept after a success or an error (`which`), at most the default.

    Raises:
        WorkflowFatalError: no duration, or none above 0.
    """
    retention = options.get("retention") or {}
    if not isinstance(retention, Mapping):
        _refuse("retention of create() is an object with successRetention and errorRetention", retention)
    for key in (f"{which}Retention", f"{which}_retention"):
        if key in retention:
            return min(parse_retention_ms(retention[key], f"retention.{key}"), default_ms)
    return default_ms


def checked_batch(batch: object) -> Sequence[Any]:
    """As it is: a list of 1 to 100."""
    if not isinstance(batch, (list, tuple)) or not 1 <= len(batch) <= BATCH_COUNT_MAX:
        refuse_batch(batch)
    return batch


def refuse_batch(batch: object) -> NoReturn:
    got = f"{len(batch)} items" if isinstance(batch, (list, tuple)) else repr(batch)[:100]
    raise BindingError(f"A batch has 1 to {BATCH_COUNT_MAX} instances, got {got}.", name="RangeError")


def _refuse(rule: str, given: object) -> NoReturn:
    raise BindingError(f"{rule}, got {given!r:.100}.", name="TypeError")
