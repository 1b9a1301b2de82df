"""Hello through `edge serve` and `edge dev`, beside a bare aiohttp handler and uvicorn with Starlette."""

from __future__ import annotations

from statistics import median

from figures import Figure, at_least
from load import ROUNDS, edge, peer, requests_per_second


def figures() -> list[Figure]:
    with (
        peer("bare_aiohttp") as bare,
        peer("uvicorn_starlette") as starlette,
        edge("serve", "hello") as serve,
        edge("dev", "hello") as dev,
    ):
        urls = [bare[0], starlette[0], serve[0], dev[0]]
        for url in urls:
            requests_per_second(url, connections=32, seconds=1)
        rounds = [[requests_per_second(url, connections=32) for url in urls] for _ in range(ROUNDS)]
    rates = [median(column) for column in zip(*rounds, strict=True)]
    beside = "bare aiohttp {:,.0f}/s, uvicorn+Starlette {:,.0f}/s, serve {:,.0f}/s, dev {:,.0f}/s".format(*rates)
    return [
        at_least(
            "hello, edge serve, of bare aiohttp.web.Server", median(r[2] / r[0] for r in rounds), 0.75, beside=beside
        ),
        at_least(
            "hello, edge serve, of uvicorn + Starlette", median(r[2] / r[1] for r in rounds), 1.0, beside="same run"
        ),
        at_least(
            "hello, edge dev with request log, of edge serve",
            median(r[3] / r[2] for r in rounds),
            0.5,
            beside="same run",
        ),
    ]
