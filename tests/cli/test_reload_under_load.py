"""Saves under load: every version is served, no request fails, and what was acknowledged is kept exactly once."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from .ledger import BINDINGS, ENTRY, Clients, missing_keys

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from .conftest import Server

    Start = Callable[..., Server]
    Edge = Callable[..., subprocess.CompletedProcess[str]]

SAVES = 20
BROKEN = ("async def fetch(", "import nothing_of_that_name", "1 / 0", "raise SystemExit(3)", "x = 1")
ANSWERS_VERSIONS = ENTRY.replace('"kept"', 'f"{VERSION} {words.VERSION} {env.VERSION}"')
FORGETFUL = ANSWERS_VERSIONS.replace(
    'await env.STREAM.send([{"n": number}])',
    """unsent.append({"n": number})
    if len(unsent) == 500:
        sending = unsent[:]
        unsent.clear()
        await env.STREAM.send(sending)""",
)
"""Acknowledges records that it holds in its module, which a reload replaces."""


class Project:
    """A Worker whose answers name the version of its entry, of a module it imports and of its config."""

    def __init__(self, folder: Path, worker: Any, source: str = ANSWERS_VERSIONS) -> None:
        self.folder = folder
        self._worker = worker
        self._source = source
        self._versions = {"entry": 0, "words": 0, "config": 0}
        for what in self._versions:
            self._write(what)

    @property
    def answer(self) -> str:
        return " ".join(str(version) for version in self._versions.values())

    def save(self, number: int) -> str:
        """Save a new version of one of the files; returns the answer that shows it."""
        return self._save("config" if number == SAVES // 2 else ("entry", "words")[number % 2])

    def save_entry(self) -> str:
        return self._save("entry")

    def _save(self, what: str) -> str:
        self._versions[what] += 1
        self._write(what)
        return self.answer

    def _write(self, what: str) -> None:
        version = self._versions[what]
        if what == "entry":
            self._worker.entry(self.folder, f"import words\nVERSION, unsent = {version}, []\n{self._source}")
        elif what == "words":
            self._worker.save(self.folder / "words.py", f"VERSION = {version}\n")
        else:
            self._worker.config(self.folder, f'{BINDINGS}, "vars": {{"VERSION": "{version}"}}')


def serve(start: Start, project: Project) -> Server:
    return start(project.folder, "dev", "--log-level", "warning")  # a line per request would fill the pipe


def save_under_load(project: Project, server: Server) -> Clients:
    """Save a version as soon as the one before is served; returns what the clients saw."""
    shown = [project.answer]
    with Clients(server.url) as clients:
        clients.wait_for_answers(shown[0])
        for number in range(SAVES):
            shown.append(project.save(number))
            clients.wait_for_answers(shown[-1])
    assert clients.failures == []
    assert set(clients.answers) == set(shown)
    return clients


def tailed_counts(edge: Edge, folder: Path) -> Counter[int]:
    """How often each number is in the stream, as its user sees it."""
    told = edge("streams", "tail", "ledger", "--json", "--no-follow", cwd=folder)
    assert told.returncode == 0, told.stderr
    return Counter(json.loads(line)["record"]["n"] for line in told.stdout.splitlines())


def require_each_exactly_once(edge: Edge, server: Server, folder: Path, acknowledged: list[int]) -> None:
    counts = tailed_counts(edge, folder)
    assert [number for number in acknowledged if counts[number] != 1] == [], "lost, or there twice"
    assert missing_keys(server, acknowledged) == []


def test_twenty_saves_under_load_fail_no_request_and_lose_no_record(
    start: Start, edge: Edge, project: Path, worker: Any
) -> None:
    versions = Project(project, worker)
    server = serve(start, versions)
    clients = save_under_load(versions, server)
    require_each_exactly_once(edge, server, project, clients.acknowledged)
    assert server.stop() == 0


def test_broken_saves_in_between_leave_the_last_good_version_answering(
    start: Start, edge: Edge, project: Path, worker: Any
) -> None:
    versions = Project(project, worker)
    server = serve(start, versions)
    with Clients(server.url) as clients:
        clients.wait_for_answers(versions.answer)
        for source in BROKEN * (SAVES // len(BROKEN)):
            worker.entry(project, source)
            server.wait_for("reload_failed serving='the last good version'")
            clients.wait_for_answers(versions.answer, 50)
            clients.wait_for_answers(versions.save_entry())
    assert clients.failures == []
    assert len(clients.answers) == SAVES + 1
    require_each_exactly_once(edge, server, project, clients.acknowledged)
    assert server.stop() == 0


def test_control_a_restart_instead_of_a_reload_fails_requests(start: Start, project: Path, worker: Any) -> None:
    versions = Project(project, worker)
    server = serve(start, versions)
    with Clients(server.url) as clients:
        clients.wait_for_answers(versions.answer)
        assert server.stop() == 0
        serve(start, versions)
        clients.wait_for_failure()
    assert clients.failures


def test_control_records_held_in_a_module_are_seen_to_be_lost(
    start: Start, edge: Edge, project: Path, worker: Any
) -> None:
    versions = Project(project, worker, FORGETFUL)
    server = serve(start, versions)
    clients = save_under_load(versions, server)
    with pytest.raises(AssertionError, match="lost, or there twice"):
        require_each_exactly_once(edge, server, project, clients.acknowledged)
