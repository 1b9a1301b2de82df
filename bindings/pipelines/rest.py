"""Cloudflare's REST API of pipelines, on the same objects as the commands and edge.toml.

Ids in paths are 32 hex digits, never names: wrangler looks a name up by `?name=`. Of the older product there
is nothing but the answers that say so: wrangler asks there, too.
Source: spec "Cloudflare API", 3; Cloudflare API reference, "Pipelines".
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from .._shared.permissions import PIPELINES_READ, PIPELINES_WRITE
from .._shared.rest import PAGES, Answer, ApiError, Query, Route, page_of
from .ids import is_id
from .objects import HttpIngest
from .observability.graphql_api import answer_pipelines
from .rest_bodies import (
    HttpBody,
    InvalidBodyError,
    PipelineCreate,
    RollingPolicyBody,
    SinkCreate,
    SinkFormatBody,
    SqlBody,
    StreamChange,
    StreamCreate,
    StreamFormat,
)
from .rest_errors import INVALID, NOT_FOUND, NOTE, coded
from .rest_ingest import INGEST_PATHS
from .rest_shapes import pipeline_shape, sink_shape, stream_shape, table_shapes, validation_shape
from .sink_types import find_sink_type, sink_type_name, sink_type_names
from .sinks.sink_config import problem_of_format

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .._shared.rest import Call, Handler
    from .admin import PipelinesAdmin
    from .catalogue_snapshot import Kind
    from .objects import PipelineObject, SinkObject, StreamObject

    T = TypeVar("T", StreamObject, SinkObject, PipelineObject)

DESCRIBED_PATHS = INGEST_PATHS
"""What is served outside of `/client/v4`: doors, which answer for themselves."""

answer_question = answer_pipelines
"""Of `POST /graphql`."""

_BASE = "/accounts/{account_id}/pipelines"
_V1 = f"{_BASE}/v1"
_NAMED = (*PAGES, Query("name"))
_LISTED = (*_NAMED, Query("pipeline_id"))
_FORCE = (Query("force", "boolean"),)


def routes(admin: PipelinesAdmin) -> Sequence[Route]:
    """Every route of pipelines, over the objects of one state folder."""
    streams, sinks, pipelines = StreamCalls(admin), SinkCalls(admin), PipelineCalls(admin)

    def reading(path: str, handler: Handler, query: tuple[Query, ...] = ()) -> Route:
        return Route("GET", path, coded(handler), PIPELINES_READ, query=query, invalid_code=INVALID)

    def writing(
        method: str, path: str, handler: Handler, body: type | None = None, query: tuple[Query, ...] = ()
    ) -> Route:
        return Route(method, path, coded(handler), PIPELINES_WRITE, body, query, INVALID)

    return (
        reading(_BASE, list_legacy),
        reading(f"{_BASE}/{{pipeline_name}}", find_legacy),
        writing("PUT", f"{_BASE}/{{pipeline_name}}", find_legacy),
        writing("DELETE", f"{_BASE}/{{pipeline_name}}", find_legacy),
        reading(f"{_V1}/streams", streams.list, _LISTED),
        writing("POST", f"{_V1}/streams", streams.create, StreamCreate),
        reading(f"{_V1}/streams/{{stream_id}}", streams.get),
        writing("PATCH", f"{_V1}/streams/{{stream_id}}", streams.change, StreamChange),
        writing("DELETE", f"{_V1}/streams/{{stream_id}}", streams.delete, query=_FORCE),
        reading(f"{_V1}/sinks", sinks.list, _LISTED),
        writing("POST", f"{_V1}/sinks", sinks.create, SinkCreate),
        reading(f"{_V1}/sinks/{{sink_id}}", sinks.get),
        writing("DELETE", f"{_V1}/sinks/{{sink_id}}", sinks.delete, query=_FORCE),
        reading(f"{_V1}/pipelines", pipelines.list, _NAMED),
        writing("POST", f"{_V1}/pipelines", pipelines.create, PipelineCreate),
        reading(f"{_V1}/pipelines/{{pipeline_id}}", pipelines.get),
        writing("DELETE", f"{_V1}/pipelines/{{pipeline_id}}", pipelines.delete),
        Route("POST", f"{_V1}/validate_sql", coded(pipelines.validate), PIPELINES_READ, SqlBody, (), INVALID),
    )


async def list_legacy(_call: Call) -> Answer:
    """List pipelines of the older product: there are none."""
    return Answer([], extra={"results": []})  # the SDK reads `results`, wrangler `result`


async def find_legacy(call: Call) -> None:
    """Find no pipeline of the older product: wrangler asks here for what the new one does not have."""
    raise ApiError(404, NOT_FOUND["pipeline"], f"There is no pipeline {call.params['pipeline_name']}.")


class StreamCalls:
    """Operations on streams. Changes are made in a thread: they wait for the disk."""

    def __init__(self, admin: PipelinesAdmin) -> None:
        self._admin = admin

    async def list(self, call: Call) -> Answer:
        """List streams."""
        used = _used_by(self._admin, call)
        found = [one for one in _named(self._admin.catalogue.streams(), call) if used is None or one.id in used]
        return page_of(call, found, lambda stream: stream_shape(stream, call.origin))

    async def get(self, call: Call) -> dict[str, Any]:
        """Get a stream."""
        return stream_shape(self._require(call), call.origin)

    async def create(self, call: Call) -> dict[str, Any]:
        """Create a stream."""
        body: StreamCreate = call.body
        stream = await asyncio.to_thread(
            self._admin.create_stream,
            body.name,
            call.now,
            schema=body.checked_schema(),
            http=(body.http or HttpBody()).over(HttpIngest()),
            worker_binding=body.worker_binding is None or body.worker_binding.enabled,
            timestamp_format=(body.format or StreamFormat("json")).timestamp_format,
        )
        return stream_shape(stream, call.origin)

    async def change(self, call: Call) -> dict[str, Any]:
        """Change a stream's HTTP settings or its binding."""
        body: StreamChange = call.body
        body.check()
        stream = self._require(call)
        changed = replace(
            stream,
            http=(body.http or HttpBody()).over(stream.http),
            worker_binding=stream.worker_binding if body.worker_binding is None else body.worker_binding.enabled,
            modified_at=call.now,
            version=stream.version + 1,
        )
        await asyncio.to_thread(self._admin.catalogue.change_stream, changed)
        return stream_shape(changed, call.origin)

    async def delete(self, call: Call) -> Answer:
        """Delete a stream with the records in its log, and with `force` the pipelines that read it."""
        stream = self._require(call)
        await asyncio.to_thread(self._admin.delete_stream, stream.id, force=call.flag("force"))
        return Answer(None)

    def _require(self, call: Call) -> StreamObject:
        stream = self._admin.catalogue.stream(_checked_id(call, "stream"))
        return _required(stream, "stream", call)


