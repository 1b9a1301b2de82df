"""Manifests, run."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from edge.bindings.workflows.journal.records import Status
from edge.runtime.core.errors import BindingError

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.runtime.testing.fake_host import FakeHost

MEDIA = """
    import asyncio

    calls, undone, gates = [], [], {}

    async def probe(key):
        return {"streams": [{"codec": "h264"}], "key": key}

    def ladder(src, height, ctx):
        calls.append((height, ctx["step"]["name"], ctx["attempt"]))
        return f"{src}@{height}"

    async def publish(files, approved_by=None):
        return {"url": "/" + "+".join(files), "by": approved_by}

    def fail(times=99):
        calls.append("fail")
        if calls.count("fail") <= times:
            raise ValueError("no such film")
        return "ok"

    async def gated(name):
        calls.append(name)
        await gates.setdefault(name, asyncio.Event()).wait()
        return name

    async def fail_after(name):
        await gated(name)
        raise ValueError("no such film")

    async def stubborn(name):
        try:
            await gated(name)
        except asyncio.CancelledError:
            return "late"

    async def undo(**about):
        undone.append(about)
"""


@pytest.fixture
def media(write: Callable[[str, str], None]) -> Any:
    """The module of the functions."""
    import importlib

    write("media.py", MEDIA)
    return importlib.import_module("media")


@pytest.mark.usefixtures("media")
async def test_each_step_gets_what_earlier_ones_returned(serve: Callable[..., Any]) -> None:
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


@pytest.mark.usefixtures("media")
async def test_what_depends_on_a_skipped_step_sees_null(serve: Callable[..., Any]) -> None:
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


async def test_an_item_that_is_skipped_leaves_null_in_its_place(serve: Callable[..., Any], media: Any) -> None:
    site = await serve("""
        kind: Workflow/v1
        steps:
          ladder:
            uses: ./media.py:ladder
            for_each: "${params.sizes}"
            if: "${item | gt(400)}"
            with: {src: "${index}", height: "${item}"}
          none: {sleep: 1 day, for_each: []}
        output: ["${steps.ladder.out}", "${steps.none.out}"]
    """)
    instance = await site.create({"sizes": [360, 720, 1080]})
    assert await site.output(instance) == [[None, "1@720", "2@1080"], []]
    assert sorted(media.calls) == [(720, "ladder[1]", 1), (1080, "ladder[2]", 1)]


async def test_no_more_items_run_at_once_than_allowed(serve: Callable[..., Any], media: Any) -> None:
    site = await serve("""
        kind: Workflow/v1
        steps:
          all: {uses: "./media.py:gated", for_each: [a, b, c], max_parallel: 2, with: ["${item}"]}
        output: "${steps.all.out}"
    """)
    instance = await site.create()
    await site.until(lambda: len(media.calls) == 2)
    media.gates["b"].set()
    await site.until(lambda: len(media.calls) == 3)
    assert media.calls == ["a", "b", "c"]
    media.gates["a"].set()
    media.gates["c"].set()
    assert await site.output(instance) == ["a", "b", "c"]


async def test_a_binding_is_called_with_named_or_positional_arguments(serve: Callable[..., Any]) -> None:
    class Bucket:
        def __init__(self) -> None:
            self.kept: dict[str, str] = {}

        async def put(self, key: str, value: str) -> None:
            self.kept[key] = value

        async def get(self, key: str) -> str:
            return self.kept[key]

    site = await serve(
        """
        kind: Workflow/v1
        steps:
          put: {uses: "binding:BUCKET.put", with: {key: a, value: "${params.text}"}}
          get: {uses: "binding:BUCKET.get", with: [a], needs: put}
        output: "${steps.get.out}"
        """,
        BUCKET=Bucket(),
    )
    assert await site.output(await site.create({"text": "hello"})) == "hello"


async def test_a_task_is_retried_as_its_retries_say(serve: Callable[..., Any], media: Any, host: FakeHost) -> None:
    site = await serve("""
        kind: Workflow/v1
        steps:
          shaky: {uses: "./media.py:fail", with: {times: 2}, retries: {limit: 2, delay: 1 hour, backoff: constant}}
        output: "${steps.shaky.out}"
    """)
    instance = await site.create()
    for count in (1, 2):
        await site.until(lambda count=count: len(media.calls) == count)
        await site.reach(instance, "waiting")
        await host.advance(3600)
    assert await site.output(instance) == "ok"


async def test_a_failure_rolls_back_what_was_done_with_its_arguments(serve: Callable[..., Any], media: Any) -> None:
    site = await serve(
        """
        kind: Workflow/v1
        steps:
          first: &task
            uses: ./media.py:publish
            with: {files: [a]}
            rollback: {uses: "./media.py:undo", with: {what: "${output.url}", why: "${error.name}: ${error.message}"}}
          second: {<<: 1, uses: "./media.py:fail", needs: first, retries: {limit: 0, delay: 0}}
    """.replace("<<: 1, ", "")
    )
    error = await site.error(await site.create())
    assert error == {"name": "ValueError", "message": "no such film"}
    assert media.undone == [{"what": "/a", "why": "ValueError: no such film"}]


FAILING = """
    kind: Workflow/v1
    steps:
      done: {uses: "./media.py:publish", with: {files: [a]}, rollback: {uses: "./media.py:undo", with: {step: done}}}
      after: {uses: "./media.py:publish", with: {files: [b]}, needs: done,
              rollback: {uses: "./media.py:undo", with: {step: after}}}
      busy: {uses: "./media.py:gated", with: [busy], needs: after,
             rollback: {uses: "./media.py:undo", with: {step: busy, got: "${output}"}}}
      waits: {wait_for_event: never, timeout: 1 year}
      fails: {uses: "./media.py:fail", needs: after, retries: {limit: 0, delay: 0}}
      late: {uses: "./media.py:gated", with: [late], needs: busy}
