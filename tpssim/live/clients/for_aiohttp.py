"""aiohttp: a middleware for its session (3.12 and later)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tpssim.live.clients import AsyncLimiting, one

if TYPE_CHECKING:
    from aiohttp import ClientHandlerType, ClientMiddlewareType, ClientRequest, ClientResponse


def throttled(
    limiter: AsyncLimiting, *, cost: Callable[[ClientRequest], float] = one
) -> ClientMiddlewareType:
    """A middleware: each request of a session waits for a slot; its outcome is that of the answer.

    The call lasts until the headers have arrived, for aiohttp does not report the end of the body.
    A redirect is a call of its own. The session's total timeout runs while a request waits for its
    slot, so give it time for that, or use its other timeouts (`sock_connect`, `sock_read`). `cost`:
    what a request costs, for quotas `of="cost"`.

    >>> import aiohttp, asyncio, tpssim
    >>> async def main():
    ...     paced = throttled(tpssim.Limiter(tps=20.0, controller="auto"))
    ...     async with aiohttp.ClientSession(middlewares=(paced,)) as session:
    ...         ...  # session.get(...)
    >>> asyncio.run(main())
    """

    async def middleware(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        with await limiter.aacquire(cost=cost(request)) as permit:
            return permit.see(await handler(request))

    return middleware
