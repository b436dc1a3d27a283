"""The runs of a sweep or a search, each made once: remembered, kept in a store, found there again.

The key of a run holds everything that decides its numbers, the code included; what other code made
is never taken for it.
"""

from __future__ import annotations

import contextlib
import hashlib
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tpssim.core.fingerprint import fingerprint
from tpssim.core.provenance import Opaque, environment
from tpssim.core.types import record
from tpssim.experiments.sweep.designs import Factor, Point
from tpssim.experiments.sweep.store import Run, RunRow, Store
from tpssim.scenarios.scenario import Scenario

if TYPE_CHECKING:
    from tpssim.experiments.sweep.batch_runs import Reduced


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


@record
class Answer(NamedTuple):
    """What some replications of a point came to."""

    point: Point
    replications: tuple[int, ...]
    found: Reduced | None
    failure: tuple[str, str, str]  #: type, message, traceback


class RunCache:
    """The runs of one study that are known, by point and replication."""

    def __init__(self, study: Study, store: Store | None, key: str) -> None:
        self.study, self.store, self.key = study, store, key
        self.known: dict[Point, dict[int, Run]] = {}
        self.failed: dict[Point, Answer] = {}  #: the answer of its first replication that failed
        self.calls = 0  #: of the runs that were made, not of those that were found
        if store is not None:
            specification = {
                "scenario": study.scenario.name,
                "law": repr(study.law),
                "factors": [factor.name for factor in study.factors],
                "seed": study.seed,
            }
            store.describe(key, specification)

    def missing(self, point: Point, replications: range) -> list[int]:
        """Which of them are neither known nor in the store."""
        known = self.known.setdefault(point, {})
        if self.store is not None and any(r not in known for r in replications):
            for r, run in self.store.runs(key_of(self.key, point)).items():
                if r in replications:
                    known.setdefault(r, run)
        return [r for r in replications if r not in known]

    def take(self, answers: Sequence[Answer], unkept: str) -> None:
        """Remember the answers, and keep them in the store unless there is a reason against it."""
        rows: list[RunRow] = []
        failures = []
        for answer in answers:
            key = key_of(self.key, answer.point)
            if answer.found is None:
                failures.append((key, *answer.failure))
                # Of several, that of the first replication, whichever came first.
                first = self.failed.setdefault(answer.point, answer)
                if answer.replications < first.replications:
                    self.failed[answer.point] = answer
                continue
            self.calls += int(answer.found.calls.sum())
            runs = zip(
                answer.found.words.tolist(),
                answer.found.calls.tolist(),
                answer.found.values,
                strict=True,
            )
            known = self.known.setdefault(answer.point, {})
            for replication, (word, calls, values) in zip(answer.replications, runs, strict=True):
                known[replication] = word, calls, values
                rows.append((key, replication, word, calls, values.tobytes()))
        if self.store is None:
            return
        if unkept:
            warnings.warn(f"these runs are not kept in the store: {unkept}", stacklevel=2)
        else:
            self.store.add(rows, failures)


def caches(
    store: Store | str | Path | None, studies: Sequence[Study], stack: contextlib.ExitStack
) -> list[RunCache]:
    """A cache for each study on the store, opened; without it, with a warning, if a key cannot be
    made.
    """
    without = [RunCache(study, None, "") for study in studies]
    if store is None:
        return without
    try:
        keys = [study.key() for study in studies]
    except Opaque as reason:
        warnings.warn(f"nothing is kept in the store: {reason}", stacklevel=3)
        return without
    _agreed.update(keys)
    file = store if isinstance(store, Store) else stack.enter_context(Store(store))
    return [RunCache(study, file, key) for study, key in zip(studies, keys, strict=True)]
