"""Transports that make each request of an HTTP client one call of a limiter, with its outcome.

Each client has a module of its own, its sole importer. Code above the transport does not change:
the user's session or client is paced, even if another library uses it, and refusals and timeouts
are observed. `cost` says what a request costs, for quotas `of="cost"`: a function of the client's
own request.
"""

from __future__ import annotations

from typing import Protocol

from tpssim.live.permits import Permit


class Limiting(Protocol):
    """What a blocking transport needs: a `tpssim.Limiter`, or anything that gives permits."""

    def acquire(self, *, cost: float = 1.0) -> Permit: ...


class AsyncLimiting(Protocol):
    """What an asynchronous transport needs."""

    async def aacquire(self, *, cost: float = 1.0) -> Permit: ...


def one(request: object) -> float:
    """What each request costs unless the user says otherwise."""
    return 1.0
