"""Services of `tpssim serve` and live runs against them: for what compares live with the bench."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import math
import shlex
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from tpssim import Async, Pool, Scenario, Stages, arun, run
from tpssim.core.errors import InputError
from tpssim.core.types import UNFINISHED
from tpssim.experiments.replay import trace_of
from tpssim.live import callees
from tpssim.live.playback import Call, play, read_journal
from tpssim.scenarios.deadlines import deadline_of
from tpssim.scenarios.service_times import Recorded, draws, times_of
from tpssim.simulation.trace import Trace
from tpssim.validation.live_against_simulated import measured_delays

DRAWN = 2000  # values of a network with the time that a live call takes besides


@contextlib.contextmanager
def serving(words: str) -> Iterator[str]:
    """`tpssim serve` in a process of its own; its address."""
    command = [sys.executable, "-m", "tpssim", "serve", *shlex.split(words)]
    with (
        tempfile.TemporaryFile("w+") as said,
        subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=said) as process,
    ):
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            if not line:  # it has ended, and said why
                process.wait()
                said.seek(0)
                raise InputError(said.read().strip())
            yield line.split()[1].rstrip(":")
        finally:
            process.terminate()


def in_a_thread(work: Callable[[], Any]) -> None:
    """Do it in a thread of its own: a notebook's has an event loop already."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(work).result()


def until(call: Call, end: float) -> Call:
    """A call as it stands at the end of a run: as on the bench, what ends later is unfinished."""
    if not call.completed > end:
        return call
    return call._replace(completed=math.nan, outcome=UNFINISHED, retry_after=math.nan)


def live(
    scenario: Scenario, law: Any, path: Path, *, seed: int = 0, tps: float | Stages | None = None
) -> Trace:
    """A law against the service of a scenario, which has just started, for as long as a run of it;
    the recording is written to `path`. `tps`: the wanted rate, if not the scenario's.
    """
    file = path.with_suffix(".toml")
    scenario.to_toml(file)
    wanted = scenario.target if tps is None else tps
    with serving(f"--service {shlex.quote(str(file))} --seed {seed}") as where:
        in_a_thread(functools.partial(called, scenario, where, law, wanted, path))
    return trace_at(path, scenario)


def called(scenario: Scenario, where: str, law: Any, tps: float | Stages, path: Path) -> None:
    """Calls to a server as the consumer of the scenario makes them."""
    request, seconds = callees.Request(where), scenario.duration
    patience = None if math.isinf(scenario.timeout) else scenario.timeout
    timers: list[threading.Timer] = []

    def started(handle: Any) -> None:
        timers.append(threading.Timer(seconds, handle.stop))
        timers[0].daemon = True
        timers[0].start()

    items = range(10**9)
    options: dict[str, Any] = {"controller": law, "record": path, "started": started}
    options["results"] = False
    try:
        if isinstance(scenario.consumer, Async):

            async def main() -> None:
                async with callees.async_url(request, patience) as call:
                    await arun(call, items, tps, **options)

            asyncio.run(main())
            return
        workers = int(scenario.consumer.workers) if isinstance(scenario.consumer, Pool) else 0
        with callees.url(request, patience, max(workers, 1)) as call:
            run(call, items, tps, workers=workers, **options)
    finally:
        for timer in timers:
            timer.cancel()


def trace_at(path: Path, scenario: Scenario) -> Trace:
    """A recorded live run, as far as a run of the scenario goes."""
    journal = read_journal(path)
    back = play(journal)
    calls = [until(call, scenario.duration) for call in back.calls]
    return trace_of(journal, back._replace(calls=calls), scenario)


def with_client(scenario: Scenario) -> Scenario:
    """The scenario with the time that a live call takes beyond what its service takes (client,
    network, threads; measured now) on the way of each answer. The deadline stays.
    """
    delays = np.array(
        measured_delays("async" if isinstance(scenario.consumer, Async) else "blocking")
    )
    late = np.random.default_rng(0).choice(delays, DRAWN)
    if scenario.network is not None:
        late = late + times_of(scenario.network, draws(scenario.network.noise(), DRAWN, 0, 0))
    network = Recorded(tuple(late.tolist()), "measured")
    return scenario._replace(network=network, deadline=deadline_of(scenario))
