"""Counts per path: GET reads, POST adds one, DELETE forgets."""

from urllib.parse import urlsplit

from workers import Response, WorkerEntrypoint


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        key = urlsplit(request.url).path
        if request.method == "DELETE":
            await self.env.COUNTERS.delete(key)
            return Response(None, status=204)
        count = int(await self.env.COUNTERS.get(key) or 0)
        if request.method == "POST":
            # Two at the same moment may count as one: KV has no transactions, here as on Cloudflare.
            count += 1
            await self.env.COUNTERS.put(key, str(count))
        return Response.json({"path": key, "count": count})
