"""The result of `sweep`: a tidy table of factors and measures, as text, CSV, DataFrame and
pictures.

It reads finished sweeps; `trace` alone runs something: a run of the sweep once more, with every
call.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tpssim.core.errors import InputError, all_of, no_such
from tpssim.core.types import record
from tpssim.experiments.over_draws import over_draws
from tpssim.experiments.sweep import designs
from tpssim.experiments.sweep.rows import Failure, Row
from tpssim.experiments.sweep.sweep_table import sweep_table
from tpssim.experiments.sweep.theory_bounds import bounds
from tpssim.metrics.measure import ENDLESS, METRICS, definitions
from tpssim.output import format, tables
from tpssim.output.cells import At, Cells, cells_of, levels, measured
from tpssim.output.records import SweepRecord
from tpssim.output.tables import Table
from tpssim.output.verdict_words import WORDS
from tpssim.simulation.run import simulate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tpssim.experiments.sweep.designs import Factor
    from tpssim.output.plots import Figure
    from tpssim.output.records.parts import OverDraws
    from tpssim.output.records.searches import Curve
    from tpssim.scenarios.scenario import Scenario
    from tpssim.simulation.trace import Trace

    Array = NDArray[np.float64]


@record
class SweepResult(NamedTuple):
    """One row a point, in the order of the design.

    >>> import tpssim
    >>> grid = {"dec_rate": [0.5, 0.9]}
    >>> result = tpssim.sweep("blocking-steady:duration=5", "aimd", grid, replications=1)
    >>> [point["dec_rate"] for point in result.records()]
    [0.5, 0.9]
    """

    scenario: Scenario
    controller: str
    law: Any
    factors: tuple[Factor, ...]
    rows: list[Row]
    failures: list[Failure]
    replications: int
    seed: int
    seed_set: str
    drawn: tuple[SweepResult, ...] = ()  #: the same on services drawn from what a fit leaves open

    def names(self) -> list[str]:
        """The names of the factors."""
        return [factor.name for factor in self.factors]

    def records(self) -> Iterator[dict[str, Any]]:
        """One flat row a point: factors, replications, verdict, then mean, low and high of every
        measure.

        They are over the n replications in which it is finite; in `never` others it never happens.
        """
        failed = {failure.point: f"{failure.type}: {failure.message}" for failure in self.failures}
        for row in self.rows:
            word, share = row.verdict()
            found: dict[str, Any] = dict(zip(self.names(), row.point, strict=True))
            found |= {"replications": self.replications, "calls": row.calls, "verdict": word}
            found["verdict_share"] = share
            found["failure"] = failed.get(row.point, "")
            low, high = row.mean - row.half, row.mean + row.half
            for name, *numbers, n, never in zip(
                METRICS, row.mean, low, high, row.n, row.never, strict=True
            ):
                mean, least, most = (None if math.isnan(x) else float(x) for x in numbers)
                found |= {
                    name: mean,
                    f"{name}_low": least,
                    f"{name}_high": most,
                    f"{name}_n": int(n),
                }
                if name in ENDLESS:
                    found[f"{name}_never"] = int(never)
            yield found

    def record(self) -> SweepRecord:
        """All of it as plain data, with what theory says over the first two factors of a grid."""
        return SweepRecord(
            scenario=self.scenario.name,
            controller=self.controller,
            parameters=self.law._asdict(),
            factors={factor.name: factor.unit for factor in self.factors},
            replications=self.replications,
            seed=self.seed,
            seed_set=self.seed_set,
            metrics=definitions(),
            curves=self._curves(),
            points=list(self.records()),
            failures=[
                {
                    "point": list(failure.point),
                    "type": failure.type,
                    "message": failure.message,
                    "traceback": "",  # places on this machine
                }
                for failure in self.failures
            ],
            over_draws=self.over_draws(),
        )

    def over_draws(self) -> list[OverDraws]:
        """What each point comes to on the services that were drawn from what a fit leaves open."""
        if not self.drawn:
            return []
        return [over_draws(rows) for rows in zip(*(one.rows for one in self.drawn), strict=True)]

    def _curves(self) -> list[Curve]:
        """The curves over the first two factors; of a sample, none."""
        if len(self.factors) < 2 or not self.is_grid():
            return []
        x, y = self.names()[:2]
        xs = list(dict.fromkeys(row.point[0] for row in self.rows))
        return [
            {"label": label, "x": across.tolist(), "y": up.tolist()}
            for label, across, up in self.curves(x, y, xs)
        ]

    def is_grid(self) -> bool:
        """Whether every value of a factor meets every value of the others."""
        points = {row.point for row in self.rows}
        return len(points) == math.prod(len(set(values)) for values in zip(*points, strict=True))

    def to_pandas(self) -> Any:
        """The table as a DataFrame (needs pandas)."""
        rows = self.records()
        return tables.frame(
            [{k: math.nan if v is None else v for k, v in row.items()} for row in rows]
        )

    def values(self, metric: str) -> Array:
        """The mean of a measure at every point; of a verdict such as `converges`, the share of
        runs.

        inf where it never happens in some of the runs, as the mean then is: never is worse than
        late.
        """
        return np.array([at.worst() for at in self._measured(metric)])

    def _measured(self, metric: str) -> list[At]:
        """The measure at every point, and of how many runs."""
        if metric in WORDS:
            shares = [row.words.get(metric, 0) / self.replications for row in self.rows]
            return [
                At("", share if row.words else math.nan, 0.0, self.replications)
                for row, share in zip(self.rows, shares, strict=True)
            ]
        if metric not in METRICS:
            shown = f"{', '.join(WORDS)}, or {all_of('metrics')}"
            raise no_such("measure", metric, [*METRICS, *WORDS], shown=shown)
        i = list(METRICS).index(metric)
        return [
            measured(row.mean[i], row.half[i], self.replications, int(row.n[i]), int(row.never[i]))
            for row in self.rows
        ]

    def __repr__(self) -> str:
        failed = f", {len(self.failures)} failed" if self.failures else ""
        return (
            f"<SweepResult: {self.controller} on {self.scenario.name}, "
            f"{format.count(len(self.rows), 'point')} of {' x '.join(self.names())}, "
            f"{format.count(self.replications, 'replication')}{failed}; "
            "print(.table()), .summary(), .heatmap(metric), .plot(metric), .to_pandas()>"
        )

    def _repr_html_(self) -> str:
        """The table in a notebook."""
        from tpssim.output.html.notebook import shown

        table = self._table()
        return shown([table._replace(title=f"{self.summary()}\n{table.title}")])

    def table(self, most: int = 60, best: int = 20) -> str:
        """Plain text: every point, or of more than `most` the `best` (`verdicts.merit`)."""
        return self._table(most, best).text()

    def _table(self, most: int = 60, best: int = 20) -> Table:
        return sweep_table(self.rows, self.names(), self.replications, most, best)

    def summary(self) -> str:
        """What was swept and what came of it, in a few lines."""
        words = Counter(row.verdict()[0] for row in self.rows)
        calls = sum(row.calls for row in self.rows)
        listed = ", ".join(
            f"{word} {words[word]}" for word in (*reversed(WORDS), "failed") if words[word]
        )
        lines = [
            (
                f"{self.controller} on {self.scenario.name}: {len(self.rows)} points, "
                f"{self.replications} replications each, {calls:,} calls"
            ),
            f"verdict at so many points: {listed}",
        ]
        for failure in self.failures[:3]:
            at = format.settings(dict(zip(self.names(), failure.point, strict=True)))
            lines.append(f"failed at {at}: {failure.type}: {failure.message}")
        if len(self.failures) > 3:
            lines.append(f"and at {len(self.failures) - 3} more points")
        if failed := [failure for one in self.drawn for failure in one.failures]:
            many = f"{len(failed)} points on drawn services failed, the first with"
            lines.append(f"{many} {failed[0].type}: {failed[0].message}")
        return "\n".join(tables.filled(line, further="  ") for line in lines)

    def grid(self, metric: str, x: str, y: str) -> tuple[list[Any], list[Any], Array]:
        """The values of two factors, and a measure over them (its mean over other factors), a row
        each y.

        Numbers rise along both, in whatever order they were swept; words keep their order. inf
        where it never happens in some of the runs. With `verdict`, positions in `WORDS` of what the
        majority of all runs there came to, -1 if all failed. Raises `InputError` for a sample,
        which lies on no grid.
        """
        if metric == "verdict":
            every = [[At("", float(row.words.get(word, 0))) for row in self.rows] for word in WORDS]
            each = [self._cells(counts, x, y) for counts in every]
            counts = np.stack([found.values for found in each], axis=2)
            most = np.where(counts.any(axis=2), counts.argmax(axis=2), -1)
            return list(each[0].xs), list(each[0].ys), most
        found = self._cells(self._measured(metric), x, y)
        return list(found.xs), list(found.ys), found.worst()

    def _cells(self, rows: Sequence[At], x: str, y: str) -> Cells:
        """What is at the points, over two factors."""
        i, j = self._column(x), self._column(y)
        if i == j:
            raise InputError(f"x and y are both {x!r}; allowed: two of {', '.join(self.names())}")
        at = [(row.point[i], row.point[j]) for row in self.rows]
        found = cells_of([(*place, value) for place, value in zip(at, rows, strict=True)])
        if found is None:
            raise InputError(
                "a sample lies on no grid; allowed: plot(metric, x), or the design grid"
            )
        return found

    def heatmap(self, metric: str, x: str | None = None, y: str | None = None) -> Figure:
        """A measure, `verdict`, or the share of runs with one verdict, over two factors (default:
        the first).

        Over other factors it is the mean, or the word of the majority, as the title then says. Over
        `alpha` and `deadzone` of `ewma-deadzone` alone, two bounds of `theory` are drawn too: above
        `noise_rule` noise seldom cuts the rate; from `landing_boundary` up a backlogged law without
        noise comes to rest, which says nothing of where.
        """
        from tpssim.output import plots

        if len(self.factors) < 2:
            raise InputError("a heat map needs two factors; allowed: plot(metric) for one")
        x, y = x or self.names()[0], y or self.names()[1]
        xs, ys, means = self.grid(metric, x, y)
        title = f"{self.controller} on {self.scenario.name}: {self._label(metric)}"
        curves, mark = self.curves(x, y, xs), self._default(x, y)
        axes = (self._axis(x), self._axis(y))
        rest = {
            name: levels(row.point[i] for row in self.rows)
            for i, name in enumerate(self.names())
            if name not in (x, y)
        }
        if metric == "verdict":
            words, note = ["failed", *WORDS], plots.mean_over(rest, "majority of the runs")
            return plots.heat_figure(
                title, axes, xs, ys, means + 1.0, "", curves, mark, words, note
            )
        note, better = plots.mean_over(rest), METRICS[metric].better if metric in METRICS else ""
        shown = (title, axes, xs, ys, means, self._legend(metric), curves, mark, None, note, better)
        return plots.heat_figure(*shown, self._cells(self._measured(metric), x, y))

    def plot(self, metric: str, x: str | None = None, by: str | None = None) -> Figure:
        """A measure against a factor, by default the first, with the intervals that hold the median
        run.

        A line for each setting of the other factors; of more than eight, for each value of `by`
        (default: the last), its points means over the rest, as the title then says. `x` may be a
        measure too: a line then runs along the first factor that is left and shows what is paid for
        what; points at which it never happens or does not exist are left out, and the title says of
        how many. The points of a sample are not joined.
        """
        from tpssim.output import plots

        x = x or self.names()[0]
        if by is not None:
            self._column(by)
        across: list[Any] = (
            self.values(x).tolist()
            if x in METRICS
            else [row.point[self._column(x)] for row in self.rows]
        )
        rows = [
            at._replace(x=place) for place, at in zip(across, self._measured(metric), strict=True)
        ]
        points = [row.point for row in self.rows]
        shown = plots.lines_over(self.names(), points, x, by, rows)
        title = f"{self.controller} on {self.scenario.name}: {self._label(metric)}"
        label = self._legend(x) if x in METRICS else self._axis(x)
        return plots.line_figure(title, (label, self._legend(metric)), *shown)

    def curves(self, x: str, y: str, xs: list[Any]) -> list[tuple[str, Array, Array]]:
        """What theory says of y over x: bounds of DEADZONE over ALPHA, if only these were swept."""
        fields = [self.factors[self._column(name)].field for name in (x, y)]
        # A third factor may be what a bound stands on: then it has no single place.
        if (
            self.controller != "ewma-deadzone"
            or fields != ["alpha", "deadzone"]
            or len(self.factors) > 2
        ):
            return []
        return bounds(self.scenario, self.law, xs)

    def _column(self, name: str) -> int:
        if name not in self.names():
            raise no_such("factor", name, self.names())
        return self.names().index(name)

    def _axis(self, name: str) -> str:
        unit = self.factors[self._column(name)].unit
        words = name.replace("_", " ")
        return f"{words} ({unit})" if unit else words

    @staticmethod
    def _label(metric: str) -> str:
        return (
            f"share of runs that end as {metric!r}" if metric in WORDS else metric.replace("_", " ")
        )

    @staticmethod
    def _legend(metric: str) -> str:
        if metric in WORDS:
            return f"{metric} (share)"
        return f"{metric.replace('_', ' ')} ({METRICS[metric].unit})"

    def _default(self, x: str, y: str) -> tuple[float, float] | None:
        """Where the law as it was given stands, if both factors are its own."""
        found = [self.factors[self._column(name)] for name in (x, y)]
        if any(factor.owner != "controller" for factor in found):
            return None
        return tuple(getattr(self.law, factor.field) for factor in found)

    def to_csv(self, path: Any) -> None:
        """Write the table; equal sweeps give equal bytes."""
        tables.write_csv(path, self.records())

    def to_parquet(self, path: Any) -> bool:
        """Write the table as Parquet, if pandas and pyarrow are there; whether they were."""
        if not tables.writes_parquet():
            return False
        self.to_pandas().to_parquet(path)
        return True

    def at(self, number: int) -> tuple[Scenario, Any]:
        """Scenario and law at the point of that number, as `simulate` takes them."""
        if not 0 <= number < len(self.rows):
            raise InputError(f"point {number}; allowed: 0 to {len(self.rows) - 1}")
        return designs.at(self.scenario, self.law, self.factors, self.rows[number].point)

    def trace(self, number: int, replication: int = 0) -> Trace:
        """The run of that point and replication once more, with every call: equal seeds give equal
        bits.
        """
        scenario, law = self.at(number)
        seed = designs.seed_of(self.seed, self.seed_set, self.rows[number].point)
        return simulate(scenario, law, seed=seed, replication=replication)
