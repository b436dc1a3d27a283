"""A recording fed to its law again: equal observations give equal decisions, bit for bit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tpssim.controllers import CONTROLLERS
from tpssim.core.errors import InputError, all_of
from tpssim.core.pacer import Pacer
from tpssim.core.profiles import Stages
from tpssim.core.types import (
    OUTCOMES,
    REFUSED,
    UNFINISHED,
    Controller,
    drop_of,
    error_of,
    record,
)
from tpssim.core.validation import replaced
from tpssim.live.arguments import checked_cost, checked_rate, draws, late_of
from tpssim.live.events import events
from tpssim.live.journal import RECENT


@record
class Call(NamedTuple):
    """A slot of a recorded run; times in s since its start, nan where there is none."""

    scheduled: float
    released: float
    completed: float
    rate: float  #: as commanded at the release, of cost per second, as are `limit` and `in_flight`
    limit: float
    in_flight: float
    outcome: int  #: index into `tpssim.core.types.OUTCOMES`
    cost: float = 1.0
    retry_after: float = math.nan  #: in how many s its answer asked the caller to come back


@record
class Journal(NamedTuple):
    """A recorded run."""

    header: Mapping[str, Any]
    #: the law's observations, in order, with times of the run's own clock
    events: list[dict[str, Any]]
    report: Mapping[str, Any]  #: numbers of its report; empty if the run was cut off
    start: Mapping[str, Any]  #: its first moment: `t`, `tps`, `calls`


@record
class Playback(NamedTuple):
    """What a law decided from the observations of a recorded run."""

    decisions: int  #: states that were compared
    difference: str  #: the first difference from the recording; "" if there is none
    calls: list[Call]
    pacer: Pacer  #: as it is at the end


def read_journal(path: str | Path) -> Journal:
    """A recording; raises `InputError` if it is none, or if it ended before its first call."""
    header, *rest = events(path)
    report = rest.pop() if rest and rest[-1]["e"] == "stop" else {}
    if not rest or rest[0]["e"] != "start":
        raise InputError(f"{path} has no call; allowed: the recording of a run that made calls")
    return Journal(header, rest[1:], report, rest[0])


def recorded_law(recording: Journal) -> Controller[Any]:
    """The law of a recorded run; raises `InputError` if it is not one of `CONTROLLERS`."""
    header = recording.header
    name = header["controller"]
    if name not in CONTROLLERS:
        allowed = all_of("controllers")
        raise InputError(f"the recorded law {name!r} is not built in; allowed: {allowed}")
    return replaced(CONTROLLERS[name](), name, header["parameters"])


def play(recording: Journal) -> Playback:
    """Feed the observations of a recording to its law, from the start, and compare each state.

    The release rule, the windows and the draws are those of the live run. Only the times of events
    and the outcomes of calls come from the recording. Raises `InputError` for impossible events.
    """
    header, start = recording.header, float(recording.start["t"])
    try:
        law, late = recorded_law(recording), late_of(str(header["late"]))
    except InputError as error:
        raise InputError(f"line 1 of the recording: {error}") from error
    wanted = wanted_of(recording.start)
    seed, cost = draws(int(header["seed"])), mean_cost_of(header)
    pacer = Pacer(law, wanted, start, *seed, late=late, mean_cost=cost)
    player = _Player(pacer)
    difference = _differs(pacer, recording.start, 0)
    for number, event in enumerate(recording.events, 1):
        kind, t = event["e"], event["t"]
        try:
            if kind in ("release", "refuse"):
                if other := player.other_slot(event):
                    calls = list(player.calls.values())
                    return Playback(number, difference or other, calls, pacer)
                other = player.slot(t, event.get("cost", 1.0), kind == "release")
                difference = difference or other
            elif kind == "end":
                player.end(t, event["call"], event["outcome"], event.get("retry_after", math.nan))
            elif kind == "look" and pacer.sensor is not None:
                pacer.look(t)
            elif kind == "tps":
                pacer.retarget(t, wanted_of(event))
            else:
                raise ValueError("there is no such event in a run of this law")
            difference = difference or _differs(pacer, event, number)
        except (ValueError, ArithmeticError) as error:
            what = f"line {number + 2} of the recording ({kind} at {t} s) is impossible"
            raise InputError(f"{what}: {error}; allowed: a recording as it was written") from error
    return Playback(len(recording.events) + 1, difference, list(player.calls.values()), pacer)


class _Player:
    """A pacer and the calls that it has released so far."""

    def __init__(self, pacer: Pacer) -> None:
        self._pacer = pacer
        self.calls: dict[int, Call] = {}
        self._in_flight: dict[int, tuple[float, float, float]] = {}

    def other_slot(self, event: Mapping[str, Any]) -> str:
        """How the next slot differs from the recorded one; "" if it is equal, bit for bit."""
        due, slot = self._pacer.due(), self._pacer.slot
        if (due, slot) == (event["due"], event["call"]):
            return ""
        return f"call {slot} was due at {due!r}, recorded: {event['call']} at {event['due']!r}"

    def slot(self, t: float, cost: float, recorded: bool) -> str:
        """Release the next slot, or refuse it as the law decides; how that differs, if it does."""
        pacer, start = self._pacer, self._pacer.start
        due, slot = pacer.due(), pacer.slot
        given = pacer.release(t, cost)
        if not given:
            pacer.refused(t)
        state, flying = pacer.state, float(pacer.flying)
        self._in_flight[slot] = due, t, flying
        self.calls[slot] = Call(
            due - start,
            t - start if given else math.nan,
            math.nan,
            state.rate * pacer.path.unit,
            state.limit,
            flying,
            UNFINISHED if given else REFUSED,
            cost,
        )
        if given == recorded:
            return ""
        return f"call {slot} was {'released' if given else 'refused'}: not so live"

    def end(self, t: float, slot: int, outcome: int, wait: float) -> None:
        """A call is over; raises `ValueError` if that cannot be."""
        pacer = self._pacer
        if slot not in self._in_flight or not 0 <= outcome < len(OUTCOMES):
            raise ValueError(f"call {slot} is not in flight, or has no outcome {outcome}")
        due, released, flying = self._in_flight.pop(slot)
        if outcome == UNFINISHED:
            pacer.forgotten()
            return
        call = self.calls[slot]
        ended = t - pacer.start
        self.calls[slot] = call._replace(completed=ended, outcome=outcome, retry_after=wait)
        pacer.settled(t, t - released, released - due, error_of(outcome), drop_of(outcome), flying)


def wanted_of(event: Mapping[str, Any]) -> float | Stages:
    """The wanted rate of an event, or a profile; null if none was wanted."""
    if "stages" in event:
        return Stages(event["stages"])
    return checked_rate(math.inf if event["tps"] is None else event["tps"])


def mean_cost_of(header: Mapping[str, Any]) -> float | None:
    """What a call counts as for the law, None for the mean of the calls so far; raises
    `InputError`.
    """
    cost = header.get("mean_cost", 1.0)
    if cost == RECENT:
        return None
    try:
        return checked_cost(cost)
    except InputError as error:
        raise InputError(f"line 1 of the recording: mean_{error}, or {RECENT!r}") from None


def _differs(pacer: Pacer, event: Mapping[str, Any], number: int) -> str:
    """How the actuators differ from those recorded after an event; "" if they are equal, bit for
    bit."""
    rate = math.inf if event["rate"] is None else event["rate"]
    recorded = rate, event.get("limit", math.inf), event.get("reject", 0.0)
    state = pacer.state
    found = state.rate, state.limit, state.reject
    if found == recorded:
        return ""
    return (
        f"event {number} ({event['e']} at {event['t']:.6f} s): found {found}, recorded {recorded}"
    )
