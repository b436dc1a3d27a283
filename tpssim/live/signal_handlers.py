"""Whether an exception comes from a signal handler, which may raise in the middle of any code."""

from __future__ import annotations

import inspect
import itertools
from types import FrameType


def by_handler(error: BaseException) -> bool:
    """Whether a signal handler raised this, and not the code that it interrupted.

    The interpreter calls a handler as `handler(number, frame)` with the frame that it interrupts,
    to which the handler returns; nobody else calls a function like that. (A handler written in C
    has no frame. Python's own raises `KeyboardInterrupt`, which is not an error anyway.)
    """
    # Not the frame that has caught it: reading its variables would make a cycle with the exception.
    trace = error.__traceback__ and error.__traceback__.tb_next
    while trace is not None:
        if _is_handler(trace.tb_frame):
            return True
        trace = trace.tb_next
    return False


def _is_handler(frame: FrameType) -> bool:
    interrupted, code = frame.f_back, frame.f_code
    if interrupted is None or (code.co_argcount < 2 and not code.co_flags & inspect.CO_VARARGS):
        return False
    names, more, _, values = inspect.getargvalues(frame)
    given = [values[name] for name in names if name in values]
    if more is not None:
        given += values.get(more, ())
    pairs = itertools.pairwise(given)
    return any(then is interrupted and isinstance(number, int) for number, then in pairs)
