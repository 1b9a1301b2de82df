from itertools import count

from workers import Response

numbers = count()


async def fetch(request, env, ctx):
    if request.url.endswith("/hello"):
        return Response("Hello, World!")
    if request.url.endswith("/get"):
        return Response(await env.KV.get("key"))
    if request.url.endswith("/seed"):
        await env.KV.put("key", "value")
        return Response("seeded")
    if request.url.endswith("/put"):
        await env.KV.put(f"key-{next(numbers)}", "value")
        return Response("put")
    await env.STREAM.send(await request.json())
    return Response("sent")
