"""The law `headroom`, written from docs/headroom.md alone by somebody who had not read its code;
we brought up what the text says of the first window since.

What it decides is to be what the law decides, or the text does not say it all.
"""

from __future__ import annotations

from math import ceil, exp, floor, inf, isinf, isnan, log, sqrt
from typing import Any

ALPHA, SHARE, PATIENCE, QUEUE, SLACK = 0.05, 0.995, 25.0, 2.0, 0.15
CUT, PROBE_EVERY, MAX_LIMIT, LONGEST_WAIT = 0.93, 200, 10000, 6.0
FAR = log(1e12)
LONGEST = 1e100  # seconds
A_QUEUE, NO_QUEUE, IN_DOUBT = "a queue", "no queue", "in doubt"


def inverse(x: Any) -> Any:
    return 1 / x if x > 0 else inf


def logarithm(ratio: Any) -> Any:
    """Between -ln 1e12 and ln 1e12."""
    return max(-FAR, min(FAR, log(ratio))) if ratio > 0 else -FAR


class Was:
    def __init__(self, held: Any, level: Any, doubt: Any, calls: Any) -> None:
        self.held, self.level, self.doubt, self.calls = held, level, doubt, calls


class State:
    def __init__(self, target: Any) -> None:
        self.target = target
        self.rate = inf
        self.limit = min(64, MAX_LIMIT)
        self.overlap = False
        # one at a time
        self.busy: Any = None
        self.quick = self.spread = self.weight = 0.0
        self.busy_unit: Any = None
        self.logs = self.lately = self.scatter = 0.0
        self.calm, self.wait = 0, 25
        self.ahead = 1.0
        # refusals
        self.allowed = self.mark = inf
        self.span = self.scale = 64.0
        self.down = -1.0
        self.start = self.m = self.turn = self.bad = 0.0
        self.served = self.time = self.out = self.dry = 0.0
        self.last = self.of = self.gone = 0.0
        self.seen: Any = None
        self.dropped = False  # drops at the observation before
        self.first_served: Any = None
        self.typical: Any = None
        self.found: Any = None
        # several in flight
        self.calls = float(min(64, MAX_LIMIT))
        self.open = True
        self.probe = False
        self.fall_to: Any = None  # not None: calls have yet to fall
        self.was: Any = None
        self.proven = 0.0
        self.unit: Any = None
        self.places = inf
        self.refused_since = self.refused_last = self.taken = -inf
        self.stale = -inf
        self.since = 0
        self.first = True  # the first window has not ended
        self.base = self.base_one = self.among = 0.0
        self.base_weight = self.least_weight = 1.0
        self.least = inf
        self.S, self.W, self.between = 3.2, 8.0, 0.0
        self.windows = 0
        self.last_level, self.last_held = 0.0, 1.0
        self.top = 0.0
        self.was_queued = False  # the last window, by the base before it
        self.come = 0.0
        self.window(0.0)

    def window(self, begin: Any) -> Any:
        self.begin = begin
        self.n = self.level = self.D = self.held_sum = self.late = 0.0
        self.high = 0.0

    # the window so far

    def units(self, level: Any) -> Any:
        return exp(level) * (self.unit or 0.0)

    def held(self) -> Any:
        return max(1.0, self.held_sum / self.n) if self.n > 0 else 1.0

    def one(self) -> Any:
        return (self.S + self.D) / (self.W + self.n - 1)

    def own(self) -> Any:
        return self.D / max(1, self.n - 1)

    def doubt(self) -> Any:
        return max(self.between, self.one() / self.n)

    def says(self) -> Any:
        doubt = self.doubt()
        return self.one() / doubt if doubt > 0 else self.n

    def base_doubt(self) -> Any:
        return max(self.base_one, self.one()) / self.base_weight

    def least_at_most(self) -> Any:
        return self.least + sqrt(self.one() / self.least_weight)

    def new_least(self) -> Any:
        one = self.one()
        lower = self.base + sqrt(one / self.base_weight) < self.least_at_most()
        apart = 2.5 * sqrt(one / self.base_weight + one / self.least_weight)
        known = self.base_weight >= self.least_weight
        if lower or (known and self.base < self.least + apart):
            self.least, self.least_weight = self.base, self.base_weight

    def queued(self, z: Any, doubt: Any) -> Any:
        error = sqrt(doubt + self.base_doubt())
        return self.held() * (1 - exp(min(0.0, self.base - self.level + z * error)))

    def wanted(self) -> Any:
        return QUEUE + SLACK * self.held()

    def verdict(self) -> Any:
        was = self.was
        if was is None:
            return None
        if not (self.probe or floor(self.calls) <= 0.75 * floor(was.calls)):
            return None
        doubt = self.doubt()
        way = log(was.held / self.held())
        fell = was.level - self.level
        error = sqrt(was.doubt + doubt)
        if way < 0.2 or self.late >= 8:
            return A_QUEUE
        shape = max(0.5, exp(self.base - self.level))
        slower = self.level > self.base + 0.35 and self.own() > max(self.base_one, 1e-6) * shape
        if was.level > self.least_at_most() + 0.7 and not slower:
            return NO_QUEUE if abs(fell) < 0.2 * way else A_QUEUE
        if self.n < 128 and abs(fell - 0.65 * way) < error:
            return IN_DOUBT
        return A_QUEUE if fell > 0.65 * way else NO_QUEUE


