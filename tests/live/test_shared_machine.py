"""One throttle, athrottle or Limiter in many hands: whatever they do, in whatever order, by the
contract.

A stateful test on virtual threads and event loops. What must hold stands in `shared_model`, worked
from the contract alone. Longer than in the suite:

    python tests/live/test_shared_machine.py [EXAMPLES] [STEPS]
"""

from __future__ import annotations

import gc
import sys
import time
import warnings
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

sys.path.append(str(Path(__file__).parent.parent))  # as a program

from helpers.shared_model import NOISE, Contract
from helpers.shared_users import (
    WAYS,
    AsyncFeed,
    Bench,
    Feed,
    LoopOfTasks,
    TaskUser,
    ThreadUser,
    User,
    stoppable_time,
)

from tpssim import Limiter, Quota, Stages, athrottle, throttle
from tpssim.controllers import CONTROLLERS, actuators_of
from tpssim.core.costs import cost_rate

POLICIES = ("auto", "burst", "delay", "skip", "capped(3)")
RATES = st.sampled_from([0.5, 5.0, 10.0, 40.0, 200.0])
STAGES = st.lists(
    st.tuples(st.sampled_from([0.0, 0.2, 1.0, 5.0]), st.sampled_from([0.0, 1.0, 20.0, 150.0])),
    min_size=1,
    max_size=4,
).filter(lambda stages: any(a > 0.0 < b for a, b in stages))
QUOTAS: list[list[Quota]] = [
    [],
    [],
    [Quota(5, 0.5)],
    [Quota(40, 3.0), Quota(20, 1.0, of="cost", margin=0.0)],
]
TIMEOUTS = st.sampled_from([None, None, None, 0.0, 0.001, 0.05, 0.3, 5.0])
TIMES = st.sampled_from([0.0, 0.001, 0.01, 0.1, 0.7, 3.0, 20.0])
CROWD = st.sampled_from([1, 1, 1, 2, 5, 20, 100])
#: S that a crowd may take to read its clocks: nobody waits so much longer than his slot.
SLACK = 4e-3


