"""POST to a stream's endpoint, every answer after the sync, beside a bare aiohttp handler that parses and answers."""

from __future__ import annotations

import json
from statistics import median

from figures import Figure, at_least, fsync_cost
from load import ROUNDS, edge, peer, requests_per_second
from streams import record

CONNECTIONS = 64


def figures() -> list[Figure]:
    one, hundred = (
        json.dumps([record(1000 + n) for n in range(count)], separators=(",", ":")).encode() for count in (1, 100)
    )
    with peer("parse_only_aiohttp") as (bare, _), edge("serve", "ingest") as (url, _):
        plain, typed = f"{url}/cdn-cgi/ingest/plain", f"{url}/cdn-cgi/ingest/typed"
        runs = [(bare, one), (plain, one), (bare, hundred), (plain, hundred), (typed, hundred)]
        for target, body in runs:
            requests_per_second(target, connections=CONNECTIONS, body=body, seconds=1)
        rounds = [
            [requests_per_second(target, connections=CONNECTIONS, body=body) for target, body in runs]
            for _ in range(ROUNDS)
        ]
    bare_one, plain_one, bare_hundred, plain_hundred, typed_hundred = (
        median(column) for column in zip(*rounds, strict=True)
    )
    return [
        at_least(
            "POST of 1 record, fsynced, of the parse-only handler",
            median(r[1] / r[0] for r in rounds),
            0.5,
            beside=f"edge {plain_one:,.0f}/s, parse-only {bare_one:,.0f}/s, {fsync_cost()}",
        ),
        at_least(
            "POST of 100 records of 200 B, unstructured, fsynced",
            plain_hundred * 100,
            350_000,
            unit=" records/s",
            beside=f"parse-only {bare_hundred * 100:,.0f} records/s",
        ),
        at_least(
            "POST of 100 records of 200 B, structured, fsynced",
            typed_hundred * 100,
            250_000,
            unit=" records/s",
            beside=f"unstructured {plain_hundred * 100:,.0f} records/s, same run",
        ),
    ]