class SinkCalls:
    """Operations on sinks. A sink never changes."""

    def __init__(self, admin: PipelinesAdmin) -> None:
        self._admin = admin

    async def list(self, call: Call) -> Answer:
        """List sinks."""
        used = _used_by(self._admin, call)
        found = [one for one in _named(self._admin.catalogue.sinks(), call) if used is None or one.id in used]
        return page_of(call, found, sink_shape)

    async def get(self, call: Call) -> dict[str, Any]:
        """Get a sink, without its secrets."""
        return sink_shape(self._require(call))

    async def create(self, call: Call) -> dict[str, Any]:
        """Create a sink."""
        body: SinkCreate = call.body
        name = sink_type_name(body.type)
        kind = find_sink_type(name)
        if kind is None:
            types = ", ".join(sink_type_names())
            raise InvalidBodyError(f"type: there is no sink type {body.type!r}. The types are: {types}.")
        config = dict(body.config)
        policy = msgspec.convert(config.pop("rolling_policy", None) or {}, RollingPolicyBody).checked()
        msgspec.convert(config, kind.Config)
        form = (body.format or SinkFormatBody("parquet" if name == "r2_data_catalog" else "json")).checked()
        if problem := problem_of_format(name, form.type, form.compression):
            raise InvalidBodyError(f"format.compression: {problem}")
        sink = await asyncio.to_thread(
            self._admin.create_sink,
            body.name,
            name,
            call.now,
            config=config,
            sink_format=form,
            rolling_policy=policy,
        )
        return sink_shape(sink)

    async def delete(self, call: Call) -> None:
        """Delete a sink, and with `force` the pipelines that write to it."""
        sink = self._require(call)
        await asyncio.to_thread(self._admin.catalogue.delete_sink, sink.id, force=call.flag("force"))

    def _require(self, call: Call) -> SinkObject:
        sink = self._admin.catalogue.sink(_checked_id(call, "sink"))
        return _required(sink, "sink", call)


