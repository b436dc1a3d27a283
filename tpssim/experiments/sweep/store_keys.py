"""Under which key the runs of a sweep or a search are kept, and that the same code made all of
them.
"""

from __future__ import annotations

import contextlib
import hashlib
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tpssim.core.fingerprint import fingerprint
from tpssim.core.provenance import Opaque, environment
from tpssim.core.types import record
from tpssim.experiments.sweep.designs import Factor, Point
from tpssim.experiments.sweep.store import RunRow, Store
from tpssim.scenarios.scenario import Scenario


@record
class Study(NamedTuple):
    """What all points of a sweep share."""

    scenario: Scenario
    law: Any
    factors: tuple[Factor, ...]
    seed: int
    seed_set: str

    def key(self) -> str:
        """A key for everything that decides the numbers of a point, beside its values; raises
        `Opaque`.
        """
        plant = self.scenario._replace(name="", summary="")
        names = tuple((factor.owner, factor.field) for factor in self.factors)
        return fingerprint(environment(), self.law, plant, names, self.seed, self.seed_set)


def key_of(prefix: str, point: Point) -> str:
    """The name under which the runs of a point are kept; `prefix` is its study's."""
    return hashlib.sha256(f"{prefix} {point!r}".encode()).hexdigest()[:40]


def opened(
    store: Store | str | Path | None, studies: Sequence[Study], stack: contextlib.ExitStack
) -> tuple[Store | None, list[str]]:
    """The store, open, and the key of each study in it; none, with a warning, if a key cannot be
    made.
    """
    if store is None:
        return None, [""] * len(studies)
    try:
        keys = [study.key() for study in studies]
    except Opaque as reason:
        warnings.warn(f"nothing is kept in the store: {reason}", stacklevel=3)
        return None, [""] * len(studies)
    _agreed.update(keys)
    return store if isinstance(store, Store) else stack.enter_context(Store(store)), keys


#: Keys of studies that are the same in this process as in the one that keeps the results.
_agreed: set[str] = set()


class Differs(Exception):
    """This process would compute something else than the one that keeps the results."""


def changed(study: Study, key: str) -> str:
    """Why what runs now cannot be kept under the key of its study; "" if it can.

    It is asked before and after each chunk of runs, where they run: code that changes what it
    depends on is not the same in all of them. Raises `Differs` if it never was the same here.
    """
    try:
        now, reason = study.key(), "values that the code depends on changed as it ran"
    except Opaque as error:
        now, reason = "", str(error)
    if now == key:
        _agreed.add(key)
        return ""
    if key not in _agreed:
        raise Differs(
            "a worker has other code, libraries or another processor than this process, and its"
            " results cannot be kept with these: restart the program if a file was edited since it"
            " began"
        )
    return reason


def keep(
    store: Store, rows: Iterable[RunRow], failures: Iterable[tuple[str, ...]], unkept: str
) -> None:
    """Add to a store what a chunk came to, unless there is a reason against it."""
    if unkept:
        warnings.warn(f"these runs are not kept in the store: {unkept}", stacklevel=2)
    else:
        store.add(rows, failures)
