"""Every route by who calls and for whose account (catalogue A2), and every page by where it comes from (B1).

The table is made of the routes themselves; what a route is expected to want stands here once more, by hand, so that a
new one fails until somebody has said who may call it.
"""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Any

import pytest

from edge.bindings._shared.permissions import canonical_permission
from edge.wrangler_config.worker_config import LOCAL_ACCOUNT_ID

if TYPE_CHECKING:
    from conftest import Api, Reply

READ, WRITE, ANYONE, ACCOUNT = "Pipelines Read", "Pipelines Write", "", "Account Settings Read"
SCRIPTS_READ, SCRIPTS_WRITE = "Workers Scripts Read", "Workers Scripts Write"
WORKFLOW = "/accounts/{account_id}/workflows/{workflow_name}"
INSTANCE = f"{WORKFLOW}/instances/{{instance_id}}"
V1 = "/accounts/{account_id}/pipelines/v1"
WANTS = {
    ("GET", "/user"): ANYONE,
    ("GET", "/user/tokens/verify"): ANYONE,
    ("GET", "/accounts"): ANYONE,
    ("GET", "/accounts/{account_id}"): ACCOUNT,
    ("GET", "/accounts/{account_id}/tokens/verify"): ANYONE,
    ("GET", "/memberships"): ANYONE,
    ("POST", "/graphql"): ANYONE,
    ("GET", "/accounts/{account_id}/pipelines"): READ,
    ("GET", "/accounts/{account_id}/pipelines/{pipeline_name}"): READ,
    ("PUT", "/accounts/{account_id}/pipelines/{pipeline_name}"): WRITE,
    ("DELETE", "/accounts/{account_id}/pipelines/{pipeline_name}"): WRITE,
    ("GET", f"{V1}/streams"): READ,
    ("POST", f"{V1}/streams"): WRITE,
    ("GET", f"{V1}/streams/{{stream_id}}"): READ,
    ("PATCH", f"{V1}/streams/{{stream_id}}"): WRITE,
    ("DELETE", f"{V1}/streams/{{stream_id}}"): WRITE,
    ("GET", f"{V1}/sinks"): READ,
    ("POST", f"{V1}/sinks"): WRITE,
    ("GET", f"{V1}/sinks/{{sink_id}}"): READ,
    ("DELETE", f"{V1}/sinks/{{sink_id}}"): WRITE,
    ("GET", f"{V1}/pipelines"): READ,
    ("POST", f"{V1}/pipelines"): WRITE,
    ("GET", f"{V1}/pipelines/{{pipeline_id}}"): READ,
    ("DELETE", f"{V1}/pipelines/{{pipeline_id}}"): WRITE,
    ("POST", f"{V1}/validate_sql"): READ,
    ("GET", "/accounts/{account_id}/workflows"): SCRIPTS_READ,
    ("GET", WORKFLOW): SCRIPTS_READ,
    ("PUT", WORKFLOW): SCRIPTS_WRITE,
    ("PUT", f"{WORKFLOW}/manifest"): SCRIPTS_WRITE,
    ("DELETE", WORKFLOW): SCRIPTS_WRITE,
    ("GET", f"{WORKFLOW}/versions"): SCRIPTS_READ,
    ("GET", f"{WORKFLOW}/versions/{{version_id}}"): SCRIPTS_READ,
    ("GET", f"{WORKFLOW}/versions/{{version_id}}/graph"): SCRIPTS_READ,
    ("GET", f"{WORKFLOW}/instances"): SCRIPTS_READ,
    ("POST", f"{WORKFLOW}/instances"): SCRIPTS_WRITE,
    ("POST", f"{WORKFLOW}/instances/batch"): SCRIPTS_WRITE,
    ("POST", f"{WORKFLOW}/instances/batch/delete"): SCRIPTS_WRITE,
    ("PUT", f"{WORKFLOW}/instances/terminate"): SCRIPTS_WRITE,
    ("GET", INSTANCE): SCRIPTS_READ,
    ("DELETE", INSTANCE): SCRIPTS_WRITE,
    ("GET", f"{INSTANCE}/step"): SCRIPTS_READ,
    ("GET", f"{INSTANCE}/subscribe"): SCRIPTS_READ,
    ("PATCH", f"{INSTANCE}/status"): SCRIPTS_WRITE,
    ("POST", f"{INSTANCE}/events/{{event_type}}"): SCRIPTS_WRITE,
}
VERIFY = "tokens/verify"
CALLERS = (
    "nobody", "email alone", "key alone", "not a bearer", "empty bearer", "two tokens", "odd key", "unknown key",
    "another's key", "a word", "forged", "expired", "revoked", "read-only", "write", "sender", "tail", "other product",
    "everything", "read everything", "global key", "revoked key",
)  # fmt: skip
ACCOUNTS = {"own": LOCAL_ACCOUNT_ID, "foreign": "f" * 32}