"""


async def test_a_failure_lets_what_runs_finish_and_begins_nothing_new(serve: Callable[..., Any], media: Any) -> None:
    site = await serve(FAILING)
    instance = await site.create()
    await site.until(lambda: {"fail", "busy"} <= set(media.calls))
    media.gates["busy"].set()
    assert (await site.error(instance))["name"] == "ValueError"
    assert "late" not in media.calls
    assert [about["step"] for about in media.undone] == ["busy", "after", "done"]
    assert media.undone[0]["got"] == "busy"


@pytest.mark.parametrize("is_late_first", [True, False], ids=["timeout, then failure", "failure, then timeout"])
@pytest.mark.parametrize("function", ["gated", "stubborn"])
async def test_a_failure_waits_for_no_attempt_after_a_timeout(
    serve: Callable[..., Any], media: Any, host: FakeHost, function: str, *, is_late_first: bool
) -> None:
    """However the function ends when it is cut: by the cancellation, or by a return of its own."""
    site = await serve(f"""
        kind: Workflow/v1
        steps:
          slow: {{uses: "./media.py:{function}", with: [slow], timeout: 1 minute, retries: {{limit: 1, delay: 1 year}}}}
          fails: {{uses: "./media.py:fail_after", with: [fails], retries: {{limit: 0, delay: 0}}}}
          busy: {{uses: "./media.py:gated", with: [busy]}}
    """)
    instance = await site.create()
    await site.until(lambda: {"slow", "fails", "busy"} <= set(media.calls))

    async def until_recorded(is_so: Callable[[Any], bool], name: str) -> None:
        async with asyncio.timeout(60):
            while (step := (await site.steps(instance)).get(name)) is None or not is_so(step):  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.001)

    if is_late_first:
        await host.advance(60)
        await until_recorded(lambda step: step.state == "pending", "slow-1")
    media.gates["fails"].set()
    await until_recorded(lambda step: step.state == "failed", "fails-1")
    if not is_late_first:
        await host.advance(60)
    media.gates["busy"].set()
    assert (await site.error(instance))["name"] == "ValueError"
    assert media.calls.count("slow") == 1


async def test_after_a_crash_in_a_failure_everything_is_still_rolled_back(
    serve: Callable[..., Any], media: Any
) -> None:
    site = await serve(FAILING)
    instance = await site.create()
    await site.until(lambda: {"fail", "busy"} <= set(media.calls))
    while "failed" not in {step.state for step in (await site.steps(instance)).values()}:  # noqa: ASYNC110 - as above
        await asyncio.sleep(0.001)
    await site.crash()
    site.start()
    assert (await site.error(instance))["name"] == "ValueError"
    assert media.calls.count("busy") == 1, "nothing is tried again once another step failed"
    assert [about["step"] for about in media.undone] == ["busy", "after", "done"]


async def test_a_termination_with_rollback_undoes_parallel_steps(serve: Callable[..., Any], media: Any) -> None:
    steps = "".join(
        f"  {name}: {{uses: './media.py:publish', with: {{files: []}}, needs: [{need}],"
        f" rollback: {{uses: './media.py:undo', with: {{step: {name}}}}}}}\n"
        for name, need in (("a", ""), ("b", "a"), ("c", "b"))
    )
    site = await serve(f"kind: Workflow/v1\nsteps:\n{steps}  wait: {{wait_for_event: go}}\n")
    instance = await site.create()
    await site.reach(instance, "waiting")
    assert len(await site.steps(instance)) == 4
    await instance.terminate({"rollback": True})
    async with asyncio.timeout(60):
        while (await instance.status())["status"] != "terminated":  # noqa: ASYNC110 - a user has nothing else
            await asyncio.sleep(0.001)
    assert [about["step"] for about in media.undone] == ["c", "b", "a"]


@pytest.mark.usefixtures("media")
async def test_a_path_that_leads_nowhere_ends_the_instance_without_a_retry(serve: Callable[..., Any]) -> None:
    site = await serve("""
        kind: Workflow/v1
        steps:
          probe: {uses: "./media.py:probe", with: {key: "${params.key}"}}
    """)
    error = await site.error(await site.create({"kye": 1}))
    assert error["name"] == "WorkflowFatalError"
    assert error["message"] == "${params.key}: params has no member 'key'. Did you mean \"kye\"?"


@pytest.mark.usefixtures("media")
async def test_arguments_that_a_function_does_not_take_are_told(serve: Callable[..., Any]) -> None:
    site = await serve('kind: Workflow/v1\nsteps: {probe: {uses: "./media.py:probe", with: {kye: 1}}}')
    error = await site.error(await site.create())
    assert error["message"].startswith("./media.py:probe cannot be called with ['kye']: ")


async def test_a_file_that_hides_behind_a_loaded_module_is_not_mistaken_for_it(
    serve: Callable[..., Any], write: Callable[[str, str], None]
) -> None:
    write("json.py", "def dumps(obj): return 'mine'\n")
    text = 'kind: Workflow/v1\nsteps: {a: {uses: "./json.py:dumps", with: [1], retries: {limit: 0, delay: 0}}}'
    site = await serve(text)
    error = await site.error(await site.create())
    assert error["message"] == "json.py hides behind the module 'json' that is loaded already: rename it."


async def test_params_are_checked_when_an_instance_is_created(serve: Callable[..., Any]) -> None:
    site = await serve("""
        kind: Workflow/v1
        params:
          schema: {required: [key], properties: {key: {type: string}, size: {type: integer, default: 3}}}
        steps: {nap: {sleep: 0}}
        output: "${params}"
    """)
    with pytest.raises(BindingError, match=r"params\.key: is required, and is not there"):
        await site.create({"kye": 1})
    assert await site.output(await site.create({"key": "a"})) == {"key": "a", "size": 3}


async def test_functions_are_those_of_the_code_that_is_loaded(
    serve: Callable[..., Any], write: Callable[[str, str], None], host: FakeHost
) -> None:
    import sys

    write("work.py", "async def one(): return 1\nasync def two(): return 'old'\n")
    site = await serve("""
        kind: Workflow/v1
        steps:
          one: {uses: "./work.py:one"}
          nap: {sleep: 1 hour, needs: one}
          two: {uses: "./work.py:two", needs: nap}
        output: ["${steps.one.out}", "${steps.two.out}"]
    """)
    instance = await site.create()
    await site.reach(instance, "waiting")
    write("work.py", "async def one(): return 2\nasync def two(): return 'new, and longer'\n")
    del sys.modules["work"]  # what the loader does on a save
    site.load(None)
    await host.advance(3600)
    assert await site.output(instance) == [1, "new, and longer"]


REST = """
    kind: Workflow/v1
    steps: {nap: {sleep: "${params.nap}"}}
    output: "rested ${params.nap}"
