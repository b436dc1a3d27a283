"""Real throttles with threads and event loops, as their users write them, in virtual time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from tpssim.live import async_clocks
from tpssim.scenarios.scenario import Scenario
from tpssim.scenarios.service_times import Constant
from tpssim.simulation.environment import World
from tpssim.simulation.hosting.patching import rebound
from tpssim.simulation.hosting.threads import VirtualThread

LONGEST = 2000.0  # s of virtual time: what is not over then waits for ever


def _no_file(*_: Any) -> Any:
    raise OSError("the kernel's timers know no virtual time")


@contextmanager
def virtual_time() -> Iterator[Callable[[Callable[[], None]], bool]]:
    """A function that runs another one in virtual time; whether that came to its end."""

    def run(main: Callable[[], None]) -> bool:
        ended: list[bool] = []
        errors: list[BaseException] = []

        def body() -> None:
            try:
                main()
                ended.append(True)
            except Exception as error:
                errors.append(error)

        world = World(Scenario("shared", Constant(0.01), 1.0, LONGEST), 0, 0)
        vthread = VirtualThread(world, 0, body)
        vthread.start()
        try:
            world.run()
        finally:
            vthread.close()
        if errors:
            raise errors[0]
        return bool(ended)

    with rebound(), mock.patch.object(async_clocks, "TimerFile", _no_file):
        yield run
