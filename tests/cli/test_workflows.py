"""`edge workflows`: on a state folder without a server, and beside one that runs."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import subprocess
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import structlog

from edge.runtime.cli.main import main
from edge.runtime.hosts.local import LocalMachine
from edge.runtime.hosts.state_folder import prepare_state_folder
from edge.runtime.serve import ConfigChoice, load_config, open_local_app
from edge.runtime.testing.fake_host import RecordingLog

from .conftest import EDGE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from .conftest import Server


PATIENCE_S = 60.0
CONFIG = ', "workflows": [{"binding": "ORDERS", "name": "orders", "class_name": "Order"}]'
ENTRY = """
from workers import Response, WorkerEntrypoint, WorkflowEntrypoint

class Order(WorkflowEntrypoint):
    async def run(self, event, step):
        asked = event["payload"]

        @step.do("price")
        async def price():
            return {"cents": 1900, "note": "x" * asked.get("note", 1)}

        @step.do("secret", config={"sensitive": "output"})
        async def secret():
            return "hunter2"

        @step.do("charge", config={"retries": {"limit": asked.get("limit", 0), "delay": asked.get("delay", 0)}})
        async def charge(ctx):
            if ctx["attempt"] <= asked.get("failures", 0):
                raise RuntimeError("the bank is down")
            return "paid"

        await price()
        await secret()
        await charge()
        decision = await step.wait_for_event("wait for a decision", "decision")
        if "sleep" in asked:
            await step.sleep("cool off", asked["sleep"])
        return {"by": decision["payload"]["by"], "at": decision["timestamp"]}

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return Response("here")
"""
YES = '{"by": "ada"}'
RESTART = ("instances", "restart", "orders", "a", "--from")


class Told(NamedTuple):
    """What a command answered."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.code == 0, self.err
        return json.loads(self.out)

    @property
    def lines(self) -> list[str]:
        assert self.code == 0, self.err
        return self.out.splitlines()


Cli = "Callable[..., Told]"


@pytest.fixture
def project(tmp_path: Path, worker: Any) -> Path:
    worker.config(tmp_path, CONFIG)
    worker.entry(tmp_path, ENTRY)
    return tmp_path


@pytest.fixture
def cli(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., Told]]:
    """`cli("list")`: a command of `edge workflows`, run here."""
    root = logging.getLogger()
    before = root.handlers[:], root.level, threading.excepthook
    monkeypatch.chdir(project)

    def run(*arguments: str) -> Told:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(["workflows", *arguments])
        told = capsys.readouterr()
        return Told(int(ended.value.code or 0), told.out, told.err)

    yield run
    root.handlers[:], threading.excepthook = before[0], before[2]
    root.setLevel(before[1])
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


def advance(project: Path, name: str = "orders", **wanted: str) -> None:
    """Run the Worker until each instance has its status: `advance(project, a="complete")`."""
    asyncio.run(_advance(project, name, wanted))


async def _advance(project: Path, name: str, wanted: dict[str, str]) -> None:
    choice = ConfigChoice(project / "wrangler.jsonc")
    host = LocalMachine(prepare_state_folder(project / ".edge"), RecordingLog())
    async with open_local_app(choice, host, load_config(choice)) as app, asyncio.timeout(PATIENCE_S):
        service = app.admins["workflows"]
        for instance_id, status in wanted.items():
            while (await service.instance(name, instance_id, with_steps=False)).instance.status != status:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.005)
    await host.aclose()


def test_workflows_of_the_config_are_listed_and_described(cli: Callable[..., Told]) -> None:
    assert cli("list").lines == [
        "name    script name  class name  instances",
        "orders  demo         Order       0",
    ]
    assert cli("list", "--page", "2").err == "No workflows found on page 2. Please try a smaller page number.\n"
    (listed,) = cli("list", "--json").json
    described = cli("describe", "orders", "--json").json
    assert described == listed
    assert (described["name"], described["script_name"], described["class_name"]) == ("orders", "demo", "Order")
    cli("trigger", "orders")
    shown = cli("describe", "orders").out
    assert "Instances:           1 queued\n" in shown
    assert "Kept after success:  30 d\n" in shown


