"""`make bench`: every figure of the README, measured here. `make bench ONLY="kv start"` picks sections."""

from __future__ import annotations

import sys
from importlib import import_module

from figures import machine, table

SECTIONS = (
    "http_hello",
    "kv",
    "streams",
    "columns",
    "ingest",
    "delivery",
    "overload",
    "start",
    "workflows",
    "reload",
    "lambda_start",
)


def main(wanted: list[str]) -> int:
    print(f"Machine: {machine()}\n", flush=True)
    met = True
    for section in wanted or SECTIONS:
        figures = import_module(section).figures()
        met = met and all(figure.is_met for figure in figures)
        print(f"{table(figures)}\n", flush=True)
    return 0 if met else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
