"""A comparison that has to compile first says so."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from helpers.plants import needs_numba

from tpssim.cli.commands.progress import Progress
from tpssim.controllers.fixed import Fixed
from tpssim.experiments import _pair_runs, compare
from tpssim.experiments.executor import Helped
from tpssim.simulation.compiled import compiling


@pytest.mark.parametrize("new", [True, False])
def test_it_is_said_before_the_first_run(new: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_pair_runs, "nothing_kept", lambda: new)
    said: list[str] = []
    compare.compare(
        "blocking-steady:duration=1",
        "printed-sleep",
        replications=1,
        progress=lambda *_: said.append("ran"),
        compiling=lambda: said.append("compiling"),
    )
    assert said == (["compiling", "ran"] if new else ["ran"])


@needs_numba
def test_code_on_disk_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    assert compiling.nothing_kept()
    (folder,) = (tmp_path / "tpssim" / "compiled").iterdir()
    (folder / "x-0123456789abcdef.nbc").touch()
    assert not compiling.nothing_kept()


class AtOnce(Executor):
    """Does at once what is submitted, and remembers it."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any]] = []

    def submit(self, work: Callable[..., Any], /, *args: Any, **_: Any) -> Future[Any]:
        asked, given = args if work is _pair_runs._begun else (work, args)
        self.asked.append((asked.__name__, given))
        done: Future[Any] = Future()
        done.set_result(work(*args))
        return done


class Own(Fixed):
    """A law of the user's, which every process compiles for itself."""


@needs_numba
def test_every_law_of_ours_is_compiled_before_the_runs_by_one_process() -> None:
    names, executor = ["aimd", "printed-sleep", "headroom", "aimd:threshold=2"], AtOnce()
    scenarios = ["blocking-steady:duration=1", "fast-async:duration=1"]
    compare.compare(scenarios, [*names, Own], replications=1, executor=executor)
    first, last = executor.asked[0], executor.asked[4]
    assert (first[0], last[0]) == ("_run_first", "_measure_first")
    laws = [args[1].name for name, args in executor.asked if name == "_place_first"]
    assert laws == ["headroom", "aimd"]  # the one with more parameters first
    assert executor.asked[3][0] == "_twin_first"
    assert [name for name, _ in executor.asked[5:]] == ["measured_runs"] * 10


class Busy(AtOnce):
    """As if another process were never done with `aimd`."""

    def submit(self, work: Callable[..., Any], /, *args: Any, **_: Any) -> Future[Any]:
        if args[:1] == (_pair_runs._place_first,) and args[1][1].name == "aimd":
            begun: Future[Any] = Future()
            begun.set_running_or_notify_cancel()
            return begun
        return super().submit(work, *args)


@needs_numba
@pytest.mark.parametrize("new", [True, False])
def test_a_law_that_is_still_compiled_runs_between_the_others(
    new: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_pair_runs, "nothing_kept", lambda: new)
    laws, executor = ["aimd", "fixed", "headroom"], Busy()
    scenarios = ["blocking-steady:duration=1", "fast-async:duration=1"]
    given: dict[str, Any] = {"replications": 1, "compiling": lambda: None}
    found = compare.compare(scenarios, laws, executor=executor, **given)
    ran = [args[1].name for name, args in executor.asked if name == "measured_runs"]
    between = ["fixed", "headroom", "aimd", "aimd", "fixed", "headroom"]
    assert ran == (between if new else laws * 2)
    assert found.to_json() == compare.compare(scenarios, laws, **given).to_json()


class Beside(Helped):
    """Another process, as a thread, that compiles `aimd` until the test says so."""

    def __init__(self) -> None:
        self.workers, self.threads, self.compiled = 1, ThreadPoolExecutor(1), Future[Any]()

    def submit(self, work: Callable[..., Any], /, *args: Any, **_: Any) -> Future[Any]:
        done: Future[Any] = Future()
        if work is not _pair_runs._begun:
            return self.threads.submit(work, *args)
        if args[0] is _pair_runs._place_first and args[1][1].name == "aimd":
            self.compiled.set_running_or_notify_cancel()
            return self.compiled
        done.set_result(work(*args))
        return done


@needs_numba
def test_a_law_that_another_process_compiles_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_pair_runs, "nothing_kept", lambda: True)
    measured, executor, here = _pair_runs.measured_runs, Beside(), threading.current_thread()
    begun: list[tuple[str, bool]] = []

    def noted(scenario: Any, spec: Any, *others: Any) -> Any:
        if threading.current_thread() is here:
            if not begun:
                threading.Timer(0.3, executor.compiled.set_result, (None,)).start()
            begun.append((spec.name, executor.compiled.done()))
        else:
            time.sleep(0.3)
        return measured(scenario, spec, *others)

    monkeypatch.setattr(_pair_runs, "measured_runs", noted)
    scenarios = [f"blocking-steady:duration={seconds}" for seconds in range(1, 6)]
    given: dict[str, Any] = {"replications": 1, "compiling": lambda: None}
    compare.compare(scenarios, ["fixed", "aimd"], executor=executor, **given)
    executor.threads.shutdown()
    assert ("fixed", False) in begun
    assert ("aimd", True) in begun
    assert ("aimd", False) not in begun


@needs_numba
def test_the_loop_of_the_printed_is_compiled_where_no_law_stands_for_them() -> None:
    executor = AtOnce()
    for printed in ("printed-aimd", "printed-sleep"):
        compare.compare("blocking-steady:duration=1", printed, replications=1, executor=executor)
    found = [args[1].name for name, args in executor.asked if name == "_twin_first"]
    assert found == ["printed-sleep"]


def test_the_command_line_says_it_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    Progress("runs").compiling()
    assert capsys.readouterr() == ("", "compiling, once after an installation\n")