"""


async def until_children(site: Any, workflow: str, status: Status) -> None:
    """Return once an instance of a child workflow is in a status."""
    async with asyncio.timeout(60):
        while not (await site.journal.counts(workflow)).get(status):  # noqa: ASYNC110 - the journal tells nobody
            await asyncio.sleep(0.001)


async def test_a_child_is_waited_for_and_gives_its_output(serve: Callable[..., Any], host: FakeHost) -> None:
    parent = """
        kind: Workflow/v1
        steps:
          rest: {workflow: resting, with: {nap: 1 hour}}
          again: {workflow: resting, with: {nap: 0}, needs: rest}
        output: ["${steps.rest.out}", "${steps.again.out}"]
    """
    site = await serve(parent, {"resting": REST})
    instance = await site.create(id="mine")
    await until_children(site, "resting", Status.WAITING)
    await site.reach(instance, "waiting")
    await site.crash()
    site.start()
    await host.advance(3600)
    assert await site.output(instance) == ["rested 1 hour", "rested 0"]
    assert await site.journal.counts("resting") == {Status.COMPLETE: 2}, "each was created once"


async def test_a_parent_that_works_hears_at_once_that_its_child_ended(serve: Callable[..., Any], media: Any) -> None:
    parent = """
        kind: Workflow/v1
        steps:
          busy: {uses: "./media.py:gated", with: [busy]}
          rest: {workflow: resting, with: {nap: 0}}
          after: {uses: "./media.py:gated", with: [after], needs: rest}
    """
    site = await serve(parent, {"resting": REST})
    instance = await site.create()
    await site.until(lambda: {"busy", "after"} <= set(media.calls))
    media.gates["busy"].set()
    media.gates["after"].set()
    await site.output(instance)


PARENT = """
    kind: Workflow/v1
    steps: {rest: {workflow: resting, with: {nap: 1 hour}, cascade: CASCADE}}
