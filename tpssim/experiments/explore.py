"""`explore`: throttle 5 under sliders, in a notebook; only here is ipywidgets used.

`view` is all of it but the sliders: what is chosen in, picture, verdict and command out.
"""

from __future__ import annotations

import functools
import html
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tpssim.core.errors import InputError, all_of, no_such
from tpssim.core.types import OK, record
from tpssim.core.validation import format_spec
from tpssim.metrics.measure import measured
from tpssim.metrics.verdicts import Verdict, judge
from tpssim.output.plots import Frame
from tpssim.output.plots.scope import BINS, Curves, Scope
from tpssim.scenarios.builtin import SCENARIOS
from tpssim.scenarios.drawn import frame
from tpssim.scenarios.in_words import in_words
from tpssim.scenarios.scenario import Scenario
from tpssim.simulation.resolve import file_of, scenario_named
from tpssim.simulation.run import simulate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tpssim.simulation.trace import Trace

    Array = NDArray[np.float64]


LAW = ("alpha", "deadzone", "dec_rate", "inc_step")


@record
class Choice(NamedTuple):
    """Where the sliders stand; by default at the article's constants."""

    scenario: str = "degrade-recover"
    seed: int = 0
    alpha: float = 0.2
    deadzone: float = 1.1
    dec_rate: float = 0.9
    inc_step: float = 1.0
    spin_threshold: float = 0.0005  #: s

    def specs(self) -> tuple[str, str]:
        """Scenario and controller as the command line takes them: what differs from the defaults is
        named.
        """
        default = Choice()
        law = {n: getattr(self, n) for n in LAW if getattr(self, n) != getattr(default, n)}
        spin = scenario_named(self.scenario).spin_threshold != self.spin_threshold
        spinning = {"spin_threshold": self.spin_threshold} if spin else {}
        return format_spec(self.scenario, spinning), format_spec("ewma-deadzone", law)

    def command(self) -> str:
        """The command that makes the same run.

        >>> Choice(alpha=0.1, seed=3).command()
        'python -m tpssim simulate degrade-recover ewma-deadzone:alpha=0.1 --seed 3'
        """
        scenario, law = self.specs()
        return f"python -m tpssim simulate {scenario} {law} --seed {self.seed}"


@record
class View(NamedTuple):
    """What a choice comes to."""

    png: bytes
    verdict: Verdict
    measures: dict[str, float]
    command: str


