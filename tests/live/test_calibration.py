"""Timer models from measured sleeps: recovered from known ones, and by the command."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path

import pytest

from tpssim import InputError
from tpssim.cli.main import main
from tpssim.core.timer_models import TimerModel, sleep_end
from tpssim.live.calibration import (
    LENGTHS,
    clock_cost,
    fitted,
    measure_sleeps,
    quantile,
    read_timer,
)


def waits(model: TimerModel, n: int = 2000) -> dict[float, list[float]]:
    """Late wake-ups of a timer that is the model."""
    draw = random.Random(7)
    late = {}
    for length in LENGTHS:
        values = []
        for _ in range(n):
            term = model.median * math.exp(model.sigma * draw.gauss(0.0, 1.0))
            if draw.random() < model.spike:
                term = draw.uniform(model.spike_low, model.spike_high)
            values.append(sleep_end(model, 0.0, length, term) - length)
        late[length] = values
    return late


@pytest.mark.parametrize(
    "model",
    [
        TimerModel(100e-6, 0.2),
        TimerModel(60e-6, 0.3, spike=0.01, spike_low=1e-3, spike_high=4e-3),
        TimerModel(120e-6, 0.2, granularity=1e-3),
        TimerModel(5e-6, 0.3, proportional=0.13, most=1.0),
    ],
    ids=["linux", "spikes", "epoll", "macos"],
)
def test_a_known_timer_is_found_again(model: TimerModel) -> None:
    found = fitted(waits(model), 50e-9)
    assert found.granularity == model.granularity
    assert found.median == pytest.approx(model.median, rel=0.25 if model.proportional else 0.03)
    assert found.proportional == pytest.approx(model.proportional, rel=0.03)
    if not model.proportional:
        assert found.sigma == pytest.approx(model.sigma, rel=0.1)
        assert found.spike == pytest.approx(model.spike, rel=0.2)
    assert found.read_cost == 50e-9


def test_quantiles_are_values_of_a_rank() -> None:
    assert quantile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert quantile([1.0, 2.0, 3.0, 4.0], 1.0) == 4.0


def test_sleeps_are_measured_and_the_clock_costs_something() -> None:
    asked: list[float] = []
    late = measure_sleeps(asked.append, lambda: None, 3)
    assert asked == list(LENGTHS) * 3
    # it did not sleep
    assert all(abs(x + length) < 1e-3 for length, values in late.items() for x in values)
    assert 0.0 < clock_cost(1000) < 1e-3


def test_the_command_and_its_model_on_the_bench(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["calibrate", "--sleeps", "20"]) == 0
    out = capsys.readouterr().out
    assert "Reading the clock:" in out
    assert "asyncio.sleep on the default loop" in out
    timer = tmp_path / "results" / "calibrate" / "timer.json"
    assert set(json.loads(timer.read_text())["timers"]) == {"sleep", "slack1", "asyncio"}
    model = read_timer(f"{timer}:asyncio")
    assert 0.0 < model.median < 0.1
    scenario = "fast-async:duration=2"
    assert main(["simulate", scenario, "fixed", "--timer", str(timer), "--json"]) == 0
    measured = json.loads(capsys.readouterr().out)["metrics"]
    assert measured["lateness_p99"] > 0.0
    assert main(["simulate", scenario, "fixed", "--timer", f"{timer}:slack1", "--json"]) == 0
    for given, said in [
        (f"{timer}:nothing", "has no 'nothing'; allowed: sleep, slack1, asyncio"),
        ("nowhere.json", "cannot be read"),
        ("clocky", "no timer model 'clocky'; allowed"),
    ]:
        assert main(["simulate", scenario, "fixed", "--timer", given]) == 2
        assert said in capsys.readouterr().err
    assert main(["calibrate", "--sleeps", "1"]) == 2
    assert "sleeps=1; allowed" in capsys.readouterr().err


def test_a_file_that_is_no_calibration(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    for text in (
        "[]",
        "{",
        '{"timers": {"sleep": {"median": -1}}}',
        '{"timers": {"sleep": {"late": 1}}}',
    ):
        path.write_text(text)
        with pytest.raises(InputError):
            read_timer(str(path))
