"""`analyse`: every prediction that there is for a law on a scenario, beside the simulation."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from tpssim.controllers import CONTROLLERS
from tpssim.controllers.article import TWINS
from tpssim.core.statistics import assumption
from tpssim.core.types import record
from tpssim.core.validation import MOST_COMPARED, checked_count
from tpssim.experiments.analysis.dead_zones import of_busy_time, of_ewma_deadzone
from tpssim.experiments.analysis.linear import of_linear
from tpssim.experiments.analysis.plants import Plant, plant_of
from tpssim.experiments.analysis.rows import TOLERANCE, Picture, Row, Runs
from tpssim.experiments.analysis.sawtooths import of_aimd, of_aimd_epoch
from tpssim.metrics.measure import measure_phases
from tpssim.output import format, records, tables
from tpssim.output.tables import Column, Table
from tpssim.scenarios.drawn import frame
from tpssim.scenarios.scenario import Scenario
from tpssim.simulation.resolve import ControllerLike, scenario_named, throttle_spec
from tpssim.simulation.run import simulate

if TYPE_CHECKING:
    from tpssim.output.plots import Figure
    from tpssim.simulation.trace import Trace

REFUTED = (
    f"refuted: it applies, but the simulated interval lies more than {format.share(TOLERANCE)} away"
    " from the prediction"
)
COLUMNS = (
    Column("quantity", left=True),
    Column("applies", left=True),
    Column("predicted"),
    Column("simulated"),
    Column("unit", left=True),
)
Predictor = Callable[[Any, Runs, int], tuple[list[Row], Picture]]
#: The laws that theory says something of.
PREDICTED: dict[str, Predictor] = {
    "aimd": of_aimd,
    "ewma-deadzone": of_ewma_deadzone,
    "busy-time": of_busy_time,
    "aimd-epoch": of_aimd_epoch,
    "pid": of_linear,
    "pi": of_linear,
}


@record
class Analysis(NamedTuple):
    """What theory says of a law on a scenario, and what the simulation shows.

    >>> found = analyse("blocking-steady:duration=5", "aimd", replications=2)
    >>> found.controller, len(found.rows) > 0
    ('aimd', True)
    """

    scenario: Scenario
    controller: str
    plant: Plant | None  #: what theory made of the scenario; None if nothing
    rows: list[Row]
    reason: str  #: why there are no rows; "" if there are
    picture: Picture
    trace: Trace  #: the first replication
    replications: int
    seed: int

    def table(self) -> str:
        """Plain text: the rows, then the assumption of each."""
        title = f"{self.controller} on {self.scenario.name}"
        if not self.rows:
            return tables.filled(f"{title}: nothing is predicted: {self.reason}")
        notes: dict[str, list[str]] = {}
        for row in self.rows:
            refuted = row.refuted()
            note = f"{row.assumption}."
            if row.refusal:
                note += f" Does not apply: {row.refusal}."
            if refuted:
                note += f" REFUTED: {refuted}."
            notes.setdefault(note, []).append(row.quantity)
        plant = self.plant
        assert plant is not None
        about = (
            f"{title}, {plant.start:g}-{plant.end:g} s: can sustain {plant.capacity:.4g}/s of "
            f"{plant.target:.4g}/s, service CV {plant.cv:.2g}; {self.replications} replications"
        )
        below = [("±:", assumption(self.replications))]
        table = Table("", COLUMNS, [_cells(row) for row in self.rows], below, label=tables.WIDTH)
        return "\n".join(
            [
                tables.filled(about),
                "",
                table.text(),
                *([REFUTED] if self.refuted() else []),
                "",
                "assumptions:",
                *_assumptions(notes),
            ]
        )

    def refuted(self) -> list[str]:
        """The quantities whose prediction applies, but is refuted by the simulation."""
        return [row.quantity for row in self.rows if row.refuted()]

    def record(self) -> records.AnalyseRecord:
        """The same as plain data."""
        plant = self.plant
        return records.AnalyseRecord(
            scenario=self.scenario.name,
            controller=self.controller,
            replications=self.replications,
            seed=self.seed,
            reason=self.reason,
            phase=None if plant is None else [plant.start, plant.end],
            capacity=None if plant is None else plant.capacity,
            tolerance=TOLERANCE,
            rows=[row.part() for row in self.rows],
        )

    def plot(self) -> Figure:
        """The simulated rate with predicted levels that apply; beside it the loop, if it is
        linear.
        """
        from tpssim.output import plots

        title = f"{self.controller} on {self.scenario.name}"
        if not self.picture.curves:
            shown = (
                "what is predicted of it"
                if self.picture.levels
                else "no prediction that applies to it"
            )
            title += (
                f"\nthe rate, and {shown}"
                if self.rows
                else "\nthe rate alone, as nothing is predicted"
            )
        if refuted := self.refuted():
            title += "\n" + tables.filled(f"refuted by the simulation: {', '.join(refuted)}")
        return plots.analysis_figure(
            title,
            self.picture.caption,
            self.picture.curves,
            self.picture.marks,
            self.trace.panel("first replication"),
            plots.Frame(*frame(self.scenario)),
            [(f"{label}{self._doubt(level)}", level) for label, level in self.picture.levels],
            (0.0, 0.0) if self.plant is None else (self.plant.start, self.plant.end),
        )

    def _doubt(self, level: float) -> str:
        """What is said of a level that is a prediction, or goes with one, which is refuted."""
        rates = [row for row in self.rows if row.unit == "1/s" and not row.refusal]
        own = [row for row in rates if row.predicted == level]
        return " (refuted)" if any(row.refuted() for row in own or rates) else ""


def _assumptions(notes: dict[str, list[str]]) -> list[str]:
    """Each assumption once, behind the quantities that rest on it."""
    return [
        tables.filled(f"{'; '.join(quantities)}: {note}", "  ", "    ")
        for note, quantities in notes.items()
    ]


def _cells(row: Row) -> list[str]:
    applies = "no" if row.refusal else "refuted" if row.refuted() else "yes"
    return [row.quantity, applies, format.number(row.predicted), _estimate(row), row.unit]


def _estimate(row: Row) -> str:
    """Four digits and the interval in as many decimals."""
    found = row.simulated
    if found is None:
        return format.NONE
    digits = min(format.decimals(found.mean, 4), 5) if found.mean else 3
    return format.interval(found, digits)


def _silence(name: str) -> str:
    """Why nothing is predicted for a law."""
    if name not in CONTROLLERS:
        return "no analytical model for this controller"
    law = CONTROLLERS[name]
    if law.signals == "none":
        return "it looks at nothing, so there is no loop"
    return (
        f"it commands the {' or '.join(law.actuators)} by {law.signals}; the theory here covers "
        f"{', '.join(PREDICTED)} and has no equations for it"
    )


def analyse(
    scenario: Scenario | str,
    controller: ControllerLike,
    *,
    replications: int = 10,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Analysis:
    """Predictions for a law on a scenario, beside what so many simulations show: means, and
    intervals of the median run.

    Looked at is the long phase in which the service can sustain the least of the target. A printed
    throttle stands for the law that equals it. Where nothing is predicted, `reason` says why.
    `progress(done, total)` is called as runs end. Raises `InputError`.

    >>> found = analyse("blocking-steady:duration=20", "token-bucket", replications=2)
    >>> found.reason
    'it looks at nothing, so there is no loop'
    """
    checked_count("replications", replications, 2, MOST_COMPARED)
    checked_count("seed", seed, 0)
    resolved, spec = scenario_named(scenario), throttle_spec(controller)
    law, name = spec.law, spec.name
    if name in TWINS:
        law, name = throttle_spec(TWINS[name]).law, TWINS[name]
    traces = []
    for replication in range(replications):
        traces.append(
            simulate(
                resolved, controller if law is None else law, seed=seed, replication=replication
            )
        )
        if progress is not None:
            progress(replication + 1, replications)
    plant = plant_of(resolved)
    reason = plant if isinstance(plant, str) else ""
    rows: list[Row] = []
    picture = Picture("", [], [], [])
    if name not in PREDICTED:
        reason = _silence(name)
    elif not isinstance(plant, str):
        phases = [measure_phases(trace)[plant.phase] for trace in traces]
        rows, picture = PREDICTED[name](law, Runs(plant, traces, phases), seed)
        if not rows:
            reason = "with these parameters its loop has no operating point"
    known = None if isinstance(plant, str) else plant
    return Analysis(
        resolved, spec.label, known, rows, reason, picture, traces[0], replications, seed
    )
