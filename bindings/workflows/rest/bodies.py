"""What the REST API takes for workflows and their instances, and what it makes of it.

Fields that nobody knows are ignored. Source: spec "Cloudflare API", 2.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from ..errors import WorkflowError

UNSET = msgspec.UNSET
Duration = int | float | str
LocationHint = Literal["wnam", "weur", "enam", "eeur", "apac", "apac-ne", "apac-se", "oc", "sam", "afr", "me"]


class RetentionBody(msgspec.Struct):
    """Milliseconds, or a text as "5 minutes"."""

    success_retention: Duration | None = None
    error_retention: Duration | None = None

    def options(self) -> dict[str, Duration]:
        """What is given."""
        return {name: value for name in self.__struct_fields__ if (value := getattr(self, name)) is not None}


class LimitsBody(msgspec.Struct):
    steps: int | None = None


class ConcurrencyBody(msgspec.Struct):
    limit: int | None = None


class ScheduleBody(msgspec.Struct):
    cron: str


class WorkflowPut(msgspec.Struct):
    class_name: str
    script_name: str | None = None
    limits: LimitsBody | None = None
    concurrency: ConcurrencyBody | None = None
    default_retention: RetentionBody | None = None
    schedules: list[ScheduleBody] = []

    def options(self) -> dict[str, Any]:
        """What `put_workflow` takes."""
        steps, limit = self.limits and self.limits.steps, self.concurrency and self.concurrency.limit
        return {
            "limits": {} if steps is None else {"steps": steps},
            "concurrency": {} if limit is None else {"limit": limit},
            "default_retention": {} if self.default_retention is None else self.default_retention.options(),
            "schedules": [one.cron for one in self.schedules],
        }


class ManifestPut(msgspec.Struct):
    """Edge only. `file` is what problems are told of; one that ends in .json or .yaml says which of both it is."""

    manifest: str
    file: str = "manifest"


class InstanceCreate(msgspec.Struct):
    """`location_hint` is accepted and has no effect: there is one place."""

    instance_id: str | None = None
    id: str | None = None
    """The same, as wrangler says it to a local server."""
    params: Any = UNSET
    instance_retention: RetentionBody | None = None
    location_hint: LocationHint | None = None

    def options(self) -> dict[str, Any]:
        """What `create` takes."""
        instance_id = self.id if self.instance_id is None else self.instance_id
        given: dict[str, Any] = {} if instance_id is None else {"id": instance_id}
        if self.params is not UNSET:
            given["params"] = parsed_params(self.params)
        if self.instance_retention is not None:
            given["retention"] = self.instance_retention.options()
        return given


class InstanceIds(msgspec.Struct):
    instances: list[str]


class RestartFrom(msgspec.Struct):
    """A step; `count` says which, of those with the same name. A `type` is needed only where two kinds have it."""

    name: str
    count: int = 1
    type: Literal["do", "sleep", "waitForEvent"] | None = None


class StatusChange(msgspec.Struct):
    status: Literal["pause", "resume", "terminate", "restart"]
    rollback: bool = False
    """Of terminate."""
    from_: RestartFrom | None = msgspec.field(name="from", default=None)
    """Of restart."""

    def start(self) -> dict[str, Any] | None:
        """The step that `change_status` is to begin from."""
        return None if self.from_ is None else msgspec.to_builtins(self.from_)


class LocalStatusChange(msgspec.Struct):
    """As wrangler says it to a local server."""

    action: Literal["pause", "resume", "terminate", "restart"]


def parsed_params(params: Any) -> Any:
    """The value of `params`, which the SDK sends as a string of JSON, and wrangler as it is.

    A string that is no JSON stays one.

    Raises:
        WorkflowError: it is nested deeper than can be read.
    """
    if not isinstance(params, str):
        return params
    try:
        return msgspec.json.decode(params)
    except RecursionError as error:
        raise WorkflowError("invalid_request", "params is nested too deep.") from error
    except (msgspec.DecodeError, UnicodeEncodeError):
        return params
