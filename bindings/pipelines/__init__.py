"""Cloudflare Pipelines: `await env.STREAM.send([...])` hands records to a stream, which keeps them durably.

Public page: Cloudflare docs, "Pipelines", "Writing to streams".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ...wrangler_config.section import Problem
from ..spec import BindingSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...wrangler_config.section import ProductSettings


@dataclass(frozen=True, slots=True)
class PipelineEntry:
    """One `[[pipelines]]`. `stream` is the stream's id or name; `pipeline` is its older spelling, and loses to it."""

    PHRASES: ClassVar[dict[str, str]] = dict.fromkeys(("binding", "stream", "pipeline"), "must have a")

    binding: str
    stream: str | None = None
    pipeline: str | None = None
    remote: bool | None = None

    @property
    def env_name(self) -> str:
        return self.binding

    @property
    def stream_id(self) -> str:
        stream = self.stream or self.pipeline
        assert stream, "wrangler_config refuses an entry that names no stream"
        return stream

    def problems(self, name: str, got: str) -> Iterator[Problem]:
        if not (self.stream or self.pipeline):
            yield Problem(f'"{name}" bindings must have a string "stream" field but got {got}.')
        elif self.pipeline is not None:
            text = f'The "pipeline" field in "{name}" bindings is deprecated. Use "stream" instead.'
            yield Problem(text, field="pipeline", is_error=False)


def _settings() -> ProductSettings:
    from .declared import SETTINGS  # noqa: PLC0415 - a Lambda start has no edge.toml to check

    return SETTINGS


SPEC = BindingSpec(title="Pipeline", entry=PipelineEntry, settings=_settings)
