"""What each measure is: unit, definition, source, which way is better, and a function of the run.

Those without a function are counters of the throttle, or share sums or sorted values with others;
`single_pass` and `order_statistics` compute them, and `measure` the fairness of several producers.

With `TERMS` the definitions are complete: whoever has a trace and its scenario computes each value
from this text alone, and `tests/helpers/independent_measures.py` does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from tpssim.core.types import OK, record
from tpssim.metrics.layout import ALONE, END, START, Run
from tpssim.scenarios.plant import BLOCKING

if TYPE_CHECKING:
    from tpssim.output.records.parts import Definitions


@record
class Metric(NamedTuple):
    unit: str
    definition: str
    source: str
    better: str = ""  #: "more", "less", or "" where neither is better as such
    #: Its value, of numbers alone: it is compiled into the single pass.
    value: Callable[[Run], float] | None = None


def stretch(run: Run) -> float:
    columns, phases = run.columns, run.frame.phases
    waited, alone = 0.0, 0.0
    for i in range(run.n):
        if columns.outcome[i] != OK:
            continue
        begun = columns.scheduled[i] if run.frame.consumer == BLOCKING else columns.released[i]
        for k in range(len(phases)):
            if phases[k, START] <= columns.released[i] < phases[k, END]:
                if phases[k, ALONE] < math.inf:
                    waited += columns.completed[i] - begun
                    alone += phases[k, ALONE]
                break
    return waited / alone if alone > 0.0 else math.nan


_OURS = "tpssim"
_CONTROL = "Astrom & Hagglund, Advanced PID Control (2006), ch. 4"

METRICS: Mapping[str, Metric] = {
    "throughput": Metric("1/s", "calls completed / duration of the run", "queueing: X", "more"),
    "achieved": Metric(
        "share",
        "sum over phases of min(calls completed, achievable calls) / sum of achievable calls; a"
        " storm that makes up for an earlier phase does not count; nan if nothing is achievable",
        _OURS,
        "more",
    ),
    "worst_phase": Metric(
        "share",
        "least (calls completed / achievable calls) of any long phase, which is 1 where nothing is "
        "achievable",
        _OURS,
        "more",
    ),
    "utilisation": Metric(
        "share",
        "calls completed / integral of capacity over the run; 0 if unlimited, nan if there is none",
        "queueing: U",
        "more",
    ),
    "steady_error": Metric(
        "share",
        "1 - calls completed in the last steady window / calls achievable in that time at the mean"
        " achievable rate of its phase (of the window, if the phase ramps); negative while a"
        " backlog is worked off; 0 if nothing is achievable",
        _CONTROL,
    ),
    "overshoot": Metric(
        "share",
        "most releases in any half-open second of the last long phase (its length if shorter), per"
        " second, / mean achievable rate of that phase - 1; 0 if below, nan if nothing is"
        " achievable. If it ramps: most (releases - achievable calls) in such a second from a"
        " release on, up to the end of the phase, over the same; the achievable is summed at the"
        " mid-points of 2000 equal parts and linear within each",
        _CONTROL,
        "less",
    ),
    "settling_time": Metric(
        "s",
        "from the start of the last long phase to the first of 2000 even points of it (start + k x"
        " length / 2000) behind the last one at which the command is more than 10 % of its mean in"
        " the steady window away from its line; 0 if none is; inf if the last point is. The longest"
        " of this and of the same of each long phase that begins with an edge of a stage",
        "MATLAB stepinfo, with a band of 10 %",
        "less",
    ),
    "recovery_time": Metric(
        "s",
        "from each rise to the first release before the next edge at which the command is at least"
        " 95 % of the achievable at the rise, the longest; inf if there is none; nan without a"
        " rise, if a limit held slots back, or if the law commands by its limit",
        _OURS,
        "less",
    ),
    "swing": Metric(
        "share",
        "(95th - 5th percentile) of the command less its line / its mean, in the steady window"
        " where it is largest (of equal ones the first); 0 while nothing is achievable or"
        " commanded. Of a law that commands by its limit it is the limit's; refusals are not in it"
        " (`churn`)",
        "peak-to-peak amplitude of a limit cycle, robust to single samples",
        "less",
    ),
    "regularity": Metric(
        "1",
        "R of the command in that window, less its line: with its autocorrelation a_k = sum w_i"
        " w_(i+k) / sum w_i^2 (k < 500), its first minimum p, the maximum q and the minimum r that"
        " follow, the height of a_q above the line from p to r / the depth of a_p below the line"
        " from lag 0 to q; above 0.5: oscillatory; nan without these turns, or if the command is"
        " constant up to 1e-12",
        "Miao & Seborg 1999",
    ),
    "period": Metric(
        "s",
        "period of the command in that window: twice the mean of the intervals between the zero"
        " crossings of a_k (linear between lags; the stretch before the first left out; at most 10"
        " intervals), if it is regular: R > 0.5 and r > 1, where r = period / (3 x twice their"
        " sample standard deviation), infinite where that is 0; else, with fewer than two"
        " intervals, or where nothing is achievable, nan",
        "Thornhill, Huang & Zhang 2003",
    ),
    "total_variation": Metric(
        "1/s per s",
        "sum of |change of the logged rate from one call to the next|, each producer's apart and"
        " not cut at the target, / duration; calls with an open rate are left out, so it is 0 for a"
        " law that commands by limit or refusals (`churn` compares them); nan if the rate is"
        " hidden. A rate may follow a profile for nothing: what the wanted rate moves from one"
        " release to the next is a credit, of which a move of the rate in that direction uses up"
        " as much as it can before it counts",
        "Skogestad 2003",
        "less",
    ),
    "iae": Metric(
        "calls", "sum over the bins of |achievable - completed calls| in each", _CONTROL, "less"
    ),
    "itae": Metric(
        "calls s",
        "the same, each bin times the time of its middle since the start",
        _CONTROL,
        "less",
    ),
    "response_p50": Metric(
        "s",
        "median of completion - scheduled release, as the late policy left it (`response_p99`),"
        " over the completed calls; nan without one",
        "Tene: coordinated omission",
        "less",
    ),
    "response_p99": Metric(
        "s",
        "99th percentile of completion - scheduled release over the completed calls: failed,"
        " refused and unfinished ones are not in it (`errors`). A late policy that gives slots up"
        " moves the schedule, and what is not scheduled waits for nothing: after a stall of 2 s"
        " delay and skip leave some ms here where burst leaves 2 s; what was given up is `skipped`",
        "Tene: coordinated omission",
        "less",
    ),
    "response_p999": Metric(
        "s",
        "99.9th percentile of what response_p99 is one of",
        "Tene: coordinated omission",
        "less",
    ),
    "lag_p99": Metric(
        "s",
        "99th percentile of release - scheduled release over all calls",
        "wrk2, Nighthawk",
        "less",
    ),
    "lag_max": Metric("s", "longest release - scheduled release", "wrk2, Nighthawk", "less"),
    "lateness_p50": Metric(
        "s",
        "median of release - scheduled release over the calls for which the producer was free in"
        " time, the timer's part of the lag: its call before had been released, and of a blocking"
        " consumer its latency was over, of an async one the hand-off, at the scheduled time; nan"
        " if a limit held slots back or a queue is bounded",
        "cyclictest",
        "less",
    ),
    "lateness_p99": Metric(
        "s", "99th percentile of the lags of lateness_p50", "cyclictest", "less"
    ),
    "drift": Metric(
        "ppm",
        "growth of the least release - scheduled release from the first to the last quarter of the"
        " last steady window / three quarters of it: what is never made up; nan if either is"
        " without a call, if a limit held slots back, or if the law commands by its limit",
        _OURS,
    ),
    "burst_10ms": Metric("calls", "most releases in any half-open 10 ms", "MoonGen, vayu", "less"),
    "burst_100ms": Metric(
        "calls", "most releases in any half-open 100 ms", "MoonGen, vayu", "less"
    ),
    "spin_cpu": Metric(
        "share",
        "time spent reading the clock while waiting, which the throttle counts, / duration",
        _OURS,
        "less",
    ),
    "errors": Metric(
        "share",
        "1 - calls completed / calls (unfinished ones count as errors); nan without a call",
        "SRE book, ch. 4",
        "less",
    ),
    "refused": Metric("calls", "slots whose call was refused locally", "SRE book, ch. 21", "less"),
    "limited": Metric(
        "slots",
        "slots that the limit held back, as the throttle counts them",
        _OURS,
    ),
    "caught_up": Metric(
        "calls",
        "releases made an interval or more behind the schedule, as the throttle counts them",
        "tokio: Burst",
        "less",
    ),
    "re_anchored": Metric(
        "times",
        "how often the schedule was restarted or cut short, as the throttle counts it",
        "tokio: Delay",
        "less",
    ),
    "skipped": Metric(
        "slots",
        "slots that the late policy gave up, as the throttle counts them: ticks left out, or by how"
        " many intervals the schedule was moved",
        "tokio: Skip; k6: dropped iterations",
        "less",
    ),
    "stretch": Metric(
        "1",
        "over the completed calls: sum of completion - release (of a blocking consumer: - scheduled"
        " release) / sum of the mean service time without load, and of the network, in the phase of"
        " the release; calls released while the service stands still are left out; 1: nothing"
        " waits",
        "slowdown: Harchol-Balter, Performance Modeling, ch. 7",
        "less",
        value=stretch,
    ),
    "regain_time": Metric(
        "s",
        "from each rise to the first completion that, with those before it, makes 95 % of the"
        " achievable at the rise or more within a second (until the next edge if that is"
        " nearer), that second included (0.95 s at an even pace, less in a storm), the longest; inf"
        " if there is none before the next edge; nan without a rise",
        _OURS,
        "less",
    ),
    "fairness": Metric(
        "1",
        "Jain index (sum x)^2 / (n sum x^2) of the completed calls of the producers that are there"
        " from the last edge of a producer on, of each divided by its weight, in the second half"
        " (the longer one if they are odd) of the equal parts of the rest of the run that are"
        " nearest above a second; nan with fewer than two",
        "Jain, Chiu & Hawe 1984",
        "more",
    ),
    "time_to_fairness": Metric(
        "s",
        "from that edge to the end of the last of these parts with a Jain index below 0.9 (1 if"
        " empty); 0 if there is none; inf if it is the last of all",
        _OURS,
        "less",
    ),
    "churn": Metric(
        "1/s",
        "how much what the law turns moves in a second, as a share. A rate: total_variation / mean"
        " achievable rate of the run. If none is finite, a limit: sum of |change of the limit from"
        " one call to the next| / duration / mean limit over the calls, both summed over the"
        " producers. If none is finite either, refusals: sum of |change of the share of slots"
        " refused| from one bin to the next that has slots (at their scheduled times) / duration."
        " nan if the rate is hidden",
        _OURS,
        "less",
    ),
    "burst_1s": Metric("calls", "most releases in any half-open second", "MoonGen, vayu", "less"),
    "goodput": Metric(
        "1/s",
        "calls within the ceiling that completed within the deadline since they were asked for /"
        " duration",
        "Breakwater (OSDI 2020)",
        "more",
    ),
    "wasted": Metric(
        "share",
        "of the calls within the ceiling that ended, or were late at the end of the run, those that"
        " did not complete within the deadline since they were asked for; nan without one",
        _OURS,
        "less",
    ),
    "latency_p99": Metric(
        "s",
        "99th percentile of completion - when the call was asked for, over the completed calls"
        " within the ceiling; nan without one",
        "Breakwater (OSDI 2020)",
        "less",
    ),
}

#: Measures that are infinite where what they wait for never happens.
ENDLESS = ("settling_time", "recovery_time", "regain_time", "time_to_fairness")


def definitions() -> Definitions:
    """The definition of every measure as a part of a record of results."""
    return {
        name: {
            "unit": metric.unit,
            "definition": metric.definition,
            "source": metric.source,
            "better": metric.better,
        }
        for name, metric in METRICS.items()
    }