def init(target: Any) -> Any:
    return State(target)


def update(s: Any, obs: Any) -> Any:
    now, target = obs.now, obs.target
    if target != s.target:
        s.rate = target if s.rate >= s.target else min(s.rate, target)
        s.target = target
    if not obs.count > 0:
        return s
    rate = max(min(s.rate, target), 1e-9 * target)
    if not s.overlap and (obs.in_flight > 1 or obs.peak > 1):
        s.overlap = True
        s.window(now)
    if s.overlap:
        several(s, obs, rate)
    else:
        single(s, obs, rate)
    return s


def refuses(s: Any, lag: Any) -> bool:
    """Whether a call that comes by itself and whose turn it is, `lag` after it came, is refused."""
    if not s.overlap:
        if s.busy is None:
            return False
        call = s.busy
    elif s.first:
        return False
    else:
        call = s.units(s.least)
    piled = not isinf(s.mark) or lag * s.target > LONGEST_WAIT
    return bool(piled and lag > LONGEST_WAIT * call)


def is_clean(obs: Any) -> Any:
    return not isnan(obs.latency) and not obs.drops > 0 and obs.errors < obs.count


# one call at a time


def single(s: Any, obs: Any, rate: Any) -> Any:
    target, lag = obs.target, obs.lag
    if is_clean(obs):
        measure(s, obs.latency)
        if s.seen is not None and s.busy > 0 and s.down < 0 and rate < min(target, s.allowed):
            idle = max(0.0, obs.now - s.seen - obs.count * obs.latency)
            idle = min(1, idle / s.busy) if lag <= s.busy / 10 else 0
            s.ahead = max(1, min(2, s.ahead * (1 + 0.15 * (idle - (1 - SHARE)))))
    allowed = min(refusals(s, obs, rate, obs.drops), target)
    busy = s.busy
    if busy is None or busy <= 0:
        able = target
    else:
        able = s.ahead * SHARE / busy / (1 + lag / (PATIENCE * max(busy, inverse(target))))
    if s.calm >= s.wait:
        s.calm = 0
        s.wait = min(2 * s.wait, 1e6)
    elif able < allowed and lag <= busy / 10:
        s.calm += 1
    else:
        s.calm = 0
    if s.calm >= s.wait:
        able *= 2
    s.rate = max(min(able, allowed), 1e-9 * target)


def measure(s: Any, latency: Any) -> Any:
    latency = min(latency, LONGEST)
    if s.busy is None:
        s.busy = s.quick = latency
        s.spread = latency**2 / 4
        s.weight = 0.5
        s.logs = s.lately = 0.0
        s.scatter = 0.5
        if latency > 0:
            s.busy_unit = latency
        return
    busy = s.busy
    sigma = max(sqrt(s.spread), busy / 10)
    y = min(latency, max(busy + 4 * sigma, 3 * busy)) if busy > 0 else latency
    s.quick += 0.3 * (y - s.quick)
    mean = busy + s.weight * (y - busy)
    s.spread += 2 * min(ALPHA, 0.5) * (min(abs(y - busy), 3 * sigma) ** 2 - s.spread)
    if s.busy_unit is None and latency > 0:
        s.busy_unit = latency
    z = 0.0
    if s.busy_unit is not None:
        z = logarithm(latency / s.busy_unit)
    sd = max(sqrt(s.scatter), 0.1)
    d = max(-4 * sd, min(4 * sd, z - s.logs))
    s.lately += max(0.3, s.weight) * (s.logs + d - s.lately)
    s.logs += s.weight * d
    s.scatter += 2 * min(ALPHA, 0.5) * (min(abs(d), 3 * sd) ** 2 - s.scatter)
    s.weight = max(ALPHA, s.weight / (1 + s.weight))
    if abs(s.quick - mean) > 3 * sigma * sqrt(0.3 / 1.7):
        if mean > 0:
            s.spread *= (s.quick / mean) ** 2
        mean = s.quick
        s.weight = max(ALPHA, 0.3)
        s.logs = s.lately
    elif s.logs - s.lately > 2.5 * sd * sqrt(0.3 / 1.7):
        ratio = exp(s.lately - s.logs)
        s.spread *= ratio**2
        mean = s.quick = ratio * mean
        s.weight = max(ALPHA, 0.3)
        s.logs = s.lately
    s.busy = mean


