"""The services that a recommendation is for: one that is known, or those that may be it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from tpssim.core.errors import InputError, all_of, no_such
from tpssim.core.types import record
from tpssim.core.validation import parse_spec
from tpssim.experiments.fitting.draws import drawn
from tpssim.experiments.fitting.estimate import fit
from tpssim.experiments.fitting.fit_result import FitResult
from tpssim.experiments.fitting.held_out import Check
from tpssim.scenarios.builtin import SCENARIOS
from tpssim.scenarios.capacity import mean_service, phases
from tpssim.scenarios.deadlines import usual_deadline
from tpssim.scenarios.files import file_of_scenario
from tpssim.scenarios.load import Load
from tpssim.scenarios.recordings.calls import Recording
from tpssim.scenarios.recordings.reading import read_recording
from tpssim.scenarios.scenario import Scenario, with_parameters
from tpssim.simulation.resolve import file_of, scenario_named

#: What a recommendation may be asked for.
ServiceLike = Scenario | FitResult | Recording | str | Path


@record
class Services(NamedTuple):
    """The likeliest service, and others that may be it: to choose on, and to judge on."""

    likeliest: Scenario
    choosing: tuple[Scenario, ...]
    judging: tuple[Scenario, ...]
    fitted: FitResult | None  #: where it was learned here
    check: Check | None = None  #: of that fit
    fault: str = ""  #: what the file says of its check, where that does not hold

    @property
    def wrong(self) -> bool:
        """Whether the model is known to be wrong."""
        return bool(self.fault) or (self.check is not None and not self.check.holds)


def services_of(
    given: ServiceLike,
    tps: float | None,
    draws: int,
    judges: int,
    seed: int,
    deadline: float | None = None,
) -> Services:
    """The services for a scenario, its name or file, a recording or its file, or a fit; raises
    `InputError`.

    `draws` services are drawn to choose on, and `judges` others to judge on: a run on each, so that
    no two have a service in common. Where nothing is drawn, the one service stands for both, and
    the noise is another.
    """
    fitted, likeliest, others, fault = _found(given, tps, draws + judges if draws else 0, seed)
    if deadline is None and likeliest.deadline == 0.0 and (fitted is not None or others):
        deadline = at_its_best(likeliest)
    asked = {"target": tps, "deadline": deadline}
    chosen = {name: value for name, value in asked.items() if value is not None}
    likeliest, *others = (with_parameters(one, chosen) for one in [likeliest, *others])
    choosing, judging = tuple(others[:draws]), tuple(others[draws:])
    checked = None if fitted is None else fitted.check()
    judging = judging or (likeliest,)
    return Services(likeliest, (likeliest, *choosing), judging, fitted, checked, fault)


def at_its_best(fitted: Scenario) -> float:
    """The deadline in front of a service that was learned: that of its quickest phase, for which of
    them is the usual one a recording does not say.
    """
    able = [mean_service(fitted, (start + end) / 2.0) for start, end in phases(fitted)]
    network = 0.0 if fitted.network is None else fitted.network.mean
    return usual_deadline(min(able) + network)


def _found(
    given: ServiceLike, tps: float | None, draws: int, seed: int
) -> tuple[FitResult | None, Scenario, list[Scenario], str]:
    """The fit if there is one, the likeliest service, those that are drawn, and what the file says
    is wrong with it.
    """
    load = None if tps is None else Load(tps)
    if isinstance(given, str | Path):
        path = file_of(str(given))
        if path:
            likeliest = scenario_named(str(given), load)
            file = file_of_scenario(path, likeliest)
            others = drawn(file, draws, seed) if file.estimates and draws else []
            fault = "" if file.provenance is None else file.provenance.fault
            return None, likeliest, others, fault
        if not Path(given).exists():
            if parse_spec(str(given))[0] in SCENARIOS:
                return None, scenario_named(str(given), load), [], ""
            raise _nothing_there(str(given))
        given = read_recording(given)
    if isinstance(given, Scenario):
        return None, scenario_named(given), [], ""
    # All of the recording: nothing is kept to check the fit, which `fit` does.
    found = given if isinstance(given, FitResult) else fit(given, holdout=0.0, seed=seed)
    return found, found.scenario, found.draws(draws, seed) if draws else [], ""


def _nothing_there(given: str) -> InputError:
    """Neither a file nor a scenario."""
    if any(sign in given for sign in "./\\"):
        return InputError(
            f"there is no file {given}; allowed: a recording, a scenario's file or name"
        )
    return no_such("scenario or file", given, SCENARIOS, shown=all_of("scenarios"))
