"""Types of events: what a wait asks for, and what `send_event` gives."""

from __future__ import annotations

import re

from .errors import WorkflowFatalError
from .journal.records import ENDED_PREFIX

EVENT_TYPE_CHARS_MAX = 100
_HALF_PAIR = re.compile("[\ud800-\udfff]")


def require_event_type(event_type: object) -> str:
    """Check a type at either end.

    Raises:
        WorkflowFatalError: no text of 1 to 100 characters.
    """
    is_text = isinstance(event_type, str) and (event_type.isascii() or not _HALF_PAIR.search(event_type))
    if not isinstance(event_type, str) or not is_text or not 1 <= len(event_type) <= EVENT_TYPE_CHARS_MAX:
        msg = f"The type of an event is a text of 1 to {EVENT_TYPE_CHARS_MAX} characters, got {event_type!r:.200}."
        raise WorkflowFatalError(msg)
    return event_type


def require_sent_type(event_type: object) -> str:
    """Check the type of an event that somebody sends: those that tell a parent of its child are the journal's own.

    Raises:
        WorkflowFatalError: no text of 1 to 100 characters, or a reserved one.
    """
    checked = require_event_type(event_type)
    if checked.startswith(ENDED_PREFIX):
        msg = f'Types that begin with "{ENDED_PREFIX}" tell of ended children, and cannot be sent: got {checked!r}.'
        raise WorkflowFatalError(msg)
    return checked
