"""Answers every path: text at /, JSON at /json, a greeting at /<name>."""

from urllib.parse import unquote, urlsplit

from workers import Response, WorkerEntrypoint


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        path = unquote(urlsplit(request.url).path)
        if path == "/":
            return Response("Hello from Edge!\n")
        if path == "/json":
            return Response.json({"hello": "Edge", "method": request.method})
        return Response(f"Hello, {path.removeprefix('/')}!\n")
