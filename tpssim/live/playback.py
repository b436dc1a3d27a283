"""A recording fed to its law again: equal observations give equal decisions, bit for bit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tpssim.controllers import CONTROLLERS
from tpssim.core.errors import InputError
from tpssim.core.pacer import Pacer
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
from tpssim.live.arguments import checked_rate, draws, late_of
from tpssim.live.journal import events


@record
class Call(NamedTuple):
    """A slot of a recorded run; times in s since its start, nan where there is none."""

    scheduled: float
    released: float
    completed: float
    rate: float  #: as commanded at the release, as are `limit` and `in_flight`
    limit: float
    in_flight: float
    outcome: int  #: index into `tpssim.core.types.OUTCOMES`


@record
class Recording(NamedTuple):
    """A recorded run."""

    header: Mapping[str, Any]
    events: list[
        dict[str, Any]
    ]  #: the law's observations, in order, with times of the run's own clock
    report: Mapping[str, Any]  #: numbers of its report; empty if the run was cut off
    start: Mapping[str, Any]  #: its first moment: `t`, `tps`, `calls`


@record
class Playback(NamedTuple):
    """What a law decided from the observations of a recorded run."""

    decisions: int  #: states that were compared
    difference: str  #: the first difference from the recording; "" if there is none
    calls: list[Call]
    pacer: Pacer  #: as it is at the end


def read_recording(path: str | Path) -> Recording:
    """A recording; raises `InputError` if it is none, or if it ended before its first call."""
    header, *rest = events(path)
    report = rest.pop() if rest and rest[-1]["e"] == "stop" else {}
    if not rest or rest[0]["e"] != "start":
        raise InputError(f"{path} has no call; allowed: the recording of a run that made calls")
    return Recording(header, rest[1:], report, rest[0])


def recorded_law(recording: Recording) -> Controller[Any]:
    """The law of a recorded run; raises `InputError` if it is not one of `CONTROLLERS`."""
    header = recording.header
    name = header["controller"]
    if name not in CONTROLLERS:
        raise InputError(
            f"the recorded law {name!r} is not built in; allowed: {', '.join(CONTROLLERS)}"
        )
    return replaced(CONTROLLERS[name](), name, header["parameters"])


def play(recording: Recording) -> Playback:
    """Feed the observations of a recording to its law, from the start, and compare each state.

    The release rule, the windows and the draws are those of the live run. Only the times of events
    and the outcomes of calls come from the recording. Raises `InputError` for impossible events.
    """
    header, start = recording.header, float(recording.start["t"])
    try:
        law, late = recorded_law(recording), late_of(str(header["late"]))
    except InputError as error:
        raise InputError(f"line 1 of the recording: {error}") from error
    wanted = _wanted(recording.start["tps"])
    pacer = Pacer(law, wanted, start, *draws(int(header["seed"])), late=late)
    calls: dict[int, Call] = {}
    flights: dict[int, tuple[float, float, float]] = {}
    difference = _differs(pacer, recording.start, 0)
    for number, event in enumerate(recording.events, 1):
        kind, t = event["e"], event["t"]
        try:
            if kind in ("release", "refuse"):
                due, slot = pacer.due(), pacer.slot
                if (due, slot) != (event["due"], event["call"]):
                    found = (
                        f"call {slot} was due at {due!r}, recorded: {event['call']} at"
                        f" {event['due']!r}"
                    )
                    return Playback(number, difference or found, list(calls.values()), pacer)
                given = pacer.release(t)
                outcome = UNFINISHED if given else REFUSED
                released = t - start if given else math.nan
                if not given:
                    pacer.refused(t)
                state = pacer.state
                flying = float(pacer.flying)
                flights[slot] = due, t, flying
                calls[slot] = Call(
                    due - start, released, math.nan, state.rate, state.limit, flying, outcome
                )
                if given != (kind == "release"):
                    difference = (
                        difference
                        or f"call {slot} was {'released' if given else 'refused'}: not so live"
                    )
            elif kind == "end":
                slot, outcome = event["call"], event["outcome"]
                if slot not in flights or not 0 <= outcome < len(OUTCOMES):
                    raise ValueError(f"call {slot} is not in flight, or has no outcome {outcome}")
                due, released, flying = flights.pop(slot)
                if outcome == UNFINISHED:
                    pacer.forgotten()
                else:
                    calls[slot] = calls[slot]._replace(completed=t - start, outcome=outcome)
                    errors, drops = error_of(outcome), drop_of(outcome)
                    pacer.settled(t, t - released, released - due, errors, drops, flying)
            elif kind == "look" and pacer.sensor is not None:
                pacer.look(t)
            elif kind == "tps":
                pacer.retarget(t, _wanted(event["tps"]))
            else:
                raise ValueError("there is no such event in a run of this law")
            difference = difference or _differs(pacer, event, number)
        except (ValueError, ArithmeticError) as error:
            what = f"line {number + 2} of the recording ({kind} at {t} s) is impossible"
            raise InputError(f"{what}: {error}; allowed: a recording as it was written") from error
    return Playback(len(recording.events) + 1, difference, list(calls.values()), pacer)


def _wanted(tps: float | None) -> float:
    """The wanted rate of an event; null if none was wanted."""
    return checked_rate(math.inf if tps is None else tps)


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
