"""Each format: what it gives, and that anything else is refused without a trace."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.bindings.pipelines.processing.declared import ParseStep
from edge.bindings.pipelines.processing.parse import Parse

READ: list[tuple[str, dict[str, Any], str, dict[str, Any]]] = [
    ("json", {}, '{"a": {"b": 9007199254740993}}', {"a": {"b": 9007199254740993}}),
    (
        "logfmt", {}, r'level=info msg="it \"works\"" quiet d=',
        {"level": "info", "msg": 'it "works"', "quiet": True, "d": ""},
    ),
    ("key_value", {"separator": ";"}, 'a=1; b: "two";', {"a": "1", "b": "two"}),
    ("csv", {"columns": ("a", "b")}, '1,"x, y"', {"a": "1", "b": "x, y"}),
    ("csv", {"columns": ("a", "b"), "separator": "\t"}, "1\t", {"a": "1", "b": ""}),
    ("regex", {"pattern": r"(?P<a>[A-Z]+) (?P<b>\S+)(?: (?P<c>.+))?"}, "GET /x", {"a": "GET", "b": "/x"}),
    (
        "syslog",
        {},
        "<34>Oct 11 22:14:15 mymachine su[12]: 'su root' failed",
        {
            "facility": "auth", "severity": "critical", "timestamp": "Oct 11 22:14:15", "host": "mymachine",
            "app": "su", "pid": "12", "message": "'su root' failed",
        },
    ),
    (
        "syslog",
        {},
        '<165>1 2003-10-11T22:14:15Z h.test evntslog - ID47 [ex@32473 iut="3" q="a\\"\\]"][b c="d"] \ufeffAn event',
        {
            "facility": "local4", "severity": "notice", "timestamp": "2003-10-11T22:14:15Z", "host": "h.test",
            "app": "evntslog", "message_id": "ID47", "message": "An event",
            "structured_data": {"ex@32473": {"iut": "3", "q": 'a"]'}, "b": {"c": "d"}},
        },
    ),
    (
        "cef",
        {},
        r"Sep 19 host CEF:0|Sec\|urity|threat|1.0|100|worm \\ stopped|10|src=10.0.0.1 msg=a text, b\=c act=blocked",
        {
            "cef_version": "0", "device_vendor": "Sec|urity", "device_product": "threat", "device_version": "1.0",
            "signature_id": "100", "name": "worm \\ stopped", "severity": "10",
            "extension": {"src": "10.0.0.1", "msg": "a text, b=c", "act": "blocked"},
        },
    ),
    (
        "url",
        {},
        "https://Ex.com:8443/a%20b?q=1&q=2&e=#f",
        {
            "scheme": "https", "host": "ex.com", "port": 8443, "path": "/a%20b",
            "query": {"q": "2", "e": ""}, "fragment": "f",
        },
    ),
    (
        "user_agent",
        {},
        "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        {"browser": "Firefox", "browser_version": "140.0", "os": "Linux"},
    ),
]  # fmt: skip
REFUSED = [
    ("json", {}, "[1]"),
    ("json", {}, '{"a":'),
    ("logfmt", {}, 'a="open'),
    ("logfmt", {}, "  "),
    ("key_value", {}, "just text"),
    ("csv", {"columns": ("a", "b")}, "1"),
    ("csv", {"columns": ("a",)}, '"open'),
    ("regex", {"pattern": "(?P<a>x)"}, "y"),
    ("syslog", {}, "no priority"),
    ("syslog", {}, "<192>1 - - - - - -"),
    ("cef", {}, "CEF:0|a|b"),
    ("url", {}, "/relative"),
    ("url", {}, "http://h:99999/"),
]


@pytest.mark.parametrize(("form", "options", "text", "expected"), READ)
def test_a_text_becomes_fields(form: Any, options: dict[str, Any], text: str, expected: dict[str, Any]) -> None:
    record = {"id": 1, "m": text}
    Parse(ParseStep("parse", form, "m", into="p", **options)).apply(record)
    assert record == {"id": 1, "m": text, "p": expected}


@pytest.mark.parametrize(("form", "options", "text"), REFUSED)
def test_another_text_is_refused_and_the_record_stays(form: Any, options: dict[str, Any], text: str) -> None:
    record = {"m": text}
    with pytest.raises(ValueError, match=r"\w"):
        Parse(ParseStep("parse", form, "m", **options)).apply(record)
    assert record == {"m": text}


def test_fields_of_the_record_win_over_what_the_text_says() -> None:
    record = {"id": 1, "m": "id=2 new=3"}
    Parse(ParseStep("parse", "logfmt", "m", remove=True)).apply(record)
    assert record == {"id": 1, "new": "3"}


@pytest.mark.parametrize(
    ("form", "options", "told"),
    [
        ("regex", {}, 'needs a "pattern"'),
        ("regex", {"pattern": "("}, "is no regular expression"),
        ("regex", {"pattern": "(a)"}, "has no named group"),
        ("csv", {}, 'needs "columns"'),
        ("csv", {"columns": ("a",), "separator": "::"}, "a separator of one character"),
    ],
)
def test_a_step_without_what_its_format_needs_is_refused(form: Any, options: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Parse(ParseStep("parse", form, "m", **options))


@given(st.sampled_from([(form, options) for form, options, *_ in READ]), st.text(max_size=200))
def test_no_text_makes_anything_but_fields_or_a_value_error(form: Any, text: str) -> None:
    record = {"m": text}
    try:
        Parse(ParseStep("parse", form[0], "m", into="p", **form[1])).apply(record)
    except ValueError:
        assert record == {"m": text}