class SharedRun(RuleBasedStateMachine):
    """The rules are what users, services, sources and the machine may do; each of them ends with
    `_check`.
    """

    kind = "throttle"

    @initialize(
        law=st.sampled_from(list(CONTROLLERS)),
        late=st.sampled_from(POLICIES),
        tps=RATES,
        plain=st.booleans(),
        asynchronous=st.booleans(),
        quotas=st.sampled_from(QUOTAS),
    )
    def begin(
        self, law: str, late: str, tps: float, plain: bool, asynchronous: bool, quotas: list[Quota]
    ) -> None:
        self.bench = Bench()
        self.plain = plain and self.kind != "limiter"
        self.over = False
        self.users: list[User] = []
        self.loops = [
            LoopOfTasks(self.bench) for _ in range({"throttle": 0, "limiter": 2}.get(self.kind, 1))
        ]
        self.feed = AsyncFeed() if asynchronous and self.kind == "athrottle" else Feed()
        exact = "reject" not in actuators_of(CONTROLLERS[law]()) and law != "token-bucket"
        ceilings = [(q.amount, q.per * (1.0 + q.margin), q.of == "cost") for q in quotas]
        self.contract = Contract(late, tps, exact, ceilings)
        self.strict_limit = not hasattr(CONTROLLERS[law], "admit")
        options = {"controller": law, "late": late, "spin": "off", "quotas": quotas}
        self.bench.do(lambda: self._make(tps, options))

    def _make(self, tps: float, options: dict[str, Any]) -> None:
        self.origin = time.perf_counter()
        if self.kind == "throttle":
            self.handle: Any = throttle(self.feed, tps, cost=self.cost_of, **options)
        elif self.kind == "athrottle":
            self.handle = athrottle(self.feed, tps, cost=self.cost_of, **options)
        else:
            self.handle = Limiter(tps, **options)
        self.permits: Any = None if self.plain or self.kind == "limiter" else self.handle.permits()

    # What users do, in threads and tasks.

    def cost_of(self, item: int) -> float:
        return (1.0, 1.0, 2.5, 0.0, 1.0, 0.5)[item % 6]

    def ask(self, user: User) -> tuple[Any, Any]:
        timeout = user.timeout
        if self.kind == "limiter":
            return self.handle.acquire(timeout, cost=user.cost), None
        if self.plain:
            item = next(self.handle)
            return self.handle._owners.mine()[-1], item
        item, permit = self.permits.next(timeout)
        return permit, item

    async def aask(self, user: User) -> tuple[Any, Any]:
        timeout = user.timeout
        if self.kind == "limiter":
            return await self.handle.aacquire(timeout, cost=user.cost), None
        if self.plain:
            item = await anext(self.handle)
            return self.handle._owners.mine()[-1], item
        item, permit = await self.permits.next(timeout)
        return permit, item

    def see(self, way: str) -> None:
        self.handle.see(RuntimeError(way) if way == "fail" else _Refusal())

    def granted(self, user: User, permit: Any, item: Any) -> None:
        pacer, contract = self.handle.flow.pacer, self.contract
        limit = pacer.state.limit if self.strict_limit else float("inf")
        assert not self.over or self.feed.ended, "released after stop()"
        assert permit.cost == (user.cost if item is None else self.cost_of(item))
        contract.granted(user, permit, item, self.rate(), limit)

    def rate(self) -> float:
        """What the law commands, of cost, before the last slot's cost was known."""
        pacer, unit = self.handle.flow.pacer, self.contract.schedule.unit
        path = pacer.path
        return cost_rate(pacer.state.rate, path.seen, path.asked, unit, path.varies)

    def is_over(self) -> bool:
        """Whether there is an end: of the run, of its items, or of the last stage."""
        since = time.perf_counter() - self.origin
        return self.over or since >= self.contract.wanted.ends - NOISE

    def asked_to_wait(self, before: float, after: float, seconds: float) -> None:
        self.contract.asked_to_wait(before - self.origin, after - self.origin, seconds)

    # The rules.

    def _new(self, n: int, tasks: bool, timeout: float | None) -> None:
        for _ in range(n):
            name = f"user {len(self.users)}"
            timeout = None if self.plain else timeout
            user: Any
            if tasks:
                user = TaskUser(self, name, timeout, self.loops[len(self.users) % len(self.loops)])
            else:
                user = ThreadUser(self, name, timeout)
            self.users.append(user)
            user.start()
            self.bench.go(2e-5)

    @precondition(lambda self: self.kind != "athrottle")
    @rule(n=CROWD, timeout=TIMEOUTS)
    def threads_ask(self, n: int, timeout: float | None) -> None:
        self._new(n, False, timeout)
        self._check()

    @precondition(lambda self: self.kind != "throttle")
    @rule(n=CROWD, timeout=TIMEOUTS)
    def tasks_ask(self, n: int, timeout: float | None) -> None:
        self._new(n, True, timeout)
        self._check()

    def _in(self, state: str) -> list[Any]:
        return [user for user in self.users if user.state == state]

    @precondition(lambda self: self._in("calling"))
    @rule(data=st.data(), way=st.sampled_from(WAYS), n=CROWD)
    def calls_end(self, data: st.DataObject, way: str, n: int) -> None:
        calling = self._in("calling")
        first = data.draw(st.integers(0, len(calling) - 1))
        if self.plain:
            way = "done" if way in WAYS[: len(WAYS) // 2] else "see"
        for user in calling[first : first + n]:
            user.tell(way)
        self._check()

    @precondition(lambda self: self.loops and (self._in("asking") or self._in("calling")))
    @rule(data=st.data(), n=CROWD)
    def tasks_are_cancelled(self, data: st.DataObject, n: int) -> None:
        tasks = [
            user for user in self.users if isinstance(user, TaskUser) and user.task is not None
        ]
        if not tasks:
            return
        first = data.draw(st.integers(0, len(tasks) - 1))
        for task in tasks[first : first + n]:
            task.cancel()
        self.bench.settle()
        assert not any(task.state == "asking" for task in tasks[first : first + n]), "it waits on"
        self._check()

    @rule(tps=RATES)
    def the_target_changes(self, tps: float) -> None:
        def change() -> None:
            if not self.is_over():
                self.handle.tps = tps
                self.contract.wanted.change(time.perf_counter() - self.origin, tps)

        self.bench.do(change)
        self._check()

    @precondition(lambda self: self.handle.flow.pacer is not None)  # else it begins later
    @rule(stages=STAGES, start=st.sampled_from([0.0, 0.0, 50.0]))
    def the_target_is_a_profile_from_now_on(
        self, stages: list[tuple[float, float]], start: float
    ) -> None:
        def change() -> None:
            if not self.is_over():
                self.handle.tps = Stages(stages, start)
                self.contract.wanted.profile(time.perf_counter() - self.origin, stages, start)

        self.bench.do(change)
        self._check()

    @rule(seconds=TIMES)
    def time_passes(self, seconds: float) -> None:
        self.bench.go(seconds)
        self._check()

    @rule(seconds=st.sampled_from([0.05, 0.3, 3.0]))
    def the_process_is_stopped(self, seconds: float) -> None:
        self.bench.stop(seconds)
        self._check()

    @precondition(
        lambda self: self.kind != "limiter" and not (self.loops and isinstance(self.feed, Feed))
    )
    @rule(seconds=st.sampled_from([0.05, 0.5, 5.0]))
    def the_source_is_empty_for_a_while(self, seconds: float) -> None:
        self.feed.empty_until = max(self.feed.empty_until, self.bench.now + seconds)

    @precondition(lambda self: self.kind != "limiter")
    @rule()
    def the_source_fails_once(self) -> None:
        self.feed.fails = True

    @precondition(lambda self: len(self.contract.releases) > 20)
    @rule(how=st.sampled_from(["stop", "end", *["not yet"] * 4]))
    def it_ends(self, how: str) -> None:
        if how == "stop" or (how == "end" and self.kind == "limiter"):
            self.over = True
            self.bench.do(self.handle.stop)
        elif how == "end":
            self.over = self.feed.ended = True
        self._check()

    # What must hold.

    def _check(self) -> None:
        self.bench.settle()
        bench, contract = self.bench, self.contract
        bench.do(self._sums)
        flow, now = self.handle.flow, bench.now
        self.over = self.over or now - self.origin > contract.wanted.ends + SLACK
        waits_for_item = now < self.feed.empty_until + SLACK
        for user in contract.line:
            until = user.asked + (user.timeout if user.timeout is not None else float("inf"))
            assert now < until + SLACK or waits_for_item, f"{user} waits though its time is up"
        if flow.pacer is not None and not self.over and not waits_for_item:
            pacer, at = flow.pacer, now - self.origin - SLACK
            rate, limit = self.rate(), pacer.state.limit
            cost = self.cost_of(contract.items)
            if self.kind == "limiter" and contract.line:
                cost = contract.line[0].cost
            late = contract.overdue(at, rate, limit, cost, lambda: pacer.deadline)
            assert not late, (
                f"{contract.line[0]} waits for a slot that has come, {len(contract.line)}"
            )

    def _sums(self) -> None:
        pending = None if self.kind == "limiter" else self.handle.pending
        self.contract.check(self.handle.report(), self.feed.fetched, pending)

    def teardown(self) -> None:
        if not hasattr(self, "handle"):
            return
        try:
            if not self.bench.errors and sys.exc_info()[0] is None:
                self._end()
        finally:
            self.bench.close()

    def _end(self) -> None:
        bench = self.bench
        bench.go(max(self.feed.empty_until - bench.now, 0.0) + 0.01)
        self.over = True
        bench.do(self.handle.stop)
        bench.go(2.0)  # where threads and loops wait in one line they look once a second
        assert not self._in("asking"), "somebody waits after stop()"
        for user in self._in("calling"):
            user.tell("done" if self.plain else "garbage")
        bench.go(2.0)
        self._check()
        report = bench.do(self.handle.report)
        assert report.in_flight == 0
        line = self.handle.flow.queue
        assert not line.waiting
        assert line.baton == [None]
        bench.do(self.handle.close)
        for loop in self.loops:
            loop.close()
        bench.go(2.0)
        left = [
            vthread
            for vthread in (*bench.vthreads, *bench.root.started)
            if not vthread.greenlet.dead
        ]
        assert not left, f"{len(left)} threads are left"


class _Refusal:
    status_code = 429
    headers = MappingProxyType({"Server": "test"})


class OnThrottle(SharedRun):
    kind = "throttle"


class OnAthrottle(SharedRun):
    kind = "athrottle"


class OnLimiter(SharedRun):
    kind = "limiter"


def play(machine: type[SharedRun], examples: int, steps: int) -> None:
    how = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.reuse, Phase.generate, Phase.shrink],
        report_multiple_bugs=False,
    )
    # What is garbage is settled on the spot; a collection would come outside of virtual time.
    gc.collect()
    gc.disable()
    try:
        with stoppable_time():
            run_state_machine_as_test(machine, settings=how)
    finally:
        gc.enable()
        gc.collect()


@pytest.mark.parametrize("machine", [OnThrottle, OnAthrottle, OnLimiter], ids=lambda m: m.kind)
@pytest.mark.filterwarnings("ignore::tpssim.ThrottleWarning")
def test_whatever_they_do(machine: type[SharedRun]) -> None:
    play(machine, 20, 40)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    n, length = (int(word) for word in (*sys.argv[1:], "1000", "60")[:2])
    for each in (OnThrottle, OnAthrottle, OnLimiter):
        began = time.perf_counter()
        play(each, n, length)
        print(
            f"{each.kind}: {n} runs of {length} steps hold, {time.perf_counter() - began:.0f} s",
            flush=True,
        )
