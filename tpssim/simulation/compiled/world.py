"""What the general loop keeps: tables of numbers, or the same as plain objects where it is
interpreted.

A row of a table is read and written by name (`producer.rate`), compiled or not, and handed on as
one pointer: an array that is handed on costs a compiled loop more than what it does with it.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tpssim.core.schedule import Late
from tpssim.core.timer_models import TimerModel
from tpssim.core.types import record
from tpssim.scenarios.plant import Backend
from tpssim.simulation.compiled.heap import Events
from tpssim.simulation.compiled.kernel import Log
from tpssim.simulation.compiled.meters import Meters

if TYPE_CHECKING:
    pass


if TYPE_CHECKING:
    from numpy.typing import NDArray


@record
class Backoff(NamedTuple):
    """How calls are tried again, as `Retry` in numbers."""

    attempts: float
    base: float
    growth: float
    cap: float
    jitter: int  #: `PLAIN`, `FULL` or `DECORRELATED`
    budget: float


@record
class Rules(NamedTuple):
    """What a scenario comes to for the loop: what does not change in a run."""

    consumer: int
    by_handoff: bool
    poisson: bool
    networked: bool
    period: float  #: of late feedback, s
    delay: float  #: of late feedback, s
    late_news: bool  #: whether there is any
    costed: bool  #: whether calls differ in cost
    unit: float  #: what they cost on average
    ideal: bool  #: the timer is
    duration: float
    handoff: float
    workers: float
    queue: float
    threshold: float
    tick: float
    grid: float
    timeout: float
    timer: TimerModel
    late: Late
    backend: Backend  #: without its quotas, which are a table
    retry: Backoff


#: The columns of a table by type: real numbers, and whole ones (0 or 1 where they are facts).
Fields = tuple[tuple[str, str], ...]


def fields(real: str, whole: str) -> Fields:
    """The columns of a table.

    >>> fields("at", "row kind")
    (('at', '<f8'), ('row', '<i8'), ('kind', '<i8'))
    """
    return (*((name, "<f8") for name in real.split()), *((name, "<i8") for name in whole.split()))


#: Of a run: time, how long clocks were read; events put aside, where their line begins, how many
#: are in it and in the heap, and have been so far; timeouts in their
#: line, and where that begins; rows; calls in the backend, servers that have worked, calls that
#: began (for a rate limit); news of calls sent so far; the producer whose wait is to be planned
#: (-1: none), how many have planned their first, how many have begun (below 0: loads of others);
#: the call whose end goes on when that is done, -1 for none, and how it ended; which noise is
#: missing when the loop stops for more; whether time did not pass. `entries`: the most that a
#: quota's ring has; `..._n`: how much room there is.
WORLD = fields(
    "now spun entries",
    """aside first lined heaped pushes waiting first_timeout rows inside working begun sent arm
    armed started ended outcome family producer attempt number unsound
    calls_n events_n timeouts_n servers_n begins_n news_n rings_n known_n""",
)
#: What a window has collected so far (`core/window.Window`).
_WINDOW = "opened calls errors drops timed total least_latency lag in_flight peak_of_window"
#: `admits` of a law that gets the time since the arrival as lag (1: since the call was due).
SINCE_ARRIVAL = 2
#: Of a producer. `update`, `admit`, `law`, `state` and `memory` are addresses; `path_at` and
#: `path_n` say where its target is in `Paths`, `..._at` and `..._n` where its draws are.
PRODUCER = fields(
    f"""start end target seen_target rate limit reject previous deadline due cost owed owes
    closed_until waited_rate spun look_at period longest rtts least discard quantile {_WINDOW}
    idle_workers tokens entries caught_up re_anchored skipped limited""",
    """index update admit admits law state memory memory_size windowed slot seen flying peak
    limited_slot idle armed sleeps queued first last varies arrives moves piece
    path_at path_n path_end
    gap_at gap_n late_at late_n chance_at chance_n refusal_at refusal_n cost_at cost_n""",
)
#: Of the control plane of a producer: what it sums up, and the news that are on their way.
PLANE = fields(f"{_WINDOW} refusals refused_lag refused_in_flight", "periods first last")
#: Of what a plane has summed up; `next` is what it sent after that.
NEWS = fields("latency lag count errors in_flight drops refusals peak", "next")
#: Of a load of other clients.
CLIENTS = fields("time end rate", "index calls gap_at gap_n cost_at cost_n")
#: Of a call: where it is; what a trace has of it stands in the log. `next` is the call behind it in
#: a queue.
CALL = fields("cost retry_after retry_wait", "producer slot attempt pending answer next")


@record
class Paths(NamedTuple):
    """The targets of all producers as break points, one behind the other; recorded arrivals."""

    times: Any
    targets: Any
    arrivals: Any


@record
class Known(NamedTuple):
    """Quotas that the pacers know, by producer and quota: numbers, rings of windows, books."""

    rows: NDArray[np.float64]
    times: NDArray[np.float64]
    weights: NDArray[np.float64]
    books: NDArray[np.float64]


@record
class Room(NamedTuple):
    """All that a run has come to, and has room for."""

    world: Any
    producers: Any
    calls: Any
    log: Log
    events: Events
    aside: Events  #: that are to be put among them
    timeouts: Events  #: a line in order, for what begins later times out later
    noise: Any
    blocks: Any  #: where the draws of attempts are, by producer and attempt
    latencies: Any  #: of windows, by producer
    free_at: Any  #: when each server that has worked is free
    begins: Any  #: of all calls, for a rate limit


@record
class More(NamedTuple):
    """What a scenario may have besides; a loop that is compiled without it is compiled sooner."""

    meters: Meters  #: quotas of the backend
    known: Known
    paths: Paths
    planes: Any
    news: Any
    clients: Any
    visitors: Any  #: for each load of other clients a call in progress


def table(of: Fields, n: int, compiled: bool) -> Any:
    """A table of n rows of zeros; as objects where the loop is interpreted."""
    if compiled:
        return np.zeros(n, np.dtype(list(of), align=True)).view(np.recarray)
    empty = {name: 0.0 if kind == "<f8" else 0 for name, kind in of}
    return [SimpleNamespace(**empty) for _ in range(n)]


def longer(rows: Any, n: int, of: Fields) -> Any:
    """The table with room for n rows."""
    if isinstance(rows, list):
        return rows + table(of, n - len(rows), False)
    found = table(of, n, True)
    found[: len(rows)] = rows
    return found
