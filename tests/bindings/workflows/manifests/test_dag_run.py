"""Manifests, run."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from edge.bindings.workflows.journal.records import Status

if TYPE_CHECKING:
    from collections.abc import Callable

MEDIA = """
    import asyncio

    calls = []

    async def probe(key):
        calls.append(("probe", key))
        return {"streams": [{"codec": "h264"}], "key": key}

    def ladder(src, height):
        calls.append(("ladder", height))
        return f"{src}@{height}"

    async def publish(files, approved_by=None):
        return {"url": "/" + "+".join(files), "by": approved_by}
"""


async def test_each_step_gets_what_earlier_ones_returned(serve: Callable[..., Any], write: Any) -> None:
    write("media.py", MEDIA)
    site = await serve("""
        kind: Workflow/v1
        steps:
          publish: {uses: "./media.py:publish", with: {files: "${steps.ladder.out}"}}
          ladder:
            uses: ./media.py:ladder
            for_each: [360, 720]
            with: {src: "${steps.probe.out.key}-${steps.probe.out.streams[0].codec}", height: "${item}"}
          probe: {uses: "./media.py:probe", with: {key: "${params.key}"}}
        output: {url: "${steps.publish.out.url}"}
    """)
    instance = await site.create({"key": "film"})
    assert await site.output(instance) == {"url": "/film-h264@360+film-h264@720"}
    assert set(await site.steps(instance)) == {"probe-1", "ladder[0]-1", "ladder[1]-1", "publish-1"}


async def test_what_depends_on_a_skipped_step_sees_null(serve: Callable[..., Any], write: Any) -> None:
    write("media.py", MEDIA)
    site = await serve("""
        kind: Workflow/v1
        steps:
          approve: {wait_for_event: reviewed, if: "${params.review}"}
          publish:
            uses: ./media.py:publish
            with: {files: [a], approved_by: "${steps.approve.out.payload.by}"}
        output: ["${steps.publish.out.by}", "${steps.approve.skipped}"]
    """)
    assert await site.output(await site.create({"review": False})) == [None, True]
    reviewed = await site.create({"review": True})
    await site.reach(reviewed, "waiting")
    await reviewed.send_event({"type": "reviewed", "payload": {"by": "me"}})
    assert await site.output(reviewed) == ["me", False]


async def test_a_child_is_waited_for_and_gives_its_output(serve: Callable[..., Any], write: Any, host: Any) -> None:
    write("media.py", MEDIA)
    child = """
        kind: Workflow/v1
        steps:
          nap: {sleep: "${params.nap}"}
        output: "rested ${params.nap}"
    """
    site = await serve(
        """
        kind: Workflow/v1
        steps:
          rest: {workflow: resting, with: {nap: 1 hour}}
          again: {workflow: resting, with: {nap: 0}, needs: rest}
        output: ["${steps.rest.out}", "${steps.again.out}"]
        """,
        {"resting": child},
    )
    instance = await site.create()
    await until_children(site, "resting", Status.WAITING)
    await host.advance(3600)
    assert await site.output(instance) == ["rested 1 hour", "rested 0"]


async def until_children(site: Any, workflow: str, status: Status) -> None:
    """Return once an instance of a child workflow is in a status."""
    async with asyncio.timeout(20):
        while not (await site.journal.counts(workflow)).get(status):  # noqa: ASYNC110 - the journal tells nobody
            await asyncio.sleep(0)
