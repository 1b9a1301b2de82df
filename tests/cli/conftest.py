"""The real `edge` executable, as a child process."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

EDGE = Path(sys.executable).parent / "edge"
SECONDS_MAX = 180
"""After which a child that hangs is killed, so that the test fails instead of waiting."""


class Server:
    """A running `edge dev` or `edge serve`: its output line by line, and its URL."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.lines: list[str] = []
        self.child = subprocess.Popen(
            [EDGE, *arguments, "--port", "0"],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._watchdog = threading.Timer(SECONDS_MAX, self.child.kill)
        self._watchdog.start()
        try:
            self.url = self.wait_for(r"^Ready on (http://127\.0\.0\.1:\d+)$")
        except BaseException:  # its open pipes would fail other tests
            self.close()
            raise

    def wait_for(self, pattern: str) -> str:
        """Read output until a line matches; its first group, or the line."""
        assert self.child.stdout is not None
        for line in self.child.stdout:
            self.lines.append(line.rstrip("\n"))
            if found := re.search(pattern, self.lines[-1]):
                return found[1] if found.groups() else found[0]
        raise AssertionError(f"{pattern} never came:\n" + "\n".join(self.lines))

    def ask(
        self, path: str = "/", *, accept: str = "*/*", body: bytes | None = None, host: str | None = None
    ) -> tuple[int, str]:
        headers = {"Accept": accept} | ({"Host": host} if host else {})
        request = urllib.request.Request(self.url + path, data=body, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=SECONDS_MAX) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """Ask it to stop; the rest of the output is in `lines`."""
        self.child.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        assert self.child.stdout is not None
        self.lines += self.child.stdout.read().splitlines()
        return self.child.wait()

    def close(self) -> None:
        self._watchdog.cancel()
        self.child.kill()
        self.child.communicate()


@pytest.fixture
def edge(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a command in `tmp_path` to its end."""

    def run(*arguments: str, cwd: Path = tmp_path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [EDGE, *arguments], cwd=cwd, capture_output=True, text=True, timeout=SECONDS_MAX, check=False
        )

    return run


@pytest.fixture
def start() -> Iterator[Callable[..., Server]]:
    """Start a server in a folder; it is gone when the test ends."""
    servers: list[Server] = []

    def start_server(folder: Path, *arguments: str) -> Server:
        servers.append(Server(folder, *arguments))
        return servers[-1]

    yield start_server
    for server in servers:
        server.close()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A Worker that answers "one"."""
    folder = tmp_path / "project"
    folder.mkdir()
    write_config(folder)
    write_entry(folder, answering("one"))
    return folder


def save(path: Path, text: str) -> None:
    """All at once, by a rename: a file that is empty for a moment, on a busy machine a long one, is test_watch's."""
    beside = path.with_name(f".{path.name}~")
    beside.write_text(text)
    beside.rename(path)


def write_config(folder: Path, extra: str = "") -> None:
    save(
        folder / "wrangler.jsonc",
        f'{{"name": "demo", "main": "entry.py", "compatibility_date": "2026-09-08",'
        f' "compatibility_flags": ["python_workers"]{extra}}}',
    )


def write_entry(folder: Path, source: str) -> None:
    save(folder / "entry.py", source)


def answering(text: str) -> str:
    return f"""from workers import Response, WorkerEntrypoint

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return Response({text!r})
"""


@pytest.fixture
def worker() -> Worker:
    return Worker()


class Worker:
    """Writes the files of a Worker."""

    save = staticmethod(save)
    config = staticmethod(write_config)
    entry = staticmethod(write_entry)
    answering = staticmethod(answering)