class PipelineCalls:
    """Operations on pipelines. There is no update: one deletes and creates."""

    def __init__(self, admin: PipelinesAdmin) -> None:
        self._admin = admin

    async def list(self, call: Call) -> Answer:
        """List pipelines."""
        found = _named(self._admin.catalogue.pipelines(), call)
        return await asyncio.to_thread(page_of, call, found, self._shape)  # a status is read from the disk

    async def get(self, call: Call) -> dict[str, Any]:
        """Get a pipeline with its tables, and why it failed."""
        pipeline = self._require(call)
        status = await asyncio.to_thread(self._admin.status_of, pipeline.id)
        return {
            **pipeline_shape(pipeline, status.status),
            "failure_reason": status.failure_reason,
            "tables": table_shapes(self._admin, pipeline.id),
        }

    async def create(self, call: Call) -> Answer:
        """Create a pipeline; it runs from now on. Messages tell what is perhaps not meant."""
        body: PipelineCreate = call.body
        pipeline = await asyncio.to_thread(self._admin.create_pipeline, body.name, body.sql, call.now)
        warnings = await asyncio.to_thread(self._admin.warnings_of, pipeline)
        messages = [{"code": NOTE, "message": text} for text in warnings]
        return Answer(await asyncio.to_thread(self._shape, pipeline), messages=messages)

    async def delete(self, call: Call) -> None:
        """Delete a pipeline."""
        pipeline = self._require(call)
        await asyncio.to_thread(self._admin.catalogue.delete_pipeline, pipeline.id)

    async def validate(self, call: Call) -> dict[str, Any]:
        """Check the SQL of a pipeline that is not made yet."""
        body: SqlBody = call.body
        return await asyncio.to_thread(validation_shape, self._admin.catalogue, body.sql, call.now)

    def _shape(self, pipeline: PipelineObject) -> dict[str, Any]:
        return pipeline_shape(pipeline, self._admin.status_of(pipeline.id).status)

    def _require(self, call: Call) -> PipelineObject:
        pipeline = self._admin.catalogue.pipeline(_checked_id(call, "pipeline"))
        return _required(pipeline, "pipeline", call)


def _checked_id(call: Call, kind: Kind) -> str:
    text = call.params[f"{kind}_id"]
    if not is_id(text):
        raise ApiError(404, INVALID, f"The {kind} id must be 32 lower-case hex digits. A name is looked up by ?name=.")
    return text


def _required(found: T | None, kind: Kind, call: Call) -> T:
    if found is None:
        raise ApiError(404, NOT_FOUND[kind], f"There is no {kind} {call.params[f'{kind}_id']}.")
    return found


def _named(objects: Sequence[T], call: Call) -> list[T]:
    """The objects whose name has the `name` of the query in it, case aside."""
    wanted = call.query.get("name", "").casefold()
    return [one for one in objects if wanted in one.name.casefold()]


def _used_by(admin: PipelinesAdmin, call: Call) -> frozenset[str] | None:
    """The tables of the pipeline in the query; None when it names none."""
    pipeline_id = call.query.get("pipeline_id")
    if pipeline_id is None:
        return None
    if not is_id(pipeline_id):
        raise call.invalid("The query parameter 'pipeline_id' must be 32 lower-case hex digits.")
    tables = admin.catalogue.tables_of(pipeline_id)
    return frozenset((*tables.stream_ids, *tables.sink_ids))
