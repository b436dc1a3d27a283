"""How the calls of a run were made: what the headline needs besides the report."""

from __future__ import annotations

import math
from typing import NamedTuple

from tpssim.core.types import record


@record
class Setting(NamedTuple):
    """How the calls of a report were made, and what the report itself does not say."""

    law: str = "fixed"
    wanted: float = math.nan  #: mean wanted rate, 1/s
    workers: int = 0  #: 0: none, or no fixed number
    tasks: bool = False  #: whether tasks of an event loop make the calls, not threads
    from_verb: bool = False  #: whether the reader has the options of the command line
    on_demand: bool = False  #: whether there are no items: a caller asks for a slot
    call: float = 0.0  #: mean time from a release to the end of its call, s
    body: float = 0.0  #: mean time per call in the caller's code, on the pacing thread, s
    item: float = 0.0  #: mean time per call in the iterable, s
    behind: int = 0  #: releases that the generator itself made late
    overtaken: int = 0  #: releases that the caller made late
    cause: str = ""  #: why the generator was late, if that is known
    #: s, by LIMIT, SOURCE, CALLER, MACHINE, RETRIES, QUOTA, CLOSED
    lost: tuple[float, ...] = (0.0,) * 7
    #: (what held calls back, how often, s): quotas and Retry-After
    held: tuple[tuple[str, int, float], ...] = ()
    slower: float = 0.0  #: as of `Tally.slower`
    #: Whether the law looks at outcomes, and nobody reported one.
    unreported: bool = False
    by_permit: bool = False  #: whether calls have permits; else they are the body of a plain loop
