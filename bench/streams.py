"""`await env.STREAM.send(await request.json())`, every answer after the sync, beside a raw append and sync."""

from __future__ import annotations

import json
from statistics import median

from figures import Figure, append_and_sync, at_least, fsync_cost
from load import ROUNDS, edge, requests_per_second


def record(number: int) -> dict[str, object]:
    """A record of 200 bytes once encoded."""
    body = {
        "id": number,
        "user": "u-1029384756",
        "kind": "page_view",
        "path": "/products/42",
        "ms": 17.25,
        "ok": True,
        "note": "",
    }
    missing = 200 - len(json.dumps(body, separators=(",", ":")))
    return {**body, "note": ("seen from the landing page, " * 8)[:missing]}


def figures() -> list[Figure]:
    one, hundred = (
        json.dumps([record(1000 + n) for n in range(count)], separators=(",", ":")).encode() for count in (1, 100)
    )
    with edge("serve", "bindings") as (url, _):
        rounds = [
            [requests_per_second(f"{url}/send", connections=64, body=body) for body in (one, hundred)]
            for _ in range(ROUNDS)
        ]
    of_one, of_hundred = (median(column) for column in zip(*rounds, strict=True))
    raw = median(append_and_sync(len(hundred), 200))
    return [
        at_least(
            "STREAM.send of 1 record, 64 connections, fsynced", of_one, 6000, unit=" requests/s", beside=fsync_cost()
        ),
        at_least(
            "STREAM.send of 100 records, 64 connections, fsynced",
            of_hundred * 100,
            300_000,
            unit=" records/s",
            beside=f"raw append+fdatasync of {len(hundred):,} B, one at a time: {100 / raw:,.0f} records/s",
        ),
    ]
