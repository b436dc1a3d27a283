"""Transports that make each request of an HTTP client one call of a limiter, with its outcome.

A module for each client, which alone imports it. Above the transport nothing changes: a session or
client of the user's own, whatever library uses it, is paced, and refusals and timeouts are seen.
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
