"""Who makes the runs of a comparison, and what is said as they end."""

from __future__ import annotations

import os
from typing import Any

import pytest
from helpers.plants import needs_numba

from tpssim import compare
from tpssim.experiments import _pair_runs
from tpssim.experiments._pair_runs import is_divided, measured_runs
from tpssim.experiments.comparison import Comparison
from tpssim.experiments.executor import processes
from tpssim.simulation.resolve import scenario_named, throttle_spec

SHORT, OTHER = "blocking-steady:duration=2", "fast-async:duration=1"


#: Compiled code that `aimd` and `printed-sleep` need.
PARTS = {
    "tpssim.simulation.compiled.general.run",
    "tpssim.metrics.single_pass.collect",
    "tpssim.metrics.order_statistics.conclude",
    "tpssim.simulation.compiled.printed.run",
    "tpssim.controllers.aimd.Aimd.update",
}


def jobs(*labels: str, replications: int = 2) -> list[Any]:
    return [(scenario_named(SHORT), throttle_spec(label), 0, replications, 1) for label in labels]


def test_of_each_scenario_is_told_when_its_last_run_has_ended() -> None:
    parts: list[Comparison] = []
    done: list[int] = []

    def told(part: Comparison) -> None:
        parts.append(part)
        done.append(0)

    result = compare(
        [SHORT, OTHER],
        ["aimd", "fixed"],
        replications=2,
        progress=lambda ended, total, share: done.append(ended),
        ended=told,
    )
    assert done == [1, 2, 0, 3, 4, 0]
    for name, part in zip((SHORT, OTHER), parts, strict=True):
        assert list(part.scenarios) == [name]
        assert (
            part.to_json()
            == result._replace(
                scenarios={name: result.scenarios[name]},
                cells={place: cell for place, cell in result.cells.items() if place[0] == name},
            ).to_json()
        )


def test_hosted_code_in_other_processes_changes_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    laws = ["printed-sleep", "aimd", "printed-aimd"]
    alone = compare([SHORT, OTHER], laws, replications=2)
    here: list[str] = []

    def watched(*job: Any) -> Any:
        here.append(job[1].label)
        return measured_runs(*job)

    monkeypatch.setattr(_pair_runs, "is_divided", lambda *_: True)
    monkeypatch.setattr(_pair_runs, "measured_runs", watched)
    with processes(2, helped=True) as pool:
        pool.submit(os.getpid).result()  # it has begun
        divided = compare([SHORT, OTHER], laws, replications=2, executor=pool)
    assert here[0] == "aimd"  # which waits for nobody
    assert sorted(here) == sorted(2 * laws)
    assert divided.to_json() == alone.to_json()


@needs_numba
def test_work_is_divided_where_there_is_hosted_code_and_little_to_run_compiled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept = set(PARTS)
    monkeypatch.setattr(_pair_runs, "kept_names", lambda: kept)
    assert is_divided(jobs("aimd", "printed-sleep"), 2)
    assert not is_divided(jobs("aimd"), 2)
    assert not is_divided(jobs("aimd", "printed-sleep", replications=100_000), 2)
    for part in PARTS:
        kept.remove(part)
        assert not is_divided(jobs("aimd", "printed-sleep"), 2), part
        kept.add(part)


@needs_numba
def test_one_process_runs_all_that_is_compiled_if_that_is_no_more_than_its_share(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """500 calls a second for 4,000 s: 2 million by the law, 2 million by the twin, and as much
    work as 20 million by the generator; so 12 million are the share of one of two, and 3 of 8.
    """
    monkeypatch.setattr(_pair_runs, "kept_names", lambda: PARTS)
    scenario = scenario_named("fast-async:duration=4000")
    long = [(scenario, throttle_spec(label), 0, 1, 1) for label in ("aimd", "printed-sleep")]
    assert is_divided(long, 2)
    assert not is_divided(long, 8)