def test_a_project_without_workflows_says_so(cli: Callable[..., Told], project: Path, worker: Any) -> None:
    worker.config(project)
    assert cli("list").err == 'There is no workflow: the config has no "workflows", and none was made at run time.\n'
    refused = cli("describe", "orders")
    assert (refused.code, refused.err) == (
        1,
        'error: There is no workflow "orders". The config has no "workflows", and none was made at run time.\n',
    )


def test_an_unknown_workflow_is_told_with_those_there_are(cli: Callable[..., Told]) -> None:
    for arguments in (
        ("describe", "order"),
        ("trigger", "order"),
        ("delete", "order", "-y"),
        ("purge", "order", "-y"),
        ("instances", "list", "order"),
        ("instances", "describe", "order"),
        ("instances", "pause", "order", "a"),
        ("instances", "terminate-all", "order", "-y"),
        ("instances", "send-event", "order", "a", "--type", "x"),
    ):
        refused = cli(*arguments)
        assert (refused.code, refused.err) == (1, 'error: There is no workflow "order". There are: orders.\n')


def test_an_unknown_instance_is_told(cli: Callable[..., Told]) -> None:
    for action in ("describe", "pause", "resume", "terminate", "restart", "tail"):
        refused = cli("instances", action, "orders", "nobody")
        assert (refused.code, refused.err) == (1, 'error: Workflow "orders" has no instance "nobody".\n')
        refused = cli("instances", action, "orders", "latest")
        assert (refused.code, refused.err) == (1, 'error: Workflow "orders" has no instances.\n')
    gone = cli("instances", "delete", "orders", "nobody", "-y")
    assert (gone.code, gone.err) == (1, 'Deleted 0 instances of orders.\nThere is no instance "nobody".\n')


def test_triggering_creates_an_instance_with_its_params(cli: Callable[..., Told]) -> None:
    assert cli("trigger", "orders", '{"a": [1]}', "--id", "one").out == (
        'Workflow instance "one" has been triggered successfully.\n'
    )
    made = cli("trigger", "orders", "--json").json
    assert (made["status"], made["trigger_source"]) == ("queued", "api")
    assert cli("instances", "describe", "orders", "one", "--json").json["params"] == {"a": [1]}
    assert cli("instances", "describe", "orders", "--json").json["id"] == made["id"]
    refused = cli("trigger", "orders", "--id", "one")
    assert (refused.code, refused.err) == (1, 'error: Workflow instance with id "one" already exists\n')
    assert cli("trigger", "orders", "--id", "not an id").err == "error: Workflow instance has invalid id\n"


@pytest.mark.parametrize(
    "arguments", [("trigger", "orders"), ("instances", "send-event", "orders", "a", "--type", "t", "--payload")]
)
def test_what_is_no_json_is_told_with_its_place(cli: Callable[..., Told], arguments: tuple[str, ...]) -> None:
    refused = cli(*arguments, '{"item":\n lamp}')
    assert refused.code == 2
    what = "PARAMS" if arguments[0] == "trigger" else "--payload"
    assert (
        f"Invalid value for {what}: not JSON, at line 2, column 2: Expecting value.\n   lamp}}\n   ^\n" in refused.err
    )


