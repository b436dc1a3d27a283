"""validate: it holds, it is narrow enough, and a broken model makes it fail."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from helpers import ROOT

from tpssim.cli.main import main
from tpssim.core.errors import InputError
from tpssim.core.pacer import Pacer
from tpssim.core.schedule import next_due
from tpssim.simulation import call_lifecycle, environment
from tpssim.simulation.call_lifecycle import Serving
from tpssim.validation.known_answers.cases import CASES
from tpssim.validation.known_answers.common import Found
from tpssim.validation.known_answers.queues import dm1_sigma, erlang_c
from tpssim.validation.validate import validate
from tpssim.validation.vector_ranges import VECTOR_CASES


def test_every_case_holds_and_is_narrow_enough() -> None:
    outcomes = validate(seed=1)
    assert [outcome.case for outcome in outcomes] == list(CASES)
    for outcome in outcomes:
        assert outcome.holds, outcome


@pytest.mark.parametrize(
    ("case", "theory"),
    [
        # Kleinrock's and Gross and Harris's tables, by the reference.
        ("M/M/1", 5.0),
        ("M/D/1", 3.0),
        ("M/M/c", 0.3511236 + 0.25),
        ("D/M/1", 2.6927308),
        ("M/M/1/K", 0.0888195),
        ("closed window", 0.9612438),
        # rho (1 + c^2) / (2 (1 - rho)) + 1 with c^2 = e - 1.
        ("M/G/1", 1.0 + 0.7 * math.e / 0.6),
    ],
)
def test_the_theory_is_the_book_s(
    case: str, theory: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "tpssim.validation.known_answers.queues.simulated", lambda scenario, law, seed, n=2: []
    )
    assert CASES[case].run(0).theory == pytest.approx(theory, rel=1e-6)


@pytest.mark.parametrize(
    ("servers", "load", "waits"),
    [(1, 0.8, 0.8), (2, 1.6, 0.7111111), (4, 3.2, 0.596432), (10, 8.0, 0.4091802)],
)
def test_erlang_c_is_the_table_s(servers: int, load: float, waits: float) -> None:
    assert erlang_c(servers, load) == pytest.approx(waits, rel=1e-6)


@pytest.mark.parametrize(("load", "sigma"), [(0.5, 0.2031879), (0.8, 0.6286298), (0.9, 0.8068998)])
def test_sigma_of_dm1_is_the_table_s(load: float, sigma: float) -> None:
    assert dm1_sigma(load) == pytest.approx(sigma, rel=1e-6)


def test_an_inverted_tie_rule_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call_lifecycle, "COMPLETION", environment.RELEASE + (1 << 70))
    (outcome,) = validate(["ties"])
    assert not outcome.holds
    assert outcome.simulated > 0.0


def test_one_server_too_many_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Serving.__init__

    def generous(self: Serving, world: environment.World) -> None:
        made(self, world)
        self.backend = self.backend._replace(servers=self.backend.servers + 1.0)

    monkeypatch.setattr(Serving, "__init__", generous)
    assert not any(
        outcome.holds
        for outcome in validate(["M/M/c", "Lindley", "closed window", "relay + dead zone"])
    )


def test_a_release_rule_that_drifts_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tpssim.core.pacer.next_due", lambda *args: next_due(*args) * 1.0001)
    assert not validate(["D/M/1"])[0].holds


@pytest.mark.parametrize("case", [name for name in CASES if name not in VECTOR_CASES])
def test_every_case_runs_the_model(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A known answer that no simulation is held against says nothing of the model."""

    class Reached(Exception):
        pass

    def reached(*_: Any) -> Any:
        raise Reached

    monkeypatch.setattr("tpssim.simulation.simpy_engine.simulate", reached)
    with pytest.raises(Reached):
        CASES[case].run(0)


def test_a_wrong_latency_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """3 % too long: the bound, two deviations of 0.1 of the mean above it, is then 1.65 deviations
    above.
    """
    settled = Pacer.settled

    def longer(self: Pacer, now: float, latency: float, *rest: float) -> None:
        settled(self, now, 1.03 * latency, *rest)

    monkeypatch.setattr(Pacer, "settled", longer)
    (outcome,) = validate(["noise rule"])
    assert not outcome.holds
    # 1.2 / 1.03 - 1 in deviations of 0.1: P(z > 1.6505) = 0.0494.
    assert outcome.simulated == pytest.approx(0.0494, rel=0.1)


def test_a_wide_interval_does_not_pass_for_agreement() -> None:
    from tpssim.validation.validate import judged

    assert not judged("wide", Found("x", 1.0, [0.5, 1.5], 0.0, 2)).holds
    assert judged("narrow", Found("x", 1.0, [1.0, 1.0001], 0.0, 2)).holds


def test_the_command_says_so_and_its_exit_code_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["validate", "--cases", "ties", "Lindley"]) == 0
    assert "2 cases: all hold" in capsys.readouterr().out
    monkeypatch.setattr(call_lifecycle, "COMPLETION", environment.RELEASE + (1 << 70))
    assert main(["validate", "--cases", "ties", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["cases"]["ties"]["holds"] is False
    written = json.loads((tmp_path / "results/validate/summary.json").read_text())
    assert written == document
    assert main(["validate", "--cases", "dreams"]) == 2
    assert "no case 'dreams'; allowed: M/M/1, M/D/1" in capsys.readouterr().err


def test_the_documents_say_how_many() -> None:
    text = (ROOT / "docs/bench.md").read_text(encoding="utf-8")
    assert f"holds the model against {len(CASES)} known answers" in text


def test_an_unknown_case_is_refused() -> None:
    with pytest.raises(InputError, match="no case 'M/M/2'"):
        validate(["M/M/2"])
