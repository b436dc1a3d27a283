"""Every measure of `METRICS` in plain NumPy, written from its definition alone.

It knows columns, the scenario and what the throttle counted, and shares no code with
`tpssim.metrics`: where it differs from that, a definition does not determine its value.
"""

from __future__ import annotations

import collections
import itertools
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from tpssim.core.profiles import Stages
from tpssim.core.types import OK, REFUSED, UNFINISHED
from tpssim.scenarios.capacity import achievable, capacity, mean_service, phases
from tpssim.scenarios.plant import Async, Blocking, Pool, success

if TYPE_CHECKING:
    from collections.abc import Callable

    from tpssim.scenarios.scenario import Producer, Scenario
    from tpssim.simulation.trace import Trace

INF, NAN = math.inf, math.nan


def unit(scenario: Scenario) -> float:
    """What a call counts: its mean cost where there is one."""
    return 1.0 if scenario.cost is None else scenario.cost.mean


def wants(scenario: Scenario, producer: Producer, t: float) -> float:
    """What a producer that is there wants at t."""
    target = scenario.target if producer.target is None else producer.target
    if not isinstance(target, Stages):
        return target
    begun, level = 0.0, target.start
    for seconds, then in target.stages:
        if t < begun + seconds:
            return level + (then - level) * (t - begun) / seconds
        begun, level = begun + seconds, then
    return 0.0


def wanted(scenario: Scenario, t: float) -> float:
    return sum(wants(scenario, p, t) for p in scenario.producers if p.start <= t < p.end)


def stage_edges(scenario: Scenario) -> set[float]:
    found = set()
    for producer in scenario.producers:
        target = scenario.target if producer.target is None else producer.target
        if isinstance(target, Stages):
            found |= set(itertools.accumulate((s for s, _ in target.stages), initial=0.0))
    return found


def moves(scenario: Scenario, start: float, end: float) -> bool:
    return len({wanted(scenario, start + k * (end - start) / 7.0) for k in range(7)}) > 1


def mean_of(
    scenario: Scenario, what: Callable[..., float], start: float, end: float, n: int = 200
) -> float:
    """Of a quantity over a stretch: at its start if nothing varies in it, else the mean of n
    mid-points.
    """
    width = (end - start) / n
    middles = [what(scenario, start + (i + 0.5) * width) for i in range(n)]
    return middles[0] if len(set(middles)) == 1 else sum(middles) / n


def long_phases(scenario: Scenario) -> list[tuple[float, float]]:
    every = phases(scenario)
    longest = max(b - a for a, b in every)
    return [(a, b) for a, b in every if b - a >= min(5.0, longest)]


def rises(scenario: Scenario) -> list[tuple[float, float, float]]:
    """(edge, next edge, achievable at the edge) of each rise."""

    def too_much(t: float) -> bool:
        asked = wanted(scenario, t) * success(scenario.backend, scenario.retry)
        return asked > unit(scenario) * capacity(scenario, t)

    found, edges = [], stage_edges(scenario)
    for (_, edge), (_, following) in itertools.pairwise(phases(scenario)):
        just = math.nextafter(edge, 0.0)
        now, before = achievable(scenario, edge), achievable(scenario, just)
        since = max((x for x in edges if x < edge), default=0.0)
        earlier = [(a + b) / 2.0 for a, b in phases(scenario) if since <= a and b <= edge]
        ends = edge in edges and any(too_much(t) for t in earlier)
        if now > before + 1e-9 * now or (ends and now > 0.0 and not too_much(edge)):
            if moves(scenario, edge, following):
                now = min(now, mean_of(scenario, achievable, edge, following))
            found.append((edge, following, now * unit(scenario)))
    return found


def commands_limit(trace: Trace) -> bool:
    return len(trace.rate) > 0 and bool((np.isinf(trace.rate) & np.isfinite(trace.limit)).all())


