"""The module `workers.workflows`."""

from __future__ import annotations


class NonRetryableError(Exception):
    """Raised by a step that must not be tried again."""
