"""Pictures are put, made smaller by the workflow in transcode.yaml, and got again.

curl -T cat.pgm localhost:8787/cat?review      a picture comes; its workflow has its name
curl localhost:8787/cat/status                 how far it is
curl -d '{"approved": true, "by": "ada"}' localhost:8787/cat/review
curl localhost:8787/cat@160                    a smaller one
"""

from urllib.parse import urlsplit

from workers import Response, WorkerEntrypoint


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        url = urlsplit(request.url)
        key, _, action = url.path.strip("/").partition("/")
        if request.method == "PUT":
            await self.env.PICTURES.put(key, await request.text())
            params = {"key": key, "review": url.query == "review"}
            await self.env.TRANSCODE.create({"id": key, "params": params})
            return Response.json({"id": key}, status=202)
        if action:
            instance = await self.env.TRANSCODE.get(key)
            if request.method == "POST":
                await instance.send_event({"type": "reviewed", "payload": await request.json()})
            return Response.json(await instance.status())
        picture = await self.env.PICTURES.get(key)
        return Response("No such picture.\n", status=404) if picture is None else Response(picture)
