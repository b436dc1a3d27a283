"""The notebooks run in a real kernel and show what their text says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from helpers import ROOT
from helpers.postgres import missing

FOLDER = ROOT / "notebooks"
#: Their names, and how many pictures each has.
PICTURES = {
    "01_five_throttles": 3,
    "02_oscillation_and_convergence": 2,
    "03_sweeps": 5,
    "04_choosing_a_controller": 3,
    "05_tuning": 3,
    "06_live_against_virtual": 2,
    "07_your_own_service": 5,
}
#: What these print differs from run to run. Here they wait for half as long as for people: of the
#: seconds in a notebook, those in its place.
BY_THE_CLOCK: dict[str, dict[str, str]] = {
    "06_live_against_virtual": {},
    "07_your_own_service": {"24.0": "12.0", "15.0": "7.5"},
}


def read(name: str) -> Any:
    import nbformat  # which takes 2 s, in each process that collects

    return nbformat.read(FOLDER / f"{name}.ipynb", 4)


def executed(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The two lines of figures of a notebook after a run from a clean kernel.

    Its pictures are counted. What its cells print is what is committed, so the outputs belong to
    the cells; the figures are compared by what they say, for their last bits are the machine's.
    """
    from nbclient import NotebookClient

    notebook = read(name)
    for long, short in BY_THE_CLOCK.get(name, {}).items():
        assert any(long in cell["source"] for cell in notebook["cells"])
        for cell in notebook["cells"]:
            cell["source"] = cell["source"].replace(long, short)
    where = {"metadata": {"path": str(FOLDER.parent)}}
    client = NotebookClient(notebook, timeout=300, kernel_name="python3", resources=where)
    asyncio.run(client.async_execute())  # its own way leaves a loop open in a thread
    assert pictures(notebook) == PICTURES[name]
    if name not in BY_THE_CLOCK:
        committed = read(name)
        for cell, before in zip(notebook["cells"][:-1], committed["cells"][:-1], strict=True):
            assert printed(cell) == printed(before), f"{name}: run it again"
    outputs = notebook["cells"][-1]["outputs"]
    first, second = "".join(output.get("text", "") for output in outputs).splitlines()
    return json.loads(first), json.loads(second)


@pytest.fixture(scope="module")
def by_the_clock() -> Iterator[dict[str, Future[Any]]]:
    """The runs of those that wait most of their time: both at once."""
    there = [name for name in BY_THE_CLOCK if not (name.startswith("07") and missing())]
    with ThreadPoolExecutor(2) as pool:
        yield {name: pool.submit(executed, name) for name in there}


def printed(cell: Any) -> str:
    """The text that a cell prints, in however many pieces it came."""
    return "".join(output.get("text", "") for output in cell.get("outputs", []))


def pictures(notebook: Any) -> int:
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", [])]
    return sum("image/png" in output.get("data", {}) for output in outputs)


def test_five_throttles() -> None:
    found, price = executed("01_five_throttles")
    words = {"printed-sleep": "drifts"} | {
        f"printed-{n}": "converges" for n in ("schedule", "spin", "aimd")
    }
    assert found["verdicts"]["fast-async"] == {**words, "printed-ewma": "converges"}
    assert found["verdicts"]["drift"] == {**words, "printed-ewma": "stuck"}
    # 20 us of work after each sleep of 2 ms: 1 / 1.01 of the rate.
    assert found["drift"]["fast-async"] == pytest.approx(1e6 * (1 - 1 / 1.01), rel=0.01)
    assert 0.06 < found["drift"]["drift"] / 1e6 < 0.08, "seven percent slow"
    assert found["late"]["printed-schedule"] > 100e-6
    assert found["late"]["printed-spin"] < 1e-6
    assert found["spun"]["printed-schedule"] == 0.0
    assert 0.15 < found["spun"]["printed-spin"] < 0.22, "a fifth of a core"
    assert found["ideal_spin"] == pytest.approx(0.25, abs=0.01), "0.5 of every 2 ms"
    assert set(price["enough"]["spin_threshold"].values()) == {0.0003}
    cpu = price["cpu_at_500"]
    assert cpu["0.0005"] > 2.0 * cpu["0.0003"], "more than twice as much, for no more precision"
    assert cpu["0.001"] == pytest.approx(500.0 * (0.001 - 0.000125), rel=0.05)
    assert cpu["0.002"] > 0.95, "burns the whole core"


