"""What a recording cannot say of a service, each with a command whose recording would."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tpssim.experiments.fitting import changes
from tpssim.experiments.fitting.costs import equal_costs
from tpssim.experiments.fitting.crowding import unsaid_of_crowds
from tpssim.experiments.fitting.estimates import Estimate, Unidentified, experiment
from tpssim.experiments.fitting.timeouts import unsaid_of_timeouts
from tpssim.experiments.fitting.unsteady import unsaid_of_time

if TYPE_CHECKING:
    from tpssim.experiments.fitting.implied import Calls
    from tpssim.experiments.fitting.twin import Learned
    from tpssim.scenarios.recordings.calls import Recording


def unidentified(
    recording: Recording, found: Learned, alone: bool, timeout: Estimate | None, calls: Calls
) -> tuple[Unidentified, ...]:
    """What the recording cannot say, with a command that would tell."""
    said = []
    if not changes.searches:
        because = "the library ruptures, which looks for changes, is not there"
        said.append(Unidentified("changes", because, "pip install 'tpssim[fit]'"))
    rate = len(recording) / max(float(recording.start[-1]), 1e-3)
    if alone:
        because = "one call was made at a time"
        more = experiment([("2m", 4.0 / found.mean.value), ("1m", 0.0)])
        said.append(Unidentified("backend.servers", because, more))
        said.append(Unidentified("network.mean", because, more))
    elif found.servers.is_bound():
        because = f"no call ever waited: there are at least {found.servers.low:g} servers"
        more = experiment([("2m", 4.0 * rate), ("1m", 0.0)])
        said.append(Unidentified("backend.servers", because, more))
    if not alone:
        said += unsaid_of_crowds(found.crowding, calls)
    said += equal_costs(calls)
    said += unsaid_of_timeouts(timeout, found.left, experiment([("2m", rate), ("1m", 0.0)]))
    said += unsaid_of_time(calls, found, experiment([("2m", rate), ("30m", rate)]))
    said += unsaid_of_names(recording)
    return tuple(said)


def unsaid_of_names(recording: Recording) -> list[Unidentified]:
    """What calls of other names, that were left out, took of the service."""
    if recording.name is None or len(recording.names) < 2 or np.ptp(recording.name) > 0:
        return []
    because = (
        f"only calls named {recording.names[int(recording.name[0])]!r} are fitted: what others took"
        " of the same servers is taken for their own waits and service times"
    )
    file = recording.source.path or "CALLS-OF-ALL-NAMES.csv"
    return [Unidentified("calls of other names", because, f"tpssim fit {file}")]
