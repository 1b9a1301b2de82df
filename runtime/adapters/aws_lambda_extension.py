"""Keeps an environment awake after the answer left, until `waitUntil` work is done.

Theory of operation. Lambda freezes an environment when the runtime *and every extension* have asked for their next
event. This is an internal extension: a thread of the same process, registered for INVOKE. It sees every invocation,
and asks for the next one only when the handler has returned and nothing is pending any more. The client has its
answer by then; the time is billed, and the environment takes no other request meanwhile. A crash leaves nothing
behind: Lambda ends the process and its extensions together.

Source: AWS Lambda docs, "Lambda Extensions API"; AWS Compute Blog, "Running code after returning a response from an
AWS Lambda function".
"""

from __future__ import annotations

import json
import socket
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

NAME = "edge-wait-until"
_API = "/2020-01-01/extension"


class ExtensionRefusedError(OSError):
    """Raised when Lambda does not take the extension, as on Managed Instances."""


class WaitUntilExtension:
    """Holds each invocation open until `finish` returns."""

    def __init__(self, runtime_api: str, finish: Callable[[], None]) -> None:
        """Register, which Lambda allows only while the function's module is imported.

        Args:
            runtime_api: host and port, from AWS_LAMBDA_RUNTIME_API.
            finish: returns when nothing is pending, or when the deadline is near; called in this extension's thread.

        Raises:
            OSError: there is no Extensions API, or it refused.
        """
        self._address = runtime_api
        self._finish = finish
        self._returned = threading.Condition()
        self._returned_id = ""
        status, headers, _ = self._ask("POST", "/register", {"lambda-extension-name": NAME}, b'{"events":["INVOKE"]}')
        if status != 200:
            raise ExtensionRefusedError(f"Lambda refused the extension {NAME} with status {status}.")
        self._identifier = headers["lambda-extension-identifier"]
        threading.Thread(target=self._hold_invocations, name=NAME, daemon=True).start()

    def handler_returned(self, request_id: str) -> None:
        """Say that the handler is done with an invocation; its pending work may not be."""
        with self._returned:
            self._returned_id = request_id
            self._returned.notify()

    def _hold_invocations(self) -> None:
        while True:
            status, _, body = self._ask("GET", "/event/next", {"lambda-extension-identifier": self._identifier})
            if status != 200:
                return
            self._wait_for_return(json.loads(body)["requestId"])
            self._finish()

    def _wait_for_return(self, invoked_id: str) -> None:
        with self._returned:
            # No time limit: a handler that never returns is ended by Lambda, and this thread with it.
            self._returned.wait_for(lambda: self._returned_id == invoked_id)

    def _ask(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes = b""
    ) -> tuple[int, dict[str, str], bytes]:
        """One HTTP/1.0 exchange, which ends with the connection: http.client would cost the start 10 ms."""
        host, _, port = self._address.partition(":")
        lines = [f"{method} {_API}{path} HTTP/1.0", f"host: {self._address}", f"content-length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        with socket.create_connection((host, int(port or 80))) as connection:
            connection.sendall("\r\n".join([*lines, "", ""]).encode() + body)
            raw = b"".join(iter(lambda: connection.recv(65536), b""))
        head, _, answer = raw.partition(b"\r\n\r\n")
        status_line, *header_lines = head.decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in header_lines)
        return int(status_line.split()[1]), {name.lower(): value.strip() for name, _, value in pairs}, answer
