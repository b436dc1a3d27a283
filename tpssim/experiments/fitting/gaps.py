"""When a service changed while nobody saw it: in a stretch in which every call was given up.

No service time of such a stretch is known, but how many calls were taken in it is: all between the
last answer before it and the first one after it. If both of these waited, all servers were busy in
between and took `servers / (mean factor)` calls a second. With the factors of both sides known
there is one moment of the change at which so many are taken.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from tpssim.experiments.fitting.changes import SHORTEST, Course

if TYPE_CHECKING:
    from tpssim.experiments.fitting.implied import Calls, Implied


def timed(course: Course, calls: Calls, found: Implied, servers: float, mean: float) -> Course:
    """The changes, each of which lies alone in a flood, or at its edge, when the number of calls
    says: more than `SHORTEST` calls in a row that were given up.
    """
    if calls.patience == math.inf or math.isinf(servers):
        return course
    if calls.extra is not None or calls.slower is not None:  # then `mean` is not all of a call
        return course
    sure, every = np.flatnonzero(found.sure), np.flatnonzero(calls.answered)
    taken = found.taken[sure]
    if not len(taken):
        return course
    times = list(course.times)
    for k, time in enumerate(course.times):
        after = int(np.searchsorted(taken, time, side="right"))
        last = float(taken[after - 1]) if after > 0 else -math.inf  # of the known ones around it
        first = float(taken[after]) if after < len(taken) else math.inf
        near = sure[max(after - SHORTEST, 0) : after + SHORTEST]
        before_near = max(int(np.searchsorted(every, near[0], side="right")) - 1, 0)
        answered = every[before_near : int(np.searchsorted(every, near[-1])) + 1]
        longest = int(np.argmax(np.diff(answered, append=answered[-1])))
        pair = answered[longest : longest + 2]
        if len(pair) < 2 or pair[1] - pair[0] <= SHORTEST:
            continue
        factors = np.array(course.factors[k : k + 2])
        # A call that waited began a service time before its answer.
        begin, end = calls.completion[pair] - found.delay - mean * factors
        waited = np.array([begin, end]) - calls.start[pair] > mean * factors
        slack = mean * factors.max()  # the edges are known to about a call
        low, high = begin - slack, end + slack
        if last <= begin + slack and end - slack <= first:  # none is known between it and the flood
            low, high = min(low, last), max(high, first)
        here = low <= time <= high
        alone = not any(low <= other <= high for other in course.times if other != time)
        if here and alone and waited.all():
            work = float(pair[1] - pair[0]) * mean / servers
            before, then = 1.0 / factors
            moment = (work + begin * before - end * then) / (before - then)
            times[k] = float(min(max(moment, begin), end))
    return Course(tuple(times), course.factors)
