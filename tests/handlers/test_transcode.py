"""The transcode example: a manifest whose steps are functions of a file and methods of a binding."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from edge.runtime.core.body import Body
from edge.runtime.core.request import incoming_request
from edge.runtime.hosts.local import LocalMachine
from edge.runtime.hosts.state_folder import prepare_state_folder
from edge.runtime.serve import ConfigChoice, load_config, open_local_app
from edge.runtime.testing.fake_host import RecordingLog

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

EXAMPLE = Path(__file__).parent.parent.parent / "handlers/transcode"
WIDE = f"P2 400 2 9\n{' '.join(str(column // 40) for _ in range(2) for column in range(400))}"


@pytest.fixture
async def ask(tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    choice = ConfigChoice(EXAMPLE / "wrangler.jsonc")
    host = LocalMachine(prepare_state_folder(tmp_path), RecordingLog())
    async with aclosing(host), open_local_app(choice, host, load_config(choice)) as app:

        async def ask(method: str, path: str, body: str = "") -> Any:
            sent = Body(whole=body.encode()) if body else None
            request = incoming_request(method, f"http://localhost/{path}", [], sent)
            answer = await app.fetch(request)
            text = await answer.text()
            return json.loads(text) if text.startswith("{") else text

        yield ask


async def reach(ask: Callable[..., Any], key: str, status: str) -> Any:
    async with asyncio.timeout(60):
        while (found := await ask("GET", f"{key}/status"))["status"] != status:
            pass
    return found


async def test_a_picture_is_there_in_smaller_widths(ask: Callable[..., Any]) -> None:
    await ask("PUT", "wide", WIDE)
    assert (await reach(ask, "wide", "complete"))["output"] == ["/wide@320", "/wide@160", "/wide@80"]
    head, pixels = (await ask("GET", "wide@80")).split("\n")
    assert (head, pixels) == ("P2 80 1 9", " ".join(str(column // 8) for column in range(80)))


@pytest.mark.parametrize(("approved", "status"), [(True, "complete"), (False, "errored")])
async def test_a_picture_waits_for_its_review(ask: Callable[..., Any], approved: bool, status: str) -> None:
    await ask("PUT", "wide?review", WIDE)
    await reach(ask, "wide", "waiting")
    assert (await ask("GET", "wide@80")).startswith("P2 80 1 9")
    await ask("POST", "wide/review", json.dumps({"approved": approved, "by": "ada"}))
    found = await reach(ask, "wide", status)
    assert found.get("error") == (None if approved else {"name": "NonRetryableError", "message": "ada refused wide"})
    assert (await ask("GET", "wide@80") == "No such picture.\n") is not approved


async def test_what_is_no_picture_fails_at_once(ask: Callable[..., Any]) -> None:
    await ask("PUT", "text", "hello")
    error = (await reach(ask, "text", "errored"))["error"]
    assert error == {"name": "NonRetryableError", "message": "This is no picture in the plain PGM format."}
