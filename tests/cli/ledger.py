"""Keep-alive clients that note what a server acknowledged, and the Worker that they ask.

Each request carries a number of its own. The Worker sends it to a stream, puts it under a key, and answers once both
have said yes: a number is acknowledged when its 200 has been read to the end.
"""

from __future__ import annotations

import http.client
import json
import threading
from collections import Counter
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import TracebackType

    from .conftest import Server

BINDINGS = ', "kv_namespaces": [{"binding": "KV"}], "pipelines": [{"binding": "STREAM", "stream": "ledger"}]'
CLIENTS = 8
SECONDS_MAX = 60
"""After which a wait has failed."""

ENTRY = """
import json
from workers import Response

async def keep(env, number):
    await env.STREAM.send([{"n": number}])
    await env.KV.put(f"n-{number}", str(number))

async def fetch(request, env, ctx):
    if request.url.endswith("/missing"):
        return Response(json.dumps([n for n in await request.json() if await env.KV.get(f"n-{n}") != str(n)]))
    number = int(await request.text())
    await keep(env, number)
    return Response("kept")
"""


class Clients:
    """Concurrent clients of one server, asking until they are told to stop or a request fails."""

    def __init__(self, url: str, numbers: Iterator[int] | None = None) -> None:
        self.acknowledged: list[int] = []
        self.answers: Counter[str] = Counter()
        """How often each body came, of acknowledged requests."""
        self.failures: list[str] = []
        self._authority = url.removeprefix("http://")
        self._numbers = numbers or count()
        self._changed = threading.Condition()
        self._is_over = False
        self._threads = [threading.Thread(target=self._ask_on) for _ in range(CLIENTS)]

    def __enter__(self) -> Clients:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._is_over = True
        for thread in self._threads:
            thread.join()

    def wait_for_more(self, request_count: int) -> None:
        """Wait for so many more acknowledgements."""
        enough = len(self.acknowledged) + request_count
        self._wait_until(lambda: len(self.acknowledged) >= enough)

    def wait_for_answers(self, body: str, answer_count: int = 1) -> None:
        """Wait for so many more answers of that body."""
        enough = self.answers[body] + answer_count
        self._wait_until(lambda: self.answers[body] >= enough)

    def wait_for_failure(self) -> None:
        self._wait_until(lambda: False)

    def _wait_until(self, is_so: Callable[[], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: is_so() or self.failures, SECONDS_MAX), self.answers

    def _ask_on(self) -> None:
        connection = http.client.HTTPConnection(self._authority, timeout=SECONDS_MAX)
        while not self._is_over:
            number = next(self._numbers)
            try:
                connection.request("POST", "/", str(number))
                response = connection.getresponse()
                body = response.read().decode()
            except (OSError, http.client.HTTPException) as error:
                self._note(number, failure=f"{number}: {error!r}")
                break
            if response.status == 200:
                self._note(number, body)
            else:
                self._note(number, failure=f"{number}: {response.status} {body}")
        connection.close()

    def _note(self, number: int, body: str = "", *, failure: str | None = None) -> None:
        with self._changed:
            if failure is None:
                self.acknowledged.append(number)
                self.answers[body] += 1
            else:
                self.failures.append(failure)
            self._changed.notify_all()


def missing_keys(server: Server, acknowledged: list[int]) -> list[int]:
    """Numbers whose key the running Worker does not find."""
    status, body = server.ask("/missing", body=json.dumps(acknowledged).encode())
    assert status == 200, body
    missing: list[int] = json.loads(body)
    return missing


def delivered_counts(folder: Path) -> Counter[int]:
    """How often each number is in the stream's files; a server that has stopped has delivered everything."""
    files = folder.glob(".edge/**/streams/*/files/*.ndjson")
    return Counter(json.loads(line)["n"] for path in files for line in path.read_bytes().splitlines())