def test_without_a_config_every_command_says_so(
    cli: Callable[..., Told], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    (tmp_path / "wrangler.jsonc").unlink()
    refused = cli("list")
    assert refused.code == 1
    assert "wrangler.jsonc" in refused.err


def test_instances_are_listed_newest_first_by_status_time_and_page(cli: Callable[..., Told]) -> None:
    told = cli("instances", "list", "orders")
    assert told.err == (
        'There are no instances in workflow "orders". You can trigger it with "edge workflows trigger orders".\n'
    )
    for number in range(3):
        cli("trigger", "orders", "--id", f"i{number}")
    cli("instances", "pause", "orders", "i1")
    cli("instances", "terminate", "orders", "i2")

    def ids(*options: str) -> list[str]:
        return [one["id"] for one in cli("instances", "list", "orders", "--json", *options).json]

    assert ids() == ["i2", "i1", "i0"]
    assert ids("--reverse") == ["i0", "i1", "i2"]
    assert ids("--per-page", "2", "--page", "2") == ["i0"]
    assert ids("--status", "terminated") == ["i2"]
    assert ids("--since", "1 hour") == ["i2", "i1", "i0"]
    assert ids("--until", "1 hour") == []
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).date().isoformat()
    assert ids("--since", tomorrow) == []
    assert ids("--until", f"{tomorrow}T00:00Z") == ["i2", "i1", "i0"]
    table = cli("instances", "list", "orders", "--per-page", "2")
    assert [line.split()[0] for line in table.lines] == ["instance", "i2", "i1"]
    assert table.err == "2 of 3 instances, page 1.\n"
    assert cli("instances", "list", "orders", "--page", "9").err == (
        "No instances found on page 9 of this filter: 3 on all pages.\n"
    )
    refused = cli("instances", "list", "orders", "--since", "soon")
    assert refused.code == 2
    assert "'soon' is no time. Write it as 2026-09-08" in refused.err


def test_an_instance_is_paused_resumed_restarted_terminated(cli: Callable[..., Told], project: Path) -> None:
    cli("trigger", "orders", "--id", "a")
    advance(project, a="waiting")
    for action, told in (
        ("resume", "is waiting: nothing was resumed."),
        ("pause", "was paused: it is paused now."),
        ("pause", "is paused: nothing was paused."),
        ("resume", "was resumed: it is running now."),
        ("terminate", "was terminated: it is terminated now."),
        ("pause", "is terminated: nothing was paused."),
        ("restart", "was restarted: it is queued now."),
    ):
        assert cli("instances", action, "orders", "latest").err == f'The instance "a" from orders {told}\n', action
    assert cli("instances", "pause", "orders", "a", "--json").json["status"] == "queued"
    cli("instances", "terminate", "orders", "a")
    assert cli("instances", "describe", "orders", "a").lines[-1].endswith("by cli")
    refused = cli("instances", "terminate", "orders", "a")
    assert (refused.code, refused.err) == (1, "error: Cannot terminate instance since its on a finite state\n")


def test_a_restart_from_a_step_keeps_what_ran_before_it(cli: Callable[..., Told], project: Path) -> None:
    cli("trigger", "orders", "--id", "a")
    cli("instances", "send-event", "orders", "a", "--type", "decision", "--payload", YES)
    advance(project, a="complete")
    refused = cli(*RESTART, "nothing")
    assert (refused.code, refused.err) == (1, 'error: Step "nothing" not found in execution history\n')
    assert '"wait for a decision" and the count 1' in cli(*RESTART, "wait for a decision-1").err
    assert cli(*RESTART, "wait for a decision", "--type", "do").code == 1
    assert cli(*RESTART, "wait for a decision").code == 0
    steps = cli("instances", "describe", "orders", "a", "--json").json["steps"]
    assert [step["name"] for step in steps] == ["price-1", "secret-1", "charge-1"]


def test_an_event_is_sent_and_one_for_a_finished_instance_is_told(cli: Callable[..., Told], project: Path) -> None:
    cli("trigger", "orders", "--id", "a")
    sent = cli("instances", "send-event", "orders", "latest", "--type", "decision", "--payload", YES)
    assert sent.err == 'The event with type "decision" was sent to the instance "a" from orders.\n'
    advance(project, a="complete")
    assert cli("instances", "describe", "orders", "a", "--json").json["output"]["by"] == "ada"
    late = cli("instances", "send-event", "orders", "a", "--type", "decision", "--json")
    assert late.json["instanceId"] == "a"
    assert late.err == "The instance is finished: nothing waits for the event, and it was dropped.\n"
    refused = cli("instances", "send-event", "orders", "a", "--type", "x" * 101)
    assert refused.code == 1
    assert cli("instances", "send-event", "orders", "a").code == 2


