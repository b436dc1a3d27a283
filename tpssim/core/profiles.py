"""A target over time, as a user writes it; `slots` has its arithmetic."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import NamedTuple

from tpssim.core.errors import InputError
from tpssim.core.slots import between, piece_at, target_at
from tpssim.core.types import record
from tpssim.core.validation import exact

_NUMBER = r"((?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)"
_DURATION = re.compile(rf"(?:{_NUMBER}h)?(?:{_NUMBER}m(?!s))?(?:{_NUMBER}s)?(?:{_NUMBER}ms)?")
_FORM = "allowed: such as 30s:100,2m:500,30s:0 (units ms, s, m, h)"


@record
class _Fields(NamedTuple):
    stages: tuple[tuple[float, float], ...]  #: (duration in s, target at its end in 1/s) of each
    start: float  #: the target at time 0, 1/s


@record
class Stages(_Fields):
    """A target over time: each stage lasts its duration and ends at its target, reached linearly
    from the one before; the run ends with the last stage.

    As k6's stages: text as below or pairs (seconds, TPS). A stage of duration 0 is a jump. `start=`
    is the target at time 0. Slot k, counted from 0, is where the integral of the target reaches k;
    slot 0 is the first moment with a positive target, and a slot at the very end is none. Raises
    `InputError`.

    >>> load = Stages("2s:200,1s:200,2s:0")
    >>> load.duration, load.peak, load.total, str(load)
    (5.0, 200.0, 600.0, '2s:200,1s:200,2s:0')
    >>> load == Stages([(2, 200), (1, 200), (2, 0)]), load.at(0.5), load.at(5.0)
    (True, 50.0, 0.0)
    """

    __slots__ = ()

    def __new__(cls, stages: str | Iterable[tuple[float, float]], start: float = 0.0) -> Stages:
        pairs = _read(stages) if isinstance(stages, str) else _pairs(stages)
        begin = _number("start", start, f"Stages(start={start!r})")
        while pairs and pairs[0][0] == 0.0:  # a jump at time 0 is another start
            begin = pairs.pop(0)[1]
        if not pairs:
            raise InputError(f"stages={stages!r} have no duration; {_FORM}")
        if sum(duration for duration, _ in pairs) == math.inf:
            raise InputError(f"stages={stages!r} last for ever; allowed: a finite duration")
        made = super().__new__(cls, tuple(pairs), begin)
        if not made.total > 0.0:
            raise InputError(f"stages={stages!r} want no call; allowed: a target above 0 somewhere")
        return made

    def __str__(self) -> str:
        first = [f"0s:{exact(self.start)}"] if self.start else []
        return ",".join(
            first + [f"{_duration(seconds)}:{exact(target)}" for seconds, target in self.stages]
        )

    @property
    def duration(self) -> float:
        """When the last stage ends, s."""
        return self.points()[0][-1]

    @property
    def peak(self) -> float:
        """The highest target, 1/s."""
        return max(self.start, *(target for _, target in self.stages))

    @property
    def total(self) -> float:
        """The integral of the target over the whole profile: how many slots it has."""
        times, targets = self.points()
        return between(times, targets, 0, 0.0, times[-1], math.inf)

    def at(self, t: float) -> float:
        """The target at time t, 1/s; 0 from the end on."""
        times, targets = self.points()
        return target_at(times, targets, piece_at(times, t, 0), t) if t >= 0.0 else 0.0

    def points(self, origin: float = 0.0) -> tuple[list[float], list[float]]:
        """The break points (times, targets) of a profile that begins at `origin`."""
        times, targets = [origin], [self.start]
        passed = lost = 0.0  # as `math.fsum`, but for all of them in one go
        for seconds, target in self.stages:
            after = passed + seconds
            lost += (passed - after) + seconds if passed >= seconds else (seconds - after) + passed
            passed = after
            times.append(origin + (passed + lost))
            targets.append(target)
        if targets[-1] > 0.0:
            times.append(times[-1])
            targets.append(0.0)
        return times, targets


def _read(text: str) -> list[tuple[float, float]]:
    """The pairs of `30s:100,2m:500`."""
    pairs = []
    for part in text.split(","):
        length, colon, target = (piece.strip() for piece in part.partition(":"))
        found = _DURATION.fullmatch(length)
        if not colon or not length or found is None:
            raise InputError(f"stages={text!r}: {part!r} is not duration:target; {_FORM}")
        hours, minutes, seconds, thousandths = (float(n) if n else 0.0 for n in found.groups())
        try:
            wanted = float(target)
        except ValueError:
            raise InputError(f"stages={text!r}: {target!r} is no target; {_FORM}") from None
        pairs.append(
            (
                _number(
                    "duration", hours * 3600.0 + minutes * 60.0 + seconds + thousandths / 1e3, part
                ),
                _number("target", wanted, part),
            )
        )
    return pairs


def _pairs(stages: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Pairs, each number checked."""
    try:
        given = [(duration, target) for duration, target in stages]
    except (TypeError, ValueError):
        raise InputError(
            f"stages={stages!r}; allowed: text such as 30s:100,2m:500 or pairs (seconds, target)"
        ) from None
    return [
        (
            _number("duration", duration, (duration, target)),
            _number("target", target, (duration, target)),
        )
        for duration, target in given
    ]


def _number(name: str, value: object, where: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 <= value < math.inf:
        raise InputError(f"stages: {name} of {where!r} is {value!r}; allowed: [0, inf)")
    return float(value) + 0.0  # never -0.0


def _duration(seconds: float) -> str:
    """A duration as text that is read back as it is."""
    if seconds < 1.0 and seconds > 0.0 and round(seconds * 1e3, 9) / 1e3 == seconds:
        return f"{exact(round(seconds * 1e3, 9))}ms"
    if seconds < 60.0 or seconds != math.floor(seconds) or seconds >= 1e9:
        return f"{exact(seconds)}s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = ((hours, "h"), (minutes, "m"), (rest, "s"))
    return "".join(f"{number}{unit}" for number, unit in parts if number)