def test_oscillation_and_convergence() -> None:
    verdicts, found = executed("02_oscillation_and_convergence")
    assert verdicts["verdicts"] == {
        "printed-spin": "saturated",
        "printed-aimd": "oscillates",
        "printed-ewma": "stuck",
        "ewma-deadzone": "stuck",
        "busy-time": "converges",
        "headroom": "converges",
    }
    for label, words in verdicts["constants"].items():
        mended = label in ("busy-time", "headroom")
        assert (set(words) == {"converges"}) == mended, f"the text says so of {label}"
    assert len(verdicts["constants"]) == 5
    (pair,) = verdicts["twins"]
    assert 0 < pair["runs"] == pair["equal"], "to the bit"
    assert found["degraded"] >= 0.9
    assert found["recovery"] < 2.0
    returned, commanded, latency = found["last"]
    assert returned == pytest.approx(commanded, rel=1e-6)
    assert latency == pytest.approx(0.0005)
    word, achieved = verdicts["crowd"]["busy-time"]
    assert word == "stuck"
    assert achieved < 0.3
    assert verdicts["crowd"]["headroom"][1] > 0.9


def test_sweeps() -> None:
    found, enough = executed("03_sweeps")
    steady, recover = found["shares"]["steady"], found["shares"]["recover"]
    assert 0.05 < steady["converges"] < 0.15, "a narrow corridor"
    assert steady["saturated"] > 0.5
    assert recover.get("converges", 0.0) < 0.01, "the corridor is gone"
    assert 0 < found["sample"] < 10, "a few of 256"
    asked = [round(100.0 * more) for more in found["asked"].values()]
    prose = "".join(read("03_sweeps")["cells"][4]["source"])
    assert f"asks for {min(asked)} to {max(asked)} % more" in prose
    thresholds = enough["spin_threshold"]
    assert thresholds["linux"] < 0.0005 < thresholds["asyncio-epoll"] < thresholds["windows-1ms"]


def test_choosing_a_controller() -> None:
    found, others = executed("04_choosing_a_controller")
    alone = ("blocking-steady", "degrade-recover", "spikes")
    for law, converges in (("busy-time", 3), ("headroom", 3), ("aimd", 1), ("ewma-deadzone", 0)):
        words = [found["verdicts"][f"{scenario} {law}"] for scenario in alone]
        assert words.count("converges") == converges, f"{law}: {words}"
        assert set(words) <= {"converges", "oscillates", "stuck"}
    assert found["verdicts"]["blocking-steady fixed"] == "saturated", (
        "its backlog grows without end"
    )
    steady = {law: found["scores"][f"blocking-steady {law}"] for law in found["churn"]}
    assert max(steady.values()) == steady["fixed"] == 1.0, "it does no harm to a caller that waits"
    for scenario in ("healthy", "overload", "pool-degrade"):
        for law in ("aimd", "ewma-deadzone", "busy-time"):
            assert found["scores"][f"{scenario} {law}"] < 0.4, f"{law} was not made for {scenario}"
    assert found["scores"]["healthy fixed"] == 1.0
    assert max(found["scores"][f"{name} fixed"] for name in ("overload", "pool-degrade")) < 0.3
    assert (
        found["churn"]["fixed"]
        == 0.0
        < min(x for law, x in found["churn"].items() if law != "fixed")
    )
    assert min(found["gains"]) > 0.0, "the knee is better than the default in both aims"
    complaints = others["complaints"]
    assert len(complaints) == 12
    assert sum(auto > law for law, auto in complaints.values()) >= 7, "on most of them"
    refused = others["refused"]
    quick = refused.pop("scrapy-autothrottle:concurrency=4")
    assert quick[0] < 0.1, "takes quick for healthy"
    assert quick[1] > 0.9
    assert refused["headroom"][0] > 0.9 > 0.1 > refused["fixed"][0]
    assert refused["headroom"][1] < 0.05
    for outage in ("constant-timeouts", "slow-recovery"):
        assert complaints[outage][1] > 0.95, "auto tries the rate of before at once"


