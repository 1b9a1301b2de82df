"""What a test may change of an instance, and what it is told: the engine asks here, and knows of no test otherwise.

A pass asks at every step, so a change holds from the next step on, also of an instance that runs already. Where nobody
introspects, `PassTools.introspect` is None, and there is nothing to ask.
Source: @cloudflare/vitest-pool-workers 0.23.0, types/cloudflare-test.d.ts, "WorkflowInstanceModifier".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from ..journal.records import StepKey


class MockedResult(NamedTuple):
    """What a step gives without its function being called."""

    value: object


class Introspection(Protocol):
    """Of one instance."""

    def skips_sleep(self, key: StepKey) -> bool:
        """Whether a sleep is over as soon as it is called."""

    def skips_retry_delay(self, key: StepKey) -> bool:
        """Whether the next attempt of a step follows at once."""

    def outcome(self, key: StepKey, attempt: int, timeout_ms: int) -> MockedResult | None:
        """What happens in place of a call of the step's function; None: it is called.

        What this raises is what the attempt failed with.
        """

    def misses_event(self, key: StepKey) -> bool:
        """Whether a wait times out as soon as it is called, whatever was sent."""

    def failed(self, key: StepKey, error: Exception) -> None:
        """An attempt failed; the error still has its traceback, which the journal does not keep."""
