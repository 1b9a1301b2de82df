"""What of a server's names and paths is Edge's own and never reaches a Worker."""

from __future__ import annotations

RESERVED_PATH = "/cdn-cgi"
"""As on Cloudflare."""
API_PATH = "/cdn-cgi/api"
"""The REST API and its description; `http://api.localhost` is the same without it."""
EXPLORER_PATHS = ("/cdn-cgi/explorer/api", "/cdn-cgi/local/explorer/api")
"""Where wrangler's `--local` asks a dev server, without a token; the second is that of newer versions."""
INGEST_PATH = "/cdn-cgi/ingest"
"""Streams' endpoints: pages of other origins may call them as each stream's CORS settings say."""
API_HOST = "api.localhost"
OWN_HOSTS_END = ".localhost"
"""Names that can only mean this machine: `api.localhost`, `flights.ingest.localhost`."""


def is_below(path: str, prefix: str) -> bool:
    """Whether a path, with or without its query, is `prefix` or under it."""
    return path.startswith(prefix) and path[len(prefix) : len(prefix) + 1] in {"", "/", "?"}


def explorer_path_of(path: str) -> str | None:
    """What a path names under either of the explorer's; None when it is under none."""
    return next((path[len(prefix) :] for prefix in EXPLORER_PATHS if is_below(path, prefix)), None)


def is_api_host(host: str) -> bool:
    """Whether a lower-case host, with or without a port, is the REST API's."""
    return host.startswith(API_HOST) and host.partition(":")[0].rstrip(".") == API_HOST


def is_control(host: str, path: str) -> bool:
    """Whether only this machine's own pages and programs may call it, with the host in lower case."""
    return is_api_host(host) or (is_below(path, RESERVED_PATH) and not is_below(path, INGEST_PATH))
