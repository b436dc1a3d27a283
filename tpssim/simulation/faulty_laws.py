"""What compiled code cannot say of an error in a user's law: where in the law, and when."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tpssim.core.errors import InputError
from tpssim.core.own_laws import Refused
from tpssim.core.provenance import ours
from tpssim.scenarios.capacity import expected_slots
from tpssim.scenarios.scenario import Scenario
from tpssim.simulation import simpy_engine

MOST = 200_000  # calls: some seconds in the model


def explained(
    error: Exception,
    scenario: Scenario,
    law: Any,
    seed: int,
    replications: Sequence[int],
    label: str,
) -> Exception:
    """The error that compiled runs ended with, as the simpy model gives it, whose bits are the
    same; as it is if that would take long. It names the law.
    """
    laws = [law, *(producer.law for producer in scenario.producers if producer.law is not None)]
    own = [each for each in laws if not ours(type(each))]
    if own and expected_slots(scenario) * len(replications) <= MOST:
        try:
            for replication in replications:
                simpy_engine.simulate(scenario, law, seed, replication, {})
        except InputError as found:
            return found
        except Exception as found:
            error = found
    if isinstance(error, Refused):
        names = " or ".join(dict.fromkeys(type(each).__name__ for each in own)) or label
        return InputError(
            f"{names} on {scenario.name}: a rate or limit that is nan or below 0, or a reject"
            " outside of [0, 1]; allowed: numbers >= 0, and probabilities"
        )
    error.add_note(f"while {label} ran on {scenario.name}")
    return error