# refusals


def refusals(s: Any, obs: Any, rate: Any, drops: Any) -> Any:
    """The rate that refusals allow."""
    now, lag = obs.now, obs.lag
    latency = 0.0 if isnan(obs.latency) else obs.latency
    good = obs.count - obs.errors
    passed = 0.0 if s.seen is None else now - s.seen
    usual = 2 * max(inverse(rate), latency)
    if s.down < 0 and passed > usual:
        if s.dropped and lag > usual:
            s.allowed = min(s.allowed, rate)
            s.turn = s.seen
            s.down = 0.0
        else:
            passed = usual
    after = now - latency >= s.turn
    ends = s.down >= 0 and good > 0 and after
    if ends:
        passed = (passed + min(passed, lag)) / 2
    s.served += good
    s.time += passed
    if s.down >= 0:
        s.out += passed
    s.dry = 0.0 if good > 0 else s.dry + passed
    s.seen = now
    s.dropped = drops > 0

    if ends:
        new_cubic(s, now, latency, obs.target)
        count_level(s, obs)
        s.found = s.typical
        s.dropped = False
    elif s.down >= 0:
        s.down += passed
    else:
        s.bad = 0.98**good * s.bad + (drops if after else 0)
        if drops > 0 and s.bad > 1.5:
            s.allowed = min(s.allowed, rate)
            s.turn = now
            s.down = 0.0
            s.out += min(s.dry, latency)
        else:
            count_level(s, obs)
            if not isinf(s.mark) and s.found is not None and s.typical < s.found - 1.1:
                quicker(s)
            along(s, rate, good, latency)
    if s.down >= 0:
        s.bad = 0.0
        return inverse(2 * inverse(s.allowed) + 0.15 * s.down + max(0.0, min(lag, latency)))
    return s.allowed


def count_level(s: Any, obs: Any) -> Any:
    if obs.drops > 0 or obs.errors >= obs.count or not obs.latency > 0:
        return
    if s.first_served is None:
        s.first_served = obs.latency
    x = logarithm(obs.latency / s.first_served)
    s.typical = x if s.typical is None else s.typical + (x - s.typical) / 32


def call_time(s: Any, latency: Any) -> Any:
    if s.typical is None:
        return latency
    return min(exp(s.typical) * s.first_served, LONGEST)


def quicker(s: Any) -> Any:
    ratio = exp(min(s.found - s.typical, 14))
    s.found = s.typical
    s.allowed *= ratio
    s.mark *= ratio
    s.start = s.allowed
    s.m = 0.0
    s.span = s.scale = 64.0
    s.served = s.time = s.out = s.dry = 0.0


def new_cubic(s: Any, now: Any, latency: Any, target: Any) -> Any:
    allowed = s.allowed
    if s.served >= max(12, min(s.of / 2, 64)) and s.time > s.gone / 4:
        last = s.last
        got = min(s.served / s.time, allowed)
        call = call_time(s, latency)
        brief = s.out <= max(s.time / 4, 2 * call)
        if brief:
            takes = got
            top = 1.15 * takes
        else:
            if last / 2 <= got <= 2 * last:
                takes = max(got, last)
            elif s.time > s.out:
                takes = min(s.served / (s.time - s.out), allowed)
            else:
                takes = allowed
            top = 1.03 * takes
        near = abs(got - last) <= last / 4
        first = max(64, 16 * takes * call) if brief or near else 64
        if near:
            s.span = max(first, min(2048, s.span * (5 if allowed >= s.mark else 1)))
        else:
            s.span = first
        w = 0.75 if brief and near else 0.5
        s.mark = min(takes + w * (allowed - takes), top)
        deep = min(1.0, max(64, 16 * s.mark * call) / s.span) ** 0.5
        s.start = s.mark * (1 - (1 - CUT) * deep)
        s.last, s.of, s.gone = got, s.served, s.out
        s.served = s.time = s.out = s.dry = 0.0
    elif isinf(s.mark):
        s.mark = allowed
        s.start = allowed / 2
        s.served = s.time = s.out = s.dry = 0.0
    else:
        s.start = CUT * s.start
    s.mark = max(s.mark, 1e-9 * target)
    s.start = max(s.start, 1e-9 * target)
    s.allowed = s.start
    s.m = 0.0
    s.scale = s.span
    s.turn = now
    s.down = -1.0
    s.bad = 0.0


