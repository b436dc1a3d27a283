"""HTTP calls in an event loop, with aiohttp."""

from __future__ import annotations

import contextlib
import io
import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable

from tpssim.core.errors import InputError
from tpssim.live.callees.requests import (
    MISSING,
    PIECE,
    CallFailed,
    Redirects,
    Request,
    checked_status,
    failure,
    prepared,
)
from tpssim.live.callees.sockets import trust


@contextlib.asynccontextmanager
async def async_url(
    request: Request, timeout: float | None, redirects: Redirects | None = None
) -> AsyncIterator[Callable[[int], Awaitable[None]]]:
    """As `url`, with any number of calls at once."""
    try:
        import aiohttp
        import yarl
    except ModuleNotFoundError as error:
        raise InputError(f"--url with --async {MISSING.format('aiohttp')}") from error
    sent = prepared(request)
    # its warnings name what was answered
    logging.getLogger("aiohttp").addHandler(logging.NullHandler())
    # A long body is sent in pieces; sent at once it would block the loop.
    long = sent.body if sent.body is not None and len(sent.body) > PIECE else None
    where = yarl.URL(sent.address.sent, encoded=True)
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=trust()),
        timeout=aiohttp.ClientTimeout(total=timeout, ceil_threshold=math.inf),
        auto_decompress=False,
        skip_auto_headers=("Content-Type",),
        cookie_jar=aiohttp.DummyCookieJar(),
    ) as session:

        async def call(_: int) -> None:
            body = sent.body if long is None else io.BytesIO(long)
            try:
                async with session.request(
                    sent.method, where, headers=sent.headers, data=body, allow_redirects=False
                ) as answer:
                    async for _piece in answer.content.iter_any():
                        pass
                    status, received = answer.status, answer.headers
            except TimeoutError:
                raise TimeoutError(f"no whole answer within {timeout:g} s") from None
            except (OSError, aiohttp.ClientError, ValueError) as error:
                raise CallFailed(failure(error)) from None
            checked_status(sent, status, received, redirects)

        yield call
