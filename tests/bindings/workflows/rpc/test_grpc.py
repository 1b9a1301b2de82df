"""Workflows over gRPC, by a real client."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from grpc._cython import cygrpc

from edge.bindings._shared import tokens
from edge.bindings.workflows.rpc import grpc_server, messages
from edge.runtime.hosts.local import LocalMachine
from edge.runtime.hosts.state_folder import prepare_state_folder
from edge.runtime.serve import ConfigChoice, load_config, open_local_app
from edge.runtime.testing.fake_host import RecordingLog

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

RPC = Path(grpc_server.__file__).parent

MANIFEST = """
kind: Workflow/v1
steps:
  nap: {sleep: 0}
  wait: {wait_for_event: go, needs: nap}
output: {got: "${steps.wait.out.payload}", from: "${params}"}
"""

HOW = "Send the metadata authorization: Bearer TOKEN, with a token of `edge token create`."

REQUESTS = {
    "Create": "CreateRequest",
    "Get": "InstanceName",
    "List": "ListRequest",
    "SendEvent": "SendEventRequest",
    "SetStatus": "SetStatusRequest",
    "Subscribe": "SubscribeRequest",
}


class Client:
    """`await client.Get(workflow=..., id=...)`, with a token unless told otherwise."""

    def __init__(self, channel: Any, token: str | None) -> None:
        self._channel = channel
        self._token = token

    def __getattr__(self, method: str) -> Any:
        request = messages.message(REQUESTS[method])
        made = self.call(method, request.SerializeToString)
        return lambda **fields: made(request(**fields))

    def call(self, method: str, request: Any) -> Any:
        """The call of what `request` makes bytes of."""
        answer = messages.message(
            {"List": "ListReply", "SendEvent": "SendEventReply", "Subscribe": "Event"}.get(method, "Instance")
        )
        call = self._channel.unary_stream if method == "Subscribe" else self._channel.unary_unary
        made = call(f"/{messages.SERVICE}/{method}", request, answer.FromString)
        metadata = None if self._token is None else (("authorization", f"Bearer {self._token}"),)
        return lambda asked: made(asked, metadata=metadata)


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Any]:
    """`served(*permissions)`: a client whose token allows that."""
    (tmp_path / "wrangler.jsonc").write_text(
        json.dumps({"name": "demo", "main": "entry.py", "compatibility_date": "2026-09-08"})
    )
    (tmp_path / "edge.toml").write_text('[grpc]\nport = 0\n[workflows.waiter]\nmanifest = "w.yaml"\n')
    (tmp_path / "w.yaml").write_text(MANIFEST)
    (tmp_path / "entry.py").write_text("async def fetch(request, env, ctx): ...\n")
    choice = ConfigChoice(tmp_path / "wrangler.jsonc")
    log = RecordingLog()
    host = LocalMachine(prepare_state_folder(tmp_path / ".edge"), log)
    store = tokens.TokenStore(host.state_dir)
    async with open_local_app(choice, host, load_config(choice)):
        async with asyncio.timeout(60):
            while "grpc_listening" not in log.events("info"):  # noqa: ASYNC110 - the log tells nobody
                await asyncio.sleep(0.001)
        (port,) = [values["port"] for _, event, values in log.lines if event == "grpc_listening"]
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:

            def client(*permissions: str) -> Client:
                return Client(channel, store.create(*permissions) if permissions else None)

            yield client
    store.close()
    await host.aclose()
    assert log.events("error") == []


@asynccontextmanager
async def refused(code: grpc.StatusCode, details: str) -> AsyncIterator[None]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        yield
    assert (caught.value.code(), caught.value.details()) == (code, details)


async def reach(client: Client, instance_id: str, status: str) -> Any:
    async with asyncio.timeout(60):
        while (found := await client.Get(workflow="waiter", id=instance_id)).status != status:
            pass
    return found


async def test_an_instance_from_create_to_its_output(served: Any) -> None:
    client = served("Workers Scripts Write")
    made = await client.Create(workflow="waiter", id="a", params='{"n": 12345678901234567890}')
    assert (made.workflow, made.id, len(made.version_id)) == ("waiter", "a", 32)
    await reach(client, "a", "waiting")
    sent = await client.SendEvent(workflow="waiter", id="a", type="go", payload='{"by": "ada"}')
    assert (sent.sent_ms > made.created_ms - 1, sent.is_dropped) == (True, False)
    done = await reach(client, "a", "complete")
    assert json.loads(done.output) == {"got": {"by": "ada"}, "from": {"n": 12345678901234567890}}
    assert done.created_ms <= done.started_ms <= done.ended_ms


async def test_a_subscription_has_what_was_then_what_comes_and_ends(served: Any) -> None:
    client = served("Workers Scripts Write")
    await client.Create(workflow="waiter", id="a")
    await reach(client, "a", "waiting")
    seen = []
    async for event in client.Subscribe(workflow="waiter", id="a"):
        seen.append(event)
        if event.type == "wait_started":
            await client.SendEvent(workflow="waiter", id="a", type="go")
    types = [event.type for event in seen]
    assert (types[0], types[-1]) == ("workflow_queued", "workflow_completed")
    assert [event.event_id for event in seen] == sorted({event.event_id for event in seen})
    assert json.loads(seen[-1].json)["eventId"] == seen[-1].event_id
    later = [event async for event in client.Subscribe(workflow="waiter", id="a", cursor=seen[-2].event_id)]
    assert later == seen[-1:]
    only = client.Subscribe(workflow="waiter", id="a", types=["wait_started"])
    assert [event.type async for event in only] == ["wait_started"]


async def test_instances_are_listed_by_page_and_status(served: Any) -> None:
    client = served("Workers Scripts Write")
    for number in range(3):
        await client.Create(workflow="waiter", id=f"i{number}", params='"large"')
    await client.SetStatus(workflow="waiter", id="i1", action="TERMINATE")
    first = await client.List(workflow="waiter", per_page=2)
    assert ([one.id for one in first.instances], first.total_count) == (["i2", "i1"], 3)
    assert [one.params for one in first.instances] == ["", ""]
    rest = await client.List(workflow="waiter", per_page=2, cursor=first.cursor)
    assert ([one.id for one in rest.instances], rest.cursor) == (["i0"], "")
    ended = await client.List(workflow="waiter", status="terminated")
    assert [one.id for one in ended.instances] == ["i1"]


async def test_an_instance_is_paused_resumed_and_restarted(served: Any) -> None:
    client = served("Workers Scripts Write")
    await client.Create(workflow="waiter", id="a")
    await reach(client, "a", "waiting")
    assert (await client.SetStatus(workflow="waiter", id="a", action="PAUSE")).status == "paused"
    await client.SetStatus(workflow="waiter", id="a", action="RESUME")
    await reach(client, "a", "waiting")
    assert (await client.SetStatus(workflow="waiter", id="a", action="TERMINATE")).status == "terminated"
    await client.SetStatus(workflow="waiter", id="a", action="RESTART")
    await reach(client, "a", "waiting")


async def test_who_may_not_is_refused(served: Any) -> None:
    reader, nobody = served("Workers Scripts Read"), served()
    async with refused(grpc.StatusCode.UNAUTHENTICATED, HOW):
        await nobody.Get(workflow="waiter", id="a")
    async with refused(grpc.StatusCode.UNAUTHENTICATED, HOW):
        await Client(nobody._channel, "nonsense").List(workflow="waiter")
    async with refused(grpc.StatusCode.UNAUTHENTICATED, HOW):
        [event async for event in nobody.Subscribe(workflow="waiter", id="a")]
    async with refused(grpc.StatusCode.PERMISSION_DENIED, 'The token does not allow "Workers Scripts Write".'):
        await reader.Create(workflow="waiter")
    assert (await reader.List(workflow="waiter")).total_count == 0


async def test_a_refusal_has_cloudflares_key_and_a_sentence(served: Any) -> None:
    client = served("Workers Scripts Write")
    async with refused(grpc.StatusCode.NOT_FOUND, 'workflow.not_found: There is no workflow "nope".'):
        await client.Create(workflow="nope")
    async with refused(grpc.StatusCode.NOT_FOUND, 'instance.not_found: Workflow "waiter" has no instance "x".'):
        await client.SendEvent(workflow="waiter", id="x", type="go")
    await client.Create(workflow="waiter", id="a")
    exists = 'instance.already_exists: Workflow instance with id "a" already exists'
    async with refused(grpc.StatusCode.ALREADY_EXISTS, exists):
        await client.Create(workflow="waiter", id="a")
    await client.SetStatus(workflow="waiter", id="a", action="TERMINATE")
    final = "instance.cannot_terminate: Cannot terminate instance since its on a finite state"
    async with refused(grpc.StatusCode.FAILED_PRECONDITION, final):
        await client.SetStatus(workflow="waiter", id="a", action="TERMINATE")
    invalid = grpc.StatusCode.INVALID_ARGUMENT
    async with refused(invalid, "invalid_request: params is no JSON: JSON is malformed: invalid character (byte 0)."):
        await client.Create(workflow="waiter", params="x")
    async with refused(invalid, "invalid_request: There is no status 'odd'."):
        await client.List(workflow="waiter", status="odd")
    async with refused(invalid, "invalid_request: per_page is 1 to 100, got 101."):
        await client.List(workflow="waiter", per_page=101)
    async with refused(invalid, "invalid_request: action is one of PAUSE, RESUME, TERMINATE, RESTART."):
        await client.SetStatus(workflow="waiter", id="a")


NO_JSON = {
    "nan": "[NaN]",
    "bare_nan": "NaN",
    "infinity": '{"n": -Infinity}',
    "out_of_range": "1e999",
    "deep": "[" * 2000 + "]" * 2000,
    "cut_off": '{"n": ',
}


@pytest.mark.parametrize("text", NO_JSON.values(), ids=NO_JSON)
async def test_what_is_no_json_is_an_invalid_argument(served: Any, text: str) -> None:
    client = served("Workers Scripts Write")
    await client.Create(workflow="waiter", id="a")
    calls = {
        "params": client.Create(workflow="waiter", params=text),
        "payload": client.SendEvent(workflow="waiter", id="a", type="go", payload=text),
    }
    for what, call in calls.items():
        with pytest.raises(
            grpc.aio.AioRpcError, match=f"invalid_request: {what} (is no JSON: |could not be cloned: )"
        ) as caught:
            await call
        assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert (await client.List(workflow="waiter")).total_count == 1


@pytest.mark.parametrize("method", REQUESTS)
async def test_bytes_that_are_no_message_are_read_for_none_but_who_may_call(served: Any, method: str) -> None:
    async def send(client: Client) -> None:
        answer = client.call(method, bytes)(b"\xff\xff\xff")
        await (answer.read() if method == "Subscribe" else answer)

    wrong = f"invalid_request: What was sent is no {REQUESTS[method]}."
    async with refused(grpc.StatusCode.INVALID_ARGUMENT, wrong):
        await send(served("Workers Scripts Write"))
    async with refused(grpc.StatusCode.UNAUTHENTICATED, HOW):
        await send(served())


async def test_subscriptions_leave_room_for_other_calls(served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert grpc_server.SUBSCRIPTIONS_MAX < grpc_server.CALLS_MAX
    monkeypatch.setattr(grpc_server, "SUBSCRIPTIONS_MAX", 3)
    client = served("Workers Scripts Write")
    await client.Create(workflow="waiter", id="a")
    kept = [client.Subscribe(workflow="waiter", id="a") for _ in range(3)]
    for one in kept:
        await one.read()
    full = "This server has 3 subscriptions, and no more at once: end one of them."
    async with refused(grpc.StatusCode.RESOURCE_EXHAUSTED, full):
        await client.Subscribe(workflow="waiter", id="a").read()
    assert (await client.Get(workflow="waiter", id="a")).id == "a"
    kept.pop().cancel()
    kept.append(await subscribe_soon(client))
    for one in kept:
        one.cancel()


async def subscribe_soon(client: Client) -> Any:
    """A subscription, once there is a place: the server hears a little later of who left."""
    async with asyncio.timeout(60):
        while True:
            subscription = client.Subscribe(workflow="waiter", id="a")
            with suppress(grpc.aio.AioRpcError):
                await subscription.read()
                return subscription


@pytest.mark.parametrize("says_more", [False, True], ids=["of_silence", "of_events"])
async def test_a_subscription_ends_with_its_token(
    served: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says_more: bool
) -> None:
    monkeypatch.setattr(tokens, "POLL_SECONDS", 0.0)
    monkeypatch.setattr(grpc_server, "TOKEN_CHECK_SECONDS", 600 if says_more else 0.01)
    other, client = served("Workers Scripts Write"), served("Workers Scripts Read")
    await other.Create(workflow="waiter", id="a")
    await reach(other, "a", "waiting")
    subscription = client.Subscribe(workflow="waiter", id="a")
    while (await subscription.read()).type != "wait_started":
        pass
    with closing(tokens.TokenStore(tmp_path / ".edge" / "state")) as store:
        store.revoke(next(token.id for token in store.list() if not token.permits("Workers Scripts Write")))
    if says_more:
        await other.SendEvent(workflow="waiter", id="a", type="go")
    async with asyncio.timeout(60), refused(grpc.StatusCode.UNAUTHENTICATED, HOW):
        while await subscription.read() is not grpc.aio.EOF:  # what was on its way already
            pass


@pytest.mark.parametrize("is_read", [False, True], ids=["unread", "read"])
async def test_a_subscriber_who_leaves_is_no_error(
    served: Any, caplog: pytest.LogCaptureFixture, is_read: bool
) -> None:
    client = served("Workers Scripts Write")
    await client.Create(workflow="waiter", id="a", params=json.dumps("x" * 900_000))
    await reach(client, "a", "waiting")
    subscriptions = [client.Subscribe(workflow="waiter", id="a") for _ in range(10)]
    for one in subscriptions:
        await one.initial_metadata()
        while is_read and (await one.read()).type != "wait_started":
            pass
    for one in subscriptions:
        one.cancel()
    await client.Get(workflow="waiter", id="a")
    assert caplog.messages == []


async def test_a_write_to_who_has_left_is_no_error(
    served: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """grpc says so of a client that leaves between two turns of the loop, which cannot be had on demand."""

    failed = asyncio.Event()

    def fail(event: object) -> None:
        failed.set()
        raise cygrpc.ExecuteBatchError('Failed "execute_batch"')

    monkeypatch.setattr(grpc_server, "_event", fail)
    client = served("Workers Scripts Write")
    await client.Create(workflow="waiter", id="a")
    subscription = client.Subscribe(workflow="waiter", id="a")
    await failed.wait()
    subscription.cancel()
    await client.Get(workflow="waiter", id="a")
    assert caplog.messages == []


def test_the_descriptor_is_the_one_of_the_proto_file(tmp_path: Path) -> None:
    made = tmp_path / "made.binpb"
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{RPC}", f"--descriptor_set_out={made}", "workflows.proto"]
    subprocess.run(command, check=True, cwd=RPC)
    assert made.read_bytes() == (RPC / "workflows.binpb").read_bytes()
