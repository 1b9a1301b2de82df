"""Where the doors of pipelines are. A server knows that before it has loaded any of them."""

from __future__ import annotations

from ...runtime.core.reserved import API_HOST, API_PATH, INGEST_PATH, RESERVED_PATH

INGEST_HOST_SUFFIX = ".ingest.localhost"
INGEST_PREFIX = f"{INGEST_PATH}/"
EVENTS_PATH = "/v1/streams/ingest"
"""On the API's host."""
LOCAL_EVENTS_PATH = f"{API_PATH}{EVENTS_PATH}"
OTLP_PREFIX = f"{RESERVED_PATH}/otlp/"
OTLP_SUFFIX = "/v1/logs"
METRICS_PATH = f"{RESERVED_PATH}/metrics"


def is_of_stream(host: str, path: str) -> bool:
    """Whether it is a stream's own endpoint."""
    return path.startswith(INGEST_PREFIX) or name_of(host).endswith(INGEST_HOST_SUFFIX)


def is_of_events(host: str, path: str) -> bool:
    """Whether it is the streaming ingestion API."""
    return path == LOCAL_EVENTS_PATH or (path == EVENTS_PATH and name_of(host) == API_HOST)


def is_of_otlp(_host: str, path: str) -> bool:
    """Whether it takes logs of OpenTelemetry senders."""
    return path.startswith(OTLP_PREFIX) and path.endswith(OTLP_SUFFIX)


def is_of_metrics(_host: str, path: str) -> bool:
    """Whether it is what Prometheus reads."""
    return path == METRICS_PATH


def name_of(host: str) -> str:
    """The host without its port and its last dot."""
    return host.partition(":")[0].rstrip(".")
