"""What edge.toml says of workflows: `[workflows.NAME]`, `[workflow_engine]`, and `[grpc]`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ...runtime.core.edge_only import EdgeOnly
from ...runtime.core.errors import EdgeError
from ...wrangler_config.section import Problem, ProductSettings
from .engine_settings import SECTION, EngineSettings, engine_problems
from .manifests.descent import endless
from .manifests.problems import ManifestError
from .manifests.read import Surroundings, read_manifest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ...wrangler_config.section import SettingsPlace
    from .manifests.manifest import Manifest

PORT_MAX = 65_535


@dataclass(frozen=True, slots=True)
class WorkflowSettings:
    """`[workflows.NAME]` of edge.toml."""

    MISPLACED: ClassVar[frozenset[str]] = frozenset({"class_name", "script_name", "remote", "jurisdiction"})

    manifest: str | None = None
    """The workflow is a manifest, in a YAML or JSON file relative to this one, and not a class."""
    binding: str | None = None
    """What a manifest is called in `env`; a class is bound in the wrangler file."""


@dataclass(frozen=True, slots=True)
class GrpcSettings:
    """`[grpc]` of edge.toml: the workflows over gRPC, on a loopback address."""

    port: int | None = None
    """None: not at all; 0: any that is free."""


def declared_manifest(name: str, settings: WorkflowSettings, folder: Path, around: Surroundings) -> Manifest:
    """The manifest that a setting names.

    Raises:
        ManifestError: it cannot be read, or has problems.
        UnsupportedError: it is YAML, and PyYAML is not installed.
    """
    assert settings.manifest is not None, "asked for settings with a manifest"
    path = folder / settings.manifest
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or f"it is no UTF-8 ({error})"
        raise ManifestError.of_file(settings.manifest, f"The manifest cannot be read: {reason}.") from error
    return read_manifest(text, settings.manifest, name=name, surroundings=around)


def surroundings(
    main: Path | None,
    bindings: Mapping[str, tuple[Any, ...]] | None,
    workflows: Mapping[str, WorkflowSettings | None],
) -> Surroundings:
    """What a manifest of a Worker may name. Its children may be applied later, so no workflow is unknown.

    Args:
        main: the Worker's file, in whose folder functions are; one that is not there is told of elsewhere.
        bindings: as in WorkerConfig; None: they are not known.
        workflows: `[workflows.NAME]`, whose bindings are in `env`, too.
    """
    folder = main.parent if main is not None and main.is_file() else None
    if bindings is None:
        return Surroundings(folder)
    names = {entry.env_name for section in bindings.values() for entry in section}
    names |= {one.binding for one in workflows.values() if one is not None and one.binding is not None}
    return Surroundings(folder, frozenset(names))


def _problems(found: Mapping[str, Any], place: SettingsPlace) -> Iterator[Problem]:
    grpc = found.get("grpc")
    if grpc is not None and grpc.port is not None and not 0 <= grpc.port <= PORT_MAX:
        yield Problem(f"grpc.port: expected 0 to {PORT_MAX:,}, got {grpc.port}", at=("grpc", "port"))
    yield from engine_problems(found.get(SECTION))
    for name, settings in found.get("workflows", {}).items():
        if settings is not None:
            yield from _problems_of(name, settings, place)
    yield from _manifest_problems(found.get("workflows", {}), place)


def _problems_of(name: str, settings: WorkflowSettings, place: SettingsPlace) -> Iterator[Problem]:
    here = ("workflows", name)
    entries = (place.bindings or {}).get("workflows", ())
    if settings.manifest is None:
        if settings.binding is not None:
            text = f"workflows.{name}.binding names a manifest in env; bind a class in {place.wrangler_file}"
            yield Problem(text, at=(*here, "binding"))
        return
    if place.is_strict:
        yield Problem(f"workflows.{name}: {EdgeOnly.MANIFEST.refusal}", at=(*here, "manifest"))
    if any(entry.name == name for entry in entries):
        text = (
            f"workflows.{name} has a manifest, and {place.wrangler_file} has a class of that name: rename one of them"
        )
        yield Problem(text, at=(*here, "manifest"))
    taken = {entry.env_name for section in (place.bindings or {}).values() for entry in section}
    if settings.binding in taken:
        text = f'workflows.{name}.binding: {place.wrangler_file} has a binding "{settings.binding}" already'
        yield Problem(text, at=(*here, "binding"))


def _manifest_problems(workflows: Mapping[str, WorkflowSettings | None], place: SettingsPlace) -> Iterator[Problem]:
    manifests: list[Manifest] = []
    around = surroundings(place.main, place.bindings, workflows)
    for name, settings in workflows.items():
        if settings is None or settings.manifest is None:
            continue
        try:
            manifests.append(declared_manifest(name, settings, place.folder, around))
        except EdgeError as error:
            yield _unusable(name, error.report if isinstance(error, ManifestError) else str(error))
    for name, refusal in endless(manifests).items():
        yield _unusable(name, refusal.report)


def _unusable(name: str, report: str) -> Problem:
    return Problem(f"workflows.{name}.manifest cannot be used:\n{report}", at=("workflows", name, "manifest"))


def _files(found: Mapping[str, Any], folder: Path) -> list[Path]:
    """The manifests: a saved one is loaded."""
    settings = found.get("workflows", {}).values()
    return [folder / one.manifest for one in settings if one is not None and one.manifest is not None]


SETTINGS = ProductSettings(
    {"workflows": Mapping[str, WorkflowSettings], SECTION: EngineSettings, "grpc": GrpcSettings}, _problems, _files
)
