"""Every key wrangler accepts, by name: tells "unknown" from "known, not in Edge yet".

Source: wrangler config-schema.json 4.86.0 and 4.164.0; workers-sdk packages/workers-utils/src/config/validation.ts.
"""

from __future__ import annotations

from dataclasses import dataclass


def _keys(words: str) -> frozenset[str]:
    return frozenset(words.split())


@dataclass(frozen=True, slots=True)
class Kind:
    """How a binding section is written."""

    title: str
    """As messages call it: "A assigned to KV Namespace and Environment Variable bindings."."""
    inside: str | None = None
    """The member that holds the list, as in `queues.producers`."""
    name: str = "binding"
    """The key of an entry that is its name in `env`."""
    is_single: bool = False
    """One object in place of a list of them."""


BINDING_KINDS: dict[str, Kind] = {
    "agent_memory": Kind("Agent Memory"),
    "ai": Kind("AI", is_single=True),
    "ai_search": Kind("AI Search Instance"),
    "ai_search_namespaces": Kind("AI Search Namespace"),
    "analytics_engine_datasets": Kind("Analytics Engine Dataset"),
    "artifacts": Kind("Artifacts"),
    "browser": Kind("Browser Run", is_single=True),
    "d1_databases": Kind("D1 Database"),
    "dispatch_namespaces": Kind("Dispatch Namespace"),
    "durable_objects": Kind("Durable Object", inside="bindings", name="name"),
    "flagship": Kind("Flagship"),
    "hyperdrive": Kind("Hyperdrive Config"),
    "images": Kind("Images", is_single=True),
    "kv_namespaces": Kind("KV Namespace"),
    "logfwdr": Kind("logfwdr", inside="bindings", name="name"),
    "media": Kind("Media", is_single=True),
    "mtls_certificates": Kind("mTLS Certificate"),
    "pipelines": Kind("Pipeline"),
    "queues": Kind("Queue", inside="producers"),
    "r2_buckets": Kind("R2 Bucket"),
    "ratelimits": Kind("Rate Limit", name="name"),
    "secrets_store_secrets": Kind("Secrets Store Secret"),
    "send_email": Kind("Send Email", name="name"),
    "services": Kind("Worker"),
    "stream": Kind("Stream", is_single=True),
    "unsafe_hello_world": Kind("Hello World"),
    "vectorize": Kind("Vectorize Index"),
    "version_metadata": Kind("Worker Version Metadata", is_single=True),
    "vpc_networks": Kind("VPC Network"),
    "vpc_services": Kind("VPC Service"),
    "worker_loaders": Kind("Worker Loader"),
    "workflows": Kind("Workflow"),
}

INHERITED = _keys(
    "access account_id addresses assets base_dir build cache compatibility_date compatibility_flags compliance_region "
    "connect exports find_additional_modules first_party_worker jsx_factory jsx_fragment keep_names limits logpush "
    "main migrations minify name no_bundle observability placement preserve_file_names preview_urls python_modules "
    "route routes rules triggers tsconfig upload_source_maps workers_dev"
)
"""Taken from the top level where an environment does not set them."""

NOT_INHERITED = _keys(
    "cloudchamber containers define secrets streaming_tail_consumers tail_consumers unsafe vars"
) | frozenset(BINDING_KINDS)

TOP_LEVEL_ONLY = _keys(
    "$schema alias analytics data_blobs dev env k2 keep_vars legacy_env pages_build_output_dir previews send_metrics "
    "site text_blobs wasm_modules"
)

TOP_LEVEL_KEYS = INHERITED | NOT_INHERITED | TOP_LEVEL_ONLY
ENVIRONMENT_KEYS = INHERITED | NOT_INHERITED

WITHOUT_EFFECT = _keys(
    "alias assets build containers data_blobs define exports migrations python_modules rules site "
    "streaming_tail_consumers tail_consumers text_blobs triggers unsafe wasm_modules"
)
"""Keys that change what a Worker does on Cloudflare and that Edge does not act on yet. The others of
TOP_LEVEL_KEYS concern deploying, accounts and bundling: they are accepted in silence."""

SETTINGS_KEYS = frozenset({"server", "limits", "aws"})
"""What edge.toml takes, there and in its environments, besides what bindings bring."""

PRODUCT_SETTINGS_KEYS = frozenset({"streams", "sinks", "ingest", "workflow_engine", "grpc"})
"""What bindings bring to edge.toml and the wrangler file has no section for: there a message names edge.toml."""


def nearest(key: str, known: frozenset[str]) -> str | None:
    """The known key most likely meant, None when nothing is close."""
    from difflib import get_close_matches  # noqa: PLC0415 - only a config with a mistake pays for it

    close = get_close_matches(key, sorted(known), n=1, cutoff=0.75)
    return close[0] if close else None
