"""The command line as a user meets it: output, files, errors, interruption."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers import ROOT

from tpssim.cli.commands.common import default_out
from tpssim.cli.main import main
from tpssim.core.errors import InputError
from tpssim.metrics.measure import METRICS
from tpssim.scenarios.builtin import SCENARIOS

FEW = ["--replications", "2", "--workers", "1"]
SHORT = ["--scenarios", "blocking-steady:duration=5,cv=1", *FEW]


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_compare_writes_table_pictures_summaries_and_traces(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "result"
    assert (
        main(["compare", *SHORT, "--controllers", "aimd", "printed-aimd", "--out", str(out)]) == 0
    )
    name = "blocking-steady_duration=5_cv=1"
    assert files(out) == {
        f"{name}.png",
        "summary.json",
        "summary.csv",
        "run.json",
        f"traces/{name}--aimd--0.npz",
        f"traces/{name}--printed-aimd--0.npz",
    }
    printed = capsys.readouterr().out
    assert "to the bit" not in printed  # a check of ours, with --verbose
    assert max(len(line) for line in printed.splitlines()) <= 80 + len(str(tmp_path))
    rows = list(csv.DictReader((out / "summary.csv").read_text(encoding="utf-8").splitlines()))
    assert [row["throttle"] for row in rows] == ["aimd", "printed-aimd"]
    assert rows[0]["command"].startswith("python -m tpssim compare --scenarios")
    document = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    assert document["seed"] == 0
    assert (out / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_json_is_one_document_and_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "r"
    assert main(["compare", *SHORT, "--controllers", "fixed", "--json", "--out", str(out)]) == 0
    text = capsys.readouterr().out
    assert json.loads(text) == json.loads((out / "summary.json").read_text(encoding="utf-8"))
    assert str(tmp_path) not in text


def test_equal_runs_write_equal_bytes_wherever_they_are_put(tmp_path: Path) -> None:
    base = ["compare", *SHORT, "--controllers", "aimd", "headroom"]
    assert main([*base, "--out", str(tmp_path / "a")]) == 0
    assert main([*base, "--out", str(tmp_path / "b"), "--workers", "2"]) == 0
    assert main([*base, "--out", str(tmp_path / "c"), "--seed", "1"]) == 0
    a, b, c = ((tmp_path / name / "summary.json").read_bytes() for name in "abc")
    assert a == b
    assert a != c


def test_an_earlier_result_is_replaced_and_other_files_are_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "r"
    base = ["compare", *SHORT, "--controllers", "fixed", "--out", str(out)]
    assert main(base) == 0
    before = files(out)
    assert main(base) == 0
    assert files(out) == before
    (out / "notes.txt").write_text("mine", encoding="utf-8")
    capsys.readouterr()
    assert main(base) == 2
    assert (
        "holds 'notes.txt' too, which tpssim did not write there; allowed: "
        in capsys.readouterr().err
    )
    assert files(out) == before | {"notes.txt"}
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.txt").write_text("years", encoding="utf-8")
    assert main([*base[:-1], str(precious)]) == 2
    assert files(precious) == {"thesis.txt"}
    assert "holds files that are not tpssim's" in capsys.readouterr().err


def test_the_result_of_another_verb_is_not_replaced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "r"
    assert main(["simulate", "blocking-steady:duration=5", "fixed", "--out", str(out)]) == 0
    before = files(out)
    (tmp_path / "calls.py").write_text("def send(i): (open(__file__ + '.called', 'w')).close()")
    live = [
        "live",
        "--call",
        f"{tmp_path / 'calls.py'}:send",
        "--tps",
        "50",
        "--total",
        "3",
        "--quiet",
    ]
    for argv in (["compare", *SHORT, "--controllers", "fixed"], live):
        capsys.readouterr()
        assert main([*argv, "--out", str(out)]) == 2
        allowed = f"a folder that is new, empty or an earlier result of {argv[0]}"
        error = capsys.readouterr().err
        assert f"--out {str(out)!r} holds the result of simulate; allowed: {allowed}\n" in error
        assert error.count("\n") == 1
    assert files(out) == before
    assert not (tmp_path / "calls.py.called").exists(), "refused before anything ran"
    (out / "run.json").write_text("{}", encoding="utf-8")
    assert main([*live, "--out", str(out)]) == 2
    assert "holds files that are not tpssim's" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "folder"),
    [
        ("compare --scenarios stall --late burst,delay,skip", "compare-stall--late"),
        ("compare --scenarios stall:target=20", "compare-stall_target=20"),
        (
            (
                "compare --scenarios blocking-steady:mean=0.0123,cv=0.5,target=30"
                " blocking-steady:cv=0.2 stall"
            ),
            "compare-blocking-steady_stall",
        ),
        (
            "simulate blocking-steady:mean=0.0123,duration=1e+06 aimd:dec_rate=0.55",
            "simulate-blocking-steady--aimd",
        ),
    ],
)
def test_the_folder_of_results_has_a_short_name(
    line: str, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Path] = []

    def stop(out: Path, verb: str) -> None:
        asked.append(out)
        raise InputError("far enough")

    monkeypatch.setattr("tpssim.output.results_dir.check_out", stop)
    assert main(line.split()) == 2
    assert asked == [Path("results") / folder]


def test_many_scenarios_make_no_long_name() -> None:
    out = default_out("compare", "+".join(SCENARIOS))
    assert len(out.name) == 60
    assert out != default_out("compare", "+".join([*SCENARIOS][1:]))


def test_compare_reads_a_recording(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recording = tmp_path / "calls.csv"
    recording.write_text(
        "id,took\n" + "".join(f"{i},{10 + i % 7}\n" for i in range(50)), encoding="utf-8"
    )
    options = ["--trace", str(recording), "--column", "took", "--unit", "ms", "--tps", "50", *FEW]
    out = str(tmp_path / "r")
    assert main(["compare", *options, "--controllers", "headroom", "--out", out]) == 0
    assert "trace: wanted 50/s" in capsys.readouterr().out


@pytest.mark.parametrize("shared_trace", ["azure_llm_code_2023.csv"], indirect=True)
def test_compare_reads_the_azure_recording(
    shared_trace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "r")
    assert (
        main(
            [
                "compare",
                "--trace",
                str(shared_trace),
                "--controllers",
                "headroom",
                *FEW,
                "--out",
                out,
            ]
        )
        == 0
    )
    assert "8819 recorded service times" in capsys.readouterr().out


def test_simulate_writes_one_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "r"
    assert main(["simulate", "blocking-steady:duration=5", "aimd", "--out", str(out)]) == 0
    assert files(out) == {"rate.png", "run.json", "summary.json", "trace.csv", "trace.npz"}
    printed = capsys.readouterr().out
    assert "aimd on blocking-steady:duration=5: oscillates" in printed
    assert all(name in printed for name in METRICS)
    assert (
        main(["simulate", "blocking-steady:duration=5", "aimd", "--json", "--out", str(out)]) == 0
    )
    assert json.loads(capsys.readouterr().out)["verdict"]["word"] == "oscillates"


def test_list_shows_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in ("headroom", "printed-ewma", "degrade-recover", "swing"))
    assert max(len(line) for line in printed.splitlines()) <= 100
    assert main(["list", "controllers", "ewma-deadzone"]) == 0
    printed = capsys.readouterr().out
    assert "(0, 1]" in printed
    assert "ratio" in printed
    for kind in ("controllers", "scenarios", "metrics"):
        assert main(["list", kind, "--json"]) == 0
        document = json.loads(capsys.readouterr().out)
        for name in document[kind]:
            assert main(["list", kind, name]) == 0
            assert name in capsys.readouterr().out


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("controllers", "headroom"),
        ("controllers", "printed-aimd"),
        ("scenarios", "spikes"),
        ("metrics", "achieved"),
        ("studies", "alpha-deadzone"),
        ("scenarios", "docs/my-service.toml"),
    ],
)
def test_list_takes_a_name_alone(
    kind: str, name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    assert main(["list", name]) == 0
    alone = capsys.readouterr().out
    assert alone.startswith(f"{name}\n")
    assert main(["list", kind, name]) == 0
    assert capsys.readouterr().out == alone


def test_list_gives_every_parameter_its_meaning(capsys: pytest.CaptureFixture[str]) -> None:
    for kind in ("scenarios", "controllers"):
        assert main(["list", kind, "--json"]) == 0
        for name, entry in json.loads(capsys.readouterr().out)[kind].items():
            for field, about in entry["parameters"].items():
                assert about["meaning"], f"{name}: {field}"
            assert main(["list", kind, name]) == 0
            printed = capsys.readouterr().out
            table = printed.partition("parameters:\n")[2]
            assert all(len(line) <= 80 for line in table.splitlines())
    assert main(["list", "scenarios", "pool-degrade"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert (
        "silent 0 [0, 1] 0 or 1 1: a rejected call is never answered, so it ends by `timeout`"
        in printed
    )
    assert "workers 64 [1, 1e+06] calls threads that make calls" in printed
    for timer in (
        "spike_low",
        "spike_high",
    ):  # by themselves, not as parts of what stands above them
        assert "lateness of a sleep with a spike" in printed.partition(f" {timer} ")[2][:80]
    assert main(["list", "controllers", "aimd"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "measured > threshold * interval: rate <- dec_rate * rate" in printed
    assert (
        "commands: rate sees: time between two returns from: throttle 4 of the article, 2026"
        in printed
    )
    assert main(["list", "controllers", "botocore-cubic"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert (
        "beta 0.7 (0, 1) x factor by which the rate is multiplied when a call is throttled"
        in printed
    )


def test_list_shows_what_a_law_says_of_its_changes(capsys: pytest.CaptureFixture[str]) -> None:
    """Of all but those that such a service does not move: a slow ramp, a limit that is at its
    least, a load that is averaged over ten seconds.
    """
    assert main(["list", "controllers", "--json"]) == 0
    laws = json.loads(capsys.readouterr().out)["controllers"]
    silent = {name for name, law in laws.items() if law.get("says") == []}
    slow = {"firestore-ramp", "netflix-gradient2", "aegis-bbr", "gozero-shedder"}
    assert silent == {"fixed", *slow}
    assert main(["list", "controllers", "spark-pid"]) == 0
    assert "s behind: 100/s" in capsys.readouterr().out


OWN_LAW = ROOT / "tests" / "throttles" / "own_law.py:Halving"
BAD: list[tuple[list[str], str]] = [
    (["dance"], "invalid choice: 'dance'"),
    (
        ["compare", "--scenarios", "nowhere"],
        "no scenario 'nowhere'; allowed: those of `python -m tpssim list scenarios`",
    ),
    (
        ["compare", "--controllers", "nothing"],
        "no controller 'nothing'; allowed: auto, or",
    ),
    (
        ["compare", "--controllers", "ewma-deadzone:alpha=0"],
        "alpha=0 is out of range; allowed: (0, 1]",
    ),
    *(
        ([*words, str(OWN_LAW)], "own_law.py:Halving': a law of your own is given from Python")
        for words in (
            ["compare", "--controllers"],
            ["compare", "--throttle"],
            ["simulate", "spikes"],
            ["tune"],
        )
    ),
    (["compare", "--controllers", "aimd", "no.py:Halving:slow=1"], "a throttle without parameters"),
    (["compare", "--controllers", "aimd:inc_step=nan"], "inc_step=nan is out of range"),
    (["compare", "--controllers", "aimd:inc_step"], "is not of the form key=number"),
    (["compare", "--tps", "-1"], "target=-1 is out of range"),
    (
        ["compare", "--late", "later"],
        "no late policy 'later'; allowed: auto, burst, capped(N), delay, skip",
    ),
    (["compare", "--timer", "sundial"], "no timer model 'sundial'; allowed: ideal, linux"),
    (
        ["compare", "--throttle", "mine.py:throttle"],
        "mine.py' is not there; allowed: a Python file",
    ),
    (["compare", "--throttle", "throttle"], "allowed: FILE.py:callable or package.module:callable"),
    (
        ["compare", "--scenarios", "stall", "--late", "skip", "--controllers", "printed-spin"],
        "late=skip, but printed-spin keeps its own schedule",
    ),
    (["compare", "--tps", "nan"], "target=nan is out of range"),
    (["compare", "--tps", "many"], "argument --tps: 'many' is no number; allowed: a number; see"),
    (["compare", "--tps", "-inf"], "target=-inf is out of range"),
    (["compare", "--replications", "1.5"], "'1.5' is no whole number; allowed: a whole number"),
    (["compare", "--stages", "-1s:5"], "'-1s:5' is not duration:target; allowed: such as 30s:100"),
    (["simulate", "spikes", "aimd", "--stages", "-1s:5"], "'-1s:5' is not duration:target"),
    (
        ["compare", "--scenarios", "llm-quota:cost.mean=-4"],
        "llm-quota: cost: mean=-4 is out of range; allowed: [1e-12, 1e+06] of cost\n",
    ),
    (
        ["sweep", "--scenario", "llm-quota", "--grid", "cost.mean=1,-4", "--controller", "fixed"],
        "cost.mean=-4.0 is out of range; allowed: [1e-12, 1e+06] of cost\n",
    ),
    (
        ["compare", "--scenarios", "central-control:period=100"],
        "period=100 and delay=1 of the feedback in a run of 60 s, in which no law would observe",
    ),
    (["compare", "--replications", "0"], "replications=0; allowed: a whole number >= 1"),
    (["compare", "--workers", "0"], "workers=0; allowed: a whole number >= 1"),
    (["compare", "--worker", "2"], "unrecognized arguments: --worker 2"),
    (["compare", "--seed", "-1"], "seed=-1; allowed: a whole number >= 0"),
    (["compare", "--trace", "nothing.csv"], "trace 'nothing.csv' cannot be read"),
    (["compare", "--arrivals", "nothing.csv"], "arrivals 'nothing.csv' cannot be read"),
    (["compare", "--column", "x"], "--column and --unit belong to --trace"),
    (["simulate", "aimd"], "give either SCENARIO CONTROLLER or --trace FILE CONTROLLER"),
    (
        ["simulate", "spikes", "aimd", "--trace", "x.csv"],
        "give either SCENARIO CONTROLLER or --trace FILE CONTROLLER",
    ),
    (
        ["list", "scenarios", "nowhere"],
        "no scenario 'nowhere'; allowed: those of `python -m tpssim list scenarios`",
    ),
    (
        ["list", "animals"],
        "no kind or name 'animals'; allowed: controllers, scenarios, metrics, studies, or a name",
    ),
    (["list", "headrom"], "no kind or name 'headrom', did you mean 'headroom'? allowed: contr"),
    (["list", "animals", "aimd"], "no kind 'animals'; allowed: controllers, scenarios, metrics"),
    (
        ["list", "drift"],
        "'drift' is one of scenarios and of metrics; allowed: list scenarios drift or list metrics",
    ),
]


#: Near misses: what was meant comes before the list of what is allowed.
CLOSE = [
    (
        ["compare", "--controllers", "headrom"],
        "no controller 'headrom', did you mean 'headroom'? allowed: auto, or those of `python",
    ),
    (
        ["simulate", "degrade-recovr", "fixed"],
        "no scenario 'degrade-recovr', did you mean 'degrade-recover'? allowed: those",
    ),
    (
        ["compare", "--controllers", "aimd:decrate=1"],
        "no parameter 'decrate', did you mean 'dec_rate'? allowed",
    ),
    (
        ["compare", "--scenarios", "spikes:taget=1"],
        "no parameter 'taget', did you mean 'target'? allowed",
    ),
    (["list", "metrics", "acheived"], "no measure 'acheived', did you mean 'achieved'? allowed: "),
    (
        ["sweep", "alpha-dedzone"],
        "no study 'alpha-dedzone', did you mean 'alpha-deadzone'? allowed: ",
    ),
    (
        ["sweep", "alpha-deadzone", "--heatmap", "swng"],
        "no measure 'swng', did you mean 'swing'? allowed: verdict, or those of",
    ),
]


@pytest.mark.parametrize(
    ("argv", "message"), [*BAD, *CLOSE], ids=lambda value: " ".join(value)[:60]
)
def test_bad_input_gets_exit_code_2_and_one_line(
    argv: list[str],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(argv) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert files(tmp_path) == set()


@pytest.mark.parametrize("where", ["file", "below-a-file"])
def test_an_unwritable_out_is_refused_before_anything_runs(
    where: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    blocker = tmp_path / "blocker"
    blocker.write_text("x", encoding="utf-8")
    out = blocker if where == "file" else blocker / "deep" / "result"
    assert main(["compare", "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "--out" in error
    assert files(tmp_path) == {"blocker"}


def test_a_failure_while_writing_leaves_the_earlier_result_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "r"
    base = ["compare", *SHORT, "--controllers", "fixed", "--out", str(out)]
    assert main(base) == 0
    before = files(out)

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", full)
    assert main(base) == 2
    assert files(out) == before
    assert [path.name for path in tmp_path.iterdir()] == ["r"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    "send", [os.killpg, os.kill]
)  # as a terminal or a container does; as `kill` does
def test_an_interrupt_stops_at_once_and_writes_nothing(
    tmp_path: Path, number: int, send: Callable[[int, int], None]
) -> None:
    command = [sys.executable, "-m", "tpssim", "compare", "--replications", "200", "--out", "r"]
    command += ["--workers", "2"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    )
    assert process.stderr is not None
    assert "runs" in process.stderr.readline()  # it is at work, no more importing
    send(process.pid, number)
    _, error = process.communicate(timeout=60)  # to the end of stderr, which the workers have too
    assert process.returncode == 130
    assert error.splitlines()[-1] == "tpssim: interrupted; nothing was written"
    assert "Traceback" not in error
    assert "leaked" not in error
    assert files(tmp_path) == set()


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    for argv in (["--help"], ["compare", "--help"], ["--version"]):
        with pytest.raises(SystemExit) as end:
            main(argv)
        assert end.value.code == 0
    assert "degrade-recover" in capsys.readouterr().out


def test_the_name_alone_asks_for_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    alone = capsys.readouterr()
    assert alone.err == ""
    for verb in ("compare", "live", "serve", "list"):
        assert f"\n    {verb} " in alone.out
    assert main(["--nothing"]) == 2
    assert (
        capsys.readouterr().err == "tpssim: unrecognized arguments: --nothing; see tpssim --help\n"
    )


LOST = """
import os, signal, sys, time
from tpssim.cli import main

class Owner:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        str()  # here the interpreter looks for signals

def verb(_):
    Owner()
    time.sleep(1.1)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(30.0)

sys.unraisablehook = lambda lost: print("lost", lost.exc_type.__name__, flush=True)
main._main = verb
try:
    main.main([])
except KeyboardInterrupt:
    print("ended")
"""


def test_a_sigterm_that_python_dropped_is_not_the_last_one() -> None:
    done = subprocess.run([sys.executable, "-c", LOST], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("lost KeyboardInterrupt\nended\n", "")
