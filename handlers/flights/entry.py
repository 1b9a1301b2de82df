"""Flights in, Parquet out: records go through a stream and SQL into partitioned files (see edge.toml).

replay.py sends the 336,776 flights that left New York in 2013 through this Worker.
"""

from workers import Response, WorkerEntrypoint


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        if request.method != "POST":
            return Response("POST a JSON array of flights, or run: python replay.py http://127.0.0.1:8787\n")
        try:
            flights = await request.json()
        except ValueError:
            return Response("The body is not JSON.\n", status=400)
        if not isinstance(flights, list):
            return Response("The body is not a JSON array of flights.\n", status=400)
        await self.env.FLIGHTS.send(flights)
        return Response.json({"kept": len(flights)}, status=202)
