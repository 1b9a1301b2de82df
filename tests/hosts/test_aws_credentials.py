"""Where credentials come from, and when they are fetched again."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from aiohttp import web

from edge.runtime.core.errors import BackendError
from edge.runtime.hosts.aws_credentials import CredentialSource
from edge.runtime.hosts.aws_http import AwsHttp
from edge.runtime.testing.fake_host import FakeHost


@pytest.fixture
async def endpoint():
    """A container endpoint: `answers` are served in order, `tokens` are what came."""

    class Endpoint:
        answers: list
        tokens: list

    endpoint = Endpoint()
    endpoint.answers, endpoint.tokens = [], []

    async def answer(request):
        endpoint.tokens.append(request.headers.get("Authorization"))
        status, body = endpoint.answers.pop(0)
        return web.Response(status=status, text=body)

    app = web.Application()
    app.router.add_get("/keys", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    endpoint.url = f"http://127.0.0.1:{runner.addresses[0][1]}/keys"
    yield endpoint
    await runner.cleanup()


@pytest.fixture
async def source_of():
    opened = []

    def make(**environ):
        http = AwsHttp()
        opened.append(http)
        source = CredentialSource(environ, FakeHost(), http)
        source.host = source._host
        return source

    yield make
    for http in opened:
        await http.aclose()


def keys(number, expires_at):
    expiration = datetime.fromtimestamp(expires_at, UTC).isoformat()
    answer = {"AccessKeyId": f"K{number}", "SecretAccessKey": "s", "Token": "t", "Expiration": expiration}
    return 200, json.dumps(answer)


async def test_key_variables_come_first(source_of):
    found = await source_of(AWS_ACCESS_KEY_ID="K", AWS_SECRET_ACCESS_KEY="s", AWS_SESSION_TOKEN="t").current()
    assert (found.access_key, found.secret_key, found.token, found.expires_at) == ("K", "s", "t", None)


async def test_container_credentials_are_fetched_again_before_they_expire(source_of, endpoint):
    source = source_of(AWS_CONTAINER_CREDENTIALS_FULL_URI=endpoint.url, AWS_CONTAINER_AUTHORIZATION_TOKEN="Basic x")
    start = source.host.now()
    endpoint.answers = [keys(1, start + 3600), keys(2, start + 7200)]
    assert (await source.current()).access_key == "K1"
    await source.host.advance(3299)
    assert (await source.current()).access_key == "K1"
    await source.host.advance(2)
    assert (await source.current()).access_key == "K2"
    assert endpoint.tokens == ["Basic x", "Basic x"]


async def test_token_file_is_read_each_time(source_of, endpoint, tmp_path):
    (tmp_path / "token").write_text("from-file\n")
    source = source_of(
        AWS_CONTAINER_CREDENTIALS_FULL_URI=endpoint.url,
        AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=str(tmp_path / "token"),
    )
    endpoint.answers = [keys(1, source.host.now() + 3600)]
    await source.current()
    assert endpoint.tokens == ["from-file"]


async def test_failed_refresh_keeps_credentials_that_are_still_good(source_of, endpoint):
    source = source_of(AWS_CONTAINER_CREDENTIALS_FULL_URI=endpoint.url)
    endpoint.answers = [keys(1, source.host.now() + 3600), (500, ""), (500, "")]
    await source.current()
    await source.host.advance(3400)
    assert (await source.current()).access_key == "K1"
    assert source.host.log.events("warning") == ["aws_credentials_not_refreshed"]
    await source.host.advance(300)
    with pytest.raises(BackendError, match="answered 500"):
        await source.current()


async def test_an_answer_that_is_none_is_not_shown(source_of, endpoint):
    source = source_of(AWS_CONTAINER_CREDENTIALS_FULL_URI=endpoint.url)
    endpoint.answers = [(200, '{"SecretAccessKey": "leak"}')]
    with pytest.raises(BackendError, match="something else than credentials") as caught:
        await source.current()
    assert "leak" not in str(caught.value)


async def test_token_is_not_sent_in_the_clear_to_strangers(source_of):
    source = source_of(AWS_CONTAINER_CREDENTIALS_FULL_URI="http://198.51.100.1/keys")
    with pytest.raises(BackendError, match=r"198\.51\.100\.1, neither https nor a container endpoint"):
        await source.current()


async def test_no_credentials_says_what_to_set(source_of):
    with pytest.raises(BackendError, match="neither AWS_ACCESS_KEY_ID with AWS_SECRET_ACCESS_KEY nor"):
        await source_of().current()
