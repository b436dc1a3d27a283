"""requests: an adapter to mount on a session."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import requests
from requests.adapters import HTTPAdapter

from tpssim.live.clients import Limiting, one


class ThrottledAdapter(HTTPAdapter):
    """Each request of a session waits for a slot; its outcome is that of the answer.

    The call lasts until the body is read; with `stream=True`, until the headers are. A redirect is
    a call of its own. A retry of the adapter itself (`max_retries`) is not, so leave that at 0.
    `response.elapsed` includes the wait for the slot; timeouts do not. `cost`: what a request
    costs, for quotas `of="cost"`. The other options are those of `HTTPAdapter`.

    >>> import tpssim
    >>> session = requests.Session()
    >>> session.mount("https://", ThrottledAdapter(tpssim.Limiter(tps=20.0, controller="auto")))
    """

    def __init__(
        self,
        limiter: Limiting,
        *,
        cost: Callable[[requests.PreparedRequest], float] = one,
        **options: Any,
    ) -> None:
        self._limiter, self._cost = limiter, cost
        super().__init__(**options)

    def send(
        self, request: requests.PreparedRequest, stream: bool = False, *args: Any, **options: Any
    ) -> requests.Response:
        with self._limiter.acquire(cost=self._cost(request)) as permit:
            response = super().send(request, stream, *args, **options)
            if not stream:
                _ = response.content  # which the session would read next
            return permit.see(response)
