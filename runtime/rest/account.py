"""Routes that no binding owns: the user, the token in use, the one account.

Source: spec "Cloudflare API", 1.5.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ...bindings._shared.permissions import ACCOUNT_READ
from ...bindings._shared.rest import PAGES, Answer, ApiError, Refusal, Route, page_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...bindings._shared.rest import Call

ACCOUNT_NAME = "Edge on this machine"
USER_EMAIL = "edge@localhost"
"""Of a caller with a token, which has no address."""
INVALID_TOKEN = Refusal(401, 1000, "Invalid API Token")


def account_routes(account_id: str) -> Sequence[Route]:
    account: dict[str, Any] = {
        "id": account_id,
        "name": ACCOUNT_NAME,
        "type": "standard",
        "settings": {},
        "created_on": None,
    }
    membership: dict[str, Any] = {
        "id": account_id,
        "status": "accepted",
        "roles": ["Administrator"],
        "account": account,
        "permissions": {},
    }

    async def list_accounts(call: Call) -> Answer:
        """List accounts: this machine is one."""
        return page_of(call, [account], dict)

    async def get_account(_call: Call) -> dict[str, Any]:
        """Get the account."""
        return account

    async def list_memberships(call: Call) -> Answer:
        """List memberships: one, of the one account."""
        return page_of(call, [membership], dict)

    return (
        Route("GET", "/user", get_user, ""),
        Route("GET", "/user/tokens/verify", verify_token, "", bad_token=INVALID_TOKEN),
        Route("GET", "/accounts", list_accounts, "", query=PAGES),
        Route("GET", "/accounts/{account_id}", get_account, ACCOUNT_READ),
        Route("GET", "/accounts/{account_id}/tokens/verify", verify_token, "", bad_token=INVALID_TOKEN),
        Route("GET", "/memberships", list_memberships, "", query=PAGES),
    )


async def get_user(call: Call) -> dict[str, Any]:
    """Get the user."""
    return {"id": call.account_id, "email": call.token.email or USER_EMAIL, "first_name": None, "last_name": None}


async def verify_token(call: Call) -> Answer:
    """Say whether the token in use is good."""
    token = call.token
    if token.expires_at is None:  # a global key is no token
        raise ApiError(INVALID_TOKEN.status, INVALID_TOKEN.code, INVALID_TOKEN.message)
    expires_on = datetime.fromtimestamp(token.expires_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    message = {"code": 10000, "message": "This API Token is valid and active"}
    return Answer({"id": token.id, "status": "active", "expires_on": expires_on}, messages=[message])
