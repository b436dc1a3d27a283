"""The columns that say what came of a call: which they are, and which rows went well by them."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from tpssim.core.types import OUTCOMES, record

NOTHING = frozenset(("", "-", "--", "nan", "na", "n/a", "null", "none", "nil"))
GOOD = frozenset(
    ("ok", "okay", "success", "successful", "succeeded", "passed", "pass", "true", "yes")
)
BAD = frozenset(
    (
        *OUTCOMES[1:],
        "fail",
        "failure",
        "error",
        "timeout",
        "refused",
        "rejected",
        "false",
        "no",
        "ko",
    )
)
NAMED = 5  # kinds of failure that are listed
LONGEST = 40  # characters of one


def _status(cell: str) -> bool | None:
    """Whether a call went well by its status, in HTTP's numbers or in words; None: this alone does
    not say.

    >>> _status("200"), _status("429.0"), _status("timed out"), _status("0"), _status("")
    (True, False, False, None, True)
    """
    if cell in NOTHING or cell in GOOD:
        return True
    if cell in BAD:
        return False
    try:
        number = float(cell)
    except ValueError:
        return None
    return number < 400.0 if 100.0 <= number < 600.0 else None


def _success(cell: str) -> bool | None:
    return {"1": True, "0": False}.get(cell, _status(cell))


def _error(cell: str) -> bool | None:
    """Any text is an error; a number with decimals is a measure of something."""
    if cell in NOTHING or cell in ("0", "false", "no", "ok"):
        return True
    try:
        float(cell)
    except ValueError:
        return False
    return False if cell.lstrip("-").isdigit() else None


def _ours(cell: str) -> bool | None:
    """A number that is an index into `OUTCOMES`."""
    return cell == "0" if cell in [str(i) for i in range(len(OUTCOMES))] else _status(cell)


#: What such a column is called, in lower case and without signs, and how a cell of it is read.
COLUMNS: dict[str, Callable[[str], bool | None]] = {
    "outcome": _status,
    "status": _status,
    "statuscode": _status,
    "httpstatus": _status,
    "responsecode": _status,
    "success": _success,
    "error": _error,
    "errorcode": _error,
}


@record
class LeftOut(NamedTuple):
    """Rows with a latency whose call did not go well."""

    columns: tuple[str, ...]  #: that say it; () if none does
    kinds: tuple[tuple[str, int], ...]  #: (what came of the call, rows), the most frequent first

    @property
    def rows(self) -> int:
        return sum(count for _, count in self.kinds)

    def said(self) -> str:
        """What was left out by which columns; "" where none says it.

        >>> LeftOut(("outcome",), (("rejected by the service", 17),)).said()
        "left out by 'outcome': 17 calls that did not go well (17 rejected by the service)"
        """
        if not self.columns:
            return ""
        by = f"left out by {', '.join(map(repr, self.columns))}: "
        if not self.kinds:
            return f"{by}none"
        listed = ", ".join(f"{count:,} {kind}" for kind, count in self.kinds[:NAMED])
        if len(self.kinds) > NAMED:
            listed += f", {sum(count for _, count in self.kinds[NAMED:]):,} others"
        went = "call that did not go well" if self.rows == 1 else "calls that did not go well"
        return f"{by}{self.rows:,} {went} ({listed})"


class Outcomes:
    """What the rows of a file say of their calls; a column can be read or not once all are
    there.
    """

    def __init__(
        self, names: Sequence[str], stems: Sequence[str], besides: int, ours: bool
    ) -> None:
        """`besides`: the column of the service times. `ours`: whether numbers of `outcome` are
        indices.
        """
        known = [*COLUMNS]
        found = [(known.index(s), i) for i, s in enumerate(stems) if s in COLUMNS and i != besides]
        self._columns = [i for _, i in sorted(found)]
        self._names = [names[i] for i in self._columns]
        self._ours = [ours and stems[i] == "outcome" for i in self._columns]
        self._read = [
            _ours if own else COLUMNS[stems[i]]
            for own, i in zip(self._ours, self._columns, strict=True)
        ]
        self._numbers: dict[tuple[str, ...], int] = {}
        self._rows = array("q")

    def add(self, row: Sequence[str]) -> None:
        """A row with a latency."""
        if self._columns:
            cells = tuple(row[i].strip() if i < len(row) else "" for i in self._columns)
            self._rows.append(self._numbers.setdefault(cells, len(self._numbers)))

    def well(self, times: Sequence[float]) -> tuple[list[float], LeftOut]:
        """The times of the calls that went well, and what is left out."""
        written = [
            {cells[k].lower() for cells in self._numbers} - NOTHING for k in range(len(self._read))
        ]
        used = [
            any(read(cell) is not None for cell in cells)
            for read, cells in zip(self._read, written, strict=True)
        ]
        kinds = [self._kind(cells, used) for cells in self._numbers]
        counts = Counter(kinds[number] for number in self._rows)
        del counts[""]
        columns = tuple(name for name, use in zip(self._names, used, strict=True) if use)
        if counts:
            times = [
                time for time, number in zip(times, self._rows, strict=True) if not kinds[number]
            ]
        return list(times), LeftOut(columns, tuple(counts.most_common()))

    def _kind(self, cells: tuple[str, ...], used: Sequence[bool]) -> str:
        """What came of the calls with these cells; "" if they went well.

        In a column with words that are known one that is not is no success: `0` beside `200`, say.
        """
        for k, cell in enumerate(cells):
            if used[k] and not self._read[k](cell.lower()):
                if self._ours[k] and cell.isdigit() and int(cell) < len(OUTCOMES):
                    return OUTCOMES[int(cell)]
                return f"{self._names[k]}={' '.join(cell.split())[:LONGEST]}"
        return ""
