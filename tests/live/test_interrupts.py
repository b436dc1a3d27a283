"""A signal handler that raises, at any moment: nobody's turn is lost, and the law is not blamed."""

from __future__ import annotations

import contextlib
import dis
import functools
import gc
import itertools
import math
import random
import signal
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from types import CodeType, FrameType
from typing import Any, NamedTuple

import pytest
from helpers.laws import Actuators
from helpers.watchdog import within

from tpssim import Aborted, Limiter, Observation, throttle
from tpssim.live.permits import Permit
from tpssim.live.signal_handlers import by_handler

FAST: dict[str, Any] = {"tps": 1e9, "late": "burst", "spin": "off"}


class Alarm(Exception):
    """What a handler raises."""


class Break(BaseException):
    """What a handler raises, and nobody takes for an error, as `KeyboardInterrupt`."""


def raising(number: int, frame: FrameType | None) -> None:
    raise Alarm


def breaking(number: int, frame: FrameType | None) -> None:
    raise Break


@pytest.fixture
def alarms() -> Iterator[None]:
    """SIGALRM and SIGUSR1 raise; garbage is collected when the test says so."""
    before = [signal.signal(number, raising) for number in (signal.SIGALRM, signal.SIGUSR1)]
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before[0])
        signal.signal(signal.SIGUSR1, before[1])


def check_open(live: Any, ask: Callable[[], Permit]) -> None:
    """Whoever asks gets a slot, in this thread and in another; every release is somewhere."""
    ask().done()
    within(20.0, lambda: ask().done())
    if live.report().in_flight:
        gc.collect()
    report = live.report()
    assert report.in_flight == 0
    assert report.released == report.ok + report.errors + report.forgotten
    assert live.flow.queue.baton == [None]


def limiter() -> tuple[Any, Callable[[], Any], Callable[[], Permit]]:
    """(handle, one call, how to ask for another one within five seconds)"""
    live = Limiter(**FAST)

    def call() -> None:
        with live:
            pass

    def ask() -> Permit:
        with live as permit:  # which sees to a `with` that was cut short in this thread
            pass
        return live.acquire(5.0) if permit.open else permit

    return live, call, ask


def permits() -> tuple[Any, Callable[[], Any], Callable[[], Permit]]:
    live = Limiter(**FAST)
    return live, lambda: live.acquire().done(), lambda: live.acquire(5.0)


def loop() -> tuple[Any, Callable[[], Any], Callable[[], Permit]]:
    live = throttle(itertools.count(), **FAST)

    def ask() -> Permit:
        hand = live._owners.mine()
        while hand:
            hand.pop().forget()
        return live.permits().next(5.0)[1]

    return live, lambda: next(live), ask


HANDLERS = pytest.mark.parametrize("handler", [raising, breaking])
USES = pytest.mark.parametrize("use", [limiter, permits, loop])


@USES
@HANDLERS
@pytest.mark.filterwarnings(
    "ignore:unclosed file:ResourceWarning"
)  # of an `open` that was cut short
def test_thousands_of_interrupts_lose_nobodys_turn(use: Any, handler: Any, alarms: None) -> None:
    signal.signal(signal.SIGALRM, handler)
    live, call, ask = use()
    draw = random.Random(1)
    call()
    try:
        for _ in range(3000):
            with contextlib.suppress(
                Alarm, Break
            ):  # the next one, if this machine makes a pause in between
                with contextlib.suppress(Alarm, Break):
                    # Should one come where Python drops it, in a finaliser, another one follows.
                    signal.setitimer(signal.ITIMER_REAL, draw.uniform(20e-6, 300e-6), 0.1)
                    while True:
                        call()
                signal.setitimer(signal.ITIMER_REAL, 0.0)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
    assert live.report().ok > 1000
    check_open(live, ask)


#: The interpreter looks for signals after these, where a function begins, and where it jumps back.
CALLS = {"CALL", "CALL_FUNCTION_EX", "CALL_KW", "YIELD_VALUE"}


@functools.cache
def points(code: CodeType) -> frozenset[int]:
    """The instructions before which a signal may have been handled."""
    found: set[int] = set()
    before = ""
    for instruction in dis.get_instructions(code):
        if instruction.opname == "CACHE":
            continue
        if before in CALLS or instruction.opname.startswith("JUMP_BACKWARD"):
            found.add(instruction.offset)
        before = instruction.opname
    return frozenset(found)


