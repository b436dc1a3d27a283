"""`recommend`: from a recording, a scenario or a file to a law, and what to expect of it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor

import numpy as np

from tpssim.controllers import RECOMMENDED
from tpssim.core.validation import checked_count
from tpssim.experiments.recommending import purposes
from tpssim.experiments.recommending.candidates import (
    Candidate,
    given_laws,
    laws,
    plain,
    tunable,
    tuned,
)
from tpssim.experiments.recommending.choice import chosen
from tpssim.experiments.recommending.purposes import weights_of
from tpssim.experiments.recommending.recommendation import Recommendation
from tpssim.experiments.recommending.services import ServiceLike, services_of
from tpssim.experiments.recommending.trials import Outcome, outcomes
from tpssim.experiments.scoring import oracle_measures
from tpssim.experiments.tuning.search import LEAST_BUDGET
from tpssim.experiments.tuning.tune import tune
from tpssim.scenarios.scenario import Scenario
from tpssim.simulation.resolve import ControllerLike

FINALISTS = 3  #: laws that are tuned
TUNED_ON = 4  #: services that a law is tuned on, at most
RANKED = 10  #: runs of each candidate by which they are ranked, at least
RUNS = 40  #: of each finalist, at least, by which one is chosen, and by which it is judged
RANKING, CHOOSING, JUDGING = range(3)  #: stages, each under noise of its own
STAGES = ("ranking", "choice", "judging")

#: what is being done, runs done, runs in all
Progress = Callable[[str, int, int], None]


def recommend(
    service: ServiceLike,
    *,
    purpose: str = "throughput",
    tps: float | None = None,
    deadline: float | None = None,
    controllers: Iterable[ControllerLike] | None = None,
    draws: int = 10,
    budget: int = 100,
    seed: int = 0,
    executor: Executor | None = None,
    progress: Progress = lambda stage, done, total: None,
) -> Recommendation:
    """Which law for a service, with which parameters, or none.

    `service`: a scenario, its name or file, a recording or its file, or a result of `fit`. A
    recording is fitted first, and `draws` services to choose on are drawn from what the fit leaves
    open, and `RUNS` others to judge on; so are they of a file that `fit` wrote. `purpose`: a name
    of `PURPOSES`. `tps`: the wanted rate, if not the scenario's. `controllers`: the laws to choose
    from; None: all that are there. `budget`: settings that are tried of each of the best three.

    The laws, and rates that need no law, are ranked on the services to choose on; the best three
    laws are tuned there; who is chosen is chosen there, under other noise; and what is expected
    comes from the others, a run on each. Where nothing is drawn, the noise alone is new. Where the
    check of the fit says that the model is wrong, nothing of it counts: what `"auto"` stands for
    is named, and nothing is promised. Raises `InputError`.

    >>> found = recommend("blocking-steady:duration=20", controllers=["headroom"], budget=16)
    >>> found.label
    'no controller'
    """
    weights = weights_of(purpose)
    checked_count("seed", seed, 0)
    checked_count("draws", draws, 0)
    checked_count("budget", budget, LEAST_BUDGET)
    services = services_of(service, tps, draws, RUNS, seed, deadline)
    own = services.likeliest
    every = laws(own) if controllers is None else given_laws(controllers, own)
    stages = _Stages(weights, seed, executor, progress)
    if services.wrong:
        named = stages.unaided(every, services.choosing)
        return Recommendation(services, purpose, winner=named, judged=(), ranked=(), seed=seed)
    plains = plain(own)
    ranked = stages.run(RANKING, [*plains, *every], services.choosing)
    ranked.sort(key=lambda each: -each.mean())
    best = [each.candidate for each in ranked if each.candidate.law is not None][:FINALISTS]
    better = [stages.tuned(one, services.choosing, budget) for one in best]
    finalists = list(dict.fromkeys([*plains, *best, *(one for one in better if one is not None)]))
    winner = chosen(stages.run(CHOOSING, finalists, services.choosing)).candidate
    judged = stages.run(JUDGING, finalists, services.judging)
    return Recommendation(
        services=services,
        purpose=purpose,
        winner=next(each for each in judged if each.candidate == winner),
        judged=tuple(judged),
        ranked=tuple(ranked),
        seed=seed,
    )


class _Stages:
    """The runs of a recommendation, stage by stage, each under noise of its own."""

    def __init__(
        self,
        weights: Mapping[str, float],
        seed: int,
        executor: Executor | None,
        progress: Progress,
    ) -> None:
        self.weights, self.seed = weights, seed
        self.executor, self.progress = executor, progress

    def run(
        self, stage: int, candidates: Sequence[Candidate], services: Sequence[Scenario]
    ) -> list[Outcome]:
        """What candidates come to, in `RUNS` runs each, or one on each service."""
        replications = -(-(RANKED if stage == RANKING else RUNS) // len(services))
        noises = np.random.SeedSequence((self.seed, stage)).generate_state(len(services)).tolist()

        def value(
            service: Scenario, noise: int, replication: int, measures: Mapping[str, float]
        ) -> float:
            best = oracle_measures(service, noise, replication)
            return purposes.value(self.weights, measures, best)

        told = functools.partial(self.progress, STAGES[stage])
        return outcomes(candidates, services, value, replications, noises, self.executor, told)

    def unaided(self, every: Sequence[Candidate], services: Sequence[Scenario]) -> Outcome:
        """Who is named where the model is wrong: the law that is there for what nobody knows; where
        that was not among those given, the best on the model.
        """
        for one in every:
            if one.label == RECOMMENDED:
                return Outcome(one, (), ())
        return max(self.run(RANKING, every, services), key=Outcome.mean)

    def tuned(self, one: Candidate, services: Sequence[Scenario], budget: int) -> Candidate | None:
        """A law with its best parameters; None if it has none, or its own are as good."""
        if not tunable(one):
            return None
        found = tune(
            services[:TUNED_ON],
            one.law,
            purposes.loss(self.weights),
            replications=2,
            seed=self.seed,
            budget=budget,
            executor=self.executor,
            progress=lambda stage, done, total: self.progress(
                f"tuning of {one.label}: {stage}", done, total
            ),
        )
        return tuned(found.best, one.law)
