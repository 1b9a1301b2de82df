"""How a product says what its REST API is: `bindings/<section>/rest.py` has `routes(admin) -> Sequence[Route]`.

A route's handler gets a Call and returns what the envelope's `result` is, or an Answer when there is more to say.
It raises ApiError with the product's status and code; the frame (`runtime/rest`) makes the answer.
Source: spec "Cloudflare API", 0 and 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from ...runtime.core.errors import EdgeError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from ...runtime.core.headers import Headers
    from .tokens import Token

    Handler = Callable[["Call"], Awaitable[Any]]

T = TypeVar("T")

BODY_BYTES_MAX = 1024 * 1024
PER_PAGE = 20
PER_PAGE_MAX = 100
BEARER_PROTOCOL = "bearer"
"""Pages cannot send Authorization with a WebSocket: they offer the protocols "bearer" and their token, in this order
(`new WebSocket(url, ["bearer", token])`), and the first is the one that is spoken."""
INVALID_REQUEST = 10002
"""Code of a body or a query that makes no sense, where a product has none of its own."""


@dataclass(frozen=True, slots=True)
class Query:
    """One query parameter, as the API's description shows it."""

    name: str
    type: str = "string"
    """JSON Schema's word."""


PAGES = (Query("page", "number"), Query("per_page", "number"))


@dataclass(frozen=True, slots=True)
class Question:
    """The body of `POST /graphql`. A product with datasets has `answer_question(admin, call)` in its `rest.py`."""

    query: str
    variables: dict[str, Any] | None = None
    operationName: str | None = None  # noqa: N815 - GraphQL's name


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error as values."""

    status: int
    code: int
    message: str


NOT_VALID_HERE = Refusal(403, 10000, "Authentication error")


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """One operation of the API."""

    method: str
    pattern: str
    """Under `/client/v4`: `/accounts/{account_id}/pipelines/v1/streams/{stream_id}`. The account is checked already."""
    handler: Handler
    """Its docstring's first line describes the operation."""
    permission: str
    """What a token has to allow, by its canonical name; empty for any good token."""
    body: Any = None
    """A type that msgspec decodes the JSON body to; None for an operation without one. Unknown fields are ignored, and
    a body that is not there is null."""
    query: tuple[Query, ...] = ()
    invalid_code: int = INVALID_REQUEST
    """Error code of a body or query that makes no sense."""
    body_bytes_max: int = BODY_BYTES_MAX
    bad_token: Refusal = NOT_VALID_HERE
    """What a token that is not good is answered."""


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """One request, found good: its token allows the route, its path belongs to our account."""

    route: Route
    params: Mapping[str, str]
    """The path's parts by the pattern's names, each percent-decoded once."""
    query: Mapping[str, str]
    """The first value of each parameter."""
    body: Any
    """Of the route's `body` type; None without one."""
    headers: Headers
    token: Token
    origin: str
    """Where this server was asked, without the API's own host name: `http://localhost:8787`."""
    account_id: str
    now: float
    """When it was made, Unix seconds."""
    is_permitted: Callable[[], bool]
    """Whether its token still allows the route: for an answer that goes on."""

    def invalid(self, message: str) -> ApiError:
        """The error for a body or query that makes no sense."""
        return ApiError(400, self.route.invalid_code, message)

    def flag(self, name: str) -> bool:
        """A parameter that is true when given bare, as `?force`, or with true or 1.

        Raises:
            ApiError: it is something else.
        """
        value = self.query.get(name, "false").lower()
        if value not in {"true", "1", "false", "0"}:
            raise self.invalid(f"The query parameter {name!r} must be true or false, not {value!r}.")
        return value in {"true", "1"}

    def number(self, name: str, default: int, *, least: int, most: int) -> int:
        """A whole number, which may be written as a float: `page=2.0`.

        Raises:
            ApiError: it is none, or out of range.
        """
        text = self.query.get(name)
        if text is None:
            return default
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (value == math.floor(value) if math.isfinite(value) else False) or not least <= value <= most:
            raise self.invalid(f"The query parameter {name!r} must be a whole number from {least} to {most}.")
        return int(value)


@dataclass(frozen=True, slots=True)
class Answer:
    """A result with more to say; a handler that answers something else than an envelope returns a Response."""

    result: Any = None
    status: int = 200
    result_info: Mapping[str, Any] | None = None
    messages: Sequence[Mapping[str, Any]] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Further members of the envelope, where a client reads one at its top."""


class ApiError(EdgeError):
    """Raised to answer an error by Cloudflare's status and code.

    `chain` holds further (code, message) pairs. `retry_after_s` is set where the same call may go well later.
    """

    def __init__(
        self,
        status: int,
        code: int,
        message: str,
        chain: Sequence[tuple[int, str]] = (),
        *,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(message)
        self.http_status = status
        self.code = code
        self.chain = tuple(chain)
        self.retry_after_s = retry_after_s


def page_of(call: Call, items: Sequence[T], show: Callable[[T], Any]) -> Answer:
    """The page of `items` that was asked for; empty behind the last one, which is how clients know the end.

    Raises:
        ApiError: `page` or `per_page` is no number in range.
    """
    page = call.number("page", 1, least=1, most=2**31)
    per_page = call.number("per_page", PER_PAGE, least=1, most=PER_PAGE_MAX)
    shown = items[(page - 1) * per_page : page * per_page]
    info = {
        "page": page,
        "per_page": per_page,
        "count": len(shown),
        "total_count": len(items),
        "total_pages": math.ceil(len(items) / per_page),
    }
    return Answer([show(item) for item in shown], result_info=info)
