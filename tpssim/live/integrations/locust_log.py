"""A log of every request for Locust, which writes only statistics by itself.

In a locustfile::

    from tpssim.live.integrations.locust_log import log_requests

    log_requests("requests.csv")

Each process writes a file of its own: give workers different names.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any, TextIO

COLUMNS = ("start_time", "response_time", "request_type", "name", "status", "error", "retry_after")


def log_requests(path: str | Path) -> None:
    """Write a line for each request of this process, from now on; times in s since 1970 and in ms.

    The file is replaced. `tpssim.read_recording` reads it.
    """
    import locust

    events: Any = locust.events
    file = open(path, "w", newline="", encoding="utf-8")  # noqa: SIM115  # until Locust ends
    log = RequestLog(file)
    events.request.add_listener(log.add)
    events.quitting.add_listener(lambda **_: file.close())


class RequestLog:
    """The lines of a log; each is whole once it is written."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._writer = csv.writer(file)
        self._writer.writerow(COLUMNS)

    def add(
        self,
        request_type: str,
        name: str,
        response_time: float,
        start_time: float,
        response: Any = None,
        exception: BaseException | None = None,
        **_: Any,
    ) -> None:
        """A request that is over, as Locust tells it."""
        if self._file.closed:
            return
        headers = getattr(response, "headers", None) or {}
        status = getattr(response, "status_code", None) or ""
        error = "" if exception is None else f"{type(exception).__name__}: {exception}"
        wait = headers.get("Retry-After", "")
        began, took = f"{start_time:.6f}", f"{response_time:.3f}"
        self._writer.writerow((began, took, request_type, name, status, error, wait))
