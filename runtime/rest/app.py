"""The Cloudflare API of this machine, a Fetcher: path -> route -> token -> account -> permission -> body -> handler.

The order is what a stranger learns from: which routes there are is public, everything behind that needs a good token,
and nothing of a body is read before. Loaded by the first call, never before.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import msgspec

from ...bindings._shared.rest import NOT_VALID_HERE, ApiError, Call
from ...bindings.registry import answerer_of, described_paths, has_api, local_routes_of, routes_of
from ..core.context import request_id
from ..core.errors import BackendError, RefusedError
from ..core.request import wire_method, wire_request_body
from ..core.reserved import API_HOST, API_PATH, explorer_path_of, is_api_host
from ..core.response import Response
from .account import account_routes
from .auth import ANYBODY_HERE, authenticate, is_from_this_machine
from .envelope import failure, json_response, success
from .graphql_route import graphql_route
from .openapi import describe
from .route_table import RouteTable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...bindings._shared.rest import Route
    from ...bindings._shared.tokens import Token, TokenStore
    from ..core.host import LocalHost
    from ..core.request import Request
    from .graphql_route import Answerer

BASE_PATH = "/client/v4"
DESCRIPTION_PATH = "/openapi.json"
OWN_FAILURE = 10001
REFUSED = 10000
"""Added to the HTTP status of a request that the server itself refuses: 10413 is a body that is too large."""
QUERY_FIELDS_MAX = 100
RETRY_AFTER_S = 1
SHOWN_PATH_CHARACTERS = 200


class RestApi:
    """Every route, of this account and of each open section that has an API."""

    def __init__(
        self,
        host: LocalHost,
        tokens: TokenStore,
        account_id: str,
        admins: Mapping[str, Any],
        *,
        has_explorer: bool = False,
    ) -> None:
        """`has_explorer`: answer what wrangler's `--local` asks, too, for a dev server. `tokens` is the caller's."""
        self._host = host
        self._account_id = account_id
        self._tokens = tokens
        routes = list(account_routes(account_id))
        answerers: list[Answerer] = []
        local_routes: list[Route] = []
        self._other_paths: dict[str, Any] = {}
        for section, admin in admins.items():
            if has_api(section):
                routes += routes_of(section)(admin)
                if has_explorer and (local := local_routes_of(section)) is not None:
                    local_routes += local(admin)
                self._other_paths |= described_paths(section)
                if (answer := answerer_of(section)) is not None:
                    answerers.append(partial(answer, admin))
        routes.append(graphql_route(answerers))
        self.table = RouteTable(routes)
        self._explorer = RouteTable(local_routes)

    async def fetch(self, request: Request) -> Response:
        """Answer a request; never raises but for cancellation."""
        try:
            return await self._answer(request)
        except ApiError as error:
            return failure(error)
        except RefusedError as error:
            return failure(ApiError(error.http_status, REFUSED + error.http_status, str(error)))
        except Exception as error:  # the border of the API: whatever failed is logged, never shown
            reference = request_id.get() or self._host.new_id()
            self._host.log.error("api_call_failed", reference=reference, exc_info=error)
            return _own_failure(error, reference)

    async def _answer(self, request: Request) -> Response:
        origin, path, query = _split(request.url)
        if path == DESCRIPTION_PATH:
            return json_response(describe(self.table.routes, self._other_paths, origin, f"{API_PATH}{BASE_PATH}"))
        explored = explorer_path_of(path)
        if explored is not None:
            match = self._explorer.find(explored) if is_from_this_machine(request) else None
        else:
            match = self.table.find(path.removeprefix(BASE_PATH)) if path.startswith(f"{BASE_PATH}/") else None
        if match is None:
            shown = path[:SHOWN_PATH_CHARACTERS]
            message = f"Could not route to {shown}, perhaps your object identifier is invalid?"
            raise ApiError(404, 7003, message, [(7000, "No route for that URI")])
        method = wire_method(request)
        route = match.routes.get(method)
        if route is None:
            allowed = ", ".join(sorted(match.routes))
            error = ApiError(405, 10405, f"Method {method} not allowed for this route. Allowed: {allowed}")
            return failure(error, {"allow": allowed})
        tokens = self._tokens if explored is None else None
        token = _token_of(request, tokens, route)
        params = match.params(route)
        if params.pop("account_id", self._account_id) != self._account_id:
            raise ApiError(NOT_VALID_HERE.status, NOT_VALID_HERE.code, NOT_VALID_HERE.message)
        _require_permission(token, route)
        body = None if route.body is None else await _body(request, route)
        call = Call(
            route,
            params,
            _query(query, route),
            body,
            request.headers,
            token,
            origin,
            self._account_id,
            self._host.now(),
            partial(_is_permitted, request, tokens, route),
        )
        result = await route.handler(call)
        return result if isinstance(result, Response) else success(result)


def _token_of(request: Request, tokens: TokenStore | None, route: Route) -> Token:
    """Who calls; without tokens it is anybody here."""
    return ANYBODY_HERE if tokens is None else authenticate(request.headers, tokens, route.bad_token)


def _require_permission(token: Token, route: Route) -> None:
    if route.permission and not token.permits(route.permission):
        raise ApiError(403, 9109, "Unauthorized to access requested resource")


def _is_permitted(request: Request, tokens: TokenStore | None, route: Route) -> bool:
    try:
        _require_permission(_token_of(request, tokens, route), route)
    except ApiError:
        return False
    return True


def _own_failure(error: Exception, reference: str) -> Response:
    if isinstance(error, BackendError):  # storage that failed may work again
        message = f"The storage failed. Reference: {reference}"
        return failure(ApiError(error.http_status, OWN_FAILURE, message, retry_after_s=RETRY_AFTER_S))
    return failure(ApiError(500, OWN_FAILURE, f"Internal error. Reference: {reference}"))


def _split(url: str) -> tuple[str, str, str]:
    """Where the server is, without the API's host name; the path as the API knows it, raw; the query."""
    host_at = url.find("//") + 2
    path_at = url.find("/", host_at)
    host, (path, _, query) = url[host_at:path_at], url[path_at:].partition("?")
    if is_api_host(host):
        host = host.replace(API_HOST, "localhost", 1)
    return f"{url[:host_at]}{host}", path.removeprefix(API_PATH), query