def test_tuning() -> None:
    found, others = executed("05_tuning")
    assert 1.0 / found["mean"] == pytest.approx(770.0, abs=10.0), "some 770 a second are possible"
    assert min(found["gains"].values()) > 0.0, "gains are no luck; the search flattered its winner"
    timid, others_best = found["steps"]
    assert timid > others_best + 0.02, "an inc_step of less than a thousandth of the target"
    here = found["shares"]["trace"]
    assert 0.1 < here["ewma"] < 0.3, "a fifth"
    assert min(here["busy"], here["headroom"]) > 0.97, "nearly all"
    assert here["busy tuned"] > 0.99, "all the calls"
    assert here["ewma tuned"] > 4.0 * here["ewma"]
    waits = others["waits"]
    assert waits["ewma tuned"] == max(waits.values()), "a call waits longest"
    assert waits["busy"] == pytest.approx(2.0 * waits["headroom"], rel=0.2), "twice as long"
    assert waits["busy tuned"] > waits["busy"] > waits["headroom"], "bought with longer waits"
    assert others["verdicts"]["ewma tuned"] == "saturated"
    assert min(others["totals"], key=others["totals"].__getitem__) == "dec_rate"


def test_live_against_virtual(by_the_clock: dict[str, Future[Any]]) -> None:
    """What a busy machine cannot change: the replay, the bench, and the shape of the run."""
    replay, found = by_the_clock["06_live_against_virtual"].result()
    assert replay["difference"] == "", "to the bit"
    assert 200 < replay["ok"] <= found["released"] == found["calls"]
    assert replay["decisions"] > found["calls"]
    before, slow, after = found["rates"]["bench"]
    assert before == after == 100.0
    assert 45.0 < slow < 50.0
    before, slow, after = found["rates"]["live"]
    assert 0.0 < slow < 51.0, "a service of 50 a second takes no more"
    assert max(before, after) <= 100.0
    assert min(before, after) > slow
    numbers = found["numbers"]
    assert numbers["headroom"]["throughput"] == pytest.approx(
        numbers["live"]["throughput"], rel=0.2
    )
    assert numbers["throttle 5 of the article"]["throughput"] < numbers["headroom"]["throughput"]


@pytest.mark.skipif(bool(missing()), reason=missing())
def test_your_own_service(by_the_clock: dict[str, Future[Any]]) -> None:
    """What a busy machine cannot change: how many servers there are, and what a law can get."""
    found, law = by_the_clock["07_your_own_service"].result()
    assert {name: fitted["servers"] for name, fitted in found.items()} == {
        "serve": 4.0,
        "postgres": 4.0,
    }
    for fitted in found.values():
        for percentile in ("p50", "p90", "p99"):
            recorded, foretold = fitted["rows"][percentile]
            assert 0.1 * recorded < foretold < 10.0 * recorded
    assert 0.1 <= law["tuned"]["queue"] <= 10.0
    assert law["missing"] == ""


def test_every_notebook_is_tested_and_its_outputs_are_committed() -> None:
    assert {path.stem for path in FOLDER.glob("*.ipynb")} == set(PICTURES)
    for name, number in PICTURES.items():
        notebook = read(name)
        assert pictures(notebook) == number
        codes = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
        counts = [cell["execution_count"] for cell in codes]
        assert counts == [*range(1, len(codes) + 1)], f"{name}: run it from a clean kernel"
        for cell in notebook["cells"]:
            for output in cell.get("outputs", []):
                assert output["output_type"] != "error"
                assert output.get("name") != "stderr", f"{name}: {output}"
