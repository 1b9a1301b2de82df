"""Cloudflare Pipelines: `await env.STREAM.send([...])` hands records to a stream, which keeps them durably.

Public page: Cloudflare docs, "Pipelines", "Writing to streams".
"""

from __future__ import annotations

from dataclasses import dataclass

from ..spec import BindingSpec


@dataclass(frozen=True, slots=True)
class PipelineEntry:
    """One `[[pipelines]]`. `stream` is the stream's id or name; `pipeline` is its older spelling, and loses to it."""

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


SPEC = BindingSpec(title="Pipeline", entry=PipelineEntry)
