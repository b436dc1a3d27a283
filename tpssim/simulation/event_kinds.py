"""What can happen at a moment of a run, in the order in which it does at equal times.

`ARRIVAL` is that of a call of another client. Of one kind, the producer with the lower number comes
first, then the call with the lower number; other clients come after all producers.
Both engines take the order from here.
"""

from __future__ import annotations

END, ARRIVAL, COMPLETION, TIMEOUT, WINDOW, RETRY, RELEASE = KINDS = range(7)


def first_kind(completion: float, window: float, release: float) -> int:
    """The kind that is next, of the three that the compiled engine has, by the time of each.

    >>> first_kind(1.0, 1.0, 1.0) == COMPLETION, first_kind(2.0, 1.0, 1.0) == WINDOW
    (True, True)
    """
    if completion <= window and completion <= release:
        return COMPLETION
    return WINDOW if window <= release else RELEASE
