"""Which exceptions of users' code are its own failure, and which are meant for more than that code.

asyncio ends its loop, and every other request with it, on SystemExit and KeyboardInterrupt, and takes CancelledError
for the end of the task that it passes. Code that calls sys.exit(), or awaits a task that was cancelled, means neither.
"""

from __future__ import annotations

from .errors import HandlerError


def is_from_outside(error: BaseException) -> bool:
    """Whether somebody else raised it into the code: this task was cancelled, its coroutine closed, or a person pressed
    Ctrl-C where nobody handles that."""
    if isinstance(error, (Exception, SystemExit)):
        return False
    import asyncio  # noqa: PLC0415 - such an error is rare, and core loads without it
    import signal  # noqa: PLC0415 - as above
    import threading  # noqa: PLC0415 - as above

    if isinstance(error, asyncio.CancelledError):
        task = asyncio.current_task()
        return task is not None and task.cancelling() > 0
    if isinstance(error, KeyboardInterrupt):
        is_unhandled = signal.getsignal(signal.SIGINT) is signal.default_int_handler
        return is_unhandled and threading.current_thread() is threading.main_thread()
    return isinstance(error, GeneratorExit)


def own_failure(error: BaseException, what: str) -> HandlerError | None:
    """What to raise in place of an exception that would end more than `what`; None when it may pass as it is."""
    if isinstance(error, Exception) or is_from_outside(error):
        return None
    return HandlerError(f"{what} raised {error!r}, which ends it alone.")