def along(s: Any, rate: Any, good: Any, latency: Any) -> Any:
    if isinf(s.mark) or not rate >= s.allowed:
        return
    s.m += good
    below = max(0.0, 1 - s.start / s.mark) if s.mark > 0 else 0.0
    deep = max(below, 1 - CUT) if below > 0 else 0.0
    x = s.m / s.scale - deep ** (1 / 3)
    s.allowed = s.mark * (1 + x**3 * (below / deep if x < 0 else 1))
    if s.allowed > 1.15 * s.mark:
        if s.scale >= 2048:
            s.served = s.time = s.out = s.dry = 0.0
        s.mark = s.start = s.allowed
        s.m = 0.0
        call = call_time(s, latency)
        s.scale = min(s.scale, max(s.scale / 4, 64, 16 * s.allowed * call))


# several in flight


def for_want_of_a_place(s: Any, obs: Any) -> Any:
    if s.first or not obs.drops > 0 or isinf(s.mark) or s.down >= 0:
        return False
    if not obs.latency <= 2 * s.units(s.base):
        return False
    if not obs.in_flight > max(1, 0.95 * s.proven):
        return False
    if obs.in_flight > ceil(s.proven):
        return True
    return (
        s.fall_to is None and obs.in_flight >= floor(s.calls) and obs.now - obs.latency >= s.taken
    )


def is_queued_timeout(s: Any, obs: Any) -> Any:
    if s.first or not obs.drops >= obs.count:
        return False
    if not obs.latency > 2 * s.units(s.base):
        return False
    if s.begin > obs.now:
        return True
    if s.n < 4:
        return s.was_queued
    return s.queued(1, s.doubt()) > s.wanted()


def several(s: Any, obs: Any, rate: Any) -> Any:
    now, target, count = obs.now, obs.target, obs.count
    place = for_want_of_a_place(s, obs)
    timeout = is_queued_timeout(s, obs)
    drops = 0 if place or timeout else obs.drops
    allowed = refusals(s, obs, rate, drops)
    if s.fall_to is not None and obs.peak <= s.fall_to:
        s.fall_to = None
        s.window(now + s.units(s.was.level))
    counts = is_clean(obs) or timeout
    released = now - obs.latency
    if obs.drops > 0 and not timeout and not isnan(released):
        s.refused_since = min(s.refused_since, released) if released <= s.refused_last else released
        s.refused_last = now
    if counts:
        if not s.refused_since < released <= s.refused_last:
            s.proven = max(s.proven, obs.in_flight)
        if s.unit is None and obs.latency > 0:
            s.unit = obs.latency
    if place and obs.in_flight <= s.calls + 1:
        s.calls = s.places = max(1.0, min(s.calls, obs.in_flight - 1))
        s.stale = s.taken = now + obs.latency
        s.open = s.probe = False
        s.was = s.fall_to = None
        s.top = 0.0

    s.high = max(s.high, obs.peak)
    if counts:
        s.come += count
    early = not s.first or obs.in_flight <= 4 or (s.come > 32 and s.n < 4)
    if counts and early and now >= s.begin and s.unit is not None:
        add(s, obs, timeout)
    if s.fall_to is None and s.n >= 4 and now > s.begin:
        verdict = None if s.first else s.verdict()
        many = s.come > 32 or s.high > 8
        if (
            (s.first and (many or now - s.begin >= 8 * s.units(s.level)))
            or s.late >= 8
            or (
                not s.first
                and s.n >= 32
                and now - s.begin >= s.units(s.base)
                and verdict != IN_DOUBT
                and not goes_on(s)
            )
        ):
            end(s, now, target, verdict)

    s.limit = max(1, min(MAX_LIMIT, floor(0.7 * s.calls if s.probe else s.calls)))
    s.rate = inf if allowed >= target else max(allowed, 1e-9 * target)


def goes_on(s: Any) -> Any:
    """Because of a sure queue."""
    fresh = s.begin >= s.stale
    return s.n < 64 and fresh and not s.open and s.queued(1, s.doubt()) > s.wanted()


def add(s: Any, obs: Any, timeout: Any) -> Any:
    count = obs.count
    x = logarithm(obs.latency / s.unit)
    s.n += count
    step = x - s.level
    s.level += step * count / s.n
    s.D += count * step * (x - s.level)
    s.held_sum += count * obs.in_flight
    if timeout:
        s.late += count


