"""s3 and r2 sinks against a real HTTP server (moto) and against folders."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import boto3
import obstore
import pyarrow.parquet as pq
import pytest
from moto.server import ThreadedMotoServer

from edge.bindings.pipelines.objects import SinkFormat
from edge.bindings.pipelines.sinks import object_store
from edge.bindings.pipelines.sinks.object_errors import ADVICE
from edge.bindings.pipelines.sinks.sink import SinkMisconfiguredError, SinkUnavailableError
from edge.bindings.pipelines.sinks.types import r2, s3

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PARQUET = SinkFormat("parquet")


def open_s3(runner: Any, config: dict[str, Any], form: SinkFormat | None = None, **more: Any) -> Any:
    return s3.open_sink(runner.sink("s3", form, **config, **more), runner.site)


def client_of(config: dict[str, Any]) -> Any:
    """A reader of others: boto3."""
    keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b", "region_name": "us-east-1"}
    return boto3.client("s3", endpoint_url=config["endpoint"], **keys)


def objects_in(config: dict[str, Any]) -> list[dict[str, Any]]:
    found = client_of(config).list_objects_v2(Bucket=config["bucket"]).get("Contents", [])
    return sorted(found, key=lambda one: str(one["Key"]))


def content_of(config: dict[str, Any], key: str) -> bytes:
    return bytes(client_of(config).get_object(Bucket=config["bucket"], Key=key)["Body"].read())


def put_foreign(config: dict[str, Any], key: str, content: bytes) -> None:
    client_of(config).put_object(Bucket=config["bucket"], Key=key, Body=content)


def place_foreign(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


async def test_a_roll_lies_in_the_bucket_under_path_and_time(runner: Any, s3_config: dict[str, Any]) -> None:
    sink = open_s3(runner, s3_config, path="raw/flights")
    await runner.deliver(sink, runner.rows([1, 2]), runner.rows([3], day=1))
    keys = [o["Key"] for o in objects_in(s3_config)]
    assert [key.rpartition("/")[0] for key in keys] == [
        "raw/flights/year=2026/month=01/day=01",
        "raw/flights/year=2026/month=01/day=02",
    ]
    assert [json.loads(line) for key in keys for line in content_of(s3_config, key).splitlines()] == [
        {"n": 1},
        {"n": 2},
        {"n": 3},
    ]


async def test_publishing_again_after_a_crash_leaves_the_object_as_it_was(
    runner: Any, s3_config: dict[str, Any]
) -> None:
    roll = await runner.deliver(open_s3(runner, s3_config, PARQUET), runner.rows([1, 2]))
    before = objects_in(s3_config)
    await runner.publish(open_s3(runner, s3_config, PARQUET), roll)
    assert objects_in(s3_config) == before
    assert len(before) == 1


async def test_an_object_with_other_content_is_never_written_over(runner: Any, s3_config: dict[str, Any]) -> None:
    sink = open_s3(runner, s3_config)
    roll = runner.stage(sink, runner.rows([1]))
    key = roll.files[0].key
    put_foreign(s3_config, key, b"foreign")
    with pytest.raises(SinkMisconfiguredError, match=f"{key} is there already with other content \\(7 bytes"):
        await runner.publish(sink, roll)
    assert content_of(s3_config, key) == b"foreign"


async def test_an_object_of_the_same_size_is_told_from_ours_by_its_hash(runner: Any, s3_config: dict[str, Any]) -> None:
    """Control: by size alone the foreign object would count as ours, and the roll's rows would be lost."""
    sink = open_s3(runner, s3_config)
    roll = runner.stage(sink, runner.rows([1]))
    put_foreign(s3_config, roll.files[0].key, b"x" * roll.files[0].size_bytes)
    with pytest.raises(SinkMisconfiguredError, match="other content"):
        await runner.publish(sink, roll)


