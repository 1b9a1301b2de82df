"""What works on Edge and not on Cloudflare, and how `--compat strict` refuses it.

One row of `EdgeOnly` is one such thing. The place that offers it says `EdgeOnly.ROLLBACK.use()`; `edge check` finds it
in the text of a Worker (runtime/cli/portability.py), and the products find it in edge.toml, by the same row.
Whether a Worker is strict stands in its config. Code that has no config asks `is_strict()`: its invocation knows.
Source: decision 23; spec "Handler-side contract", 1.4 and 2.2; "Workflows", 3.4 and 8.1; "Pipelines", 5.9.
"""

from __future__ import annotations

from enum import Enum

from .context import current_invocation
from .errors import UnsupportedError


class EdgeOnly(Enum):
    """What it is, and what to write so that it works on Cloudflare too."""

    MODULE_HANDLER = (
        "a handler at module level",
        "Write class Default(WorkerEntrypoint) with async def fetch(self, request).",
    )
    IMPORT = ("the module edge", "Import the same names from workers.")
    ASYNC_ITERATOR = (
        "an async iterator in place of a ReadableStream",
        "Give all of it at once, or hand on a ReadableStream, as the body of a fetched response.",
    )
    STEP_AS_CALL = (
        "step.do(name, function) as a call",
        'Write @step.do("name") above the function, then await a call of it.',
    )
    ROLLBACK = ("a step's rollback", "Catch the error in run(), and undo in steps of their own.")
    SEMANTICS = (
        'the key "semantics" of a step\'s config',
        'Leave it out, and send event["instanceId"] with what may happen once only, so that a repeat is known.',
    )
    IDEMPOTENCY_KEY = ('ctx["idempotencyKey"]', 'Make a key of event["instanceId"] and the name of the step.')
    STORED_TYPES = ("stored_types", "Return dicts from steps, and make the objects of them in run().")
    STEP_RECORD = (
        "step.instance_version or step.recorded_state()",
        "Give what run() depends on in the params, or let a step return it.",
    )
    MANIFEST = (
        "a workflow as a manifest",
        "Write class NAME(WorkflowEntrypoint) with its steps in run(), bound in the wrangler file.",
    )
    SINK_TYPE = (
        "a sink of another type than r2 and r2_data_catalog",
        'Write type = "r2", which is a folder here while it has neither remote nor endpoint.',
    )
    INGEST_STEP = ("a step of [ingest]", "Do it in the Worker before send(), or in the SQL of a pipeline.")

    def __init__(self, what: str, instead: str) -> None:
        self.note = f"{what} works on Edge only. {instead}"
        self.refusal = f"{what} works on Edge only, and --compat strict refuses it. {instead}"

    def use(self) -> None:
        """Go on, unless the Worker that runs is strict.

        Raises:
            UnsupportedError: it is.
        """
        if is_strict():
            raise UnsupportedError(self.refusal)


def is_strict() -> bool:
    """Whether the Worker in whose invocation this runs was started with `--compat strict`."""
    invocation = current_invocation.get()
    return invocation is not None and invocation.is_strict
