"""One line per request, with an id that every line of the request has."""

from __future__ import annotations

import pytest

from edge.runtime.core.context import request_id
from edge.runtime.core.request import Request, incoming_request
from edge.runtime.core.response import Response
from edge.runtime.request_log import RequestLog, path_of
from edge.runtime.testing.fake_host import RecordingLog


class Answering:
    def __init__(self) -> None:
        self.ids: list[str] = []

    async def fetch(self, _request: Request) -> Response:
        self.ids.append(request_id.get())
        return Response("x", status=201)


async def test_a_line_has_method_path_status_and_time_but_no_query() -> None:
    log = RecordingLog()
    await RequestLog(Answering(), log).fetch(incoming_request("PUT", "http://localhost/a%2Fb?token=1", []))
    ((level, event, values),) = log.lines
    assert (level, event) == ("info", "request_answered")
    assert values.pop("duration_ms") >= 0
    assert values == {"method": "PUT", "path": "/a%2Fb", "status": 201}


async def test_a_method_that_python_does_not_know_is_logged_as_it_came() -> None:
    log = RecordingLog()
    await RequestLog(Answering(), log).fetch(incoming_request("PURGE", "http://localhost/", []))
    assert log.lines[0][2]["method"] == "PURGE"


@pytest.mark.parametrize("is_shown", [True, False])
async def test_every_request_has_its_own_id_even_without_a_line(is_shown: bool) -> None:
    log, fetcher = RecordingLog(), Answering()
    requests = RequestLog(fetcher, log, is_shown=is_shown)
    for _ in range(3):
        await requests.fetch(incoming_request("GET", "http://localhost/", []))
    assert len(set(fetcher.ids)) == 3
    assert all(len(one) == 16 for one in fetcher.ids)
    assert len(log.lines) == (3 if is_shown else 0)


def test_the_path_is_found_in_any_url() -> None:
    urls = {"http://h/": "/", "http://h": "/", "http://h/a?b#c": "/a", "http://[::1]:80/x/y": "/x/y"}
    assert {url: path_of(url) for url in urls} == urls
