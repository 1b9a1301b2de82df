"""uvicorn with uvloop and httptools, a Starlette app with one route. Prints its port."""

import socket

import uvicorn
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route


async def hello(_request):
    return PlainTextResponse("Hello, World!")


listener = socket.create_server(("127.0.0.1", 0))
print(f"Ready on http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
app = Starlette(routes=[Route("/", hello)])
config = uvicorn.Config(app, access_log=False, log_level="warning", loop="uvloop", http="httptools")
uvicorn.Server(config).run([listener])
