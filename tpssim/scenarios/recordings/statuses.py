"""The outcome of a call, from what a file says of it: a status, a word, a message."""

from __future__ import annotations

import re

from tpssim.core.types import FAILED, OK, OUTCOMES, REFUSALS, REJECTED, TIMED_OUT
from tpssim.scenarios.recordings.outcomes import BAD, GOOD, NOTHING

#: Words of an error that mean that the caller waited no longer.
_TIMEOUT = re.compile(
    r"time[d -]*out|deadline.?exceeded|operation was canceled|etimedout", re.IGNORECASE
)
#: Words that mean that the service refused, without punctuation: of gRPC and of proxies.
_REFUSED = frozenset(
    ("resourceexhausted", "unavailable", "rejected", "refused", "throttled", "toomanyrequests")
)
_MOST = 50_000  # outcomes that are remembered


def outcome_of(status: str, error: str = "") -> int:
    """The outcome, of `OUTCOMES` or of HTTP's and gRPC's statuses, and of a message of an error.

    A status below 100 is that of no answer. A refusal of the connection is a failure: no service
    said that it had too much to do.

    >>> [OUTCOMES[outcome_of(cell)] for cell in ("200", "429", "500", "OK", "DeadlineExceeded")]
    ['ok', 'rejected by the service', 'failed', 'ok', 'timed out']
    >>> OUTCOMES[outcome_of("0", "context deadline exceeded")], OUTCOMES[outcome_of("", "")]
    ('timed out', 'ok')
    """
    word = status.strip().lower()
    if word in OUTCOMES:
        return OUTCOMES.index(word)
    number = _number(word)
    if number is not None and 100.0 <= number < 600.0:
        if number in REFUSALS:
            return REJECTED
        return OK if number < 400.0 and error.strip().lower() in NOTHING else FAILED
    if _TIMEOUT.search(word) or _TIMEOUT.search(error):
        return TIMED_OUT
    if re.sub(r"[^a-z]", "", word) in _REFUSED:
        return REJECTED
    well = number is None and (word in GOOD or word in NOTHING)
    return OK if well and error.strip().lower() in NOTHING and word not in BAD else FAILED


def _number(word: str) -> float | None:
    try:
        return float(word)
    except ValueError:
        return None


class Outcomes(dict[tuple[str, str], int]):
    """Outcomes by (status, error), each worked out once."""

    def __missing__(self, cells: tuple[str, str]) -> int:
        if len(self) >= _MOST:  # messages with addresses and times in them
            self.clear()
        self[cells] = outcome_of(*cells)
        return self[cells]
