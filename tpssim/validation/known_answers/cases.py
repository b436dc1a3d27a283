"""Every case by name."""

from __future__ import annotations

from collections.abc import Callable

from tpssim.validation.known_answers import comeback, late, load, loops, queues, quotas, retries
from tpssim.validation.known_answers.common import Case, Found, found_in_parts
from tpssim.validation.vector_cases import measured
from tpssim.validation.vector_ranges import VECTOR_CASES


def _vector(name: str) -> Callable[[int], Found]:
    def run(seed: int) -> Found:
        statistics, calls = measured(name, seed=seed)
        return found_in_parts(statistics, calls)

    return run


CASES: dict[str, Case] = {
    **queues.CASES,
    **load.CASES,
    **quotas.CASES,
    **comeback.CASES,
    **retries.CASES,
    **loops.CASES,
    **late.CASES,
    **{
        name: Case(f"Vector's scenario: {case.about}", _vector(name))
        for name, case in VECTOR_CASES.items()
    },
}
