"""Every case by name."""

from __future__ import annotations

from collections.abc import Callable

from tpssim.validation.known_answers import loops, queues
from tpssim.validation.known_answers.common import Case, Found
from tpssim.validation.vector_cases import measured, out_of_range
from tpssim.validation.vector_ranges import VECTOR_CASES


def _vector(name: str) -> Callable[[int], Found]:
    def run(seed: int) -> Found:
        statistics, calls = measured(name, seed=seed)
        wrong = out_of_range(statistics)
        listed = ", ".join(f"{s.name} {s.value:.5g} ({s.low:g} to {s.high:g})" for s in wrong)
        quantity = f"out of range, of {len(statistics)} statistics" + (
            f": {listed}" if wrong else ""
        )
        return Found(quantity, 0.0, [float(len(wrong))], 0.0, calls, tuple(statistics))

    return run


CASES: dict[str, Case] = {
    **queues.CASES,
    **loops.CASES,
    **{
        name: Case(f"Vector's scenario: {case.about}", _vector(name))
        for name, case in VECTOR_CASES.items()
    },
}
