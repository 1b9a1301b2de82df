"""POST a JSON array of events: when the answer comes, they are durable in the stream."""

from workers import Response, WorkerEntrypoint

USAGE = """Send events as a JSON array:

  curl -d '[{"user": "ada", "did": "sign_up"}]' http://127.0.0.1:8787/
"""


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        if request.method != "POST":
            return Response(USAGE)
        try:
            events = await request.json()
        except ValueError:
            return Response("The body is not JSON.\n", status=400)
        if not isinstance(events, list):
            return Response("The body is not a JSON array of events.\n", status=400)
        await self.env.STREAM.send(events)
        return Response.json({"kept": len(events)}, status=202)