"""


@pytest.mark.parametrize(("cascade", "becomes"), [("true", Status.TERMINATED), ("false", Status.WAITING)])
async def test_a_terminated_parent_leaves_its_children_running_unless_they_cascade(
    serve: Callable[..., Any], cascade: str, becomes: Status
) -> None:
    site = await serve(PARENT.replace("CASCADE", cascade), {"resting": REST})
    instance = await site.create()
    await until_children(site, "resting", Status.WAITING)
    await instance.terminate()
    assert await site.journal.counts("resting") == {becomes: 1}


async def test_a_child_that_is_ended_or_deleted_fails_its_parent(serve: Callable[..., Any]) -> None:
    site = await serve(PARENT.replace("CASCADE", "false"), {"resting": REST})
    for end in ("terminate", "delete"):
        instance = await site.create()
        await until_children(site, "resting", Status.WAITING)
        page = await site.journal.list("resting", _every(), after=None, offset=0, count_max=5)
        (child,) = [one for one in page.items if one.status is Status.WAITING]
        await getattr(await _workflow(site, "resting").get(child.id), end)()
        error = await site.error(instance)
        assert error["name"] == "ChildFailedError"
        assert error["message"] == f'Workflow "resting", instance "{child.id}", is terminated.'


async def test_a_child_whose_workflow_is_deleted_fails_its_parent(serve: Callable[..., Any]) -> None:
    site = await serve(PARENT.replace("CASCADE", "false"), {"resting": REST})
    instance = await site.create()
    await until_children(site, "resting", Status.WAITING)
    for acted in await site.journal.forget_workflow("resting", 0):
        site.runner.tell(acted)
    site.runner.tell(None)
    error = await site.error(instance)
    assert error["name"] == "ChildFailedError"
    assert error["message"].endswith("is terminated.")


async def test_nobody_but_a_child_tells_of_its_end(serve: Callable[..., Any]) -> None:
    site = await serve(PARENT.replace("CASCADE", "false"), {"resting": REST})
    instance = await site.create()
    await until_children(site, "resting", Status.WAITING)
    await site.reach(instance, "waiting")
    *_, wait = await site.journal.steps("orders", instance.id)
    with pytest.raises(BindingError, match=r'Types that begin with "\$ended:" tell of ended children'):
        await instance.send_event({"type": wait.event_type, "payload": {"status": "complete"}})


async def test_a_failed_child_tells_its_parent_why(serve: Callable[..., Any]) -> None:
    site = await serve(
        PARENT.replace("CASCADE", "false"), {"resting": 'kind: Workflow/v1\nsteps: {nap: {sleep: "${params.nop}"}}'}
    )
    error = await site.error(await site.create())
    assert "is errored: WorkflowFatalError: ${params.nop}: params has no member" in error["message"]


async def test_a_child_that_refuses_its_params_is_not_asked_again(serve: Callable[..., Any]) -> None:
    strict = "kind: Workflow/v1\nparams: {schema: {type: object, required: [day]}}\nsteps: {nap: {sleep: 0}}"
    site = await serve(PARENT.replace("CASCADE", "false"), {"resting": strict})
    error = await site.error(await site.create())
    assert error["name"] == "WorkflowFatalError"
    assert error["message"].startswith('Workflow "resting" does not take these params.')


async def test_an_instance_keeps_its_version_over_an_apply(serve: Callable[..., Any], host: FakeHost) -> None:
    text = 'kind: Workflow/v1\nsteps: {nap: {sleep: 1 hour}, end: {sleep: 0, needs: nap}}\noutput: "old"'
    site = await serve(text)
    asleep = await site.create()
    await site.reach(asleep, "waiting")
    await site.put("orders", text.replace("old", "new").replace("end:", "other:"))
    awake = await site.create()
    await site.reach(awake, "waiting")
    await site.crash()
    site.manifests._kept.clear()  # another process: what it knows of the old version is in the journal
    site.start()
    await host.advance(3600)
    assert await site.output(asleep) == "old"
    assert await site.output(awake) == "new"
    assert set(await site.steps(asleep)) == {"nap-1", "end-1"}


def _every() -> Any:
    from edge.bindings.workflows.journal.records import InstanceFilter

    return InstanceFilter()


def _workflow(site: Any, name: str) -> Any:
    from edge.bindings.workflows.workflow import Workflow

    return Workflow(site.runner.definitions[name], site.workflow._tools)