def test_what_cannot_be_undone_asks_first(cli: Callable[..., Told]) -> None:
    cli("trigger", "orders", "--id", "a")
    for arguments, question in (
        (("delete", "orders"), "Delete workflow orders with its 1 instance?"),
        (("purge", "orders"), "Forget the finished instances of orders (0 are finished)?"),
        (("instances", "delete", "orders", "a"), "Delete 1 instance of orders?"),
        (("instances", "terminate-all", "orders"), "Terminate 1 unfinished instance of orders?"),
    ):
        refused = cli(*arguments)
        assert refused.code == 1
        assert question in refused.err
        assert "Pass -y" in refused.err
    assert len(cli("instances", "list", "orders", "--json").json) == 1


def test_many_are_terminated_purged_and_deleted(cli: Callable[..., Told]) -> None:
    for number in range(5):
        cli("trigger", "orders", "--id", f"i{number}")
    assert cli("instances", "terminate-all", "orders", "--status", "paused", "-y", "--json").json == {"terminated": 0}
    assert cli("instances", "terminate-all", "orders", "-y").err == "Terminated 5 instances of orders.\n"
    assert cli("instances", "delete", "orders", "i0", "-y").err == "Deleted 1 instance of orders.\n"
    assert cli("instances", "delete", "orders", "i1", "-y", "--json").json == {"deleted": ["i1"], "missing": []}
    assert cli("purge", "orders", "--before", "1 hour", "-y", "--json").json == {"purged": 0}
    assert cli("purge", "orders", "--status", "complete", "-y", "--json").json == {"purged": 0}
    assert cli("purge", "orders", "-y").err == "Purged 3 instances of orders.\n"
    assert cli("delete", "orders", "-y").err == (
        'Workflow "orders" removed successfully.\n'
        "It is there again, without instances, when it is next used: the config declares it.\n"
    )
    assert cli("instances", "list", "orders", "--json").json == []


MANIFEST = """
kind: Workflow/v1
name: film
steps:
  probe: {uses: "./media.py:probe", with: {key: "${params.key}"}}
  approve: {wait_for_event: reviewed, needs: [probe]}
output: {codec: "${steps.probe.out.codec}"}
"""


@pytest.fixture
def film(project: Path) -> Path:
    (project / "media.py").write_text("def probe(key):\n    return {'codec': 'h264', 'key': key}\n")
    (project / "film.yaml").write_text(MANIFEST)
    return project / "film.yaml"


def test_a_manifest_is_applied_run_and_deleted(cli: Callable[..., Told], project: Path, film: Path) -> None:
    applied = cli("apply", "film.yaml").out
    assert re.fullmatch(r'Workflow "film" is version \w{32} now\.\n', applied)
    (again,) = cli("apply", "film.yaml", "--json").json
    assert again["version_id"] in applied
    assert "film    demo         (a manifest)  0" in cli("list").lines
    cli("trigger", "film", '{"key": "a"}', "--id", "a")
    cli("instances", "send-event", "film", "a", "--type", "reviewed")
    advance(project, "film", a="complete")
    assert cli("instances", "describe", "film", "--json").json["output"] == {"codec": "h264"}
    assert cli("delete", "film", "-y", "--json").json == {"status": "ok"}
    assert [one["name"] for one in cli("list", "--json").json] == ["orders"]


def test_every_problem_of_a_manifest_is_told_with_its_place(cli: Callable[..., Told], film: Path) -> None:
    film.write_text(MANIFEST.replace("[probe]", "[prob]").replace("media.py:probe", "media.py:nope"))
    refused = cli("apply", "film.yaml")
    assert refused.code == 1
    assert "film.yaml:5:17: media.py has no function nope." in refused.err
    assert 'film.yaml:6:47: There is no step "prob". Did you mean "probe"?' in refused.err
    assert 'There is no step "prob"' in cli("graph", "film.yaml").err
    assert cli("apply", "gone.yaml").code == 2
    assert cli("apply", "film.yaml", "film.yaml", "--name", "x").code == 2


