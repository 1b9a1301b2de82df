"""The keys no binding owns, as shapes (shape.py). `level_checks.py` holds what a type cannot say.

Source: wrangler config-schema.json 4.86.0 and 4.164.0.
"""

from __future__ import annotations

from typing import Any, Literal, Required, TypedDict


class Build(TypedDict, total=False):
    command: str
    cwd: str
    watch_dir: Any


class Logs(TypedDict, total=False):
    enabled: bool
    head_sampling_rate: float
    invocation_logs: bool
    persist: bool
    destinations: list[str]


class Traces(TypedDict, total=False):
    enabled: bool
    head_sampling_rate: float
    persist: bool
    destinations: list[str]


class Observability(TypedDict, total=False):
    enabled: bool
    head_sampling_rate: float
    logs: Logs
    traces: Traces


class CloudflareLimits(TypedDict, total=False):
    cpu_ms: float
    subrequests: float


class Assets(TypedDict, total=False):
    directory: str
    binding: str
    html_handling: Literal["auto-trailing-slash", "force-trailing-slash", "drop-trailing-slash", "none"]
    not_found_handling: Literal["single-page-application", "404-page", "none"]
    run_worker_first: Any
    base_path: str


RenamedClass = TypedDict("RenamedClass", {"from": Required[str], "to": Required[str]})
TransferredClass = TypedDict(
    "TransferredClass", {"from": Required[str], "from_script": Required[str], "to": Required[str]}
)


class Migration(TypedDict, total=False):
    tag: Required[str]
    new_classes: list[str]
    new_sqlite_classes: list[str]
    renamed_classes: list[RenamedClass]
    deleted_classes: list[str]
    transferred_classes: list[TransferredClass]


class Rule(TypedDict, total=False):
    type: Required[Literal["ESModule", "CommonJS", "CompiledWasm", "Text", "Data", "PythonModule", "PythonRequirement"]]
    globs: Required[list[str]]
    fallthrough: bool


class PythonModules(TypedDict, total=False):
    exclude: Required[list[str]]


class Placement(TypedDict, total=False):
    mode: Literal["off", "smart", "targeted"]
    hint: str
    region: str
    host: str
    hostname: str


class Dev(TypedDict, total=False):
    ip: str
    port: float
    inspector_port: float
    inspector_ip: str
    local_protocol: Literal["http", "https"]
    upstream_protocol: Literal["http", "https"]
    host: str
    enable_containers: bool
    container_engine: Any
    generate_types: bool


class TopLevel(TypedDict, total=False):
    """Keys whose type is all there is to check; an environment may set those in ENVIRONMENT_KEYS."""

    main: str
    compatibility_date: str
    compatibility_flags: list[str]
    account_id: str
    workers_dev: bool
    preview_urls: bool
    limits: CloudflareLimits
    observability: Observability
    assets: Assets
    migrations: list[Migration]
    rules: list[Rule]
    python_modules: PythonModules
    build: Build
    placement: Placement
    base_dir: str
    find_additional_modules: bool
    preserve_file_names: bool
    no_bundle: bool
    minify: bool
    keep_names: bool
    upload_source_maps: bool
    logpush: bool
    tsconfig: str
    jsx_factory: str
    jsx_fragment: str
    dev: Dev
    keep_vars: bool
    send_metrics: bool
