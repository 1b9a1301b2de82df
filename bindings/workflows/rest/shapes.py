"""Workflows, instances and steps as the REST API shows them.

Fields that the clients require are there even when null. Source: spec "Cloudflare API", 2; SDK types.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..answers import workflow_id
from ..journal.records import Status
from .json_values import json_value, output_text, output_value, time_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..answers import InstanceDetail, StepDetail, WorkflowDetail
    from ..journal.records import Instance, Version


def workflow_shape(workflow: WorkflowDetail) -> dict[str, Any]:
    """A workflow with figures of its instances."""
    shown = {
        **_workflow_head(workflow),
        "instances": {str(status): workflow.counts.get(status, 0) for status in Status},
    }
    if workflow.schedules:
        times = [(one.cron, time_text(one.next_ms) or "") for one in workflow.schedules]
        shown["schedules"] = [{"cron": cron, "next_instance": next_instance} for cron, next_instance in times]
    return shown


def put_shape(workflow: WorkflowDetail) -> dict[str, Any]:
    """A workflow as `PUT` answers it; flags are numbers there."""
    return {
        **_workflow_head(workflow),
        "is_deleted": 0,
        "terminator_running": int(workflow.is_terminating_all),
        "version_id": workflow.version,
    }


def version_shape(version: Version, workflow: WorkflowDetail) -> dict[str, Any]:
    """A version, with the settings that the workflow has now."""
    return {
        **_version_head(version, workflow),
        "has_dag": version.graph is not None,
        "language": version.language,
        "limits": {"steps": workflow.steps_max},
        "concurrency": None if workflow.concurrency_max is None else {"limit": workflow.concurrency_max},
        "default_retention": {
            "success_retention": workflow.success_retention_ms,
            "error_retention": workflow.error_retention_ms,
        },
    }


def graph_shape(version: Version, workflow: WorkflowDetail, graph: Mapping[str, Any] | None) -> dict[str, Any]:
    return {**_version_head(version, workflow), "graph": graph}


def created_shape(instance: Instance) -> dict[str, Any]:
    """An instance as it is told to who created it."""
    return {
        "id": instance.id,
        "status": instance.status,
        "version_id": instance.version,
        "workflow_id": workflow_id(instance.workflow),
        "trigger_source": instance.trigger,
    }


def instance_shape(instance: Instance) -> dict[str, Any]:
    """An instance in a list."""
    return {
        **created_shape(instance),
        "created_on": time_text(instance.created_ms),
        "modified_on": time_text(instance.modified_ms),
        "started_on": time_text(instance.started_ms),
        "ended_on": time_text(instance.ended_ms),
    }


def detail_shape(detail: InstanceDetail, *, is_descending: bool) -> dict[str, Any]:
    """An instance with its steps."""
    instance = detail.instance
    steps = [_step_shape(step) for step in detail.steps]
    shown = {
        "status": instance.status,
        "params": json_value(detail.params),
        "trigger": {"source": instance.trigger},
        "versionId": instance.version,
        "queued": time_text(instance.created_ms),
        "start": time_text(instance.started_ms),
        "end": time_text(instance.ended_ms),
        "success": instance.status is Status.COMPLETE if instance.status.is_final else None,
        "output": output_value(detail.output),
        "error": None if instance.error is None else json_value(instance.error._asdict()),
        "rollback": json_value(detail.rollback),
        "steps": steps[::-1] if is_descending else steps,
        "step_count": detail.step_count,
    }
    if instance.fire is not None:
        shown["schedule"] = {"cron": instance.fire.cron, "scheduledTime": instance.fire.at_ms}
    return shown


def step_shape(step: StepDetail) -> dict[str, Any]:
    """One step, its output in full."""
    shown: dict[str, Any] = {
        "status": step.status,
        "output": json_value(step.output),
        "error": None if step.error is None else json_value(step.error._asdict()),
    }
    return shown if step.event_type is None else {**shown, "event_type": step.event_type}


def _workflow_head(workflow: WorkflowDetail) -> dict[str, Any]:
    return {
        "id": workflow.id,
        "name": workflow.name,
        "class_name": workflow.class_name,
        "script_name": workflow.script_name,
        "created_on": time_text(workflow.created_ms),
        "modified_on": time_text(workflow.modified_ms),
        "triggered_on": time_text(workflow.triggered_ms),
    }


def _version_head(version: Version, workflow: WorkflowDetail) -> dict[str, Any]:
    created_on = time_text(version.created_ms)
    return {
        "id": version.id,
        "workflow_id": workflow.id,
        "class_name": version.class_name,
        "created_on": created_on,
        "modified_on": created_on,  # a version never changes
    }


def _step_shape(step: Mapping[str, Any]) -> dict[str, Any]:
    """A step as `describe.steps_shown` has it, with its times and its output as text.

    Its status is told where it is asked for alone: here Cloudflare has none.
    """
    shown = {name: _MEMBERS.get(name, json_value)(value) for name, value in step.items() if name != "status"}
    if "attempts" in shown:
        shown["attempts"] = [
            {**one, "start": time_text(one["start"]), "end": time_text(one["end"])} for one in shown["attempts"]
        ]
    return shown


_MEMBERS: dict[str, Callable[[Any], Any]] = {"start": time_text, "end": time_text, "output": output_text}
