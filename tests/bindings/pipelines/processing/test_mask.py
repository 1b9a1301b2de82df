"""What is hidden stays hidden, and nothing else changes."""

from __future__ import annotations

import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.bindings.pipelines.processing.declared import IngestDeclaration, MaskStep
from edge.bindings.pipelines.processing.detectors import DETECTORS
from edge.bindings.pipelines.processing.facts import Facts
from edge.bindings.pipelines.processing.mask import Mask
from edge.bindings.pipelines.processing.processor import Processor
from edge.runtime.core.errors import ConfigError

CARD = "4111 1111 1111 1111"


def masked(record: Any, **step: Any) -> Any:
    return Mask(MaskStep("mask", **step)).apply(record)


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ({"detectors": ("card",)}, "paid with [redacted:card]!"),
        ({"detectors": ("card",), "action": "keep_last"}, "paid with ***************1111!"),
        ({"detectors": ("card",), "action": "keep_last", "keep": 0}, f"paid with {'*' * 19}!"),
        ({"detectors": ("card",), "action": "remove"}, "paid with !"),
        (
            {"detectors": ("card",), "action": "hmac", "key": "k"},
            f"paid with {hmac.new(b'k', CARD.encode(), hashlib.sha256).hexdigest()}!",
        ),
        ({"pattern": r"p\w+d"}, f"[redacted] with {CARD}!"),
    ],
    ids=["redact", "keep_last", "keep none", "remove", "hmac", "custom"],
)
def test_what_is_found_in_a_text_is_hidden(step: dict[str, Any], expected: str) -> None:
    record = {"a": [{"note": f"paid with {CARD}!"}], "n": 7}
    assert masked(record, **step) == {"a": [{"note": expected}], "n": 7}


@pytest.mark.parametrize(
    ("action", "expected"),
    [("redact", "[redacted]"), ("keep_last", "*****4567"), ("remove", None)],
)
def test_the_value_at_a_path_is_hidden_whole(action: Any, expected: Any) -> None:
    record = masked({"user": {"ssn": 123454567, "x": 1}}, paths=("user.ssn",), action=action)
    assert record["user"].get("ssn") == expected
    assert record["user"]["x"] == 1


def test_an_object_at_a_path_is_redacted_whole() -> None:
    assert masked({"card": {"n": CARD}}, paths=("card",), action="keep_last") == {"card": "[redacted]"}


def test_a_card_that_comes_as_a_number_is_found() -> None:
    record = {"card": 4111111111111111, "other": 4111111111111112}
    assert masked(record, detectors=("card",)) == {"card": "[redacted:card]", "other": 4111111111111112}


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"to": {"ada@b.co": 1, "x": 2}}, {"to": {"[redacted:email]": 1, "x": 2}}),
        ({"a@b.co": "c@b.co"}, {"[redacted:email]": "[redacted:email]"}),
        (
            {"a@b.co": 1, "c@b.co": 2, "[redacted:email] 2": 3, "d@b.co": 4, "[redacted:email]": 5},
            {
                "[redacted:email] 3": 1,
                "[redacted:email] 4": 2,
                "[redacted:email] 2": 3,
                "[redacted:email] 5": 4,
                "[redacted:email]": 5,
            },
        ),
    ],
    ids=["inside", "key and value", "none is lost"],
)
def test_what_is_found_in_a_key_is_hidden(record: Any, expected: Any) -> None:
    hidden = masked(record, detectors=("email",))
    assert hidden == expected
    assert str(hidden) == str(expected), "in the same order"


def test_many_keys_that_become_the_same_are_all_kept() -> None:
    record = masked({f"a{n}@b.co": n for n in range(10_000)}, detectors=("email",), action="remove")
    assert sorted(record.values()) == list(range(10_000))
    assert set(record) == {"", *(f" {n}" for n in range(2, 10_001))}


def test_an_escaped_at_sign_does_not_hide_an_address() -> None:
    line = rb'{"m":"a\u0040b.co"}'
    assert Mask(MaskStep("mask", detectors=("email",))).concerns(line)
    assert _before_log(line + b"\n") == b'{"m":"[redacted:email]"}\n'


def test_a_record_without_a_hit_keeps_its_bytes() -> None:
    line = b'{ "m" : 1.10, "m" : 2 }\n'
    assert _before_log(line) == line


@given(st.recursive(st.text() | st.integers() | st.none(), lambda c: st.lists(c) | st.dictionaries(st.text(), c)))
def test_no_address_is_left_anywhere(value: Any) -> None:
    line = json.dumps({"v": [value, {"deep": "x ada@example.com y", "ada@example.com": value}]}).encode() + b"\n"
    assert b"ada@example.com" not in _before_log(line)


@pytest.mark.parametrize(
    ("step", "told"),
    [
        ({}, "hides nothing"),
        ({"paths": ("a",), "action": "hmac"}, 'needs a "key"'),
        ({"paths": ("a..b",)}, '"a..b" is no path'),
        ({"paths": ("a",), "keep": -1}, '"keep" is -1'),
    ],
)
def test_a_step_that_cannot_work_is_refused(step: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=rf'ingest.steps\[0\] \(mask\) of stream "s": .*{told}'):
        Processor([MaskStep("mask", **step)], "s", Path())


def _before_log(lines: bytes) -> bytes:
    declared = IngestDeclaration((MaskStep("mask", detectors=("email",), stage="ingest"),))
    processor = Processor.of(declared, "s", Path())
    assert processor is not None
    return processor.before_log(lines)


@given(
    st.sampled_from(sorted(DETECTORS)),
    st.lists(
        st.text(alphabet='0123456789abcdefABCDEF.:@- ()+/=_eyJ\\"\u00e9\u2028\n', max_size=40)
        | st.integers(10**12, 10**19)
        | st.from_regex(
            r"\+?\d{2,4}[ .-]\d{3}[ .-]\d{4,6}|\d{13,19}|([0-9a-f]{1,4}:){2,7}[0-9a-f]{1,4}", fullmatch=True
        ),
        max_size=4,
    ),
    st.booleans(),
)
def test_the_look_before_decoding_never_says_a_wrong_no(name: Any, values: list[Any], is_ascii: bool) -> None:
    mask = Mask(MaskStep("mask", detectors=(name,)))
    line = json.dumps({"v": values}, ensure_ascii=is_ascii, separators=(",", ":")).encode()
    is_changed = mask.apply(json.loads(line)) != {"v": values}
    assert mask.concerns(line) or not is_changed


@pytest.mark.parametrize("name", sorted(DETECTORS))
def test_records_are_masked_the_same_all_at_once_and_one_by_one(name: Any) -> None:
    texts = ["a@b.co", "4111 1111 1111 1111", "10.0.0.1", "::1", "+1 415 555 2671", "eyJhbGciOi.eyJzdWIiOiI.x"]
    texts += ["Bearer abcdefgh", ""]
    lines = b"".join(json.dumps({"n": n, "t": text}).encode() + b"\n" for n, text in enumerate(texts * 3))
    step = MaskStep("mask", detectors=(name,))
    together = Processor([step], "s", Path()).before_sql(lines, Facts(0.0))
    apart = Processor([MaskStep("mask", detectors=(name,), stage="ingest")], "s", Path()).before_log(lines)
    assert together.lines == apart
    assert together.lines != lines
