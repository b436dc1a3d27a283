"""Tuning rules for PI and PID, for a plant `k e^(-s delay) / (tau s + 1)`.

`k` is the gain, `tau` the time constant, `delay` the dead time; `ku` and `pu` are the gain and the
period at which the plant under a proportional controller cycles. Integral and derivative times in
the unit of `tau`.
"""

from __future__ import annotations

import math

from tpssim.core.errors import InputError


def _check_plant(k: float, tau: float, delay: float) -> None:
    if not (k > 0.0 and 0.0 < tau < math.inf and 0.0 < delay < math.inf):
        raise InputError(f"k={k!r}, tau={tau!r}, delay={delay!r}; allowed: all above 0")


def ultimate(k: float, tau: float, delay: float) -> tuple[float, float]:
    """(ku, pu): where `atan(w tau) + w delay = pi`, `ku = sqrt(1 + (w tau)^2) / k` and `pu = 2 pi /
    w`.

    >>> [round(x, 4) for x in ultimate(1.0, 1.0, 1.0)]
    [2.2618, 3.0971]
    """
    _check_plant(k, tau, delay)
    low, high = 0.0, math.pi / delay
    for _ in range(200):
        w = (low + high) / 2.0
        low, high = (w, high) if math.atan(w * tau) + w * delay < math.pi else (low, w)
    return math.hypot(1.0, w * tau) / k, 2.0 * math.pi / w


def ziegler_nichols(ku: float, pu: float, kind: str = "PI") -> tuple[float, float, float]:
    """(gain, integral time, derivative time) by the closed-loop rules, `kind` P, PI or PID.

    P: 0.5 ku; PI: 0.45 ku, pu / 1.2; PID: 0.6 ku, pu / 2, pu / 8. Source: Ziegler & Nichols 1942.

    >>> ziegler_nichols(2.0, 4.0, "PID")
    (1.2, 2.0, 0.5)
    """
    if not (ku > 0.0 and pu > 0.0):
        raise InputError(f"ku={ku!r}, pu={pu!r}; allowed: both above 0")
    rules = {
        "P": (0.5 * ku, math.inf, 0.0),
        "PI": (0.45 * ku, pu / 1.2, 0.0),
        "PID": (0.6 * ku, pu / 2.0, pu / 8.0),
    }
    if kind not in rules:
        raise InputError(f"there is no kind {kind!r}; allowed: {', '.join(rules)}")
    return rules[kind]


def ziegler_nichols_step(
    k: float, tau: float, delay: float, kind: str = "PI"
) -> tuple[float, float, float]:
    """(gain, integral time, derivative time) by the step-response rules, `kind` PI or PID.

    PI: `0.9 tau / (k delay)`, `delay / 0.3`; PID: `1.2 tau / (k delay)`, `2 delay`, `0.5 delay`.
    Source: Ziegler & Nichols 1942.

    >>> ziegler_nichols_step(1.0, 4.0, 1.0, "PID")
    (4.8, 2.0, 0.5)
    """
    _check_plant(k, tau, delay)
    rules = {
        "PI": (0.9 * tau / (k * delay), delay / 0.3, 0.0),
        "PID": (1.2 * tau / (k * delay), 2.0 * delay, 0.5 * delay),
    }
    if kind not in rules:
        raise InputError(f"there is no kind {kind!r}; allowed: {', '.join(rules)}")
    return rules[kind]


def tyreus_luyben(ku: float, pu: float) -> tuple[float, float]:
    """(gain, integral time) of a PI controller: `ku / 3.2`, `2.2 pu`. Source: Tyreus & Luyben 1992.

    >>> tyreus_luyben(3.2, 1.0)
    (1.0, 2.2)
    """
    if not (ku > 0.0 and pu > 0.0):
        raise InputError(f"ku={ku!r}, pu={pu!r}; allowed: both above 0")
    return ku / 3.2, 2.2 * pu


def amigo(k: float, tau: float, delay: float) -> tuple[float, float]:
    """(gain, integral time) of a PI controller by the AMIGO rules; with `sum = delay + tau`::

        K  = 0.15 / k + (0.35 - delay tau / sum^2) tau / (k delay)
        Ti = 0.35 delay + 13 delay tau^2 / (tau^2 + 12 delay tau + 7 delay^2)

    Source: Astrom & Hagglund 2006.

    >>> [round(x, 6) for x in amigo(1.0, 1.0, 1.0)]
    [0.25, 1.0]
    """
    _check_plant(k, tau, delay)
    both = delay + tau
    gain = 0.15 / k + (0.35 - delay * tau / (both * both)) * tau / (k * delay)
    square = tau * tau
    ti = 0.35 * delay + 13.0 * delay * square / (square + 12.0 * delay * tau + 7.0 * delay * delay)
    return gain, ti


def simc(
    slope: float, tau: float, delay: float, closed: float | None = None
) -> tuple[float, float]:
    """(gain, integral time) of a PI controller by the SIMC rules, for a first-order plant with dead
    time.

    `slope` is the plant's initial slope, gain / tau (for an integrator, tau = inf, its gain); with
    the wanted closed-loop time constant `closed` (default: the dead time)::

        K = 1 / (slope (closed + delay)),  Ti = min(tau, 4 (closed + delay))

    Source: Skogestad 2003.

    >>> simc(2.0, 4.0, 0.5)  # 4 / (8 x 1), min(4, 4 x 1)
    (0.5, 4.0)
    """
    if not (slope > 0.0 and tau > 0.0 and delay >= 0.0):
        raise InputError(
            f"slope={slope!r}, tau={tau!r}, delay={delay!r}; allowed: slope, tau > 0, delay >= 0"
        )
    horizon = (delay if closed is None else closed) + delay
    if not horizon > 0.0:
        raise InputError(f"delay={delay!r}, closed={closed!r}; allowed: one of them above 0")
    return 1.0 / (slope * horizon), min(tau, 4.0 * horizon)
