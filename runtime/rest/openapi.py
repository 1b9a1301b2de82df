"""The API described as OpenAPI 3.1, from the table of routes: nothing is written down twice."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import msgspec

from .route_table import parameter_names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ...bindings._shared.rest import Route

_JSON = "application/json"
_MESSAGES = {"type": "array", "items": {"$ref": "#/components/schemas/Message"}}
_ENVELOPE = {
    "type": "object",
    "required": ["success", "errors", "messages", "result"],
    "properties": {"success": {"type": "boolean"}, "errors": _MESSAGES, "messages": _MESSAGES, "result": {}},
}
_MESSAGE = {
    "type": "object",
    "required": ["code", "message"],
    "properties": {"code": {"type": "integer"}, "message": {"type": "string"}},
}
_SECURITY_SCHEMES = {
    "token": {"type": "http", "scheme": "bearer"},
    "email": {"type": "apiKey", "in": "header", "name": "X-Auth-Email"},
    "key": {"type": "apiKey", "in": "header", "name": "X-Auth-Key"},
}


def describe(routes: Sequence[Route], other_paths: Mapping[str, Any], origin: str, base_path: str) -> dict[str, Any]:
    """The document for the routes, served under `origin` and `base_path`, and for paths from the server's root."""
    bodies = tuple({route.body: None for route in routes if route.body is not None})
    schemas, components = msgspec.json.schema_components(bodies, ref_template="#/components/schemas/{name}")
    by_body = dict(zip(bodies, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        schema = None if route.body is None else by_body[route.body]
        paths.setdefault(route.pattern, {})[route.method.lower()] = _operation(route, schema)
    for path, item in other_paths.items():
        paths[path] = {"servers": [{"url": origin}], **item}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Edge", "version": version("edge-workers")},
        "servers": [{"url": f"{origin}{base_path}"}],
        "security": [{"token": []}, {"email": [], "key": []}],
        "paths": paths,
        "components": {
            "schemas": {"Envelope": _ENVELOPE, "Message": _MESSAGE, **components},
            "securitySchemes": _SECURITY_SCHEMES,
        },
    }


def _operation(route: Route, body: dict[str, Any] | None) -> dict[str, Any]:
    envelope = {"content": {_JSON: {"schema": {"$ref": "#/components/schemas/Envelope"}}}}
    operation: dict[str, Any] = {
        "operationId": f"{route.method.lower()}{route.pattern.replace('/', '_').translate(_BARE)}",
        "summary": (route.handler.__doc__ or "").partition("\n")[0],
        "parameters": [
            *(
                {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
                for name in parameter_names(route.pattern)
            ),
            *({"name": one.name, "in": "query", "schema": {"type": one.type}} for one in route.query),
        ],
        "responses": {"200": {"description": "Done.", **envelope}, "default": {"description": "Refused.", **envelope}},
    }
    if route.permission:
        operation["description"] = f"A token has to allow `{route.permission}`."
    if body is not None:
        operation["requestBody"] = {"required": not _is_optional(route.body), "content": {_JSON: {"schema": body}}}
    return operation


def _is_optional(body: Any) -> bool:
    """Whether nothing will do, which is read as null."""
    try:
        msgspec.convert(None, body)
    except msgspec.ValidationError:
        return False
    return True


_BARE = str.maketrans("", "", "{}")
