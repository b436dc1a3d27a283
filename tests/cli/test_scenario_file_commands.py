"""A scenario's file stands wherever its name may: on the command line and in Python."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers.plants import interpret

import tpssim
from tpssim import InputError, Lognormal, Scenario, Step
from tpssim.cli.main import main
from tpssim.core.timer_models import TIMERS
from tpssim.experiments.explore import Choice, view
from tpssim.scenarios.builtin import SCENARIOS
from tpssim.scenarios.files import read_scenario
from tpssim.scenarios.scenario import with_parameters
from tpssim.simulation.resolve import scenario_named

PLANT = Scenario("checkout", Lognormal(0.02, 0.5), 100.0, 3.0, disturbances=(Step(1.0, 2.0, 2.0),))
NAMED = "my-service.toml"


@pytest.fixture(autouse=True)
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interpret(monkeypatch)
    monkeypatch.chdir(tmp_path)
    PLANT.to_toml(NAMED)


def written(folder: str) -> dict[str, Scenario]:
    return {path.name: read_scenario(path) for path in Path(folder, "scenarios").iterdir()}


def test_a_name_of_a_file_is_its_scenario_with_parameters() -> None:
    assert scenario_named(NAMED) == PLANT
    changed = with_parameters(PLANT, {"target": 50.0, "cv": 0.25})
    name = "checkout:target=50,cv=0.25"
    assert scenario_named(f"./{NAMED}:target=50,cv=0.25") == changed._replace(name=name)
    for wrong, said in (
        ("nowhere.toml", r"nowhere\.toml cannot be read"),
        (f"{NAMED}:speed=3", "scenario checkout: there is no parameter 'speed'"),
        (f"{NAMED}:cv", r"^'[\w-]+\.toml:cv': 'cv' is not of the form key=number"),
        (
            "my.tml",
            r"^'my\.tml' is no scenario and no file of one; allowed: FILE\.toml, or those",
        ),
    ):
        with pytest.raises(InputError, match=said):
            scenario_named(wrong)


def test_network_cost_and_feedback_have_parameters() -> None:
    Path("all.toml").write_text(
        'target = 5\nduration = 5\nservice = {kind = "constant", mean = 0.1}\n'
        'network = {kind = "constant", mean = 0.1}\ncost = {kind = "constant", mean = 3}\n'
        'consumer = {kind = "async", feedback = "completion"}\nfeedback = {delay = 1}\n'
    )
    found = scenario_named("all.toml:network.mean=0.5,cost.mean=7,feedback.delay=0.25,mean=0.2")
    assert (found.network, found.cost) == (tpssim.Constant(0.5), tpssim.Constant(7.0))
    assert found.feedback == tpssim.Feedback(0.0, 0.25)
    assert found.service.mean == 0.2


def test_python_takes_it() -> None:
    trace = tpssim.simulate(NAMED, "aimd")
    assert trace.scenario == PLANT
    compared = tpssim.compare([NAMED, f"{NAMED}:target=20"], "aimd", replications=1)
    assert list(compared.scenarios) == ["checkout", "checkout:target=20"]
    with pytest.raises(InputError, match=r"nowhere\.toml cannot be read"):
        tpssim.sweep("nowhere.toml", "aimd", {"target": [10.0, 20.0]}, replications=1)


def test_explore_takes_it_and_names_it_in_its_command() -> None:
    choice = Choice(NAMED, alpha=0.1)
    assert view(choice).command == (
        f"python -m tpssim simulate {NAMED} ewma-deadzone:alpha=0.1 --seed 0"
    )
    PLANT._replace(target=10.0).to_toml(NAMED)  # it is read again
    assert view(choice).measures["achieved"] > 0.99
    with pytest.raises(InputError, match=r"no scenario 'my-service'; .*FILE\.toml"):
        view(Choice("my-service"))


def test_simulate_writes_the_scenario_as_it_ran() -> None:
    words = ["simulate", f"{NAMED}:cv=0.1", "aimd", "--timer", "linux", "--out", "made"]
    assert main(words) == 0
    ran = PLANT._replace(
        name="checkout:cv=0.1", service=Lognormal(0.02, 0.1), timer=TIMERS["linux"]
    )
    assert written("made") == {"checkout_cv=0.1.toml": ran}
    Path(NAMED).unlink()  # the folder has all that it takes to run it again
    again = ["simulate", "made/scenarios/checkout_cv=0.1.toml", "aimd", "--out", "again"]
    assert main(again) == 0
    numbers = [json.loads(Path(folder, "summary.json").read_text()) for folder in ("made", "again")]
    assert numbers[0]["metrics"] == numbers[1]["metrics"]


def test_compare_and_analyse_write_them_too(capsys: pytest.CaptureFixture[str]) -> None:
    few = ["--replications", "2", "--out", "made"]
    names = [f"{NAMED},stall:duration=11"]
    one = ["--workers", "1"]
    assert main(["compare", "--scenarios", *names, "--controllers", "aimd", *few, *one]) == 0
    stall = scenario_named("stall:duration=11")
    assert written("made") == {"checkout.toml": PLANT, "stall_duration=11.toml": stall}
    few[-1] = "analysed"
    assert main(["analyse", "fixed", "--scenario", NAMED, *few]) == 0
    assert written("analysed") == {"checkout.toml": PLANT}
    capsys.readouterr()
    assert main(["simulate", "blocking-steady:duration=1", "aimd", "--out", "plain"]) == 0
    assert not Path("plain/scenarios").exists()


def test_sweep_and_tune_write_them_too() -> None:
    few = ["--replications", "2", "--workers", "1", "--out"]
    sweep = ["sweep", "--scenario", NAMED, "--controller", "aimd", "--grid", "dec_rate=0.5,0.8"]
    assert main([*sweep, *few, "swept"]) == 0
    assert written("swept") == {"checkout.toml": PLANT}
    tune = ["tune", "aimd", "--scenarios", NAMED, "--parameters", "dec_rate", "--budget", "24"]
    assert main([*tune, *few, "tuned"]) == 0
    assert written("tuned") == {"checkout.toml": PLANT}


def test_list_shows_what_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "scenarios", NAMED, "--json"]) == 0
    entry = json.loads(capsys.readouterr().out)["scenarios"][NAMED]
    assert [round(part["capacity"], 6) for part in entry["capacity"]] == [50.0, 25.0, 50.0]
    assert entry["parameters"]["cv"]["default"] == 0.5


def test_an_error_is_one_line_and_names_the_line(capsys: pytest.CaptureFixture[str]) -> None:
    text = Path(NAMED).read_text()
    Path(NAMED).write_text(text.replace("mean = 0.02", "mean = -1"))
    assert main(["simulate", NAMED, "aimd"]) == 2
    said = capsys.readouterr().err
    line = text[: text.index("mean = 0.02")].count("\n") + 1
    allowed = "allowed: [1e-12, 1e+06] s"
    assert said == (f"tpssim: {NAMED}, line {line}: service.mean=-1 is out of range; {allowed}\n")
    assert "checkout" not in SCENARIOS
