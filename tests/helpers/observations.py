"""Parameters and observations drawn from all that a law may meet."""

from __future__ import annotations

import functools
import math
import struct
from typing import Any

from hypothesis import assume
from hypothesis import strategies as st

from tpssim.controllers import CONTROLLERS
from tpssim.core.types import Observation
from tpssim.core.validation import FLAG, Range, checked, ranges

TICK = 2.0**-20  # times in multiples of it are added and subtracted without rounding


def finite(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, allow_nan=False)


@functools.cache
def records(name: str) -> st.SearchStrategy[Any]:
    return _records(name)


@st.composite
def _records(draw: st.DrawFn, name: str) -> Any:
    """A record with every parameter drawn from its range (from the useful part of an endless one).

    The ends, the default and what lies near the lower end come often. One draw of bytes, as for
    `PIECES`.
    """
    law = CONTROLLERS[name]
    allowed = ranges(law)
    bits = draw(st.binary(min_size=4 * len(allowed), max_size=4 * len(allowed)))
    values = {
        field: value_of(one, getattr(law(), field), *struct.unpack_from("<HH", bits, 4 * k))
        for k, (field, one) in enumerate(allowed.items())
    }
    record = law()._replace(**values)
    assume(not (hasattr(record, "conflict") and record.conflict()))
    return checked(record, name)


def value_of(allowed: Range, default: float, kind: int, bits: int) -> float:
    """A parameter's value out of 32 bits."""
    if allowed.unit == FLAG:
        return float(bits & 1)
    low, high = allowed.low, min(allowed.high, 1e4)
    near = low + (high - low) * 1e-9 ** part(bits, 0.0, 1.0)
    between = part(bits, low, high)
    value = (low, default, high, between, between, between, near, near)[kind % 8]
    return value if allowed.holds(value) else default


def part(bits: int, low: float, high: float) -> float:
    """16 bits as a number of a range, its ends included."""
    return high if bits == 0xFFFF else low + (high - low) * (bits / 0xFFFF)


def observed(pieces: list[bytes], target: float) -> list[Observation]:
    """A history: time never runs back; refusals, failures and sums among plain completions."""
    now = 0.0
    history = []
    for piece in pieces:
        passed, took, lag, in_flight, errors, peak, u, kind = struct.unpack("<IIHHHHHH", piece)
        now += (passed & 0xFFFFFF) * TICK
        count = (0.0, 1.0, 1.0, 1.0, 5.0)[kind % 5]
        failed = part(errors, 0.0, count)
        history.append(
            Observation(
                now,
                target,
                math.nan if count == 0.0 else (took & 0x3FFFFFF) * TICK,
                part(lag, 0.0, 1e6),
                count,
                failed,
                part(in_flight, 1.0, 1e6),
                failed if kind & 0x100 else 0.0,
                1.0 if count == 0.0 else 0.0,
                part(peak, 0.0, 1e6),
                part(u, 0.0, 0.999),
            )
        )
    return history


#: A history's bytes: one draw a call, because Hypothesis takes longer for each number than a law
#: does.
PIECES = st.lists(st.binary(min_size=20, max_size=20), min_size=1, max_size=30)


TARGETS = finite(1e-3, 1e6)
