"""Laws called by address: what they raise comes out, and their own loop is compiled beside."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from helpers.plants import needs_numba, same

from tpssim import simulate
from tpssim.scenarios.scenario import Producer, Scenario
from tpssim.scenarios.service_times import Constant
from tpssim.simulation.compiled import compiling, engine

PLANT = Scenario("plant", Constant(0.01), 50.0, 5.0)
SHARED = PLANT._replace(producers=(Producer(), Producer()))


class State(NamedTuple):
    rate: float
    limit: float
    reject: float


class Raising(NamedTuple):
    """Raises once a second has passed."""

    after: float = 1.0

    def init(self, target: float) -> State:
        return State(target, math.inf, 0.0)

    def update(self, state: State, obs: Any) -> State:
        if obs.now > self.after:
            raise ValueError("more than a second", 1.0)
        return State(obs.target, math.inf, 0.0)


class Dividing(NamedTuple):
    """Divides by zero once a second has passed."""

    after: float = 1.0

    def init(self, target: float) -> State:
        return State(target, math.inf, 0.0)

    def update(self, state: State, obs: Any) -> State:
        return State(1.0 / (0.02 if obs.now < self.after else 0.0), math.inf, 0.0)


class Halving(NamedTuple):
    """Half the target, from the first call on."""

    share: float = 0.5

    def init(self, target: float) -> State:
        return State(target, math.inf, 0.0)

    def update(self, state: State, obs: Any) -> State:
        return State(self.share * obs.target, math.inf, 0.0)


class Other(Halving):
    """That no other test has compiled."""

    __slots__ = ()


class Listing(NamedTuple):
    """Half the target, by what no function of the package holds."""

    share: float = 0.5

    def init(self, target: float) -> State:
        return State(target, math.inf, 0.0)

    def update(self, state: State, obs: Any) -> State:
        shares = [part * self.share for part in (1.0, 2.0, 3.0)]

        def of_target(share: float) -> float:
            return share * float(obs.target)

        return State(of_target(shares[0]), math.inf, 0.0)


@needs_numba
def test_a_law_of_the_users_may_hold_lists_and_functions() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # one that is not compiled is warned of
        found = simulate(PLANT, Listing(), engine="compiled")
    assert same(found, simulate(PLANT, Halving(), engine="simpy"))


@pytest.mark.parametrize("plant", [PLANT, SHARED], ids=["one producer", "two"])
@pytest.mark.parametrize("how", ["simpy", pytest.param("compiled", marks=needs_numba)])
def test_what_a_law_raises_comes_out_with_its_name(how: str, plant: Scenario) -> None:
    with pytest.raises(ValueError, match="more than a second") as raised:
        simulate(plant, Raising(), engine=how)
    assert raised.value.args == ("more than a second", 1.0)
    # A call each 0.02 s, answered after 0.01 s.
    assert raised.value.__notes__ == ["in update at 1.01 s", "while Raising ran on plant"]
    with pytest.raises(ZeroDivisionError) as divided:
        simulate(plant, Dividing(), engine=how)
    assert divided.value.__notes__ == ["in update at 1.01 s", "while Dividing ran on plant"]


@needs_numba
def test_a_run_after_one_that_raised_is_as_any_other() -> None:
    before = simulate(SHARED, Halving(), engine="compiled")
    with pytest.raises(ValueError, match="more than a second"):
        simulate(SHARED, Raising(), engine="compiled")
    assert same(simulate(SHARED, Halving(), engine="compiled"), before)


@needs_numba
def test_its_own_loop_is_compiled_beside_and_gives_the_same_bits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(compiling, "ENOUGH", 100)
    law, long = Halving(0.25), PLANT._replace(duration=20.0)
    first = simulate(long, law, engine="compiled")  # 250 calls by address
    assert engine.loop_for(long, law)[0] is None  # which begins the thread
    thread = compiling._thread
    assert thread is not None
    meanwhile = simulate(long, law, engine="compiled")
    thread.join()
    loop, _ = engine.loop_for(long, law)
    assert loop is not None
    after = simulate(long, law, engine="compiled")
    assert same(first, meanwhile)
    assert same(first, after)
    assert engine.loop_for(SHARED, law)[0] is None  # which the lean loop does not take


@needs_numba
def test_what_is_compiled_beside_leaves_the_filters_of_the_process_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What an import or a user sets meanwhile would be lost with the exchange back."""
    monkeypatch.setattr(compiling, "ENOUGH", 100)
    exchanged: list[str] = []

    class Watched(warnings.catch_warnings):
        def __enter__(self) -> Any:
            exchanged.append(threading.current_thread().name)
            return super().__enter__()

    monkeypatch.setattr(warnings, "catch_warnings", Watched)
    law = Other(0.125)
    simulate(PLANT._replace(duration=20.0), law, engine="compiled")
    assert "MainThread" in exchanged  # where it is numba's right
    engine.loop_for(PLANT, law)
    thread = compiling._thread
    assert thread is not None
    thread.join()
    assert engine.loop_for(PLANT, law)[0] is not None
    assert thread.name not in exchanged


ENDING = """
from test_law_by_address import PLANT, Halving
from tpssim import simulate
from tpssim.simulation.compiled import compiling
compiling.ENOUGH = 100
for _ in range(2):
    simulate(PLANT, Halving(0.75), engine="compiled")
assert compiling._thread.is_alive()
print("ends", flush=True)
"""


@needs_numba
def test_a_process_ends_in_the_midst_of_compiling() -> None:
    here = Path(__file__).parent
    paths = [str(here), str(here.parent), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, "-c", ENDING]
    ended = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "ends\n", "")


def small(x: float) -> float:
    """Something that takes a moment to compile."""
    total = 0.0
    for i in range(int(x)):
        total += x * i
    return total


@needs_numba
def test_whenever_a_thread_that_compiles_is_given_up_nothing_else_is_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from tpssim.simulation.compiled import _jit

    errors: list[Any] = []  # a thread's SystemExit is none

    def listed(error: threading.ExceptHookArgs) -> None:
        if error.exc_type is not SystemExit:
            errors.append(error)

    monkeypatch.setattr(threading, "excepthook", listed)
    monkeypatch.setattr(sys, "unraisablehook", errors.append)
    for moment in range(8):
        given_up, later = (_jit.loop_of(small, True) for _ in range(2))
        (float_,) = _jit.signature(1.0)
        thread = threading.Thread(target=given_up.compile, args=((float_,),))
        thread.start()
        time.sleep(0.01 * moment)
        _jit.give_up(thread)
        assert not thread.is_alive()
        assert later(4.0) == 4.0 * (0 + 1 + 2 + 3)
    assert errors == []
