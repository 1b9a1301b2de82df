"""README, executed: the handler on its first screen runs on the config it shows, and every command it names exists."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

from edge.bindings.kv_namespaces.aws import table_definition
from edge.runtime.core.body import Body
from edge.runtime.core.request import incoming_request
from edge.runtime.hosts.local import LocalMachine
from edge.runtime.hosts.state_folder import prepare_state_folder
from edge.runtime.serve import ConfigChoice, load_config, open_local_app
from edge.runtime.testing.fake_host import RecordingLog
from edge.runtime.testing.project import open_project

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
EDGE = Path(sys.executable).parent / "edge"


def block(language: str, containing: str) -> str:
    found = [text for text in re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL) if containing in text]
    assert len(found) == 1, f"README has {len(found)} {language} blocks with {containing!r}"
    return found[0]


async def test_the_first_handler_runs_on_the_config_shown(tmp_path: Path) -> None:
    (tmp_path / "entry.py").write_text(block("python", "class Default"))
    (tmp_path / "wrangler.jsonc").write_text(block("jsonc", "kv_namespaces"))
    choice = ConfigChoice(tmp_path / "wrangler.jsonc")
    config = load_config(choice)
    assert config.warnings == ()
    host = LocalMachine(prepare_state_folder(tmp_path / ".edge"), RecordingLog())
    async with open_local_app(choice, host, config) as app:
        kept = await app.fetch(incoming_request("POST", "http://localhost/", [], Body(b'[{"user": "ada"}]')))
        assert (kept.status, await kept.text()) == (202, "kept\n")
        answers = [await app.fetch(incoming_request("GET", "http://localhost/", [])) for _ in range(2)]
        assert [await answer.json() for answer in answers] == [{"visits": 1}, {"visits": 2}]
    await host.aclose()


async def test_the_workflow_shown_outlives_its_process_and_charges_once(tmp_path: Path) -> None:
    code = block("python", "class Order")
    counted = code.replace('return {"cents"', 'charged.append(1)\n            return {"cents"')
    assert counted != code
    (tmp_path / "entry.py").write_text(f"{counted}\n\ncharged = []\n")
    config = {"name": "shop", "main": "entry.py", "compatibility_date": "2026-09-08"}
    workflows = [{"binding": "ORDERS", "name": "orders", "class_name": "Order"}]
    (tmp_path / "wrangler.json").write_text(json.dumps({**config, "workflows": workflows}))
    async with open_project(tmp_path / "wrangler.json", state=tmp_path) as project:
        order = await project.env.ORDERS.create({"params": {"cents": 1900}})
        await project.workflows.settle()
        await project.workflows.restart()
        await order.send_event({"type": "approved"})
        await project.workflows.advance("1 hour")
        status = await order.status()
        assert (status["status"], status["output"]) == ("complete", "shipped for 1900 cents")
        assert sys.modules["entry"].charged == [1]


def test_the_lambda_file_is_the_public_name() -> None:
    code = block("python", "handler_for").replace("handler = handler_for", "made = lambda: handler_for")
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_command_it_names_exists() -> None:
    rows = re.findall(r"^\| `edge ([a-z]+)", README, re.MULTILINE)
    told = subprocess.run([EDGE, "--help"], capture_output=True, text=True, check=True).stdout
    assert set(rows) == set(re.findall(r"^  ([a-z]+) ", told, re.MULTILINE))


def test_the_quick_start_works_as_written(tmp_path: Path) -> None:
    init = re.search(r"^edge (init \S+ --template \S+) && cd (\S+)$", block("sh", "edge init"), re.MULTILINE)
    assert init
    subprocess.run([EDGE, *init[1].split()], cwd=tmp_path, check=True, capture_output=True)
    shown = re.search(r"-d '(.*)' http", block("sh", "streams tail"))
    assert shown
    assert isinstance(json.loads(shown[1]), list)
    checked = subprocess.run([EDGE, "check"], cwd=tmp_path / init[2], capture_output=True, text=True, check=True)
    assert "no problems found" in checked.stdout


def test_the_table_it_tells_to_create_is_the_one_that_is_used() -> None:
    told = block("sh", "create-table")
    made = table_definition("edge-demo-production-kv")
    index = made["GlobalSecondaryIndexes"][0]
    keys = ",".join(f"{{AttributeName={k['AttributeName']},KeyType={k['KeyType']}}}" for k in index["KeySchema"])
    projected = ",".join(index["Projection"]["NonKeyAttributes"])
    for text in (
        f"--table-name {made['TableName']} --billing-mode {made['BillingMode']}",
        *(
            f"AttributeName={a['AttributeName']},AttributeType={a['AttributeType']}"
            for a in made["AttributeDefinitions"]
        ),
        *(f"--key-schema AttributeName={k['AttributeName']},KeyType={k['KeyType']}" for k in made["KeySchema"]),
        f"IndexName={index['IndexName']},KeySchema=[{keys}],",
        f"Projection={{ProjectionType={index['Projection']['ProjectionType']},NonKeyAttributes=[{projected}]}}",
    ):
        assert text in told


def test_the_records_of_the_stream_section_can_be_queried(tmp_path: Path) -> None:
    (tmp_path / "wrangler.toml").write_text('name = "demo"\nmain = "entry.py"\n')
    (tmp_path / "entry.py").write_text("async def fetch(request, env, ctx): ...\n")
    (tmp_path / "edge.toml").write_text(block("toml", "sign_ups"))
    shown = block("sh", "edge query")
    sent, query = re.search(r"-d '(.*)' http", shown), re.search(r'edge query "(.*)"', shown)
    assert sent
    assert query

    def edge(*arguments: str, stdin: str | None = None) -> str:
        command = [EDGE, *arguments]
        done = subprocess.run(command, cwd=tmp_path, input=stdin, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    edge("check")
    (tmp_path / "sent.json").write_text(sent[1])
    [record] = json.loads(edge("streams", "test", "sent.json", "--json"))
    assert record["rows"] == [{"sink": "sign_ups", "row": {"who": "ada"}}]
    with subprocess.Popen([EDGE, "dev", "--port", "0"], cwd=tmp_path, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            ready = next(found for line in server.stdout if (found := re.search(r"Ready on (\S+)", line)))
            body = urllib.request.Request(f"{ready[1]}/cdn-cgi/ingest/events", sent[1].encode(), method="POST")
            with urllib.request.urlopen(body) as answer:
                assert answer.status == 200
            while not list(tmp_path.glob("out/sign_ups/**/*.parquet")):
                assert server.poll() is None
            assert json.loads(edge("query", query[1], "--json")) == [{"who": "ada", "count_star()": 1}]
        finally:
            server.terminate()
