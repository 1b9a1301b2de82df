"""Events that are no HTTP request: to the binding that claims them, to the Worker's handler, or refused in words.

Source: spec "AWS target", section 11.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..core.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .aws_lambda import LambdaApp


class ScheduledController:
    """What a `scheduled` handler is given. `scheduledTime` is in milliseconds since 1970."""

    def __init__(self, cron: str, scheduled_time_ms: int) -> None:
        self.cron = cron
        self.scheduledTime = scheduled_time_ms
        self.is_retry_wanted = True

    def noRetry(self) -> None:  # noqa: N802 - Cloudflare's spelling
        """Do not run again when this run fails."""
        self.is_retry_wanted = False


async def deliver(event: Any, app: LambdaApp) -> Any:
    """What answers an event that is no HTTP request.

    Raises:
        UnsupportedError: nobody takes it; the text names what was seen.
        Exception: whatever the handler raised, so that Lambda counts it and tries again.
    """
    if isinstance(event, dict):
        for claim in app.events:
            if claim.claims(event):
                return await claim.handle(event, app.live)
        if event.get("edge") == "scheduled" and "scheduled" in app.handlers:
            return await _run_scheduled(event, app)
    if "lambda_event" in app.handlers:
        return await app.call("lambda_event", event)
    raise UnsupportedError(f"{_told(event)} Or define async def lambda_event(event, env, ctx) to take such events.")


async def _run_scheduled(event: Mapping[str, Any], app: LambdaApp) -> None:
    controller = ScheduledController(str(event.get("cron", "")), _milliseconds(event.get("scheduledTime"), app))
    try:
        await app.call("scheduled", controller)
    except Exception as error:
        if controller.is_retry_wanted:
            raise
        app.host.log.error("handler_failed", handler="scheduled", exc_info=error)


def _milliseconds(told: object, app: LambdaApp) -> int:
    """EventBridge Scheduler's ISO time, or milliseconds; now when the event has neither."""
    if isinstance(told, str):
        from datetime import datetime  # noqa: PLC0415 - only a scheduled start needs it

        return int(datetime.fromisoformat(told).timestamp() * 1000)
    return told if isinstance(told, int) else int(app.host.now() * 1000)


def _told(event: Any) -> str:
    """What kind of event came, and why it is not taken."""
    if not isinstance(event, dict):
        return f"This function was invoked with {type(event).__name__} data, which is no event of an AWS service."
    records = event.get("Records")
    record = records[0] if isinstance(records, list) and records and isinstance(records[0], dict) else {}
    context = event.get("requestContext")
    if "cf" in record:
        return (
            "This is a CloudFront event: Edge does not run as Lambda@Edge, which keeps one value per header. "
            "Give the function a Function URL and put CloudFront before that."
        )
    if isinstance(context, dict) and "connectionId" in context:
        return "This is a WebSocket event of API Gateway, and Edge has no WebSockets yet."
    if "DurableExecutionArn" in event:
        return "This is an event of a durable function, and Edge has no Workflows on AWS yet."
    if event.get("edge") == "scheduled":
        return 'The Worker has no "scheduled" handler for this scheduled event.'
    if event.get("source") == "aws.events" or event.get("detail-type") == "Scheduled Event":
        return (
            "This is an event of an EventBridge rule, which does not name its cron. For a `scheduled` handler let the "
            'schedule send {"edge": "scheduled", "cron": "<the expression>", "scheduledTime": "<the time>"}.'
        )
    if record.get("eventSource") == "aws:sqs":
        return 'This is a batch of messages of an SQS queue, and Edge has no queues yet: "queue" is not called.'
    if context is not None or "httpMethod" in event or "rawPath" in event:
        return (
            "This looks like an HTTP request, but it is not whole: a front door of AWS sends a method, a path and "
            f"its headers as text (keys seen: {', '.join(map(str, event))})."
        )
    source = record.get("eventSource") or record.get("EventSource") or event.get("source")
    kind = f"from {source} " if source else ""
    return f"No binding of this Worker takes this event {kind}(keys seen: {', '.join(map(str, event)) or 'none'})."
