"""URLs from the wire: as a Request of the same URL has them, whatever was sent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge import Request
from edge.runtime.core.errors import RefusedError
from edge.runtime.core.wire_url import is_normal_target, normal_origin, normal_target

PIECES = st.sampled_from(
    ["/", ".", "%2e", "%2E", "..", "?", "a", "~b", "\\", "'", "|", "{", "\u00e9", " ", "%", ":", "@"]
)


@given(st.lists(PIECES).map("".join))
def test_a_request_of_the_url_has_the_same(rest: str) -> None:
    url = f"http://localhost{normal_target(f'/{rest}', 'GET')}"
    assert Request(url).url == url
    assert url.isascii()


@given(st.lists(PIECES).map("".join))
def test_a_target_that_looks_normal_is_what_a_request_makes_of_it(rest: str) -> None:
    if is_normal_target(f"/{rest}"):
        assert Request(f"http://localhost/{rest}").url == f"http://localhost/{rest}"


@pytest.mark.parametrize("target", ["/", "/a/b.c/d..?e=/f", "/%41/x%2Fy;z=1", "/a,b:c@d[e]|f-g_h~i$j!k(l)*m+n&o"])
def test_a_normal_target_costs_one_look(target: str) -> None:
    assert is_normal_target(target)


@given(st.text(max_size=20))
def test_any_host_is_refused_or_an_origin_that_a_request_keeps(host: str) -> None:
    try:
        origin = normal_origin("http", host)
    except RefusedError:
        return
    assert Request(origin).url == f"{origin}/"


@pytest.mark.parametrize("target", ["", "a", "http://localhost/", "/a#b"])
def test_what_is_no_target_is_refused(target: str) -> None:
    with pytest.raises(RefusedError) as refused:
        normal_target(target, "GET")
    assert refused.value.http_status == 400
