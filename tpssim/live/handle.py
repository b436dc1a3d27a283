"""The handle of a run: what the throttles have in common."""

from __future__ import annotations

import math
from typing import Any, TypeVar

from tpssim.core.errors import InputError
from tpssim.live.arguments import Tps
from tpssim.live.call_owners import CallOwners
from tpssim.live.report import Report
from tpssim.live.session import Flow

T = TypeVar("T")


class Handle:
    """The handle of a run, whatever waits for it. All of it may be used from any thread."""

    flow: Flow
    _owners: CallOwners

    @property
    def tps(self) -> float:
        """The wanted rate now, 1/s. Set it to change it while running: to a number, or to `Stages`,
        which begin then.
        """
        return self.flow.target

    @tps.setter
    def tps(self, tps: Tps) -> None:
        self.flow.retarget(tps)

    def stop(self) -> None:
        """Release nothing more; the iteration ends. Signal handlers may call it too."""
        self.flow.stop()

    def __repr__(self) -> str:
        flow = self.flow
        wanted = flow.wanted
        if isinstance(wanted, float):
            rate = "any rate" if wanted == math.inf else f"{wanted:g}/s"
        else:
            rate = str(wanted)
        return f"<{type(self).__name__}: {rate}, {flow.name}, {flow.tally.released:,} released>"

    def __reduce_ex__(self, _: Any) -> Any:
        raise TypeError(
            f"a {type(self).__name__} is not copied or pickled: its schedule belongs to one"
            " process; allowed: hand on the object itself"
        )

    def see(self, answer: T) -> T:
        """In the body of a plain loop: its call is over, with this response or exception.

        As `Permit.see`. Without it a loop cannot know of a refusal: a call that raises nothing
        counts as ok.
        """
        calls = self._owners.mine()
        if not calls:
            raise InputError(
                "see() without an open call; allowed: in the body of a loop over the throttle"
            )
        return calls[-1].see(answer)

    def why(self) -> str:
        """Why the law last moved an actuator."""
        return self.flow.why()

    def report(self) -> Report:
        """The run so far, in numbers."""
        return self.flow.report()