def end(s: Any, now: Any, target: Any, verdict: Any) -> Any:
    doubt = s.doubt()
    level, held = s.level, s.held()
    first = s.first
    one = s.one()
    weight = s.says()
    if first:
        s.first = False
        s.base, s.base_one, s.base_weight, s.among = level, one, weight, held
        s.least, s.least_weight = level, weight
        s.calls = float(max(8, min(64, 2 * s.high)))
        s.stale = now + s.units(level)
        s.since += 1
    else:
        s.was_queued = s.late < s.n and s.queued(1, doubt) > s.wanted()
        if step(s, now, target, verdict, doubt, level, held):
            s.since += 1
    s.windows += 1
    if s.windows > 1:
        change, way = level - s.last_level, log(held / s.last_held)
        rest = change - min(max(change, min(0.0, way)), max(0.0, way))
        s.between += max(0.1, 1 / s.windows) * (rest**2 / 2 - s.between)
    s.last_level, s.last_held = level, held
    s.S, s.W = 0.9 * (s.S + s.D), 0.9 * (s.W + s.n - 1)
    s.proven *= 0.98
    s.window(now)


def step(s: Any, now: Any, target: Any, verdict: Any, doubt: Any, level: Any, held: Any) -> Any:
    """One step; whether `since` counts the window."""
    was = s.was
    wanted = s.wanted()
    if verdict == NO_QUEUE:
        both = was.doubt + doubt
        v = was.doubt / both if both > 0 else 0.5
        s.calls = was.calls
        s.base = min(was.level, was.level + v * (level - was.level))
        s.base_one = s.own()
        s.base_weight = s.one() / (v * doubt) if v * doubt > 0 else 2 * s.n
        s.among = held
        s.new_least()
        s.probe = s.open = False
        s.was = None
        s.since = 0
        s.stale = now + s.units(level)
        return False

    used = s.high + 1 > s.limit and held >= 0.75 * floor(s.calls)
    fresh = s.begin >= s.stale
    done = (s.n - s.late) / (now - s.begin) * (1 + 1 / sqrt(s.n))
    short = used or done < 0.98 * target
    if fresh:
        change_base(s, used, doubt, level, held, wanted)

    if s.probe:
        s.calls = max(1.0, 0.7 * s.calls)
        s.probe = False
        s.was = None
        s.since = PROBE_EVERY - 10
        return False

    if used and not s.open and fresh and s.since >= PROBE_EVERY:
        s.probe = True
        s.was = Was(held, level, doubt, s.calls)
        s.fall_to = max(1, floor(0.7 * s.calls))
        return True

    if verdict is not None:
        s.was = None

    sure = s.queued(2 if s.open else 1, doubt)
    if sure > wanted and short and (fresh or s.open):
        in_use = max(1.0, min(s.calls, s.high, 1.5 * held))
        s.top = max(in_use, 0.9 * s.top)
        if s.was is None or not s.was.held > held:
            s.was = Was(held, level, doubt, max(in_use, min(s.calls, held)))
        if s.late >= 8:
            s.calls = max(1.0, in_use / 2)
        else:
            s.calls = max(1.0, in_use - min(0.7 * (sure - wanted), in_use / 2))
        s.fall_to = floor(s.calls)
        s.open = False
        return True

    if used and s.open:
        if not s.queued(2, doubt) > wanted:
            s.calls *= 2
            s.was = None
            s.stale = now + s.units(level)
        return True

    queue = s.queued(0, doubt)
    if used and queue < wanted:
        way = 0.15 * s.calls
        if fresh:
            way = max(way, min(s.calls, (s.top - s.calls) / 2))
        s.calls = min(s.calls + way * (1 - queue / wanted), max(s.places, s.calls + 0.2))
        if s.was is not None and s.calls >= s.was.calls:
            s.was = None
        s.stale = now + s.units(level)
    return True


def change_base(s: Any, used: Any, doubt: Any, level: Any, held: Any, wanted: Any) -> Any:
    weight = s.says()
    far = 2.5**2 + 2 * log(1 + s.base_weight / max(1, weight))
    if used and level < s.base - sqrt(far * (doubt + s.base_doubt())):
        s.base, s.base_one, s.base_weight, s.among = level, s.own(), weight, held
    elif s.queued(0, doubt) < wanted / 2 or (
        level < s.base + 2 * sqrt(s.base_doubt()) and held <= 4 * s.among
    ):
        v = weight / (s.base_weight + weight)
        s.base += v * (level - s.base)
        s.base_one += v * (s.own() - s.base_one)
        s.among += v * (held - s.among)
        s.base_weight += weight
    else:
        return
    s.new_least()