@pytest.mark.parametrize("where", ["s3", "folder"])
async def test_a_long_file_goes_up_in_parts_once(
    runner: Any, s3_config: dict[str, Any], where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_store, "SINGLE_PUT_BYTES_MAX", 1024)
    monkeypatch.setattr(object_store, "PART_BYTES", 5 * 1024 * 1024)  # the least S3 takes
    puts = []
    put = obstore.put_async

    async def counted(*args: Any, **options: Any) -> Any:
        puts.append(options["use_multipart"])
        return await put(*args, **options)

    monkeypatch.setattr(object_store.obstore, "put_async", counted)

    def open_one() -> Any:
        if where == "s3":
            return open_s3(runner, s3_config)
        return r2.open_sink(runner.sink("r2", bucket="a-bucket"), runner.site)

    roll = await runner.deliver(open_one(), runner.rows(range(600_000)))
    await runner.publish(open_one(), roll)
    assert puts == [True]
    if where == "s3":
        assert sha256(content_of(s3_config, roll.files[0].key)).hexdigest() == roll.files[0].sha256


async def test_a_store_without_create_only_gets_a_plain_put(runner: Any, answers: Any, config_of_url: Any) -> None:
    answers.error(501, "NotImplemented")
    sink = open_s3(runner, config_of_url(answers.url, "some-bucket"))
    with pytest.raises(SinkUnavailableError):
        await runner.deliver(sink, runner.rows([1]))
    puts = [headers for method, _, headers in answers.seen if method == "PUT"]
    assert puts[0]["if-none-match"] == "*"
    assert "if-none-match" not in puts[-1]


async def test_keys_of_the_config_are_not_mixed_with_a_session_of_the_environment(
    runner: Any, answers: Any, config_of_url: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of-someone-else")
    answers.error(400, "Whatever")
    with pytest.raises(SinkUnavailableError):
        await runner.deliver(open_s3(runner, config_of_url(answers.url, "some-bucket")), runner.rows([1]))
    (_, _, headers) = answers.seen[0]
    assert "x-amz-security-token" not in headers
    assert "AKIDEXAMPLE" in headers["authorization"]


@pytest.mark.parametrize("code", sorted(ADVICE))
async def test_what_only_a_person_can_mend_says_how(runner: Any, answers: Any, config_of_url: Any, code: str) -> None:
    answers.error(403, code)
    sink = open_s3(runner, config_of_url(answers.url, "some-bucket"))
    with pytest.raises(SinkMisconfiguredError) as raised:
        await runner.deliver(sink, runner.rows([1]))
    assert str(raised.value) == f"s3://some-bucket answered 403 {code}. {ADVICE[code]}."


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (403, "", "s3://some-bucket answered 403. Check credentials.access_key_id"),
        (401, "", "s3://some-bucket answered 401. Check credentials.access_key_id"),
        (301, "", "s3://some-bucket is in another region. Set region"),
    ],
)
async def test_a_refusal_without_a_known_code_still_needs_a_person(
    runner: Any, answers: Any, config_of_url: Any, status: int, code: str, said: str
) -> None:
    answers.error(status, code)
    with pytest.raises(SinkMisconfiguredError) as raised:
        await runner.deliver(open_s3(runner, config_of_url(answers.url, "some-bucket")), runner.rows([1]))
    assert str(raised.value).startswith(said)
    assert "wJalrXUtnFEMI" not in str(raised.value)


@pytest.mark.parametrize(("status", "code"), [(500, "InternalError"), (503, "SlowDown"), (429, ""), (409, "Conflict")])
async def test_what_passes_by_itself_is_tried_again(
    runner: Any, answers: Any, config_of_url: Any, status: int, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_store, "RETRY", {"max_retries": 0})
    answers.error(status, code)
    with pytest.raises(SinkUnavailableError, match=r"some-bucket"):
        await runner.deliver(open_s3(runner, config_of_url(answers.url, "some-bucket")), runner.rows([1]))


async def test_a_missing_bucket_is_named(runner: Any, s3_config: dict[str, Any]) -> None:
    sink = open_s3(runner, {**s3_config, "bucket": "nobody-made-this"})
    with pytest.raises(SinkMisconfiguredError, match=r"^s3://nobody-made-this answered 404 NoSuchBucket. Make the"):
        await runner.deliver(sink, runner.rows([1]))


