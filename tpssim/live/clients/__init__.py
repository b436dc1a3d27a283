"""Transports that make each request of an HTTP client one call of a limiter, with its outcome.

Each client has a module of its own, its sole importer. Code above the transport does not change:
the user's session or client is paced, even if another library uses it, and refusals and timeouts
are observed.
"""

from __future__ import annotations

from typing import Protocol

from tpssim.live.permits import Permit


class Limiting(Protocol):
    """What a blocking transport needs: a `tpssim.Limiter`, or anything that gives permits."""

    def acquire(self) -> Permit: ...


class AsyncLimiting(Protocol):
    """What an asynchronous transport needs."""

    async def aacquire(self) -> Permit: ...
