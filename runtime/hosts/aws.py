"""An AWS Lambda execution environment: the real clock, random ids, tasks, AWS clients. Imports stay light."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING

from ..core.errors import BackendError
from .machine import Machine

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..core.host import Logger
    from .aws_client import AwsServiceClient
    from .aws_credentials import CredentialSource
    from .aws_http import AwsHttp

IDLE_SECONDS_MAX = 5.0
"""After a longer pause the environment may have been frozen, and the other side may have closed its connections."""


class LambdaMachine(Machine):
    """The AwsHost of a Lambda function, or of any process with AWS credentials and a region."""

    def __init__(
        self,
        log: Logger,
        *,
        region: str | None = None,
        environ: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`region` wins over AWS_REGION. `clock` is the wall clock: it goes on while the environment is frozen."""
        super().__init__(log)
        self.deadline_at: float | None = None
        """Unix time when the current invocation is cut; None between invocations."""
        self._environ = os.environ if environ is None else environ
        self._region = region
        self._clock = clock
        self._last_active_at = clock()
        self._clients: dict[str, AwsServiceClient] = {}
        self._shared: tuple[AwsHttp, CredentialSource] | None = None

    def now(self) -> float:
        return self._clock()

    def client(self, service: str) -> AwsServiceClient:
        """The client of one AWS service, made on first use and kept.

        Raises:
            BackendError: no region is known.
        """
        if service not in self._clients:
            self._clients[service] = self._new_client(service)
        return self._clients[service]

    async def thaw(self) -> None:
        """Call at the start of an invocation: after a long pause, see closed sockets and let go of idle connections."""
        now = self._clock()
        paused_s, self._last_active_at = now - self._last_active_at, now
        if paused_s > IDLE_SECONDS_MAX:
            await asyncio.sleep(0)  # one tick: the loop reads what arrived meanwhile, closes among it
            if self._shared is not None:
                await self._shared[0].retire_idle()

    def rest(self) -> None:
        """Call at the end of an invocation: the pause counts from here."""
        self._last_active_at = self._clock()
        self.deadline_at = None

    async def aclose(self) -> None:
        """Cancel what is still running and close the connections."""
        await super().aclose()
        if self._shared is not None:
            await self._shared[0].aclose()

    def _new_client(self, service: str) -> AwsServiceClient:
        from .aws_client import AwsServiceClient  # noqa: PLC0415 - a Worker without AWS bindings never pays for it
        from .aws_credentials import CredentialSource  # noqa: PLC0415 - as above
        from .aws_http import AwsHttp  # noqa: PLC0415 - as above

        environ = self._environ
        region = self._region or environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION")
        if not region:
            msg = f"No AWS region for {service}: set AWS_REGION, or region under [aws] in edge.toml."
            raise BackendError(msg)
        if self._shared is None:
            http = AwsHttp()
            self._shared = (http, CredentialSource(environ, self, http))
        http, credentials = self._shared
        return AwsServiceClient(
            service,
            region=region,
            host=self,
            endpoint_url=environ.get(f"AWS_ENDPOINT_URL_{service.upper()}") or environ.get("AWS_ENDPOINT_URL"),
            http=http,
            credentials=credentials,
            deadline=lambda: self.deadline_at,
        )
