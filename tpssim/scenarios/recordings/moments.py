"""Times as files write them, many at once: numbers of a unit, and dates with a time."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from tpssim.scenarios.recordings.csv_files import number_in

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: A time that a file does not have, among whole numbers.
NEVER = np.iinfo(np.int64).min
NANOSECONDS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
#: From these numbers on, up to a thousandfold, a number is a time since 1970 of that unit.
_EPOCHS = ((1e17, "ns"), (1e14, "us"), (1e11, "ms"), (1e8, "s"))
_PATTERNS = (  # as JMeter and others write them
    "%Y/%m/%d %H:%M:%S",
    "%m/%d/%y %H:%M:%S",
    "%d/%b/%Y:%H:%M:%S %z",
    "%d/%b/%Y:%H:%M:%S",
)
_FRACTION = re.compile(r"(\d\d:\d\d:\d\d)[.,](\d{1,9})\d*")


def floats(cells: Sequence[str]) -> NDArray[np.float64]:
    """Cells as numbers, with decimal commas too; nan where there is none.

    >>> floats(["1.5", "2,5", "x"]).tolist()
    [1.5, 2.5, nan]
    """
    try:
        return np.fromiter(map(float, cells), np.float64, len(cells))
    except ValueError:
        found = map(number_in, cells)
        return np.array([math.nan if one is None else one for one in found])


def integers(cells: Sequence[str]) -> NDArray[np.int64]:
    """Cells as whole numbers; `NEVER` where there is none."""
    try:
        return np.fromiter(map(int, cells), np.int64, len(cells))
    except (ValueError, OverflowError):
        return np.array([_whole(cell) for cell in cells], np.int64)


def _whole(cell: str) -> int:
    try:
        number = int(cell)
    except ValueError:
        return NEVER
    return number if abs(number) < 2**62 else NEVER


def epoch_unit(number: float) -> str:
    """The unit in which a number is a time since 1970; "" if it is none.

    >>> epoch_unit(1_732_800_000), epoch_unit(1_732_800_000_123), epoch_unit(12.5)
    ('s', 'ms', '')
    """
    return next((unit for least, unit in _EPOCHS if least <= number < 1000 * least), "")


def scaled(values: NDArray[np.int64], unit: str) -> NDArray[np.int64]:
    """Whole numbers of a unit in ns."""
    # A wild one among them would wrap around to another time.
    most = 2**62 // NANOSECONDS[unit]
    known = (values != NEVER) & (np.abs(values) < most)
    return np.where(known, np.where(known, values, 0) * NANOSECONDS[unit], NEVER)


def since(end: NDArray[np.int64], seconds: NDArray[np.float64]) -> NDArray[np.int64]:
    """Times in ns, some seconds later (or earlier); `NEVER` where one of both is unknown."""
    known = (end != NEVER) & np.isfinite(seconds) & (np.abs(seconds) < 1e9)
    step = np.rint(np.where(known, seconds, 0.0) * 1e9).astype(np.int64)
    return np.where(known, np.where(known, end, 0) + step, NEVER)


def dates(cells: Sequence[str]) -> NDArray[np.int64]:
    """Dates with a time, as ISO 8601 and others write them, in ns since 1970; `NEVER` for none.

    Those without a zone are taken as UTC.

    >>> dates(["2026-11-28T10:00:00.012345678Z", "2026/11/28 10:00:00.5", "soon"]).tolist()[:2]
    [1795860000012345678, 1795860000500000000]
    """
    return np.fromiter(map(_date, cells), np.int64, len(cells))


def _date(cell: str) -> int:
    found = _FRACTION.search(cell)
    if found is None:
        return _second(cell)
    second = _second(cell[: found.end(1)] + cell[found.end() :])
    return second if second == NEVER else second + int(found[2].ljust(9, "0"))


@functools.lru_cache(maxsize=4096)
def _second(text: str) -> int:
    """A date with a time of whole seconds, in ns since 1970; `NEVER` if it is none."""
    moment = None
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        for pattern in _PATTERNS:
            try:
                moment = datetime.strptime(text.strip(), pattern)
            except ValueError:
                continue
            break
    if moment is None:
        return NEVER
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp()) * 10**9


def zoned(cell: str) -> bool:
    """Whether a date says its zone.

    >>> zoned("2026-11-28T10:00:00Z"), zoned("2026-11-28 10:00:00"), zoned("10:00:00 +0100")
    (True, False, True)
    """
    return re.search(r"(Z|[+-]\d\d:?\d\d)\s*$", cell) is not None and ":" in cell[-18:]
