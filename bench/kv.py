"""KV in a handler: reads beside hello, durable writes beside the disk's own sync."""

from __future__ import annotations

from statistics import median
from urllib.request import urlopen

from figures import Figure, at_least, fsync_cost
from load import ROUNDS, edge, requests_per_second


def figures() -> list[Figure]:
    with edge("serve", "bindings") as (url, _):
        urlopen(f"{url}/seed").read()
        rounds = [
            [requests_per_second(f"{url}/{path}", connections=64) for path in ("hello", "get", "put")]
            for _ in range(ROUNDS)
        ]
    hello, get, put = (median(column) for column in zip(*rounds, strict=True))
    beside = f"hello {hello:,.0f}/s, get {get:,.0f}/s"
    return [
        at_least(
            "KV get in a handler, 64 connections, of hello", median(r[1] / r[0] for r in rounds), 0.5, beside=beside
        ),
        at_least("durable KV put in a handler, 64 connections", put, 5000, unit="/s", beside=fsync_cost()),
    ]