def command(trace: Trace, t: Any) -> Any:
    """What the law commands at each of the times t."""
    scenario, total = trace.scenario, np.zeros(len(t))
    for number, producer in enumerate(scenario.producers):
        mine = (trace.producer == number) & (trace.outcome != REFUSED)
        released = trace.released[mine]
        if not len(released):
            continue
        there = (t >= producer.start) & (t < producer.end)
        last = np.maximum(np.searchsorted(released, t, side="right") - 1, 0)
        if commands_limit(trace):
            level = trace.limit[mine][last]
        elif math.isnan(trace.rate[mine][0]):
            sums = np.concatenate([[0.0], np.cumsum(trace.cost[mine])])
            seen = sums[np.searchsorted(released, t, side="right")]
            seen = seen - sums[np.searchsorted(released, t - 1.0, side="right")]
            least = np.array([1.0 / max(wants(scenario, producer, x), 1.0) for x in t])
            level = seen / np.clip(t - producer.start, least, 1.0)
        else:
            level = np.minimum(trace.rate[mine][last], [wants(scenario, producer, x) for x in t])
        total += np.where(there, level, 0.0)
    return total


def densest(times: Any, width: float) -> int:
    """The most of some times in any half-open window [t, t + width) that begins at one of them."""
    ordered = np.sort(times)
    ends = np.searchsorted(ordered, ordered + width, side="left")
    return int((ends - np.arange(len(ordered))).max()) if len(ordered) else 0


def percentile(values: Any, q: float) -> float:
    return float(np.quantile(values, q)) if len(values) else NAN


def turns(a: Any) -> list[int]:
    """Lags at which a sequence turns."""
    up = np.diff(a) > 0.0
    return [k for k in range(1, len(a) - 1) if up[k] != up[k - 1]]


