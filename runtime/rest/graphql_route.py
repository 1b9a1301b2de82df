"""`POST /graphql`: each product answers for its own datasets; of everything else there are no figures.

Source: spec "Cloudflare API", 1.5: wrangler asks here, and breaks on anything that is no JSON.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...bindings._shared.rest import Question, Route
from .envelope import json_response

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from ...bindings._shared.rest import Call
    from ..core.response import Response

    Answerer = Callable[[Call], Awaitable[dict[str, Any] | None]]


def graphql_route(answerers: Sequence[Answerer]) -> Route:
    """The route; the first product that knows what is asked for answers."""

    async def answer_graphql(call: Call) -> Response:
        """Answer a query of figures."""
        for answer in answerers:
            if (found := await answer(call)) is not None:
                return json_response(found)
        return json_response({"data": {"viewer": {"accounts": []}}, "errors": None})

    return Route("POST", "/graphql", answer_graphql, "", body=Question)