def curves(trace: Trace) -> Curves:
    """The run in `BINS` bins of time: calls are counted (or their cost), and their response time
    taken, where they end.
    """
    duration = trace.scenario.duration
    width = duration / BINS
    ok = (trace.outcome == OK) & (trace.completed < duration)
    at = np.minimum((trace.completed[ok] / width).astype(np.int64), BINS - 1)
    response = (trace.completed - trace.scheduled)[ok]
    order = np.lexsort((response, at))
    count = np.bincount(at, minlength=BINS)
    last = np.cumsum(count) - 1
    there = count > 0
    rows = np.full((2, BINS), np.nan)
    sorted_ = response[order]
    rows[0, there] = sorted_[(last - count // 2)[there]]
    rows[1, there] = sorted_[last[there]]
    middle = np.arange(0.5, BINS) * width
    delivered = np.bincount(at, weights=trace.cost[ok], minlength=BINS) / width
    return Curves(trace.commanded(middle), delivered, rows[0], rows[1])


@functools.lru_cache(maxsize=32)
def _scope(scenario: Scenario, seed: int) -> tuple[Scope, Verdict, dict[str, float]]:
    """The picture with the article's constants in it, and what those come to."""
    trace = simulate(scenario, "ewma-deadzone", seed=seed)
    measures, phases = measured(trace)
    seen_in = trace.scenario
    scope = Scope(f"{seen_in.name}: {in_words(seen_in)}", Frame(*frame(seen_in)), curves(trace))
    return scope, judge(trace, phases), measures


def view(choice: Choice) -> View:
    """Picture, verdict, measures and command line of a choice; raises `InputError`."""
    if choice.scenario not in SCENARIOS and choice.scenario != file_of(choice.scenario):
        allowed = f"FILE.toml, or {all_of('scenarios')}"
        raise no_such("scenario", choice.scenario, SCENARIOS, shown=allowed)
    scope, _, _ = _scope(scenario_named(choice.scenario), choice.seed)
    scenario, law = choice.specs()
    trace = simulate(scenario_named(scenario), law, seed=choice.seed)
    measures, phases = measured(trace)
    return View(scope.png(curves(trace)), judge(trace, phases), measures, choice.command())


@record
class Shown(NamedTuple):
    """A measure shown beside the verdict."""

    name: str
    measure: str
    scale: float
    digits: int
    unit: str

    def of(self, measures: dict[str, float]) -> str:
        value = measures[self.measure]
        if math.isnan(value):
            return "-"
        return "never" if math.isinf(value) else f"{value * self.scale:.{self.digits}f} {self.unit}"


SHOWN = (
    Shown("achieved", "achieved", 100.0, 1, "%"),
    Shown("swing", "swing", 100.0, 0, "%"),
    Shown("recovers", "recovery_time", 1.0, 2, "s"),
    Shown("p99", "response_p99", 1.0, 3, "s"),
    Shown("spin", "spin_cpu", 100.0, 1, "%"),
)


def verdict_text(seen: View, choice: Choice) -> str:
    """Verdict and measures beside those of the article's constants, as HTML."""
    _, word, measures = _scope(scenario_named(choice.scenario), choice.seed)
    left, number = (f'style="text-align: {side}"' for side in ("left", "right"))
    heads = "".join(f"<th {number}>{shown.name}</th>" for shown in SHOWN)

    def row(name: str, verdict: Verdict, values: dict[str, float]) -> str:
        cells = "".join(f"<td {number}>{shown.of(values)}</td>" for shown in SHOWN)
        reason = html.escape(verdict.reason)
        return (
            f"<tr><th {left}>{name}</th><td><b>{verdict.word}</b></td>{cells}<td>{reason}</td></tr>"
        )

    rows = row("here", seen.verdict, seen.measures) + row("the article's constants", word, measures)
    head = f"<tr><th></th><th {left}>verdict</th>{heads}<th {left}>because</th></tr>"
    return f'<table style="border-collapse: separate; border-spacing: 1em 0">{head}{rows}</table>'


def explore(scenario: str = "degrade-recover", seed: int = 0) -> Any:
    """Sliders for the constants of throttle 5; rate, response time and verdict follow them.

    The widget, which a notebook shows when it is the last value of a cell. The grey lines are the
    article's constants on the same scenario and noise; the command below the picture makes the same
    run. The scenario is a built-in one or a file, `my-service.toml`. Needs the extra `notebook`;
    raises `InputError`.

    >>> panel = explore("blocking-steady")
    >>> type(panel).__name__
    'VBox'
    """
    # Long, and in one piece: the controls, and what they move.
    try:
        import ipywidgets as w
    except ImportError as error:
        raise InputError(
            "explore() needs the extra notebook: pip install 'tpssim[notebook]'"
        ) from error
    choice = Choice(scenario, seed)
    seen = view(choice)
    wide = w.Layout(width="23em")
    style = {"description_width": "7em"}

    def slider(
        name: str, value: float, low: float, high: float, step: float, form: str = ".2f"
    ) -> Any:
        return w.FloatSlider(
            value=value, min=low, max=high, step=step, description=name, readout_format=form,
            layout=wide, style=style,
        )  # fmt: skip

    controls = {
        "alpha": slider("ALPHA", choice.alpha, 0.01, 1.0, 0.01),
        "deadzone": slider("DEADZONE", choice.deadzone, 1.0, 2.5, 0.01),
        "dec_rate": slider("DEC_RATE", choice.dec_rate, 0.5, 0.99, 0.01),
        "inc_step": slider("INC_STEP", choice.inc_step, 0.1, 10.0, 0.1, ".1f"),
        "spin_threshold": slider("spin (ms)", 1e3 * choice.spin_threshold, 0.0, 2.0, 0.05),
        "scenario": w.Dropdown(
            options=list(dict.fromkeys([*SCENARIOS, scenario])),
            value=scenario,
            description="scenario",
            layout=wide,
            style=style,
        ),
        "seed": w.BoundedIntText(
            value=seed, min=0, max=2**31 - 1, description="seed", layout=wide, style=style
        ),
    }
    picture = w.Image(
        value=seen.png, format="png", layout=w.Layout(max_width="100%", object_fit="contain")
    )
    verdict = w.HTML(verdict_text(seen, choice))
    command = w.Text(
        seen.command, description="the same:", layout=w.Layout(width="auto"), style=style
    )

    def moved(_: Any) -> None:
        at = {name: control.value for name, control in controls.items()}
        # A slider's values are multiples of its step up to a bit or two, which would show in the
        # command.
        law = {name: round(at[name], 6) for name in LAW}
        now = Choice(
            at["scenario"], at["seed"], spin_threshold=round(1e-3 * at["spin_threshold"], 9), **law
        )
        found = view(now)
        picture.value, verdict.value, command.value = (
            found.png,
            verdict_text(found, now),
            found.command,
        )

    for control in controls.values():
        control.observe(moved, "value")
    column = w.VBox(list(controls.values()), layout=w.Layout(flex="0 0 auto"))
    # below them where it is narrow
    row = w.HBox([column, picture], layout=w.Layout(flex_flow="row wrap"))
    return w.VBox([row, verdict, command])