def _query(text: str, route: Route) -> dict[str, str]:
    """The first value of each parameter; a flag given bare is true, as `?force`, which is not the empty `?force=`."""
    flags = {one.name for one in route.query if one.type == "boolean"}
    text = "&".join(f"{part}=true" if part in flags else part for part in text.split("&"))
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=QUERY_FIELDS_MAX)
    except ValueError as error:
        raise ApiError(400, route.invalid_code, f"The query has more than {QUERY_FIELDS_MAX} fields.") from error
    return dict(reversed(pairs))


async def _body(request: Request, route: Route) -> Any:
    """The body as the route's type. JSON whatever the Content-Type says: wrangler calls it text. Empty is null."""
    raw = await _read(request, route.body_bytes_max)
    try:
        return msgspec.json.decode(raw.strip() or b"null", type=route.body)
    except msgspec.ValidationError as error:
        raise ApiError(400, route.invalid_code, f"Invalid request body: {error}") from error
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise ApiError(400, route.invalid_code, f"The request body is no JSON: {error}") from error


async def _read(request: Request, bytes_max: int) -> bytes:
    body = wire_request_body(request)
    if body is None:
        return b""
    read: list[bytes] = []
    size_bytes = 0
    try:
        async for chunk in body.chunks():
            size_bytes += len(chunk)
            if size_bytes > bytes_max:
                raise RefusedError(413, f"The request body is larger than {bytes_max} bytes.")
            read.append(chunk)
    except OSError as error:  # the client left
        raise RefusedError(400, "The request body did not arrive whole.") from error
    return b"".join(read)
