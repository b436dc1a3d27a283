"""What a quota allows, computed from a whole log at once: to check a limiter that decides call by
call.

No ring, no running sum and no state as limiters have them: sums over a log, and where in it a
window begins. All logs are in the order of time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


def rolling_use(times: Array, weights: Array, per: float, *, at_once: bool = False) -> Array:
    """What the calls before each call take of a rolling window of `per` seconds when it comes.

    A call at t is in the window until `t + per`, exclusive: `(t - per, t]` is what counts at t, and
    no half-open window of that length holds more than the largest of these sums. `at_once`: as it
    is immediately before t, when a call of `t - per` has not left.

    >>> times, one = np.array([0.0, 0.5, 1.0]), np.ones(3)
    >>> rolling_use(times, one, 1.0).tolist(), rolling_use(times, one, 1.0, at_once=True).tolist()
    ([0.0, 1.0, 1.0], [0.0, 1.0, 2.0])
    """
    left = np.searchsorted(times + per, times, side="left" if at_once else "right")
    before = np.concatenate(([0.0], np.cumsum(weights)))
    use: Array = before[:-1] - before[left]
    return use


def fixed_use(times: Array, weights: Array, per: float, *, at_once: bool = False) -> Array:
    """What the calls before each call take of its fixed window, `[k per, (k + 1) per)`.

    `at_once`: of the window immediately before it comes, which is another if it begins one.

    >>> times, one = np.array([0.25, 0.75, 1.0]), np.ones(3)
    >>> fixed_use(times, one, 1.0).tolist(), fixed_use(times, one, 1.0, at_once=True).tolist()
    ([0.0, 1.0, 0.0], [0.0, 1.0, 2.0])
    """
    number = np.floor(times / per)
    own = np.ceil(times / per) - 1.0 if at_once else number
    before = np.concatenate(([0.0], np.cumsum(weights)))
    last = np.minimum(np.searchsorted(number, own, side="right"), np.arange(len(times)))
    use: Array = before[last] - before[np.searchsorted(number, own, side="left")]
    return use


def bucket_opens(times: Array, weights: Array, rate: float, burst: float) -> Array:
    """From when on a bucket of `burst` tokens, full at first and filled at `rate`, has what each
    call takes, s; -inf if at any time.

    The generic cell rate algorithm in its form of virtual scheduling (ITU-T I.371, annex A): the
    bucket is full again at `T_k = max(t_k, T_(k-1)) + w_k / rate`, and call k may come from
    `T_(k-1) - (burst - w_k) / rate` on. Solved for all calls at once: `T_k = S_k + max over j <= k
    of (t_j - S_(j-1))` with `S` the sum of `w / rate`.

    >>> bucket_opens(np.array([0.0, 0.0, 1.0]), np.ones(3), 1.0, 2.0).tolist()
    [-inf, 0.0, 1.0]
    """
    filling = np.concatenate(([0.0], np.cumsum(weights / rate)))
    full = filling[1:] + np.maximum.accumulate(times - filling[:-1])
    opens: Array = np.concatenate(([-np.inf], full[:-1])) - (burst - weights) / rate
    return opens
