"""Manifests over the REST API."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conftest import Api, Reply

WORKFLOWS = "{A}/workflows"
ORDERS = f"{WORKFLOWS}/orders"
MANIFEST = """
kind: Workflow/v1
steps:
  nap: {sleep: 1 hour}
  greet: {needs: nap, wait_for_event: "${params.event}"}
output: "${steps.greet.out.payload}"
"""


async def test_a_manifest_that_is_put_runs_and_has_its_graph(orders: Api) -> None:
    put = await orders.call("PUT", f"{WORKFLOWS}/greeter/manifest", {"manifest": MANIFEST})
    again = await orders.call("PUT", f"{WORKFLOWS}/greeter/manifest", {"manifest": f"# the same\n{MANIFEST}"})
    assert put["version_id"] == again["version_id"]
    graph = await orders.call("GET", f"{WORKFLOWS}/greeter/versions/{put['version_id']}/graph")
    assert [node["type"] for node in graph["graph"]["workflow"]["nodes"]] == ["step_sleep", "step_wait_for_event"]
    made = await orders.call("POST", f"{WORKFLOWS}/greeter/instances", {"params": {"event": "hi"}})
    assert made["version_id"] == put["version_id"]
    await orders.reach("greeter", made["id"], "waiting")


async def test_each_problem_of_a_manifest_is_told_with_its_place(orders: Api) -> None:
    body = {"manifest": MANIFEST.replace("1 hour", "1 hoor").replace("needs: nap", "needs: nip"), "file": "g.yaml"}
    reply = await orders.ask("PUT", f"{WORKFLOWS}/greeter/manifest", body=body)
    assert_refused(reply)
    chain = [one["message"] for one in reply.json()["errors"][0]["error_chain"]]
    assert [text.partition(": ")[0] for text in chain] == ["g.yaml:4:16", "g.yaml:5:18"]


async def test_a_manifest_does_not_replace_a_class(orders: Api) -> None:
    assert_refused(await orders.ask("PUT", f"{ORDERS}/manifest", body={"manifest": MANIFEST}))


def assert_refused(reply: Reply) -> None:
    assert (reply.status, reply.codes) == (400, [10002]), reply.body
