"""What `fit` says would tell more are commands that the command line takes."""

from __future__ import annotations

import shlex

import numpy as np
import pytest

import tpssim
from tpssim import Stages
from tpssim.cli.main import _parser
from tpssim.core.types import FAILED, OK, REJECTED
from tpssim.experiments.fitting.estimates import Unidentified, experiment
from tpssim.experiments.fitting.limits import limits_of
from tpssim.scenarios.recordings.calls import Recording

START = np.arange(0.0, 6.0, 0.01)


@pytest.fixture(scope="module")
def unknown() -> dict[str, Unidentified]:
    """What is not known of several small recordings, by name."""
    draw = np.random.default_rng(1)
    alone = Recording.of(START, START + 0.002)
    together = Recording.of(START, START + 0.03 + draw.exponential(0.02, len(START)))
    found = [*tpssim.fit(alone, holdout=0.0).unidentified]
    found += tpssim.fit(together, holdout=0.0).unidentified
    # Refused by chance, whatever is in flight.
    by_chance = np.where(draw.random(len(START)) < 0.15, REJECTED, OK)
    found += limits_of(Recording.of(START, START + 0.005, by_chance)).unidentified
    # Twenty at once, of which two in three fail.
    crowd = np.concatenate((START, np.repeat(np.arange(7.0, 27.0), 20)))
    fails = np.where((crowd >= 7.0) & (np.arange(len(crowd)) % 3 > 0), FAILED, OK)
    found += limits_of(Recording.of(crowd, crowd + 0.005, fails)).unidentified
    return {f"{one.name}: {one.because}": one for one in found}


def test_each_experiment_is_a_command_that_is_taken(unknown: dict[str, Unidentified]) -> None:
    names = {one.name for one in unknown.values()}
    assert names == {
        "backend.failure",
        "backend.knee",
        "backend.servers",
        "limits",
        "network.mean",
        "refusals",
    }
    for one in unknown.values():
        words = shlex.split(one.experiment)
        assert words[:2] == ["tpssim", "live"]
        args = _parser(["live"]).parse_args(words[1:])
        assert args.url == "URL"  # the one thing that the recording cannot know
        assert args.asynchronous
        assert args.record is not None
        assert Stages(args.stages).duration > 60.0


@pytest.mark.parametrize(
    ("rate", "shown"), [(1620.4, "1620"), (1.234e6, "1230000"), (0.00001, "0.00001"), (0.0, "0")]
)
def test_a_rate_in_a_command_is_a_plain_number(rate: float, shown: str) -> None:
    assert f"--stages 2m:{shown} " in experiment([("2m", rate)])
