"""BBR's pacing: send at the best rate that was delivered lately, and probe for more in turns."""

from __future__ import annotations

import math
from array import array
from typing import Annotated, NamedTuple

from tpssim.core.types import Observation, described, floored, record
from tpssim.core.validation import Range
from tpssim.core.window import SHORTEST_WINDOW, Sensor

STARTUP, DRAIN, PROBE = 0.0, 1.0, 2.0
HIGH, LOW = 2.885, 0.347  # 2 / ln 2 and its inverse
GROWTH, PATIENCE = 1.25, 3.0  # startup ends after three rounds that grew by less than 25 %


@record
class BbrState(NamedTuple):
    rate: float
    limit: float
    reject: float
    time: float  #: end of the last round, s
    rounds: float  #: how many there were
    best: float  #: most delivered in the last rounds, 1/s
    full: float  #: most when growth was seen last, 1/s
    stalled: float  #: rounds without growth
    mode: float  #: startup, drain or probe
    turn: float  #: of the probe cycle, 0..7
    target: float  #: the target last seen, 1/s


@described(
    """Pace at a gain times the most that was delivered in a second, of the last rounds.

    A round is the calls that end within the least latency seen in it, but `round` seconds at least.
    Per round::

        delivered = successes / time of the round
        best      = the most of the last `memory_rounds` rounds
        startup:  gain 2.885 and never slower than before,
                  until best grew by less than 25 % for 3 rounds
        drain:    gain 0.347 for one round
        probe:    gains 1.25, 0.75, 1, 1, 1, 1, 1, 1 in turn, begun at random, not with 0.75
        rate      = max(min_rate, min(gain * best, target))

    It starts at `initial`. It needs neither refusals nor slow calls: what was delivered is
    enough.

    Deviations: no window and so no ProbeRTT; a round is a stretch of time, not a flight of packets;
    drain lasts one round, for a queue cannot be seen; a round that the target limited counts, where
    the original takes it only if it delivered more. Of Linux's module, the margin of 1 % and the
    search for a policer are left out.

    >>> from array import array
    >>> law = Bbr()
    >>> memory = array("d", [0.0]) * law.memory()
    >>> seen = Observation(0.5, 1000.0, 0.01, 0.0, 10.0)
    >>> round(law.update(law.init(1000.0), seen, memory).rate, 6)
    57.7
    """,
    actuators=("rate",),
    signals="delivered rate",
    origin="BBR version 1 (Cardwell and others), the pacing only",
    year=2016,
)
@record
class Bbr(NamedTuple):
    initial: Annotated[
        float, Range(0.0, 1e6, "1/s", False, search=(1.0, 100.0), log=True), "rate at the start"
    ] = 10.0
    round: Annotated[
        float,
        Range(SHORTEST_WINDOW, 60.0, "s", search=(0.1, 2.0), log=True),
        "least duration of a round",
    ] = 0.5
    memory_rounds: Annotated[
        float,
        Range(1.0, 1000.0, "rounds", search=(2.0, 40.0)),
        "number of rounds of which the best is remembered",
    ] = 10.0
    min_rate: Annotated[
        float,
        Range(0.0, 1e6, "1/s", False, search=(0.1, 10.0), log=True),
        "least rate that is commanded",
    ] = 1.0

    def sensor(self) -> Sensor:
        return Sensor(self.round, 10.0, 1.0)

    def memory(self) -> int:
        return int(self.memory_rounds)

    def init(self, target: float) -> BbrState:
        rate = max(min(self.initial, target), min(self.min_rate, target))
        return BbrState(
            rate=rate,
            limit=math.inf,
            reject=0.0,
            time=0.0,
            rounds=0.0,
            best=0.0,
            full=0.0,
            stalled=0.0,
            mode=STARTUP,
            turn=0.0,
            target=target,
        )

    def update(self, state: BbrState, obs: Observation, memory: array[float]) -> BbrState:
        time = obs.now - state.time
        if obs.count < 1.0 or not time > 0.0:
            return paced(state, self.initial, self.min_rate, obs.target)
        memory[int(state.rounds) % len(memory)] = min((obs.count - obs.errors) / time, 1e15)
        best = 0.0
        for delivered in memory:
            best = max(best, delivered)
        full, stalled, mode, turn = state.full, state.stalled, state.mode, state.turn
        if mode == STARTUP:
            stalled += 1.0
            if best >= GROWTH * full:
                full, stalled = best, 0.0
            if stalled >= PATIENCE:
                mode = DRAIN
        elif mode == DRAIN:
            mode = PROBE
            turn = floored(obs.u * 7.0)
            if turn >= 1.0:
                turn += 1.0  # never begun with 0.75
        else:
            turn = 0.0 if turn >= 7.0 else turn + 1.0
        rate = gain(mode, turn) * best
        if mode == STARTUP:
            rate = max(rate, state.rate)  # one slow round does not end the search
        rate = max(self.min_rate, min(rate, obs.target))
        return BbrState(
            rate=rate,
            limit=state.limit,
            reject=state.reject,
            time=obs.now,
            rounds=state.rounds + 1.0,
            best=best,
            full=full,
            stalled=stalled,
            mode=mode,
            turn=turn,
            target=obs.target,
        )

    def why(self, before: BbrState, obs: Observation, after: BbrState) -> str:
        mode = ("startup", "drain", f"probe, turn {after.turn:.0f}")[int(after.mode)]
        factor = gain(after.mode, after.turn)
        return f"{mode}: {factor:g} x the best delivered {after.best:.4g}/s"


def paced(state: BbrState, initial: float, min_rate: float, target: float) -> BbrState:
    """The state for another target: the same gain times the same best, or the start's rate before
    the first.

    >>> paced(Bbr().init(4.0), 10.0, 1.0, 100.0).rate
    10.0
    """
    if target == state.target:
        return state
    rate = max(min(initial, target), min(min_rate, target))
    if state.rounds > 0.0:
        wanted = gain(state.mode, state.turn) * state.best
        if state.mode == STARTUP:
            wanted = max(wanted, state.rate)
        rate = max(min_rate, min(wanted, target))
    return BbrState(
        rate=rate,
        limit=state.limit,
        reject=state.reject,
        time=state.time,
        rounds=state.rounds,
        best=state.best,
        full=state.full,
        stalled=state.stalled,
        mode=state.mode,
        turn=state.turn,
        target=target,
    )


def gain(mode: float, turn: float) -> float:
    """The pacing gain.

    >>> gain(STARTUP, 0.0), [gain(PROBE, float(turn)) for turn in range(4)]
    (2.885, [1.25, 0.75, 1.0, 1.0])
    """
    if mode == STARTUP:
        return HIGH
    if mode == DRAIN:
        return LOW
    if turn == 0.0:
        return 1.25
    return 0.75 if turn == 1.0 else 1.0
