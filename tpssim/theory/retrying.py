"""How many attempts retries make of a call."""

from __future__ import annotations

import math


def amplification(failure: float, retries: float, budget: float = math.inf) -> float:
    """Attempts per call if each attempt fails with that probability, alone, and up to `retries`
    follow.

    Attempt k + 1 is made if k attempts have failed: `1 + f + ... + f^n = (1 - f^(n + 1)) / (1 -
    f)`. A budget of retries per call bounds it by `1 + budget`, however much fails; in the long run
    it is the lesser of the two where tokens are lost only while the budget is not needed. Source:
    Beyer et al., Site Reliability Engineering (2016), ch. 21: a budget of 10 % makes 3 attempts
    of a call 1.1.

    >>> amplification(0.5, 2.0), amplification(1.0, 2.0), amplification(0.5, 2.0, 0.1)
    (1.75, 3.0, 1.1)
    """
    unbounded = retries + 1.0
    if failure < 1.0:
        unbounded = (1.0 - failure ** (retries + 1.0)) / (1.0 - failure)
    return min(unbounded, 1.0 + budget)
