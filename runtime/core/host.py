"""What a backend may ask of its machine: time, ids, tasks, the internet, a log. Nothing about products.

Backends never read the clock, sleep, draw ids or start tasks any other way, so a test moves the clock by hand
(`edge.runtime.testing.FakeHost`) and every timing case is deterministic.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from .errors import BackendError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Coroutine, Hashable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from .request import Request
    from .response import Response

T = TypeVar("T")


class Logger(Protocol):
    """The part of a structlog logger that is used: a constant past-tense event, then values as keys with units."""

    def debug(self, event: str, **values: Any) -> None: ...
    def info(self, event: str, **values: Any) -> None: ...
    def warning(self, event: str, **values: Any) -> None: ...
    def error(self, event: str, **values: Any) -> None: ...


class Host(Protocol):
    """Any machine a Worker runs on."""

    @property
    def log(self) -> Logger: ...

    def now(self) -> float:
        """Wall clock, Unix seconds."""

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds` of this host's clock."""

    def new_id(self) -> str:
        """A random id of 32 hex digits."""

    def spawn(self, work: Coroutine[Any, Any, T], *, name: str) -> asyncio.Task[T]:
        """Start `work` as a task that this host owns: it is awaited or cancelled before the host closes."""

    async def fetch(self, request: Request, *, may_connect: Callable[[str], bool] | None = None) -> Response:
        """Send a request to the internet.

        Args:
            may_connect: asked for each address right before a connection is made to it, those of redirects too: what
                a name means may change between a look-up of one's own and this one. Pass one function, not a new one
                each time: connections are kept for it. None: any address.

        Raises:
            AddressRefusedError: `may_connect` allowed none.
            OSError: the name did not resolve or the connection failed; the message says which.
        """


class LocalHost(Host, Protocol):
    """One machine with a disk: `edge dev` and `edge serve`."""

    @property
    def state_dir(self) -> Path:
        """The only folder a backend may write to (`.edge/state`); exists, mode 0700. Deleting it is a full reset."""

    @property
    def process_slot(self) -> int:
        """Which of the processes sharing `state_dir` this is: 0 for `edge dev`, 0..N-1 for `edge serve --workers N`."""

    def lease(
        self, key: Hashable, open_resource: Callable[[], AbstractAsyncContextManager[T]]
    ) -> AbstractAsyncContextManager[T]:
        """Share one open resource per `key` in this process, closed when its last holder leaves.

        A config reload opens the new environment before it closes the old one, so what both need (a database,
        a log with its lock and its writer) stays open and loses nothing.
        """


class AwsHost(Host, Protocol):
    """An AWS Lambda execution environment, or any process with AWS credentials."""

    def client(self, service: str) -> AwsClient:
        """The client of one AWS service ("dynamodb", "firehose", "kinesis", "s3"), made on first use and kept."""


class AwsClient(Protocol):
    """Signed calls to one AWS service."""

    async def call(self, operation: str, payload: dict[str, Any]) -> dict[str, Any]:
        """One JSON-protocol call (DynamoDB, Firehose, Kinesis): `call("GetItem", {...})`.

        Retries throttling, 5xx and broken connections with full jitter until the invocation's deadline.
        Partial failures inside an answer are the caller's.

        Raises:
            AwsError: the service refused, or retries ran out.
        """

    async def send(
        self, method: str, path: str, *, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """One REST call (S3): status, lower-case headers, body. Same retries; 4xx answers are returned, not raised."""


class AwsError(BackendError):
    """Raised when AWS answered an error, or was not reached (status 0, and Edge's own word as `code`).

    `code` is AWS's name for it, as `ConditionalCheckFailedException`.
    """

    def __init__(self, code: str, message: str, *, status: int, is_retryable: bool) -> None:
        super().__init__(f"AWS answered {code} ({status}): {message}" if status else f"AWS gave no answer: {message}")
        self.code = code
        self.status = status
        self.is_retryable = is_retryable
