"""A comparison that has to compile first says so."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import pytest
from helpers.plants import needs_numba

from tpssim.cli.commands.progress import Progress
from tpssim.controllers.fixed import Fixed
from tpssim.experiments import _pair_runs, compare
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
