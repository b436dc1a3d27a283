"""httpx: a transport for its client, and one for its asynchronous client."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator

import httpx

from tpssim.live.clients import AsyncLimiting, Limiting, one
from tpssim.live.permits import Permit


class ThrottledTransport(httpx.BaseTransport):
    """Each request of a client waits for a slot; its outcome is that of the answer.

    The call lasts until the body is read or the response closed. A redirect is a call of its own.
    No timeout of the client runs while a request waits for its slot. `transport` makes the
    requests; default: httpx's. `cost`: what a request costs, for quotas `of="cost"`.

    >>> import tpssim
    >>> def answer(request):
    ...     return httpx.Response(429 if request.url.path == "/b" else 200)
    >>> service = httpx.MockTransport(answer)
    >>> limiter = tpssim.Limiter(tps=500.0)
    >>> with httpx.Client(transport=ThrottledTransport(limiter, service)) as client:
    ...     [client.get(f"http://localhost/{path}").status_code for path in "abc"]
    [200, 429, 200]
    >>> limiter.report().ok, limiter.report().drops
    (2, 1)
    """

    def __init__(
        self,
        limiter: Limiting,
        transport: httpx.BaseTransport | None = None,
        *,
        cost: Callable[[httpx.Request], float] = one,
    ) -> None:
        self._limiter, self._cost = limiter, cost
        self._transport = httpx.HTTPTransport() if transport is None else transport

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        permit = self._limiter.acquire(cost=self._cost(request))
        try:
            response = self._transport.handle_request(request)
        except BaseException as error:
            permit.__exit__(type(error), error, None)
            raise
        if response.is_closed:  # it came with its body
            return permit.see(response)
        assert isinstance(response.stream, httpx.SyncByteStream)
        response.stream = _Body(response.stream, permit, response)
        return response

    def close(self) -> None:
        self._transport.close()


class AsyncThrottledTransport(httpx.AsyncBaseTransport):
    """As `ThrottledTransport`, for `httpx.AsyncClient`.

    >>> import asyncio, tpssim
    >>> service = httpx.MockTransport(lambda request: httpx.Response(503))
    >>> limiter = tpssim.Limiter(tps=500.0)
    >>> async def main():
    ...     transport = AsyncThrottledTransport(limiter, service)
    ...     async with httpx.AsyncClient(transport=transport) as client:
    ...         return (await client.get("http://localhost/")).status_code
    >>> asyncio.run(main()), limiter.report().drops
    (503, 1)
    """

    def __init__(
        self,
        limiter: AsyncLimiting,
        transport: httpx.AsyncBaseTransport | None = None,
        *,
        cost: Callable[[httpx.Request], float] = one,
    ) -> None:
        self._limiter, self._cost = limiter, cost
        self._transport = httpx.AsyncHTTPTransport() if transport is None else transport

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        permit = await self._limiter.aacquire(cost=self._cost(request))
        try:
            response = await self._transport.handle_async_request(request)
        except BaseException as error:
            permit.__exit__(type(error), error, None)
            raise
        if response.is_closed:
            return permit.see(response)
        assert isinstance(response.stream, httpx.AsyncByteStream)
        response.stream = _AsyncBody(response.stream, permit, response)
        return response

    async def aclose(self) -> None:
        await self._transport.aclose()


class _Body(httpx.SyncByteStream):
    """A body whose end is the end of the call."""

    def __init__(
        self, body: httpx.SyncByteStream, permit: Permit, response: httpx.Response
    ) -> None:
        self._body, self._permit, self._response = body, permit, response

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._body
        except GeneratorExit:  # the reader stops early
            raise
        except BaseException as error:
            self._permit.__exit__(type(error), error, None)
            raise

    def close(self) -> None:
        try:
            self._body.close()
        finally:
            self._permit.see(self._response)


class _AsyncBody(httpx.AsyncByteStream):
    """As `_Body`, asynchronously."""

    def __init__(
        self, body: httpx.AsyncByteStream, permit: Permit, response: httpx.Response
    ) -> None:
        self._body, self._permit, self._response = body, permit, response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for piece in self._body:
                yield piece
        except GeneratorExit:
            raise
        except BaseException as error:
            self._permit.__exit__(type(error), error, None)
            raise

    async def aclose(self) -> None:
        try:
            await self._body.aclose()
        finally:
            self._permit.see(self._response)
