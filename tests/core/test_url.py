"""js.URL and js.URLSearchParams beyond what requests need."""

from __future__ import annotations

import pytest

from edge.runtime.core.errors import BindingError
from edge.runtime.core.url import URL, URLSearchParams


@pytest.mark.parametrize(
    ("reference", "base", "href"),
    [
        ("x", "https://t.com/a/b", "https://t.com/a/x"),
        ("/x", "https://t.com/a/b?q", "https://t.com/x"),
        ("?y", "https://t.com/a/b?q#f", "https://t.com/a/b?y"),
        ("#g", "https://t.com/a/b?q", "https://t.com/a/b?q#g"),
        ("//u.com/x", "https://t.com/a", "https://u.com/x"),
        ("", "https://t.com/a?q", "https://t.com/a?q"),
        ("https:x", "https://t.com/a/b", "https://t.com/a/x"),
        ("mailto:a@b.c", "https://t.com/", "mailto:a@b.c"),
    ],
)
def test_relative_urls(reference: str, base: str, href: str) -> None:
    assert URL(reference, base).href == href


def test_a_base_that_cannot_carry_a_path_is_refused() -> None:
    with pytest.raises(BindingError, match=r"^TypeError: Invalid URL: x$"):
        URL("x", "mailto:a@b.c")


def test_search_params() -> None:
    params = URLSearchParams.new("?a=1&b=2&a=3")
    assert (params.size, params.has("a"), params.has("z"), list(params.keys())) == (3, True, False, ["a", "b", "a"])
    params.set("a", 4)
    params.append("c", True)
    assert str(params) == "a=4&b=2&c=true"
    params.delete("b")
    params.append("b", "x")
    params.sort()
    assert (list(params), list(params.values())) == ([("a", "4"), ("b", "x"), ("c", "true")], ["4", "x", "true"])
    assert not params.get("z")
    assert str(URLSearchParams([("a", "~*")])) == "a=%7E*"


def test_user_and_password() -> None:
    url = URL("https://us er:p%40w@t.com/")
    assert (url.username, url.password, url.protocol, url.toJSON()) == ("us%20er", "p%40w", "https:", url.href)
