"""The words in which `METRICS` are defined."""

from __future__ import annotations

from collections.abc import Mapping

#: The words of the definitions.
TERMS: Mapping[str, str] = {
    "call": (
        "a slot that was released; a slot that was refused locally is none. Completed: outcome ok."
        " Where calls have costs, calls completed or achievable count as their costs, and rates are"
        " of cost; bursts, errors and what the throttle counts are of calls"
    ),
    "nan, inf": (
        "nan: the measure does not exist for the run. inf: what it waits for never happened"
    ),
    "capacity, achievable": (
        "at a time: `capacity` of the scenario, and the least of it and of what is wanted; over a"
        " phase: the value at its start if nothing varies in it, else the mean at 200 mid-points"
        " of equal parts (20 where a bin is meant). A rise: an edge at which the achievable is"
        " above what it was just before (by more than 1e-9 of it), or one of a stage at which no"
        " more than the capacity is wanted (as far as known quotas and the share of successes let"
        " it through), where more was in the middle of a phase since the edge of a stage before"
        " it. The achievable at a rise is that at the edge; if the phase behind it ramps, its mean"
        " there if that is less"
    ),
    "phase": (
        "a stretch [start, end) between two edges: of disturbances, of producers coming and"
        " leaving, of the stages of a target over time (and where such a stage crosses a constant"
        " capacity), of the run. Long: of at least 5 s, or as long as the longest if none is. It"
        " ramps if what is wanted changes within it"
    ),
    "steady window": "the second half [(start + end) / 2, end) of a long phase",
    "line": (
        "of the command in a steady window: its mean; if the phase ramps, the straight line of"
        " least squares through its 1000 points there"
    ),
    "command": (
        "at a time t, the sum over the producers that are there (start <= t < end) of the rate at"
        " the producer's last release at or before t (before its first: at that), at most its"
        " target at t. If every slot has an infinite rate and a finite limit: the limit in place"
        " of the rate, uncut. Code that hides its rate (nan): its releases in (t - 1 s, t], over"
        " the time since its start, at least one interval of the target and at most 1 s. Of a"
        " window: at 1000 points, its start + k x its length / 1000"
    ),
    "deadline": (
        "of the scenario: its `deadline`, or ten times the mean latency of a call without load and"
        " disturbance (service, cost and network), at least 50 ms"
    ),
    "asked for": (
        "when a call is waited for: from its release where a loop hands out items; from its slot"
        " where gaps are random; from its arrival where those are recorded"
    ),
    "ceiling": (
        "of a producer with even gaps: a call is within it if its calls within the ceiling that"
        " were released before it in (t - 1 s, t] cost no more than what it wanted in that"
        " second and in the 0.1 s before, or the mean cost of a call in place of the latter if that"
        " is more (before time 0 it wants what it wants at 0; up to a millionth of it). All calls"
        " are within it where gaps are random or arrivals recorded"
    ),
    "percentile": "linear between ranks (Hyndman & Fan, type 7: NumPy's default)",
    "bins": (
        "seconds from the start of the run (of a shorter run: one bin of its length); what is left "
        "at its end belongs to none, and a completion at the end of the last bin to that"
    ),
}
