"""headroom on the services of `benchmarks/kinds_before_after.py`: of each kind that once broke it
the one of eight on which the law before was worst.
"""

from __future__ import annotations

import sys

import numpy as np
import pytest
from helpers import ROOT

from tpssim import Scenario, measure, simulate
from tpssim.core.types import REJECTED

sys.path.insert(0, str(ROOT / "benchmarks"))
import kinds_before_after as kinds
from _kinds import KINDS, LAW, NOISE, PLAIN, services, succeeded

from tpssim.experiments.scoring import score_of

BEFORE = kinds.stored(kinds.OUT)
#: The best other law on each of these services, of all that the package has.
RIVALS = {
    "bimodal-4": "brpc-auto",
    "tight-timeout-4": "brpc-auto",
    "correlated-5": "failsafe-adaptive",
    "far-2": "fixed",
    "retrograde-3": "brpc-auto",
    "quota-silent-6": "netflix-vegas",
    "quota-retry-after-3": "fixed",
    "outage-5": "netflix-gradient2",
}


def worst(kind: str) -> Scenario:
    found: Scenario = services(kind)[BEFORE[kind].worst()]
    return found


def test_each_kind_is_held_against_the_best_other_law() -> None:
    assert {worst(kind).name for kind in KINDS} == {*RIVALS, f"{PLAIN}-0"}


@pytest.mark.parametrize("name", RIVALS)
def test_nine_tenths_of_the_best_other_law_and_never_below_seven_tenths(name: str) -> None:
    service = worst(name.rpartition("-")[0])
    own, best = (score_of(service, law, seed=NOISE).goodput for law in (LAW, RIVALS[name]))
    assert own >= max(0.7, 0.9 * best)


def test_nine_tenths_of_a_plain_quota_and_few_refusals() -> None:
    (service,) = services(PLAIN)
    trace = simulate(service, LAW, seed=NOISE)
    quota = 100.0 * service.duration
    assert len(kinds.in_time(succeeded(trace), service)) >= 0.9 * quota
    assert (trace.outcome[trace.released >= 5.0] == REJECTED).mean() <= 0.03


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_drawn_adds_up_to_the_goodput_that_is_measured(kind: str) -> None:
    service = worst(kind)
    trace = simulate(service, LAW, seed=NOISE)
    times = kinds.in_time(succeeded(trace), service)
    goodput = measure(trace)["goodput"]
    assert len(times) == pytest.approx(goodput * service.duration)
    widths = np.diff(kinds.edges_of(service))
    assert (kinds.windowed(times, service) * widths).sum() == pytest.approx(len(times))


def test_the_table_of_the_documents_is_what_is_printed() -> None:
    """With it the picture is to be drawn again."""
    rows = [kinds.compared(kind, BEFORE[kind])[0] for kind in KINDS]
    _, *lines = kinds.table(rows).text().splitlines()
    made = "\n".join(f"    {line}" for line in lines)
    text = (ROOT / "docs" / "headroom.md").read_text(encoding="utf-8")
    assert made in text, f"paste this:\n{made}"


def test_what_is_kept_of_the_law_before_is_of_the_services_that_are_drawn() -> None:
    for kind in KINDS:
        assert len(BEFORE[kind].shares) == len(services(kind))
        assert len(BEFORE[kind].windows) == len(kinds.edges_of(worst(kind))) - 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--before", "nowhere"], "--before 'nowhere'; allowed: a folder that holds a tpssim"),
        (["--kinds", "slow"], "--kinds 'slow'; allowed: bimodal, "),
        (["--out", "nowhere"], "--out 'nowhere' has no before.json: --before CHECKOUT makes it"),
    ],
)
def test_bad_words_are_named_in_one_line(
    words: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "argv", ["kinds_before_after.py", *words])
    with pytest.raises(SystemExit) as ended:
        kinds.main()
    assert ended.value.code == 2
    assert said in capsys.readouterr().err.splitlines()[-1]
