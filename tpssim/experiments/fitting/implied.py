"""Which service times a recording implies, if the service has so many servers and such a delay.

With every start and completion of a first-come-first-served service known, its service times are
not hidden: a call begins at the later of its arrival and the moment when a server is free, which is
the `servers`-th latest completion among the calls before it (Sutton & Jordan 2011). A delay before
the service and one after it cannot be told apart: only their sum counts.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tpssim.core.types import record
from tpssim.simulation.compiled.compiling import fast

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Flags = NDArray[np.bool_]

#: Times that differ by less than this share of a latency are equal.
EQUAL = 1e-6
LOOKED_AT = 20_000  # calls, about, whose times are looked at where a recording has many more
BLOCK = 50  # of them that follow one another
LAST = 0.9  # share of the calls after which those without an answer are left out, and the rest too


@record
class Calls(NamedTuple):
    """The calls that a service worked on, in the order of their starts."""

    start: Array  #: s
    #: s; where there was no answer the time until which the service had not answered
    completion: Array
    answered: Flags  #: whether the completion is one
    crowd: Array  #: calls in flight at the start, this one and refused ones included
    cost: Array  #: 1 where the recording has none
    resolution: float  #: of the stamps, s
    grain: float  #: times closer than this are equal, s
    patience: float = math.inf  #: after which the caller gives up, s
    longest: float = math.inf  #: what no service time exceeds, s, for those that were given up
    quickest: float = math.inf  #: s, of the refusals: their answers are on their way, too
    slower: Array | None = None  #: known factors on the service times
    extra: Array | None = None  #: known parts of the service times, s, that are not looked at
    some: Flags | None = None  #: calls whose times are looked at; None: all

    @property
    def exact(self) -> bool:
        """Whether the stamps are finer than anything that matters."""
        return 2.0 * self.resolution < self.grain

    @property
    def shortest(self) -> float:
        """What no service time is below, s."""
        return self.grain if self.exact else self.resolution / 20.0

    @property
    def whole(self) -> bool:
        """Whether every call was answered."""
        return bool(self.answered.all())


@record
class Implied(NamedTuple):
    """What the calls come to for one number of servers and one delay."""

    begin: Array  #: when a server took the call, on the clock of its answer (the delay added)
    time: Array  #: its service time, s; below 0 where servers and delay cannot be so
    waited: Flags  #: whether it waited for a server
    sure: Flags  #: whether `begin` is known, whatever became of calls without an answer
    delay: float

    @property
    def taken(self) -> Array:
        """When a server took the call, if all of the delay is on the way back."""
        return self.begin - self.delay


def begin_times(
    arrivals: Array,
    completions: Array,
    answered: Flags,
    latest: Array,
    servers: int,
    longest: float,
    heap: Array,
    out: Array,
) -> None:
    """When a server takes each call, at the `latest` then; `heap` has room for `servers` times.

    One without an answer is done at its `completion`, or `longest` after its begin, whichever is
    later.
    """
    size = 0
    for i in range(len(arrivals)):
        begin = arrivals[i]
        if size == servers and heap[0] > begin:
            heap[0] = min(heap[0], latest[i])  # of those before it so many were done by then
            begin = max(begin, heap[0])
        out[i] = begin
        done = completions[i]
        if not answered[i] and begin + longest > done:
            done = begin + longest
        if size < servers:  # a heap of the latest completions, the earliest of them first
            place = size
            size += 1
            while place > 0 and heap[(place - 1) >> 1] > done:
                heap[place] = heap[(place - 1) >> 1]
                place = (place - 1) >> 1
            heap[place] = done
        elif done > heap[0]:
            place = 0
            while True:
                child = 2 * place + 1
                if child >= size:
                    break
                if child + 1 < size and heap[child + 1] < heap[child]:
                    child += 1
                if heap[child] >= done:
                    break
                heap[place] = heap[child]
                place = child
            heap[place] = done


def overtaken_by(ranks: NDArray[np.int64], tree: NDArray[np.int64], out: NDArray[np.int64]) -> None:
    """How many of the calls before it each call overtook, from the ranks of their completions."""
    n = len(ranks)
    for i in range(n):
        earlier, place = 0, ranks[i] + 1
        while place > 0:  # a sum over all lesser ranks, in a Fenwick tree
            earlier += tree[place]
            place -= place & -place
        out[i] = i - earlier
        place = ranks[i] + 1
        while place <= n:
            tree[place] += 1
            place += place & -place


def overtakings(completions: Array) -> NDArray[np.int64]:
    """How many of the calls before it each call overtook: in a service of c servers at most c - 1.

    >>> overtakings(np.array([3.0, 1.0, 2.0, 4.0])).tolist()
    [0, 1, 1, 0]
    """
    n = len(completions)
    ranks = np.empty(n, dtype=np.int64)
    ranks[np.argsort(completions, kind="stable")] = np.arange(n)
    found = np.empty(n, dtype=np.int64)
    fast(overtaken_by)(ranks, np.zeros(n + 1, dtype=np.int64), found)
    return found


def implied(calls: Calls, servers: float, delay: float) -> Implied:
    """The service times that the calls imply.

    Two servers without delay, three calls of 2 s that come together: the third waits.

    >>> calls = calls_of(np.zeros(3), np.array([2.0, 2.0, 4.0]))
    >>> implied(calls, 2.0, 0.0).time.tolist(), implied(calls, 1.0, 0.0).time.tolist()
    ([2.0, 2.0, 2.0], [2.0, 0.0, 2.0])
    """
    arrivals = calls.start + delay
    sure = np.ones(len(arrivals), dtype=bool) if calls.some is None else calls.some.copy()
    lost = len(sure) if calls.whole else int(np.argmin(calls.answered))
    if lost >= LAST * len(sure):  # the end of the recording cut them off
        sure[lost:] = False
    if servers >= len(arrivals):
        nobody = np.zeros(len(sure), dtype=bool)
        return Implied(arrivals, _rest(calls, arrivals), nobody, sure, delay)
    begin = _begin(calls, arrivals, servers, 0.0)
    if lost < LAST * len(sure):
        known = _begin(calls, arrivals, servers, calls.longest) == begin
        # One that would have begun after its own answer shows that servers and delay cannot be so.
        sure &= known | (calls.answered & (begin > calls.completion))
    return Implied(begin, _rest(calls, begin), begin > arrivals, sure, delay)


def _rest(calls: Calls, begin: Array) -> Array:
    took = calls.completion - begin
    if calls.slower is not None:
        took = took / calls.slower
    return took if calls.extra is None else took - calls.extra


def _begin(calls: Calls, arrivals: Array, servers: float, longest: float) -> Array:
    begin, heap = np.empty(len(arrivals)), np.empty(int(servers))
    latest = np.full(len(arrivals), math.inf)
    if longest > 0.0:  # who came before a call that is answered was taken before it
        ends = np.where(calls.answered, calls.completion, math.inf)
        latest = np.minimum.accumulate(ends[::-1])[::-1]
    fast(begin_times)(
        arrivals, calls.completion, calls.answered, latest, int(servers), longest, heap, begin
    )
    return begin


def calls_of(
    start: Array,
    completion: Array,
    answered: Flags | None = None,
    crowd: Array | None = None,
    cost: Array | None = None,
    resolution: float = 0.0,
) -> Calls:
    """Calls from columns in the order of the starts; without `crowd` that of these calls alone."""
    there = np.ones(len(start), dtype=bool) if answered is None else answered
    inside = in_flight(start, np.where(there, completion, math.inf)) if crowd is None else crowd
    price = np.ones(len(start)) if cost is None else cost
    latency = (completion - start)[there]
    middle = float(np.median(latency)) if len(latency) else 0.0
    grain = max(2.0 * resolution, EQUAL * middle, 1e-12)
    return Calls(start, completion, there, inside, price, resolution, grain)


def some_of(calls: Calls) -> Calls:
    """The calls of a long recording with those marked whose times suffice for a first search:
    blocks from all of its time, for which every start and completion counts.

    >>> some_of(calls_of(np.arange(1e5), np.arange(1e5) + 0.5)).some.sum()
    np.int64(20000)
    """
    share = len(calls.start) // LOOKED_AT
    if share < 2:
        return calls
    return calls._replace(some=np.arange(len(calls.start)) // BLOCK % share == 0)


def within_steps(start: Array, completion: Array, step: float, seed: int) -> tuple[Array, Array]:
    """Starts, in order, and completions, drawn anywhere in the steps of the clock that their stamps
    name: times that are all whole steps look like few values that are certain.

    >>> within_steps(np.array([1.0, 2.0]), np.array([1.5, 2.5]), 0.0, 1)
    (array([1., 2.]), array([1.5, 2.5]))
    """
    if step == 0.0:
        return start, completion
    draw = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0xD17E,)))
    early, late = draw.uniform(-step / 2.0, step / 2.0, (2, len(start)))
    latency = completion - start
    begun = np.sort(start + early)
    return begun, begun + np.maximum(latency + late, latency / 2.0)


def in_flight(start: Array, completion: Array) -> Array:
    """Calls in flight at each start, this one included; starts in order.

    >>> in_flight(np.array([0.0, 1.0, 2.0]), np.array([1.5, 9.0, 9.0])).tolist()
    [1.0, 2.0, 2.0]
    """
    ended = np.searchsorted(np.sort(completion), start, side="right")
    return np.arange(1.0, len(start) + 1.0) - ended