async def test_a_server_that_is_down_is_waited_for(
    runner: Any, config_of_url: Callable[[str, str], dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_store, "RETRY", {"max_retries": 0})
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    server.stop()
    config = config_of_url(f"http://{host}:{port}", "comes-back")
    sink = open_s3(runner, config)
    roll = runner.stage(sink, runner.rows([1]))
    with pytest.raises(SinkUnavailableError, match=r"^s3://comes-back was not reached \(error sending request\)"):
        await runner.publish(sink, roll)

    server = ThreadedMotoServer(ip_address=host, port=port, verbose=False)
    server.start()
    try:
        client_of(config).create_bucket(Bucket="comes-back")
        await runner.publish(sink, roll)
        assert [o["Key"] for o in objects_in(config)] == [roll.files[0].key]
    finally:
        server.stop()


async def test_an_endpoint_on_this_machine_must_be_allowed(runner: Any, s3_config: dict[str, Any]) -> None:
    sink = open_s3(runner, {**s3_config, "allow_private_network": False})
    with pytest.raises(SinkMisconfiguredError, match="allow_private_network = true"):
        await runner.deliver(sink, runner.rows([1]))
    assert objects_in(s3_config) == []


async def test_an_r2_bucket_is_a_folder_of_the_state_folder(runner: Any) -> None:
    sink = r2.open_sink(runner.sink("r2", PARQUET, bucket="my-bucket", path="raw"), runner.site)
    roll = await runner.deliver(sink, runner.rows([1, 2]))
    path = runner.host.state_dir / "r2" / "my-bucket" / roll.files[0].key
    assert pq.read_table(path, partitioning=None).to_pydict() == {"n": [1, 2]}
    before = path.stat()
    place_foreign(path.with_name(f"{path.name}#1"), b"half of it, from a process that was killed")
    await runner.publish(sink, roll)
    assert path.stat() == before
    assert [p.name for p in path.parent.iterdir()] == [path.name]


async def test_a_file_in_an_r2_folder_is_compared_before_it_counts_as_done(runner: Any) -> None:
    sink = r2.open_sink(runner.sink("r2", bucket="my-bucket"), runner.site)
    roll = runner.stage(sink, runner.rows([1]))
    place_foreign(runner.host.state_dir / "r2" / "my-bucket" / roll.files[0].key, b"x" * roll.files[0].size_bytes)
    with pytest.raises(SinkMisconfiguredError, match="other content"):
        await runner.publish(sink, roll)


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"bucket": "../x"}, "a bucket cannot be called '../x'"),
        ({"bucket": "UPPER"}, "a bucket cannot be called 'UPPER'"),
        ({"bucket": "ab"}, "a bucket cannot be called 'ab'"),
        ({"bucket": "a-bucket", "remote": True}, "remote = true needs account_id"),
        ({"bucket": "a-bucket", "endpoint": "https://s3.example"}, "endpoint needs credentials"),
        ({"bucket": "a-bucket", "path": "a/../b"}, "The path 'a/../b' is no place inside the sink"),
        ({"bucket": "a-bucket", "file_naming": {"prefix": "../"}}, "prefix '../' may not"),
        ({}, "missing required field `bucket`"),
    ],
)
def test_a_config_that_makes_no_sense_is_refused(runner: Any, config: dict[str, Any], problem: str) -> None:
    with pytest.raises(SinkMisconfiguredError) as raised:
        r2.open_sink(runner.sink("r2", **config), runner.site)
    assert problem in str(raised.value)


def test_a_remote_bucket_is_the_accounts(runner: Any) -> None:
    credentials = {"access_key_id": "k", "secret_access_key": "s"}
    config = r2.Config(
        "b-b", account_id="acc", jurisdiction="eu", credentials=s3.Credentials(**credentials), remote=True
    )
    bucket = r2.open_bucket(config, runner.host.state_dir)
    assert bucket.store.config["endpoint"] == "https://acc.eu.r2.cloudflarestorage.com"
    assert not (runner.host.state_dir / "r2").exists()
    assert "'k'" not in repr(config)