async def headers_of(api: Api) -> dict[str, dict[str, str]]:
    """What each caller sends. Everything is made here, in one go: a token costs a sync of the disk."""
    store = api.tokens
    revoked, expired, good = (
        store.create("All Write"),
        store.create("All Write", expires_s=1),
        store.create("All Write"),
    )
    key, revoked_key = store.create_global_key("ada@example.com"), store.create_global_key("eve@example.com")
    for token in store.list():
        if token.email == "eve@example.com":
            store.revoke(token.id)
    found = store.verify(revoked)
    assert found is not None
    store.revoke(found.id)
    await api.host.advance(2)

    def pair(email: str, text: str) -> dict[str, str]:
        return {"x-auth-email": email, "x-auth-key": text}

    bearers = {
        "a word": "nope",
        "forged": good[:-2] + ("AA" if not good.endswith("AA") else "BB"),
        "expired": expired,
        "revoked": revoked,
        "read-only": store.create("Workers Pipelines Read", "Workers Scripts Read", "Account Settings Read"),
        "write": store.create("Workers Pipelines Write", "Workers Scripts Edit", "Account Settings Write"),
        "sender": store.create("Workers Pipeline Send"),
        "tail": store.create("Workers Tail Read"),
        "other product": store.create("Queues Write"),
        "everything": good,
        "read everything": store.create("All Read"),
    }
    return {
        "nobody": {},
        "email alone": {"x-auth-email": "ada@example.com"},
        "key alone": {"x-auth-key": key},
        "not a bearer": {"authorization": f"Basic {good}"},
        "empty bearer": {"authorization": "Bearer "},
        "two tokens": {"authorization": f"Bearer {good} {good}"},
        "odd key": pair("ada@example.com", "x" * 37),
        "unknown key": pair("ada@example.com", "0" * 37),
        "another's key": pair("eve@example.com", key),
        "global key": pair("ada@example.com", key),
        "revoked key": pair("eve@example.com", revoked_key),
        **{caller: {"authorization": f"Bearer {token}"} for caller, token in bearers.items()},
    }


ALLOWED = {
    "read-only": {READ, SCRIPTS_READ, ACCOUNT, ANYONE},
    "write": {READ, WRITE, SCRIPTS_READ, SCRIPTS_WRITE, ACCOUNT, ANYONE},
    "sender": {ANYONE},
    "tail": {SCRIPTS_READ, ANYONE},
    "other product": {ANYONE},
    "everything": {READ, WRITE, SCRIPTS_READ, SCRIPTS_WRITE, ACCOUNT, ANYONE},
    "read everything": {READ, SCRIPTS_READ, ACCOUNT, ANYONE},
    "global key": {READ, WRITE, SCRIPTS_READ, SCRIPTS_WRITE, ACCOUNT, ANYONE},
}


def expected(caller: str, account: str, pattern: str, wanted: str) -> tuple[int, int] | None:
    """Status and code of the refusal; None when the call gets through."""
    if caller in {"nobody", "email alone", "key alone"}:
        return 400, 9106
    if caller in {"not a bearer", "empty bearer", "two tokens", "odd key"}:
        return 400, 6003
    if caller in {"unknown key", "another's key", "revoked key"}:
        return 403, 9103
    if caller not in ALLOWED:
        return (401, 1000) if VERIFY in pattern else (403, 10000)
    if account == "foreign" and "{account_id}" in pattern:
        return 403, 10000
    if wanted not in ALLOWED[caller]:
        return 403, 9109
    return None


async def test_every_route_answers_every_caller_as_the_table_says(api: Api) -> None:
    await api.call("GET", "/user")  # loads the API
    routes = api.app.gateway.api._api.table.routes  # type: ignore[union-attr]
    assert {(route.method, route.pattern) for route in routes} == set(WANTS), "a route without a row, or the reverse"
    for route in routes:
        assert route.permission in {"", canonical_permission(route.permission or "All Read")}
    headers = await headers_of(api)
    assert set(headers) == set(CALLERS)
    for (method, pattern), caller, account in itertools.product(WANTS, CALLERS, ACCOUNTS):
        path = pattern.replace("{account_id}", ACCOUNTS[account])
        path = re.sub(r"\{\w+\}", "0" * 32, path)
        reply = await api.ask(method, path, headers=headers[caller], raw=b"{}" if method in {"POST", "PATCH"} else None)
        refusal = expected(caller, account, pattern, WANTS[method, pattern])
        what = f"{caller}, {account} account: {method} {pattern} -> {reply.status} {reply.body!r}"
        if refusal is not None:
            assert (reply.status, *reply.codes) == refusal, what
        elif VERIFY in pattern and caller == "global key":
            assert (reply.status, *reply.codes) == (401, 1000), what  # it is no token
        else:
            assert reply.status == 200 or not {10000, 9109, 9106, 6003, 9103} & set(reply.codes), what
            assert reply.status < 500, what


async def test_nothing_was_changed_by_who_may_not(api: Api) -> None:
    headers = {"authorization": f"Bearer {api.tokens.create('All Read')}"}
    assert (await api.ask("POST", "{A}/pipelines/v1/streams", headers=headers, body={"name": "s"})).status == 403
    assert await api.call("GET", "{A}/pipelines/v1/streams") == []


def is_envelope(reply: Reply) -> bool:
    return reply.headers["content-type"] == "application/json" and set(reply.json()) >= {"success", "errors", "result"}


async def test_the_same_error_for_every_bad_token_byte_for_byte(api: Api) -> None:
    headers = await headers_of(api)
    bad = [await api.ask("GET", "/user", headers=headers[one]) for one in ("a word", "forged", "expired", "revoked")]
    assert len({(one.status, one.body) for one in bad}) == 1
    assert all(map(is_envelope, bad))


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:1"])
async def test_a_page_of_another_origin_gets_nothing_even_with_a_good_token(api: Api, origin: str) -> None:
    headers: dict[str, Any] = {"authorization": f"Bearer {api.token}", "origin": origin}
    reply = await api.ask("GET", "/user", headers=headers)
    assert reply.status == 403
    assert "access-control-allow-origin" not in reply.headers
    for extra in ({"host": "api.localhost"}, {"host": "evil.example"}):
        assert (await api.ask("GET", "/user", headers={**headers, **extra})).status == 403


async def test_a_browsers_preflight_is_granted_nothing(api: Api) -> None:
    headers = {"origin": "https://evil.example", "access-control-request-method": "POST"}
    reply = await api.ask("OPTIONS", "/user", headers=headers)
    assert reply.status == 403
    assert "access-control-allow-origin" not in reply.headers
