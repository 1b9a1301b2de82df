"""The Prometheus text format, version 0.0.4. Source: Prometheus docs, "Exposition formats"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .metrics import METRICS, Distribution

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .metrics import Metric, Series, Snapshot

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_HELP_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n"})
_LABEL_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})


def exposition(snapshot: Snapshot) -> bytes:
    """Every metric with its HELP and TYPE, those without a series too; in the order of METRICS."""
    lines: list[str] = []
    for metric in METRICS:
        lines.append(f"# HELP {metric.name} {metric.help.translate(_HELP_ESCAPES)}")
        lines.append(f"# TYPE {metric.name} {metric.kind}")
        lines += _samples(metric, snapshot.get(metric, {}))
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "replace")


def _samples(metric: Metric, series: Series) -> Iterator[str]:
    for values, value in series.items():
        labels = [_label(name, text) for name, text in zip(metric.labels, values, strict=True)]
        if not isinstance(value, Distribution):
            yield _sample(metric.name, labels, value)
            continue
        if metric.kind == "histogram":
            for bound, count in value.bounds:
                yield _sample(f"{metric.name}_bucket", [*labels, _label("le", _number(bound))], count)
            yield _sample(f"{metric.name}_bucket", [*labels, _label("le", "+Inf")], value.count)
        yield _sample(f"{metric.name}_sum", labels, value.sum)
        yield _sample(f"{metric.name}_count", labels, value.count)


def _sample(name: str, labels: list[str], value: float) -> str:
    return f"{name}{{{','.join(labels)}}} {_number(value)}"


def _label(name: str, text: str) -> str:
    return f'{name}="{text.translate(_LABEL_ESCAPES)}"'


def _number(value: float) -> str:
    """Whole numbers without a point."""
    return str(int(value)) if value == int(value) else repr(value)