def test_several_manifests_are_applied_all_or_none(cli: Callable[..., Told], project: Path, film: Path) -> None:
    broken = project / "broken.yaml"
    broken.write_text(MANIFEST.replace("name: film", "name: broken").replace("[probe]", "[prob]"))
    (project / "class.yaml").write_text(MANIFEST.replace("name: film", "name: orders"))
    (project / "again.yaml").write_text(MANIFEST)
    refused = cli("apply", "film.yaml", "broken.yaml", "class.yaml", "again.yaml")
    assert refused.code == 1
    assert 'broken.yaml:6:47: There is no step "prob".' in refused.err
    assert 'Workflow "orders" is the class Order: give the manifest another name.' in refused.err
    assert 'again.yaml and film.yaml are both workflow "film": apply one of them.' in refused.err
    assert [one["name"] for one in cli("list", "--json").json] == ["orders"]
    broken.write_text(MANIFEST.replace("name: film", "name: mended"))
    assert len(cli("apply", "film.yaml", "broken.yaml").lines) == 2


def test_manifests_that_make_each_other_without_end_are_not_applied(cli: Callable[..., Told], project: Path) -> None:
    for name, child in (("a", "b"), ("b", "a")):
        (project / f"{name}.yaml").write_text(
            f"kind: Workflow/v1\nname: {name}\nsteps:\n  kid: {{workflow: {child}}}\n"
        )
    refused = cli("apply", "a.yaml", "b.yaml")
    assert refused.code == 1
    assert 'a.yaml:4:3: The step "kid" makes an instance of "b", and so on without end: a -> b -> a.' in refused.err
    assert 'b.yaml:4:3: The step "kid" makes an instance of "a", and so on without end: b -> a -> b.' in refused.err
    assert cli("apply", "a.yaml").code == 0
    assert 'The other is "kid" of "a" as it is applied (line 4)' in cli("apply", "b.yaml").err


def test_a_graph_is_drawn_of_a_file_and_of_what_was_applied(
    cli: Callable[..., Told], project: Path, film: Path
) -> None:
    drawn = cli("graph", "film.yaml").out
    assert "2  approve  wait for reviewed  after probe\n" in drawn
    cli("apply", "film.yaml")
    assert cli("graph", "film").out == drawn
    (version,) = [one["version_id"] for one in cli("apply", "film.yaml", "--json").json]
    assert cli("graph", "film", "--version", version).out == drawn
    assert cli("graph", "film", "--format", "mermaid").out.startswith("flowchart TD\n")
    assert cli("graph", "film", "--format", "svg", "-o", "film.svg").out == ""
    assert (project / "film.svg").read_text().startswith("<svg")
    assert cli("graph", "film", "--format", "json").json["workflow"]["class_name"] == "film"
    refused = cli("graph", "orders")
    assert refused.err == (
        'error: Workflow "orders" is the class Order: only workflows made of a manifest have a graph.\n'
    )
    assert "cannot be written" in cli("graph", "film", "-o", "no/where.svg").err
    assert cli("graph", "film", "--version", "x").err == 'error: Workflow "film" has no version "x".\n'


def test_names_of_workflows_are_completed(cli: Callable[..., Told], project: Path) -> None:
    environment = {
        **os.environ, "_EDGE_COMPLETE": "bash_complete", "COMP_WORDS": "edge workflows trigger o", "COMP_CWORD": "3"
    }  # fmt: skip
    found = subprocess.run([EDGE], cwd=project, env=environment, capture_output=True, text=True, check=False)
    assert found.stdout == "plain,orders\n"


def test_tail_shows_what_happened_behind_a_cursor_and_of_some_types(cli: Callable[..., Told], project: Path) -> None:
    cli("trigger", "orders", '{"failures": 1, "limit": 1}', "--id", "a")
    cli("instances", "send-event", "orders", "a", "--type", "decision", "--payload", YES)
    advance(project, a="complete")

    events = [json.loads(line) for line in cli("instances", "tail", "orders", "a", "--json").lines]
    numbers = [event["eventId"] for event in events]
    assert numbers == list(range(1, len(events) + 1))
    assert (events[0]["type"], events[-1]["type"]) == ("workflow_queued", "workflow_completed")
    assert "hunter2" not in json.dumps(events)

    later = cli("instances", "tail", "orders", "a", "--json", "--cursor", "5").lines
    assert [json.loads(line) for line in later] == events[5:]
    (failed, done) = cli(
        "instances", "tail", "orders", "--filter", "attempt_errored", "--filter", "workflow_completed"
    ).lines
    assert failed.endswith("  attempt_errored       charge-1, attempt 1, RuntimeError: the bank is down, again in 0 ms")
    assert re.match(r"\d\d:\d\d:\d\d\.\d{3} +\d+  ", failed)
    assert "workflow_completed    output {" in done
    refused = cli("instances", "tail", "orders", "--filter", "lunch")
    assert refused.code == 2
    assert "'lunch' is not one of 'attempt_completed'" in refused.err


