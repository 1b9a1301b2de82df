"""The bank and the warehouse, for trying orders: python services.py [PORT] [LEDGER]

POST /charges, /refunds and /shipments need an Idempotency-Key: a request that comes again is answered as the first one
was, and nothing is done again. Each request is a line of the ledger, with what was done. The warehouse has no moon.
"""

import json
import sys
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock

PORT = 8790
LEDGER = "ledger.ndjson"
KINDS = ("charges", "refunds", "shipments")


class Services(ThreadingHTTPServer):
    def __init__(self, port, ledger):
        super().__init__(("127.0.0.1", port), Handler)
        self.ledger = ledger
        self.lock = Lock()
        self.answers = {}

    def answer(self, kind, key, asked):
        """The status and body for a request; what is new is done, and kept under its key."""
        with self.lock:
            is_new = key not in self.answers
            if is_new:
                self.answers[key] = self.do(kind, asked)
            status, body = self.answers[key]
            line = {"kind": kind, "key": key, "done": is_new and status == 200, **asked}
            with self.ledger.open("a") as file:
                file.write(f"{json.dumps(line)}\n")
            return status, body

    def do(self, kind, asked):
        if kind == "shipments" and asked["item"] == "moon":
            return 409, {"error": "the moon is out of stock"}
        return 200, {"id": f"{kind}-{len(self.answers) + 1}"}


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        kind, key = self.path[1:], self.headers["Idempotency-Key"]
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if kind in KINDS and key:
            self.say(*self.server.answer(kind, key, asked))
        else:
            self.say(400, {"error": f"POST to /{', /'.join(KINDS)} with an Idempotency-Key"})

    def say(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        with suppress(ConnectionError):  # who asked is gone, and will ask again
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_):
        """The ledger is the log."""


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else PORT
    ledger = Path(sys.argv[2] if len(sys.argv) > 2 else LEDGER)
    with Services(port, ledger) as services:
        print(f"The bank and the warehouse listen on http://127.0.0.1:{services.server_port}, and write {ledger}")
        services.serve_forever()
