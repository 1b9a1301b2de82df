"""`env`: attributes only, with errors that say what there is."""

from __future__ import annotations

import pytest

from edge.runtime.core.env import Env, binding_names
from edge.runtime.core.errors import UnsupportedError

ENV = Env({"KV": object(), "NAME": "value"}, {"BUCKET": "r2_buckets"})


def test_bindings_are_attributes() -> None:
    assert ENV.NAME == "value"
    assert getattr(ENV, "OTHER", "default") == "default"
    assert hasattr(ENV, "KV")
    assert not hasattr(ENV, "OTHER")
    assert binding_names(ENV) == ["KV", "NAME"]


def test_missing_binding_says_which_there_are() -> None:
    with pytest.raises(
        AttributeError, match=r"env has no binding 'KVV' \(bindings: KV, NAME\)\. Name it in the wrangler file\."
    ):
        _ = ENV.KVV


def test_unsupported_binding_names_its_section() -> None:
    with pytest.raises(UnsupportedError, match=r'env\.BUCKET is a "r2_buckets" binding'):
        _ = ENV.BUCKET
    assert not hasattr(ENV, "BUCKET")


def test_subscript_membership_and_assignment_fail_as_on_cloudflare() -> None:
    with pytest.raises(TypeError):
        ENV["KV"]  # type: ignore[index]  # the mistake under test
    with pytest.raises(TypeError):
        "KV" in ENV  # type: ignore[operator]  # noqa: B015 - the mistake under test
    with pytest.raises(AttributeError, match="read-only"):
        ENV.NEW = 1