def test_what_is_sensitive_is_nowhere_to_be_seen(cli: Callable[..., Told], project: Path) -> None:
    cli("trigger", "orders", "--id", "a")
    advance(project, a="waiting")
    described = cli("instances", "describe", "orders", "a").out
    assert 'output "[REDACTED]"' in described
    assert "[REDACTED]" in cli("instances", "describe", "orders", "a", "--json").out
    assert "hunter2" not in described + cli("instances", "describe", "orders", "a", "--json").out


def test_describe_takes_wranglers_options(cli: Callable[..., Told], project: Path) -> None:
    cli("trigger", "orders", '{"note": 6000}', "--id", "a")
    advance(project, a="waiting")

    def length(*options: str) -> int:
        return cli("instances", "describe", "orders", "a", *options).out.count("x")

    assert 4900 < length() < 5000
    assert length("--truncate-output-limit", "50") < 50
    assert length("--truncate-output-limit", "9000") == 6000
    for option in (["--step-output=false"], ["--step-output", "false"], ["--no-step-output"]):
        assert length(*option) == 0
    assert len(cli("instances", "describe", "orders", "a", "--json").json["steps"][0]["output"]["note"]) == 6000


def test_the_retry_delay_of_edge_dev_is_shown(
    cli: Callable[..., Told], project: Path, start: Callable[..., Server]
) -> None:
    """Decision 23: one second in `edge dev` where the code names none, else ten."""
    entry = (project / "entry.py").read_text()
    (project / "entry.py").write_text(re.sub(r', config=\{"retries".*\)', ")", entry))
    server = start(project, "dev")
    cli("trigger", "orders", '{"failures": 9}', "--id", "a")
    told: Told | None = None
    while told is None or "again at" not in told.out:
        told = cli("instances", "describe", "orders", "a")
    assert "5 retries, delay 1 s, exponential; timeout 10 min" in told.out
    assert server.stop() == 0


class Tail:
    """`edge workflows instances tail orders ID` as a child process."""

    def __init__(self, project: Path, instance_id: str) -> None:
        self.child = subprocess.Popen(
            [EDGE, "workflows", "instances", "tail", "orders", instance_id],
            cwd=project, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.lines: list[str] = []

    def until(self, event: str) -> None:
        assert self.child.stdout is not None
        while not self.lines or event not in self.lines[-1]:
            self.lines.append(self.child.stdout.readline())
            assert self.lines[-1], self.lines

    def end(self) -> str:
        """Read on to its end; what it told beside the events."""
        out, err = self.child.communicate()
        self.lines += out.splitlines()
        assert self.child.returncode == 0
        return err


def test_who_follows_an_instance_hears_that_it_was_deleted(cli: Callable[..., Told], project: Path) -> None:
    cli("trigger", "orders", "--id", "a")
    tail = Tail(project, "a")
    tail.until("workflow_queued")
    cli("instances", "delete", "orders", "a", "-y")
    assert tail.end() == 'The instance "a" was deleted.\n'


def test_beside_a_server_it_is_woken_and_followed(project: Path, start: Callable[..., Server]) -> None:
    def edge(*arguments: str) -> str:
        return subprocess.run(
            [EDGE, "workflows", *arguments], cwd=project, check=True, capture_output=True, text=True
        ).stdout

    server = start(project, "serve")
    edge("trigger", "orders", '{"sleep": "50 ms"}', "--id", "a")
    tail = Tail(project, "a")
    tail.until("workflow_waiting")
    edge("instances", "send-event", "orders", "a", "--type", "decision", "--payload", YES)
    assert tail.end() == ""
    assert "workflow_completed" in tail.lines[-1]
    assert json.loads(edge("instances", "describe", "orders", "--json"))["output"]["by"] == "ada"
    assert server.stop() == 0
