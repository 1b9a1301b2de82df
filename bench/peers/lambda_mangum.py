"""The least that answers HTTP on Lambda with mangum: an ASGI app of two messages."""

from mangum import Mangum


async def app(_scope, _receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"Hello, World!"})


handler = Mangum(app, lifespan="off")
