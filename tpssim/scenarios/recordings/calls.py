"""A recording: the calls that somebody made of a service, one row a call.

This module knows numbers; it knows no file and no scenario.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tpssim.core.errors import InputError
from tpssim.core.types import OK, OUTCOMES, UNFINISHED, record

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


@record
class Source(NamedTuple):
    """Where a recording comes from, and what was made of the file."""

    path: str = ""
    format: str = "arrays"  #: what it was recognised as
    digest: str = ""  #: SHA-256 of its bytes
    rows: int = 0  #: rows that held a call, the unreadable ones included
    unreadable: int = 0  #: rows that could not be read, and are left out
    first_unreadable: str = ""  #: the first of them, and why
    notes: tuple[str, ...] = ()  #: what was guessed, and what the format cannot say

    def said(self) -> str:
        """All of it, in one line.

        >>> Source("a.csv", "hey CSV", "", 3, 1, "row 4: 'x'", ("it has successes only",)).said()
        "a.csv: hey CSV, 3 rows, 1 could not be read (row 4: 'x'); it has successes only"
        """
        text = f"{self.path or 'recording'}: {self.format}, {self.rows:,} rows"
        if self.unreadable:
            text += f", {self.unreadable:,} could not be read ({self.first_unreadable})"
        return "; ".join((text, *(note.rstrip(".") for note in self.notes)))


ARRAYS = Source()  #: of a recording that comes from no file


@dataclasses.dataclass(frozen=True, eq=False, slots=True, repr=False)
class Recording:
    """Calls in the order of their starts; times in s since the first start.

    >>> seen = Recording.of([5.0, 4.0], [5.5, 4.1])
    >>> seen, seen.start.tolist(), seen.between(0.5, 2.0).latency.tolist()
    (<Recording: 2 calls in 1.5 s>, [0.0, 1.0], [0.5])
    """

    start: NDArray[np.float64]  #: when the caller began; ascending
    completion: NDArray[np.float64]  #: when it had its answer, or gave up; nan: unknown, or never
    outcome: NDArray[np.int8]  #: index into `tpssim.core.types.OUTCOMES`
    cost: NDArray[np.float64] | None = None  #: None: the file has none, each call counts 1
    #: s that an answer asked to wait, nan where it did not; None: the file has none
    retry_after: NDArray[np.float64] | None = None
    names: tuple[str, ...] = ()  #: of endpoints, labels, routes
    name: NDArray[np.int32] | None = None  #: which of the names a call has; None: the file has none
    began: float = math.nan  #: Unix time of start 0, s; nan if unknown
    resolution: float = 0.0  #: step of the stamps, s; 0 if finer than 1 us
    source: Source = ARRAYS

    def __repr__(self) -> str:
        calls = "1 call" if len(self) == 1 else f"{len(self):,} calls"
        ends = np.fmax(self.start, self.completion)
        span = float(ends.max()) if len(self) else 0.0
        kind = f" ({self.source.format})" if self.source.path else ""
        return f"<Recording: {calls} in {span:.4g} s{kind}>"

    def __len__(self) -> int:
        return len(self.start)

    @property
    def latency(self) -> NDArray[np.float64]:
        """From start to completion, s; nan where there was none."""
        return self.completion - self.start

    def between(self, low: float, high: float) -> Recording:
        """The calls that started in [low, high), at the times that they have here."""
        first, last = np.searchsorted(self.start, [low, high])
        return self._of(slice(int(first), max(int(first), int(last))))

    def named(self, name: str) -> Recording:
        """The calls of one name; raises `InputError` if no call has it."""
        if self.name is None or name not in self.names:
            raise InputError(
                f"no call of the recording is named {name!r}; allowed:"
                f" {', '.join(self.names) or 'none, for it has no names'}"
            )
        return self._of(self.name == self.names.index(name))

    def _of(self, rows: Any) -> Recording:
        """Some of the calls."""
        columns = ("start", "completion", "outcome", "cost", "retry_after", "name")
        found = {column: getattr(self, column) for column in columns}
        kept: dict[str, Any] = {
            column: None if all_ is None else all_[rows] for column, all_ in found.items()
        }
        return dataclasses.replace(self, **kept)

    @classmethod
    def of(
        cls,
        start: ArrayLike,
        completion: ArrayLike,
        outcome: ArrayLike | None = None,
        *,
        cost: ArrayLike | None = None,
        retry_after: ArrayLike | None = None,
        name: Sequence[str] | None = None,
        began: float = math.nan,
        resolution: float = 0.0,
        source: Source | None = None,
    ) -> Recording:
        """A recording of columns in any order of rows; `name`: the name of each call.

        Without `outcome` calls with a completion went well, and the others are unfinished. `began`:
        the Unix time at 0 of these columns. Raises `InputError` for columns of different lengths,
        starts that are not finite, and completions before starts.
        """
        begun = _numbers("start", start, np.size(start))
        ended = _numbers("completion", completion, len(begun))
        if outcome is None:
            came = np.where(np.isnan(ended), UNFINISHED, OK).astype(np.int8)
        else:
            codes = _numbers("outcome", outcome, len(begun))
            came = codes.astype(np.int8)
            wrong = np.flatnonzero((codes != came) | (codes < 0) | (codes >= len(OUTCOMES)))
            _refused("outcome", wrong, codes, f"0 to {len(OUTCOMES) - 1}")
        _refused("start", np.flatnonzero(~np.isfinite(begun)), begun, "finite numbers")
        _refused("completion", np.flatnonzero(ended < begun), ended, "not before its start")
        lost = np.flatnonzero(np.isnan(ended) & (came == OK))
        _refused("completion", lost, ended, "a number, for a call that went well")
        found: dict[str, NDArray[Any]] = {"start": begun, "completion": ended, "outcome": came}
        for what, values in (("cost", cost), ("retry_after", retry_after)):
            if values is not None:
                found[what] = _numbers(what, values, len(begun))
        names: tuple[str, ...] = ()
        if name is not None:
            if len(name) != len(begun):
                raise InputError(f"name: {len(name)} values; allowed: {len(begun)}, as start has")
            names = tuple(sorted(set(name)))
            index = {word: i for i, word in enumerate(names)}
            found["name"] = np.fromiter((index[word] for word in name), np.int32, len(begun))
        return arranged(found, names, began, resolution, source or Source(rows=len(begun)))


def arranged(
    columns: dict[str, NDArray[Any]],
    names: tuple[str, ...],
    origin: float,
    resolution: float,
    source: Source,
) -> Recording:
    """A recording of columns that have been checked; `origin`: the Unix time at their 0.

    Rows are sorted by all that they hold, so that their order in a file changes nothing.
    """
    if names:
        order = sorted(range(len(names)), key=names.__getitem__)
        rank = np.empty(len(names), np.int32)
        rank[order] = np.arange(len(names), dtype=np.int32)
        columns["name"], names = rank[columns["name"]], tuple(names[i] for i in order)
    keys = ("name", "retry_after", "cost", "outcome", "completion", "start")
    rows = np.lexsort([columns[key] for key in keys if key in columns])
    first = float(columns["start"][rows[0]]) if len(rows) else 0.0
    for what in [*columns]:  # one by one: those of millions of calls take memory
        columns[what] = columns[what][rows]
    columns["start"] = columns["start"] - first
    columns["completion"] = columns["completion"] - first
    return Recording(
        **columns, names=names, began=origin + first, resolution=resolution, source=source
    )


def _numbers(what: str, values: ArrayLike, length: int) -> NDArray[np.float64]:
    """A column as numbers; raises `InputError`."""
    try:
        found = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{what}: {error}; allowed: numbers") from error
    if found.shape != (length,):
        raise InputError(f"{what}: shape {found.shape}; allowed: ({length},), as start has")
    return found


def _refused(what: str, rows: NDArray[np.intp], values: NDArray[np.float64], allowed: str) -> None:
    """Raise `InputError` for the first of the rows that are wrong, if there is one."""
    if len(rows):
        row = int(rows[0])
        raise InputError(f"{what}[{row}]={values[row]:g}; allowed: {allowed}")
