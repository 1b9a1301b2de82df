"""What workflows' REST calls are refused with: Cloudflare's statuses, codes and keys.

A message is the key alone, as clients match it; the sentence that says more is in the error's chain.
Source: spec "Cloudflare API", 2; spec "Workflows", 7.
"""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

from ..._shared.rest import INVALID_REQUEST, ApiError
from ..errors import WorkflowError
from ..workflow import ALREADY_EXISTS, DUPLICATE_IN_BATCH, INSTANCE_NOT_FOUND

if TYPE_CHECKING:
    from ..._shared.rest import Call, Handler

INVALID = INVALID_REQUEST
NOTE = 10000
"""Of messages: Cloudflare has no code for what Edge alone tells."""
EVENT_INSTANCE_NOT_FOUND = 10201
KEY_PREFIX = "workflows.api.error."
CODES = {
    "workflow.not_found": (404, 10200),
    "version.not_found": (404, 10300),
    "instance.not_found": (404, INSTANCE_NOT_FOUND),
    "step.not_found": (404, INSTANCE_NOT_FOUND),
    "instance.cannot_terminate": (409, 10401),
    "instance.already_exists": (400, ALREADY_EXISTS),
    "instance.duplicate_in_batch": (400, DUPLICATE_IN_BATCH),
}
"""Key -> status and code; of every other key it is 400 with INVALID."""


def coded(handler: Handler, *, not_found: int = INSTANCE_NOT_FOUND) -> Handler:
    """The handler, its refusals with Cloudflare's codes."""

    @wraps(handler)
    async def call_it(call: Call) -> Any:
        try:
            return await handler(call)
        except WorkflowError as error:
            status, code = CODES.get(error.key, (400, INVALID))
            if error.key == "instance.not_found":
                code = not_found
            chain = [(code, line) for line in error.reason.splitlines()]  # several: the problems of a manifest
            raise ApiError(status, code, KEY_PREFIX + error.key, chain) from error

    return call_it
