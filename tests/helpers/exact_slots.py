"""Integrals of a profile in exact arithmetic, and profiles to draw: apart from our own code."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import pairwise

from hypothesis import strategies as st

from tpssim.core.errors import InputError
from tpssim.core.profiles import Stages

LENGTHS = st.sampled_from([0.0, 0.001, 0.5, 1.0, 7.3, 60.0])
TARGETS = st.one_of(st.sampled_from([0.0, 0.0, 1.0, 10.0, 100.0]), st.floats(1e-3, 300.0))


def exact(load: Stages, end: float, rate: float = math.inf, begin: float = 0.0) -> Fraction:
    """The integral of `min(rate, target)`, in exact arithmetic, from the definition alone."""
    total, since, level = Fraction(0), Fraction(0), Fraction(load.start)
    low, high = Fraction(begin), Fraction(end)
    for seconds, wanted in load.stages:
        length, last = Fraction(seconds), Fraction(wanted)
        if length:
            slope = (last - level) / length
            cuts = {max(low, since), min(high, since + length)}
            if rate < math.inf and slope:
                cuts.add(since + (Fraction(rate) - level) / slope)
            marks = sorted(t for t in cuts if max(low, since) <= t <= min(high, since + length))
            for a, b in pairwise(marks):
                middle = level + slope * ((a + b) / 2 - since)
                total += (b - a) * (min(middle, Fraction(rate)) if rate < math.inf else middle)
        since, level = since + length, last
    return total


@st.composite
def loads(draw: st.DrawFn) -> Stages:
    """Profiles with ramps, plateaus, jumps and pauses."""
    pairs = draw(st.lists(st.tuples(LENGTHS, TARGETS), min_size=1, max_size=6))
    start = draw(TARGETS)
    try:
        return Stages(pairs, start)
    except InputError:  # it has no duration, or wants nothing
        return Stages([*pairs, (1.0, 5.0)], start)
