"""The least aiohttp can do: `web.Server` with one handler. Prints its port."""

import asyncio

import uvloop
from aiohttp import web


async def handler(_request: web.BaseRequest) -> web.Response:
    return web.Response(text="Hello, World!")


async def main() -> None:
    runner = web.ServerRunner(web.Server(handler), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(f"Ready on http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    await asyncio.Event().wait()


uvloop.run(main())
