"""The module `workers.workflows`."""

from __future__ import annotations


class NonRetryableError(Exception):
    """Raised by a step that must not be tried again, whatever its `name`.

    Source: workers-sdk, "cloudflare:workflows": `new NonRetryableError(message, name?)`.
    """

    def __init__(self, message: object = "", name: str = "NonRetryableError") -> None:
        super().__init__(message)
        self.name = name
