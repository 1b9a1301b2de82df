"""A bare `web.Server` handler that parses a JSON array and answers how long it is: ingest that keeps nothing."""

import asyncio

import msgspec
import uvloop
from aiohttp import web

_decoder = msgspec.json.Decoder(list[msgspec.Raw])


async def handler(request: web.BaseRequest) -> web.Response:
    count = len(_decoder.decode(await request.read()))
    return web.Response(text=f'{{"success":true,"result":{{"committed":{count}}}}}', content_type="application/json")


async def main() -> None:
    runner = web.ServerRunner(web.Server(handler), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(f"Ready on http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    await asyncio.Event().wait()


uvloop.run(main())
