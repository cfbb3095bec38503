"""A reverse proxy as one writes it with aiohttp: what the benchmark compares with.

`python -m benchmarks.proxy.aiohttp_proxy PORT BACKEND_URL...`: round robin, keep-alive on both sides.
"""

from __future__ import annotations

import asyncio
import sys
from itertools import cycle

import aiohttp
from aiohttp import web

HOP_BY_HOP = {"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}


async def application(backends: list[str]) -> web.Application:
    turns = cycle(backends)
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), auto_decompress=False)

    async def forward(request: web.Request) -> web.StreamResponse:
        headers = request.headers.copy()
        for name in HOP_BY_HOP & {n.lower() for n in headers}:
            headers.popall(name)
        headers["X-Forwarded-For"] = request.remote or ""
        async with session.request(
            request.method,
            next(turns) + request.path_qs,
            headers=headers,
            data=request.content if request.body_exists else None,
            allow_redirects=False,
        ) as answer:
            kept = [(n, v) for n, v in answer.headers.items() if n.lower() not in HOP_BY_HOP]
            response = web.StreamResponse(status=answer.status, headers=dict(kept))
            await response.prepare(request)
            async for piece in answer.content.iter_any():
                await response.write(piece)
            await response.write_eof()
            return response

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", forward)
    return app


def main() -> None:
    port, *backends = sys.argv[1:]
    try:
        import uvloop
    except ImportError:
        runner = asyncio.new_event_loop
    else:
        runner = uvloop.new_event_loop
    web.run_app(
        application(backends),
        host="127.0.0.1",
        port=int(port),
        loop=runner(),
        access_log=None,
        print=lambda *_: None,
    )


if __name__ == "__main__":
    main()
