"""Signatures equal botocore's, whatever is signed."""

from __future__ import annotations

import time
from unittest.mock import patch
from urllib.parse import quote

import pytest
from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.compat import get_current_datetime
from botocore.credentials import Credentials as BotocoreCredentials
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.runtime.hosts.sigv4 import Credentials, signed_headers, wire_path, wire_query

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
header_values = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=20)
credentials = st.builds(
    Credentials,
    st.from_regex(r"AKIA[A-Z0-9]{16}", fullmatch=True),
    st.from_regex(r"[A-Za-z0-9/+]{40}", fullmatch=True),
    st.none() | st.from_regex(r"[A-Za-z0-9/+=]{10,60}", fullmatch=True),
)


def botocore_signature(kind, keys, service, region, method, url, headers, body, at):
    request = AWSRequest(method, url, headers, body)
    at_that_time = get_current_datetime().__class__.fromtimestamp(at, tz=get_current_datetime().tzinfo)
    with patch.object(auth, "get_current_datetime", lambda: at_that_time):
        kind(BotocoreCredentials(keys.access_key, keys.secret_key, keys.token), service, region).add_auth(request)
    return request.headers["Authorization"]


@settings(max_examples=300, deadline=None)
@given(
    keys=credentials,
    method=st.sampled_from(["GET", "PUT", "HEAD", "DELETE", "POST"]),
    key=st.lists(text, min_size=1, max_size=4).map("/".join),
    query=st.lists(st.tuples(text.filter(bool), text), max_size=4),
    extra=st.dictionaries(st.from_regex(r"x-amz-meta-[a-z]{1,8}", fullmatch=True), header_values, max_size=3),
    body=st.binary(max_size=40),
    at=st.integers(1_500_000_000, 2_000_000_000),
)
def test_s3_requests_are_signed_as_botocore_signs_them(keys, method, key, query, extra, body, at):
    path = wire_path(f"/bucket/{quote(key, safe='/')}")
    query = wire_query("&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in query))
    headers = {"host": "s3.eu-central-1.amazonaws.com", "content-type": "a/b", **extra}
    ours = signed_headers(
        keys,
        service="s3",
        region="eu-central-1",
        method=method,
        path=path,
        query=query,
        headers=headers,
        body=body,
        at=at,
    )
    url = f"https://s3.eu-central-1.amazonaws.com{path}{'?' if query else ''}{query}"
    theirs = botocore_signature(auth.S3SigV4Auth, keys, "s3", "eu-central-1", method, url, headers, body, at)
    assert ours["authorization"] == theirs


@settings(max_examples=200, deadline=None)
@given(
    keys=credentials,
    service=st.sampled_from(["dynamodb", "firehose", "kinesis"]),
    region=st.sampled_from(["us-east-1", "ap-southeast-2", "cn-north-1"]),
    segments=st.lists(st.text("abcXYZ0189-_~ é%:", min_size=1, max_size=6), max_size=3),
    body=st.binary(max_size=200),
    at=st.integers(1_500_000_000, 2_000_000_000),
)
def test_json_calls_are_signed_as_botocore_signs_them(keys, service, region, segments, body, at):
    path = wire_path("/" + "/".join(quote(segment) for segment in segments))
    headers = {"host": "127.0.0.1:5000", "x-amz-target": "T.Op", "accept-encoding": "identity", "user-agent": "edge"}
    ours = signed_headers(
        keys, service=service, region=region, method="POST", path=path, query="", headers=headers, body=body, at=at
    )
    theirs = botocore_signature(
        auth.SigV4Auth, keys, service, region, "POST", f"http://127.0.0.1:5000{path}", headers, body, at
    )
    assert ours["authorization"] == theirs


@pytest.mark.parametrize(
    ("sent", "wire"),
    [
        ("/a b", "/a%20b"),
        ("/a%20b", "/a%20b"),
        ("/%7e(x)", "/~%28x%29"),
        ("/é", "/%C3%A9"),
        ("//a/../b", "//a/../b"),
        ("", "/"),
    ],
)
def test_path_is_brought_to_the_encoding_that_is_signed(sent, wire):
    assert wire_path(sent) == wire


@pytest.mark.parametrize(
    ("sent", "wire"),
    [("b=2&a=1", "a=1&b=2"), ("flag", "flag="), ("a=x+y", "a=x%2By"), ("a=%2F&a=!", "a=%21&a=%2F"), ("", "")],
)
def test_query_is_brought_to_the_order_that_is_signed(sent, wire):
    assert wire_query(sent) == wire


def test_credentials_do_not_show_their_secrets():
    shown = repr(Credentials("AKIA", "the-secret", "the-token", time.time()))
    assert "the-secret" not in shown
    assert "the-token" not in shown