def cycle(x: Any) -> tuple[float, float]:
    """(R, period in samples, nan if it is not regular)."""
    w = x - x.mean()
    if (w**2).mean() <= (1e-12 * max(1.0, np.abs(x).max())) ** 2:
        return NAN, NAN
    n = len(x)
    a = np.array([w[: n - k] @ w[k:] for k in range(n // 2)]) / (w @ w)
    found, big_r = turns(a), NAN
    if len(found) >= 3 and a[1] <= a[0]:
        p, q, r = found[:3]
        depth = a[0] + (a[q] - a[0]) * p / q - a[p]
        height = a[q] - (a[p] + (a[r] - a[p]) * (q - p) / (r - p))
        big_r = height / depth
    crossings = [
        k + a[k] / (a[k] - a[k + 1]) for k in range(len(a) - 1) if (a[k] > 0.0) != (a[k + 1] > 0.0)
    ]
    gaps = np.diff(crossings)[:10]
    if len(gaps) < 2:
        return big_r, NAN
    period, sigma = 2.0 * gaps.mean(), 2.0 * gaps.std(ddof=1)
    regular = big_r > 0.5 and period > 3.0 * sigma  # r > 1, infinite where sigma is 0
    return big_r, float(period) if regular else NAN


def steady_windows(trace: Trace) -> list[tuple[float, float, float]]:
    """(swing, R, period in s) of each long phase."""
    found = []
    for start, end in long_phases(trace.scenario):
        middle = (start + end) / 2.0
        step = (end - middle) / 1000.0
        x = command(trace, middle + np.arange(1000) * step)
        mean = x.mean()
        if moves(trace.scenario, start, end):
            x = x - np.polyval(np.polyfit(np.arange(1000.0), x, 1), np.arange(1000.0)) + mean
        swing = (percentile(x, 0.95) - percentile(x, 0.05)) / mean if mean > 0.0 else 0.0
        big_r, period = cycle(x)
        if mean_of(trace.scenario, achievable, start, end) <= 0.0:
            swing, period = 0.0, NAN
        found.append((float(swing), big_r, period * step))
    return found


def settling(trace: Trace) -> float:
    every, edges = long_phases(trace.scenario), stage_edges(trace.scenario)
    return max(settling_in(trace, *x) for x in every if x == every[-1] or x[0] in edges)


def settling_in(trace: Trace, start: float, end: float) -> float:
    middle = (start + end) / 2.0
    window = middle + np.arange(1000) * (end - middle) / 1000.0
    level = command(trace, window)
    t = start + np.arange(2000) * (end - start) / 2000.0
    line = np.full(2000, level.mean())
    if moves(trace.scenario, start, end):
        line = np.polyval(np.polyfit(window, level, 1), t)
    outside = np.flatnonzero(np.abs(command(trace, t) - line) > 0.1 * level.mean())
    if not len(outside):
        return 0.0
    return float(t[outside[-1] + 1] - start) if outside[-1] < 1999 else INF


def recovery(trace: Trace) -> float:
    if trace.meta["limited"] > 0.0 or commands_limit(trace):
        return NAN
    found = []
    for edge, following, best in rises(trace.scenario):
        times = trace.released[(trace.released >= edge) & (trace.released < following)]
        back = times[command(trace, times) >= 0.95 * best]
        found.append(float(back.min() - edge) if len(back) else INF)
    return max(found, default=NAN)


def regain(trace: Trace) -> float:
    found = []
    ok = trace.outcome == OK
    order = np.argsort(trace.completed[ok], kind="stable")
    every, costs = trace.completed[ok][order], trace.cost[ok][order]
    for edge, following, best in rises(trace.scenario):
        inside = (every >= edge) & (every < following)
        done, cost, width = every[inside], costs[inside], min(1.0, following - edge)
        n = 0.95 * best * width
        ends = [
            done[i] - edge
            for i in range(len(done))
            if cost[(done >= done[i] - width) & (np.arange(len(done)) <= i)].sum() >= n - 1e-9
        ]
        found.append(float(ends[0]) if ends else INF)
    return max(found, default=NAN)


def overshoot(trace: Trace) -> float:
    """By how much most was released in a second of the last long phase beyond the achievable."""
    scenario = trace.scenario
    start, end = long_phases(scenario)[-1]
    rate, second = mean_of(scenario, achievable, start, end) * unit(scenario), min(1.0, end - start)
    here = (trace.released >= start) & (trace.released < end)
    at, cost = trace.released[here], trace.cost[here]
    if rate <= 0.0:
        return NAN
    parts, width = np.arange(2001), (end - start) / 2000.0
    steady = not moves(scenario, start, end)
    reached = [0.0]
    for k in range(0 if steady else 2000):
        now = achievable(scenario, start + (k + 0.5) * width) * unit(scenario)
        reached.append(reached[-1] + now * width)
    most = 0.0
    for t in at:
        until = min(t + second, end)
        calls = cost[(at >= t) & (at < t + second)].sum()
        could = rate * second
        if not steady:
            could = float(np.diff(np.interp([t, until], start + parts * width, reached))[0])
        most = max(most, (calls - could) / second / rate)
    return most


def lateness(trace: Trace) -> list[float]:
    consumer, found = trace.scenario.consumer, []
    if trace.meta["limited"] > 0.0 or (
        isinstance(consumer, Pool) and math.isfinite(consumer.queue)
    ):
        return []
    for number in range(len(trace.scenario.producers)):
        free = 0.0
        for i in np.flatnonzero((trace.producer == number) & (trace.outcome != REFUSED)):
            if free <= trace.scheduled[i]:
                found.append(float(trace.released[i] - trace.scheduled[i]))
            busy = trace.latency[i] if isinstance(consumer, Blocking) else 0.0
            free = trace.released[i] + (consumer.handoff if isinstance(consumer, Async) else busy)
    return found


def drift(trace: Trace) -> float:
    start, end = long_phases(trace.scenario)[-1]
    middle = (start + end) / 2.0
    quarter = (end - middle) / 4.0
    if trace.meta["limited"] > 0.0 or commands_limit(trace):
        return NAN
    lag, at = trace.released - trace.scheduled, trace.released
    first = lag[(at >= middle) & (at < middle + quarter)]
    last = lag[(at >= end - quarter) & (at < end)]
    if not len(first) or not len(last):
        return NAN
    return float((last.min() - first.min()) / (3.0 * quarter) * 1e6)


def bins_of(scenario: Scenario) -> tuple[float, int]:
    width = min(1.0, scenario.duration)
    return width, max(1, math.floor(scenario.duration / width + 1e-9))


def error_integrals(trace: Trace) -> tuple[float, float]:
    scenario = trace.scenario
    width, n = bins_of(scenario)
    edges = np.arange(n + 1) * width
    ok = trace.outcome == OK
    counts = np.histogram(trace.completed[ok], edges, weights=trace.cost[ok])[0]
    could = np.zeros(n)
    for k in range(n):
        for a, b in phases(scenario):
            low, high = max(a, edges[k]), min(b, edges[k + 1])
            if low < high:
                could[k] += mean_of(scenario, achievable, low, high, 20) * (high - low)
    error = np.abs(could * unit(scenario) - counts)
    return float(error.sum()), float((error * (edges[:-1] + width / 2.0)).sum())


def moved(trace: Trace, actuator: Any) -> float:
    total = 0.0
    for number in range(len(trace.scenario.producers)):
        mine = actuator[
            (trace.producer == number) & (trace.outcome != REFUSED) & np.isfinite(actuator)
        ]
        total += float(np.abs(np.diff(mine)).sum())
    return total


def moved_beyond_profile(trace: Trace) -> float:
    """What the rates moved, less what they followed the wanted ones."""
    scenario, total = trace.scenario, 0.0
    for number, producer in enumerate(scenario.producers):
        chosen = (trace.producer == number) & (trace.outcome != REFUSED) & np.isfinite(trace.rate)
        rates = trace.rate[chosen].tolist()
        wanted = [wants(scenario, producer, t) for t in trace.released[chosen].tolist()]
        begin = wants(scenario, producer, producer.start) or highest(scenario, producer)
        open_part = wanted[0] - begin if rates and rates[0] == begin else 0.0
        for k, rate in enumerate(rates):
            if k:
                open_part += wanted[k] - wanted[k - 1]
                change = rate - rates[k - 1]
                same_way = change * open_part > 0.0
                taken = math.copysign(min(abs(change), abs(open_part)), change) if same_way else 0.0
                open_part -= taken
                total += abs(change - taken)
    return total


def highest(scenario: Scenario, producer: Producer) -> float:
    """The most that a producer wants."""
    target = scenario.target if producer.target is None else producer.target
    if isinstance(target, Stages):
        return max([target.start, *(then for _, then in target.stages)])
    return target


def churn(trace: Trace, best: float) -> float:
    duration, sent = trace.scenario.duration, trace.outcome != REFUSED
    if len(trace.rate) and sent.any() and np.isnan(trace.rate[sent]).all():
        return NAN
    if np.isfinite(trace.rate[sent]).any():
        return moved_beyond_profile(trace) / duration / (best / duration) if best > 0.0 else NAN
    limits = [
        trace.limit[sent & (trace.producer == p) & np.isfinite(trace.limit)]
        for p in range(len(trace.scenario.producers))
    ]
    if any(len(x) for x in limits):
        return moved(trace, trace.limit) / duration / sum(float(x.mean()) for x in limits if len(x))
    width, n = bins_of(trace.scenario)
    shares = []
    for k in range(n):
        here = (trace.scheduled >= k * width) & (trace.scheduled < (k + 1) * width)
        if here.any():
            shares.append(float((trace.outcome[here] == REFUSED).mean()))
    return float(np.abs(np.diff(shares)).sum()) / duration


def fairness(trace: Trace) -> tuple[float, float]:
    scenario = trace.scenario
    edges = [x for p in scenario.producers for x in (p.start, p.end) if x < scenario.duration]
    start = max(edges)
    here = [i for i, p in enumerate(scenario.producers) if p.start <= start < p.end]
    if len(here) < 2:
        return NAN, NAN
    rest = scenario.duration - start
    n = max(1, math.floor(rest))
    parts = start + np.arange(n + 1) * rest / n
    done = trace.outcome == OK
    counts = np.array(
        [
            np.histogram(
                trace.completed[done & (trace.producer == i)],
                parts,
                weights=trace.cost[done & (trace.producer == i)],
            )[0]
            / scenario.producers[i].weight
            for i in here
        ]
    )

    def jain(x: Any) -> float:
        return float(x.sum() ** 2 / (len(x) * (x**2).sum())) if x.any() else 1.0

    unfair = [k for k in range(n) if jain(counts[:, k]) < 0.9]
    late = (
        0.0 if not unfair else INF if unfair[-1] == n - 1 else float(parts[unfair[-1] + 1] - start)
    )
    return jain(counts[:, n // 2 :].sum(axis=1)), late


def stretch(trace: Trace) -> float:
    scenario, waited, alone = trace.scenario, 0.0, 0.0
    way = scenario.network.mean if scenario.network else 0.0
    begun = trace.scheduled if isinstance(scenario.consumer, Blocking) else trace.released
    for a, b in phases(scenario):
        mean = mean_of(scenario, mean_service, a, b) + way
        here = (trace.outcome == OK) & (trace.released >= a) & (trace.released < b)
        if math.isfinite(mean):
            waited += float((trace.completed - begun)[here].sum())
            alone += float(here.sum()) * mean
    return waited / alone if alone > 0.0 else NAN


def time_allowed(scenario: Scenario) -> float:
    """The deadline of a call."""
    mean = scenario.service.mean + (scenario.network.mean if scenario.network else 0.0)
    if scenario.backend.per_cost > 0.0:
        mean += scenario.backend.per_cost * unit(scenario)
    return scenario.deadline if scenario.deadline > 0.0 else max(0.05, 10.0 * mean)


def asked_for(trace: Trace) -> Any:
    """From when on each call is waited for."""
    scenario = trace.scenario
    since = (trace.scheduled if scenario.poisson else trace.released).copy()
    for number, producer in enumerate(scenario.producers):
        if scenario.arrivals is not None and producer.target is None:
            mine = trace.producer == number
            since[mine] = np.array(scenario.arrivals)[: mine.sum()]
    return since


def integral(scenario: Scenario, producer: Producer, start: float, end: float) -> float:
    """What a producer wants in a stretch, exactly: its target is linear between the edges."""
    target = scenario.target if producer.target is None else producer.target
    edges = {start, end}
    if isinstance(target, Stages):
        ends = set(itertools.accumulate((s for s, _ in target.stages), initial=0.0))
        edges |= {x for x in ends if start < x < end}
    total = 0.0
    for a, b in itertools.pairwise(sorted(edges)):
        middle = (a + b) / 2.0
        level = target.start if isinstance(target, Stages) and middle < 0.0 else None
        total += (b - a) * (wants(scenario, producer, middle) if level is None else level)
    return total


def within_ceiling(trace: Trace) -> Any:
    """Which calls are within the ceiling of their producer."""
    scenario, found = trace.scenario, trace.outcome != REFUSED
    for number, producer in enumerate(scenario.producers):
        if scenario.poisson or (scenario.arrivals is not None and producer.target is None):
            continue
        counted: collections.deque[tuple[float, float]] = collections.deque()
        for i in np.flatnonzero((trace.producer == number) & found):
            t = float(trace.released[i])
            while counted and not counted[0][0] > t - 1.0:
                counted.popleft()
            before = math.fsum(cost for _, cost in counted)
            most = integral(scenario, producer, t - 1.0, t)
            most += max(integral(scenario, producer, t - 1.1, t - 1.0), unit(scenario))
            found[i] = before <= most * (1.0 + 1e-6)
            if found[i]:
                counted.append((t, float(trace.cost[i])))
    return found


def in_time(trace: Trace) -> tuple[float, float, float]:
    """(goodput, share wasted, 99th percentile of the latency) of the calls within the ceiling."""
    scenario, ok = trace.scenario, trace.outcome == OK
    within, since = within_ceiling(trace), asked_for(trace)
    ended = np.where(trace.outcome == UNFINISHED, scenario.duration, trace.completed)
    late = ended - since > time_allowed(scenario)
    over = within & ((trace.outcome != UNFINISHED) | late)
    good = float(trace.cost[within & ok & ~late].sum()) / scenario.duration
    wasted = float((over & (~ok | late)).sum() / over.sum()) if over.any() else NAN
    return good, wasted, percentile((trace.completed - since)[within & ok], 0.99)


def independent(trace: Trace) -> dict[str, float]:
    """Every measure by name."""
    scenario, meta = trace.scenario, trace.meta
    duration, ok, sent = scenario.duration, trace.outcome == OK, trace.outcome != REFUSED
    done, released, lag = (
        trace.completed[ok],
        trace.released[sent],
        (trace.released - trace.scheduled)[sent],
    )
    cost, each = trace.cost[ok], unit(scenario)
    calls = {
        (a, b): each * mean_of(scenario, achievable, a, b) * (b - a) for a, b in phases(scenario)
    }
    best = sum(calls.values())
    counts = {(a, b): float(cost[(done >= a) & (done < b)].sum()) for a, b in calls}
    capacity_total = sum(each * mean_of(scenario, capacity, a, b) * (b - a) for a, b in calls)
    start, end = long_phases(scenario)[-1]
    middle = (start + end) / 2.0
    window = (middle, end) if moves(scenario, start, end) else (start, end)
    rate = each * mean_of(scenario, achievable, *window)
    in_window = float(cost[(done >= middle) & (done < end)].sum())
    swing, big_r, period = max(steady_windows(trace), key=lambda row: row[0])
    response, late = (trace.completed - trace.scheduled)[ok], lateness(trace)
    iae, itae = error_integrals(trace)
    fair, time_to_fairness = fairness(trace) if len(scenario.producers) > 1 else (NAN, NAN)
    hidden = len(released) > 0 and bool(np.isnan(trace.rate[sent]).all())
    return {
        "throughput": float(cost.sum()) / duration,
        "achieved": sum(min(counts[p], calls[p]) for p in calls) / best if best > 0.0 else NAN,
        "worst_phase": min(
            counts[p] / calls[p] if calls[p] > 0.0 else 1.0 for p in long_phases(scenario)
        ),
        "utilisation": float(cost.sum()) / capacity_total if capacity_total > 0.0 else NAN,
        "steady_error": 1.0 - in_window / (rate * (end - middle)) if rate > 0.0 else 0.0,
        "overshoot": overshoot(trace),
        "settling_time": settling(trace),
        "recovery_time": recovery(trace),
        "swing": swing,
        "regularity": big_r,
        "period": period,
        "total_variation": NAN if hidden else moved_beyond_profile(trace) / duration,
        "iae": iae,
        "itae": itae,
        "response_p50": percentile(response, 0.5),
        "response_p99": percentile(response, 0.99),
        "response_p999": percentile(response, 0.999),
        "lag_p99": percentile(lag, 0.99),
        "lag_max": float(lag.max()) if len(lag) else NAN,
        "lateness_p50": percentile(late, 0.5),
        "lateness_p99": percentile(late, 0.99),
        "drift": drift(trace),
        "burst_10ms": float(densest(released, 0.01)),
        "burst_100ms": float(densest(released, 0.1)),
        "spin_cpu": meta["spun"] / duration,
        "errors": 1.0 - len(done) / len(released) if len(released) else NAN,
        "refused": float((trace.outcome == REFUSED).sum()),
        **{name: float(meta[name]) for name in ("limited", "caught_up", "re_anchored", "skipped")},
        "stretch": stretch(trace),
        "regain_time": regain(trace),
        "fairness": fair,
        "time_to_fairness": time_to_fairness,
        "churn": churn(trace, best),
        "burst_1s": float(densest(released, 1.0)),
        **dict(zip(("goodput", "wasted", "latency_p99"), in_time(trace), strict=True)),
    }
