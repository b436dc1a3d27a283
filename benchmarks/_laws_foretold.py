"""Laws foretold from a recording of another, beside what they then do live: for twins_live.py.

A round records `RECORDED` on a service, foretells the other laws as `replay` does, on services that
may have been it, and runs them live. Of several rounds the medians are compared. Each has an
interval: between which the median of as many live runs would be in 95 of 100 cases, if the service
were one of those foretold (a run drawn from each round's, and their median).
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from _served import trace_at, until

import tpssim
from tpssim.core.types import OK, REJECTED
from tpssim.experiments.counterfactual import twins
from tpssim.experiments.replay import numbers, scenario_of
from tpssim.live.playback import play, read_journal
from tpssim.metrics.verdicts import judge, majority
from tpssim.simulation.trace import Trace

RECORDED, FORETOLD = "aimd", ("headroom", "ewma-deadzone")
RUNS = 20  # services, and a run on each
ALLOWED = {"throughput": 0.03, "response_p99": 0.15}
#: An interval whose ends are further apart than this, as a factor, says too little to excuse a row:
#: more rounds narrow it.
HUGE = 2.0
RESAMPLED = 2000  # medians, of which an interval is made

BUSY: list[float] = []  # the share of the cores at work during each live run

#: Runs a law at a target (or stages) for so long, and writes what happens to a file.
Drive = Callable[[Any, Any, float, Path], None]


class Seen(NamedTuple):
    """A run, live or simulated, in what is compared."""

    numbers: dict[str, float]
    word: str
    refused: float  #: share of its calls


class Round(NamedTuple):
    """A live run, and those that were foretold of it."""

    live: Seen
    runs: list[Seen]
    open: bool = False  #: whether the recording cannot say, as `replay` does not either


class Row(NamedTuple):
    """A law on a service, over all rounds."""

    cells: list[str]
    wrong: str  #: what is not as it should be; ""
    excused: str = ""  #: what is further off than allowed, and inside its interval
    open: bool = False
    judged: bool = True


def processor() -> tuple[float, float]:
    """Time of all cores so far, and that at work or taken by other machines; 0 if not known."""
    try:
        words = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:9]
    except OSError:
        return 0.0, 0.0
    _, _, _, idle, waiting, *_ = spent = [float(word) for word in words]
    return sum(spent), sum(spent) - idle - waiting


def recorded(driven: Drive, law: Any, target: Any, seconds: float, path: Path) -> Path:
    """The file of a live run, which is made unless it is there."""
    if not path.exists():
        before = processor()
        driven(law, target, seconds, path)
        whole, working = (now - then for now, then in zip(processor(), before, strict=True))
        BUSY.extend([working / whole] if whole > 0.0 else [])
    return path


def rounds(
    name: str, driven: Drive, target: float, seconds: float, folder: Path, times: int
) -> list[Row]:
    """A row for each law on one service."""
    found: dict[str, list[Round]] = {law: [] for law in (RECORDED, *FORETOLD)}
    for number in range(1, times + 1):

        def path_of(law: str, number: int = number) -> Path:
            return recorded(driven, law, target, seconds, folder / f"{name}-{law}-{number}.ndjson")

        journal = read_journal(path_of(RECORDED))
        calls = play(journal).calls
        fit, services = twins(calls, scenario_of(journal, calls), RUNS)
        # A recording lasts until its last answer, which may be long after its last call.
        services = [service._replace(duration=seconds) for service in services]
        print(f"{name}: {len(calls):,} calls of {RECORDED}; {fit.line()}", flush=True)
        for quota in fit.scenario.backend.quotas:
            print(f"{name}: {quota}", flush=True)
        never_full = fit.estimates["backend.servers"].is_bound() and fit.structure == "overlapping"
        got = sum(until(call, seconds).outcome == OK for call in calls) / seconds
        for law, those in found.items():
            runs = [
                seen(tpssim.simulate(service, law, replication=k))
                for k, service in enumerate(services[1:])
            ]
            live = as_seen(path_of(law), services[0])
            # What a law gets that sends more than ever was in flight is open.
            more = min(run.numbers["throughput"] for run in runs) > got
            those.append(Round(live, runs, never_full and more))
    return [row_of(name, law, those) for law, those in found.items()]


def as_seen(path: Path, twin: tpssim.Scenario) -> Seen:
    """A live run."""
    return seen(trace_at(path, twin))


def seen(trace: Trace) -> Seen:
    share = float((trace.outcome == REJECTED).mean())
    return Seen(numbers(trace), judge(trace).word, share)


def interval(rounds: list[Round], key: str) -> tuple[float, float, float]:
    """(2.5 %, middle, 97.5 %) of the median of as many live runs as there are rounds."""
    draw = np.random.default_rng(0)
    columns = [[run.numbers[key] for run in each.runs] for each in rounds]
    drawn = np.array([draw.choice(values, RESAMPLED) for values in columns])
    low, middle, high = np.nanquantile(np.nanmedian(drawn, axis=0), (0.025, 0.5, 0.975)).tolist()
    return low, middle, high


def row_of(name: str, law: str, rounds: list[Round]) -> Row:
    """What a law did live beside what was foretold."""
    cells = [name, law if law != RECORDED else f"{law} (recorded)"]
    wrong: list[str] = []
    excused: list[str] = []
    for key, most in ALLOWED.items():
        values = [each.live.numbers[key] for each in rounds]
        live = statistics.median(values)
        low, middle, high = interval(rounds, key)
        off = middle / live - 1.0
        spread = " ".join(f"{value:.3g}" for value in values) if len(values) > 1 else ""
        cells += [f"{live:.4g}", spread, f"{middle:.4g} ({low:.4g} to {high:.4g})", f"{off:+.1%}"]
        if not abs(off) <= most:
            inside = low <= live <= high
            if inside and high <= HUGE * low:
                excused.append(f"{key} {off:+.1%}")
            else:
                chance = f", by chance: runs foretold differ {high / low:.1f} times"
                wrong.append(f"{key} {off:+.1%}{chance if inside else ''}")
    words = [each.live.word for each in rounds]
    word = majority(words)[0]
    said = majority([run.word for each in rounds for run in each.runs])[0]
    if word != said:
        wrong.append(f"{word}, foretold {said}")
    refused = statistics.median(each.live.refused for each in rounds)
    foretold = statistics.median(run.refused for each in rounds for run in each.runs)
    cells += [word, said, f"{refused:.1%}, {foretold:.1%}"]
    unsure = bool(wrong) and any(each.open for each in rounds)
    return Row(cells, "; ".join(wrong), "; ".join(excused), unsure, law != RECORDED)


def table(rows: list[Row]) -> list[str]:
    """Print the rows with pass or fail; what failed, a line each."""
    heads = [
        "service", "law", "live 1/s", "each", "foretold", "off", "p99 s", "each", "foretold", "off",
        "live", "foretold", "refused", "",
    ]  # fmt: skip
    lines = [heads, *([*row.cells, _judged(row)] for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(heads))]
    print("\n3. Laws")
    for line in lines:
        print("  ".join(x.ljust(width) for x, width in zip(line, widths, strict=True)).rstrip())
    failed = [row for row in rows if row.judged and row.wrong and not row.open]
    return [f"3. Laws: {', '.join(row.cells[:2])}: {row.wrong}" for row in failed]


def _judged(row: Row) -> str:
    """The last word of a row."""
    if not row.judged:
        return "not judged" + (f": {row.wrong}" if row.wrong else "")
    if row.open:
        return f"not known: it was never full when recorded, and this sends more; {row.wrong}"
    if row.wrong:
        return f"FAIL: {row.wrong}"
    return f"pass, inside the interval: {row.excused}" if row.excused else "pass"
