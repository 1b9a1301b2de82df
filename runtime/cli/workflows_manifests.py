"""`edge workflows apply` and `graph`: workflows that are manifests."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...bindings.workflows.manifests.graph import GraphFormat, render_graph
from ...bindings.workflows.manifests.manifest import ManifestSource
from ...bindings.workflows.manifests.problems import ManifestError
from ...bindings.workflows.manifests.read import read_manifest
from ...bindings.workflows.rest.shapes import workflow_shape
from ..core.errors import EdgeError
from .options import read_text
from .output import say_json
from .workflows_state import json_option, service_options, with_service

if TYPE_CHECKING:
    from ...bindings.workflows.answers import WorkflowDetail
    from ...bindings.workflows.manifests.manifest import Manifest
    from ...bindings.workflows.service import WorkflowService

SUFFIXES = {".yaml", ".yml", ".json"}
FILES = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command(name="apply")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=FILES)
@click.option("--name", metavar="NAME", help="Name of the workflow, of a manifest that has none.")
@json_option
@service_options
def apply(files: tuple[Path, ...], name: str | None, *, is_json: bool, **where: Any) -> None:
    """Make workflows of manifests, YAML or JSON, or give them a new version; a running server takes them at once."""
    if name is not None and len(files) > 1:
        raise click.UsageError("--name is for one FILE.")
    sources = [ManifestSource(read_text(file), str(file), name) for file in files]
    applied: list[WorkflowDetail] = with_service(lambda service: service.apply_manifests(sources), where)
    for one in applied:
        for note in one.notes:
            click.echo(f"{click.style('warning:', fg='yellow')} {one.name}: {note}", err=True)
    if is_json:
        say_json([{**workflow_shape(one), "version_id": one.version} for one in applied])
        return
    for one in applied:
        click.echo(f'Workflow "{one.name}" is version {one.version} now.')


@click.command(name="graph")
@click.argument("name_or_file", metavar="NAME|FILE")
@click.option(
    "--format", "kind", type=click.Choice([str(one) for one in GraphFormat]), default="text", help="How it is written."
)
@click.option("--version", "version_id", metavar="ID", help="Version of the workflow; else the newest.")
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Write it here.")
@service_options
def graph(name_or_file: str, kind: str, version_id: str | None, output: Path | None, **where: Any) -> None:
    """Draw the steps of a manifest: of FILE, or of the workflow NAME as it was applied."""
    file = Path(name_or_file)
    if file.suffix in SUFFIXES:
        manifest = _read(read_text(file), name_or_file)
    else:
        manifest = with_service(lambda service: _applied(service, name_or_file, version_id), where)
    drawn = render_graph(manifest, kind)
    if output is None:
        sys.stdout.write(drawn)
        return
    try:
        output.write_text(drawn, encoding="utf-8")
    except OSError as error:
        raise EdgeError(f"{output} cannot be written: {error.strerror or error}.") from error


async def _applied(service: WorkflowService, name: str, version_id: str | None) -> Manifest:
    versions = await service.versions(name)
    version = versions[0] if version_id is None else await service.version(name, version_id)
    if version.manifest is None:
        msg = f'Workflow "{name}" is the class {version.class_name}: only workflows made of a manifest have a graph.'
        raise EdgeError(msg)
    return read_manifest(version.manifest, f"{name}.{version.language}", name=name)


def _read(text: str, file: str) -> Manifest:
    try:
        return read_manifest(text, file)
    except ManifestError as error:
        raise EdgeError(error.report) from error