class Stepper:
    """Raises at the n-th point of our own code."""

    def __init__(self, n: int, handler: Any = raising) -> None:
        self.left = n
        self.handler = handler
        self.where = ""

    def trace(self, frame: FrameType, event: str, _: Any) -> Any:
        if "tpssim" not in frame.f_code.co_filename or "tests" in frame.f_code.co_filename:
            return None
        frame.f_trace_lines, frame.f_trace_opcodes = False, True
        if event == "call" or (event == "opcode" and frame.f_lasti in points(frame.f_code)):
            self.left -= 1
            if self.left < 0 and not self.where:
                self.where = f"{frame.f_code.co_qualname}:{frame.f_lineno} ({event})"
                sys.settrace(None)
                self.handler(signal.SIGALRM, sys._getframe())
        return self.trace

    def run(self, work: Callable[[], Any]) -> bool:
        """Whether it came to that."""
        before = sys.gettrace()
        sys.settrace(self.trace)
        try:
            work()
        except (Alarm, Break):
            pass
        finally:
            sys.settrace(before)
        return bool(self.where)


@USES
@HANDLERS
def test_no_point_of_a_call_loses_a_turn(
    use: Any, handler: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    unraisable: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", unraisable.append)
    for n in itertools.count():
        live, call, ask = use()
        call()
        stepper = Stepper(n, handler)
        if not stepper.run(call):
            break
        try:
            check_open(live, ask)
        except Exception as error:
            raise AssertionError(f"interrupted at {stepper.where}") from error
        assert not unraisable, (stepper.where, unraisable)
    assert n > 50


@HANDLERS
def test_no_point_of_a_turn_that_is_given_on_loses_it(handler: Any) -> None:
    """Another thread waits behind the one that is interrupted."""
    for n in itertools.count():
        others: list[threading.Thread] = []
        got: list[int] = []

        def items() -> Iterator[int]:
            yield 0
            trace = sys.gettrace()
            sys.settrace(None)
            asking = lambda: got.append(next(live))  # noqa: B023, E731
            other = threading.Thread(target=asking, daemon=True)
            other.start()
            others.append(other)  # noqa: B023
            while not live.flow.queue.waiting:  # noqa: B023
                time.sleep(1e-4)
            sys.settrace(trace)
            yield from itertools.count(1)

        live = throttle(items(), **FAST)
        next(live)
        stepper = Stepper(n, handler)
        if not stepper.run(lambda: next(live)):  # noqa: B023
            break
        for other in others:
            other.join(20.0)
            assert not other.is_alive(), (
                f"interrupted at {stepper.where}, the next one waits for ever"
            )
        live._owners.mine().clear()
        check_open(live, lambda: live.permits().next(5.0)[1])  # noqa: B023
    assert n > 50


def _shoot() -> None:
    signal.raise_signal(signal.SIGUSR1)


class Handlers:
    """The ways to write a handler."""

    def method(self, number: int, frame: FrameType | None) -> None:
        self.below()

    @staticmethod
    def below() -> None:
        raise Alarm


def _given(*_: Any) -> None:
    raise Alarm


@pytest.mark.parametrize(
    "handler", [raising, _given, Handlers().method, signal.default_int_handler]
)
@pytest.mark.parametrize("way", ["settled", "retarget", "rehearsal"])
def test_what_a_handler_raises_is_not_laid_to_the_law(way: str, handler: Any, alarms: None) -> None:
    signal.signal(signal.SIGUSR1, handler)
    shots = [0]

    class Law(NamedTuple):
        def init(self, target: float) -> Actuators:
            return Actuators(target, math.inf, 0.0)

        def update(self, state: Actuators, obs: Observation) -> Actuators:
            if shots[0] and (obs.count > 0.0) == (way != "retarget"):
                shots[0] -= 1
                _shoot()
            return Actuators(state.rate * 0.5, state.limit, 0.0)

        def admit(self, state: Actuators, now: float, lag: float, in_flight: float) -> Actuators:
            if shots[0] and way == "rehearsal":
                shots[0] -= 1
                _shoot()
            return state

    live = Limiter(1e6, controller=Law(), late="burst", spin="off")
    live.acquire().done()
    assert live.flow.pacer is not None
    before = live.flow.pacer.state
    assert before.rate == 5e5
    permit = live.acquire()
    rehearse = live.flow.rehearsal()
    shots[0] = 1
    act: dict[str, Callable[[], Any]] = {
        "settled": permit.done,
        "retarget": lambda: setattr(live, "tps", 2e6),
        "rehearsal": rehearse,
    }
    with pytest.raises((Alarm, KeyboardInterrupt)):
        act[way]()
    assert shots == [0]
    assert live.flow.pacer.state == before
    permit.done()  # the law hears of it now
    assert live.flow.pacer.state.rate == 2.5e5
    live.acquire().done()
    assert (live.report().ok, live.report().in_flight) == (3, 0)


def test_what_a_law_raises_itself_is_laid_to_it() -> None:
    class Law(NamedTuple):
        def init(self, target: float) -> Actuators:
            return Actuators(target, math.inf, 0.0)

        def update(self, state: Actuators, obs: Observation) -> Actuators:
            return self.below(1, obs)

        def below(self, number: int, obs: Any) -> Actuators:
            raise Alarm("ouch")

    live = Limiter(1e6, controller=Law())
    live.acquire().done()
    with pytest.raises(Aborted, match="Law failed: Alarm: ouch"):
        live.acquire()


def test_who_asks_whose_exception_it_is_keeps_nothing_alive() -> None:
    class Thing:
        pass

    def looked() -> Any:
        thing = Thing()
        try:
            raise ValueError(thing)
        except ValueError as error:
            theirs = by_handler(error)
        assert not theirs
        return weakref.ref(thing)

    gc.disable()
    try:
        assert looked()() is None
    finally:
        gc.enable()


def test_a_permit_that_is_half_made_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    live = Limiter(**FAST)
    kind = type(live.acquire())
    unraisable: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", unraisable.append)
    kind.__new__(kind)  # and no `__init__`
    assert not unraisable


def test_a_with_that_was_cut_short_is_over_when_the_thread_comes_again(alarms: None) -> None:
    live = Limiter(controller=None, **FAST)

    def cut_short() -> None:
        with contextlib.suppress(Alarm), live:
            raise_at_exit()

    def raise_at_exit() -> None:
        stepper = Stepper(0)
        frame = sys._getframe(1)
        frame.f_trace = None
        sys.settrace(stepper.trace)  # the next function of ours that begins is `__exit__`

    cut_short()
    sys.settrace(None)
    assert live.report().in_flight == 1
    with live as permit:
        assert live.report().in_flight == 1
        assert live.report().forgotten == 1
        with live:  # within it: neither is over
            assert live.report().in_flight == 2
    assert not permit.open
    assert live.report().in_flight == 0


@HANDLERS
def test_no_point_of_an_end_leaves_the_one_asleep_who_waits_for_it(handler: Any) -> None:
    """The law lets one call be in flight; its end is interrupted while another thread waits for
    that.
    """

    class One(NamedTuple):
        def init(self, target: float) -> Actuators:
            return Actuators(target, 1.0, 0.0)

        def update(self, state: Actuators, obs: Observation) -> Actuators:
            return state

    for n in itertools.count():
        live = Limiter(controller=One(), **FAST)
        live.acquire().done()
        permit = live.acquire()
        other = threading.Thread(target=lambda: live.acquire().done(), daemon=True)  # noqa: B023
        other.start()
        while live.flow._bell is None:
            time.sleep(1e-4)
        stepper = Stepper(n, handler)
        if not stepper.run(permit.done):
            break
        permit.done()  # where it is open still
        other.join(20.0)
        assert not other.is_alive(), f"interrupted at {stepper.where}, the next one sleeps on"
    assert n > 20


@HANDLERS
def test_an_exception_that_is_kept_keeps_no_call_in_flight(handler: Any) -> None:
    """As `sys.last_value` does in a notebook, with all that its frames know."""
    kept: list[BaseException] = []
    for n in itertools.count():
        live = Limiter(**FAST)
        live.acquire().done()

        def work() -> None:
            try:
                with live.acquire():  # noqa: B023
                    pass
            except (Alarm, Break) as error:
                kept.append(error)
                raise

        stepper = Stepper(n, handler)
        if not stepper.run(work):
            break
        if not stepper.where.startswith(
            "Permit."
        ):  # before the `with` is entered, or at its first step
            assert live.report().in_flight == 0, f"interrupted at {stepper.where}"
    assert n > 50


@pytest.mark.parametrize("look", ["holds", "still"])
def test_what_is_asked_for_while_the_line_is_looked_at_is_done(look: str) -> None:
    """A handler ends the one call in the midst of that, and others wait for it."""
    live = Limiter(**FAST)
    permit = live.acquire()

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        if frame.f_code.co_name != look:
            return None
        if event == "line" and live.flow._mine():
            sys.settrace(None)
            permit.done()
        return trace

    line: Any = live.flow.queue
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        getattr(line, look)(0)
    finally:
        sys.settrace(before)
    assert not permit.open
