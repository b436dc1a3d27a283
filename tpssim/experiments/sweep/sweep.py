"""`sweep`: every point of a design run several times, reduced where it ran, kept as it arrives."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path

from tpssim.core.errors import InputError
from tpssim.core.validation import MOST_RUNS, check_size, checked_count
from tpssim.experiments.sweep import designs
from tpssim.experiments.sweep.designs import Point, Value
from tpssim.experiments.sweep.rows import Failure, Row
from tpssim.experiments.sweep.run_cache import Answer, RunCache, Study, caches
from tpssim.experiments.sweep.scheduler import check_portable, pieces_of, run_missing
from tpssim.experiments.sweep.store import Store
from tpssim.experiments.sweep.sweep_result import SweepResult
from tpssim.scenarios.scenario import Scenario, parameter_value
from tpssim.simulation.resolve import ControllerLike, scenario_named, throttle_spec

#: done, total runs, simulated calls
Progress = Callable[[int, int, int], None]


def sweep(
    scenario: Scenario | str,
    controller: ControllerLike,
    grid: Mapping[str, Iterable[Value]],
    *,
    design: str = "grid",
    points: int | None = None,
    replications: int = 10,
    seed: int = 0,
    seed_set: str = "common",
    drawn: Sequence[Scenario] = (),
    executor: Executor | None = None,
    store: Store | str | Path | None = None,
    progress: Progress | None = None,
) -> SweepResult:
    """One law on one scenario at every point of a grid, `replications` times each, reduced to
    measures.

    `grid`: values of each factor by name, `{"alpha": [0.1, 0.2], "service.cv": [0.2, 0.5]}`; with
    `design` `sobol` or `lhs`, the two ends of each and `points` points between them. `seed_set`:
    `common` random numbers at all points, so that differences between points are not noise, or
    `independent` ones. `drawn`: services that it may be too (`FitResult.draws`): each point is run
    on all of them, and `over_draws()` says what that leaves open. `executor`: any of
    `concurrent.futures` (None: here). `store`: a file where results are kept as they arrive; the
    same call resumes from it, as long as the code is the same (a warning says if that cannot be
    known). A point that fails is recorded in `result.failures`, and the others go on. Equal
    arguments give equal bits. Raises `InputError` before anything runs.

    >>> grid = {"dec_rate": [0.5, 0.9]}
    >>> result = sweep("blocking-steady:duration=5", "aimd", grid, replications=2)
    >>> [row.point for row in result.rows]
    [(0.5,), (0.9,)]
    """
    # Half of it is its signature and what it promises.
    checked_count("replications", replications, 1)
    checked_count("seed", seed, 0)
    if seed_set not in designs.SEED_SETS:
        raise InputError(
            f"there is no seed set {seed_set!r}; allowed: {', '.join(designs.SEED_SETS)}"
        )
    resolved, spec = scenario_named(scenario), throttle_spec(controller)
    if spec.law is None:
        raise InputError(
            f"{spec.label} has no parameters to sweep; allowed: a law such as ewma-deadzone"
        )
    factors = designs.factors(resolved, spec.law, grid)
    services = [resolved, *drawn]
    _check_common(factors, services)
    studies = [Study(each, spec.law, tuple(factors), seed, seed_set) for each in services]
    every = designs.points(factors, design, points, seed)
    runs = len(services) * len(every) * replications
    check_size("runs of a sweep", runs, MOST_RUNS, "0.5 kB of memory")
    check_portable(studies[0], executor)
    with contextlib.ExitStack() as stack:
        made = caches(store, studies, stack)
        rows = _run_all(made, every, range(replications), executor, progress)
    results = [
        SweepResult(
            cache.study.scenario,
            spec.name,
            spec.law,
            cache.study.factors,
            [found[point] if point in found else Row.failed(point) for point in every],
            [Failure(p, *cache.failed[p].failure) for p in every if p in cache.failed],
            replications,
            seed,
            seed_set,
        )
        for cache, found in zip(made, rows, strict=True)
    ]
    return results[0]._replace(drawn=tuple(results[1:]))


def _check_common(factors: Sequence[designs.Factor], services: Sequence[Scenario]) -> None:
    """Raise `InputError` where a number is swept that the services were drawn with: the others were
    drawn together with it.
    """
    for factor in factors:
        if factor.owner == "scenario":
            values = {parameter_value(service, factor.field) for service in services}
            if len(values) > 1:
                raise InputError(
                    f"{factor.name} is swept and drawn: {min(values):g} to {max(values):g} over the"
                    " services; allowed: what they have in common, or no draws"
                )


def _run_all(
    made: Sequence[RunCache],
    every: Sequence[Point],
    replications: range,
    executor: Executor | None,
    progress: Progress | None,
) -> list[dict[Point, Row]]:
    """Run what is missing; a point that is complete becomes a row, and its runs are dropped."""
    rows: list[dict[Point, Row]] = [{} for _ in made]
    places = {id(cache): place for place, cache in enumerate(made)}

    def finish(cache: RunCache, point: Point) -> None:
        runs = cache.known[point]
        if len(runs) == len(replications) and point not in cache.failed:
            row = Row.of(point, [runs[r] for r in replications])
            rows[places[id(cache)]][point] = row
            del cache.known[point]

    missing = []
    for cache in made:
        for point in every:
            pieces = list(pieces_of(cache, point, replications))
            missing += [(cache, piece) for piece in pieces]
            if not pieces:
                finish(cache, point)
    total = len(made) * len(every) * len(replications)
    done = total - sum(len(piece.replications) for _, piece in missing)

    def arrived(cache: RunCache, answers: Sequence[Answer]) -> None:
        nonlocal done
        for answer in answers:
            done += len(answer.replications)
            if answer.found is not None:
                finish(cache, answer.point)
        if progress is not None:
            progress(done, total, sum(each.calls for each in made))

    run_missing(missing, executor, arrived)
    return rows
