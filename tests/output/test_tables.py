"""What the verbs print fits a terminal of 80 columns, and a file: widths are those of the longest
names.
"""

from __future__ import annotations

from pathlib import Path

import pytest

import tpssim
from tpssim.cli import catalogue
from tpssim.cli.commands import VERBS
from tpssim.cli.main import main
from tpssim.experiments.cells import Cell
from tpssim.experiments.compare import league
from tpssim.experiments.comparison import Comparison
from tpssim.experiments.league import SPLIT, League
from tpssim.metrics.verdicts import Verdict
from tpssim.output.tables import Column, Table
from tpssim.simulation.hosting.runner import unhosted
from tpssim.validation import validate
from tpssim.validation.known_answers.cases import CASES

WIDTH = 80

#: Worst cases of what a scenario of the core gives: (measure, value in each of five replications).
WIDE = {
    "achieved": (0.941, 0.933, 0.95, 0.93, 0.94),
    "swing": (1.66, 1.61, 1.7, 1.6, 1.6),
    "recovery_time": (1.72, 1.7, 1.8, 1.7, 1.7),
    "response_p99": (39.665, 39.0, 39.0, 39.0, 39.0),
    "drift": (667623.0,) * 5,
    "spin_cpu": (0.256,) * 5,
}


def too_long(text: str) -> list[str]:
    return [line for line in text.splitlines() if len(line) > WIDTH]


@pytest.fixture(scope="module")
def compared() -> Comparison:
    """Each core scenario under the throttles with the longest names that `compare` runs by
    default.
    """
    names = ["printed-schedule", "ewma-deadzone", "headroom"]
    short = [arena._replace(duration=1.0, disturbances=()) for arena in tpssim.SCENARIOS.values()]
    hosted = [arena for arena in short if len(arena.producers) == 1 and not unhosted(arena)]
    return tpssim.compare(hosted, names, replications=2)


def widened(result: Comparison, words: list[str]) -> Comparison:
    """The same with the longest verdicts and numbers, in three phases."""
    cells = {}
    for place, cell in result.cells.items():
        phases = [phase._replace(steady_share=1.0) for phase in cell.runs[0].phases[:1] * 3]
        runs = [
            cell.runs[0]._replace(
                measures={
                    **cell.runs[0].measures,
                    **{name: values[k] for name, values in WIDE.items()},
                },
                phases=phases,
                verdict=Verdict(words[k], "why"),
            )
            for k in range(5)
        ]
        cells[place] = Cell(cell.controller, cell.parameters, runs, cell.actuators)
    return result._replace(cells=cells, replications=5)


@pytest.mark.parametrize("words", [["oscillates"] * 5, ["oscillates"] * 4 + ["stuck"]])
def test_the_table_of_compare(compared: Comparison, words: list[str]) -> None:
    wide = widened(compared, words)
    assert too_long(wide.table()) == []
    # In one block: numbers of one throttle stand in one line.
    assert wide.table().count("verdict  ") == len(wide.scenarios)


def test_a_verdict_says_how_many_only_where_not_all_agree(compared: Comparison) -> None:
    alike = widened(compared, ["stuck"] * 5).table()
    assert "/5" not in alike
    split = widened(compared, ["stuck"] * 4 + ["drifts"]).table()
    assert "stuck 4/5" in split
    assert "/5: the verdict on so many of 5 replications; without a number, on all" in split


def test_the_table_of_late_policies() -> None:
    from tpssim.core.schedule import late_policy
    from tpssim.scenarios.scenario import with_late

    policies = [late_policy(word) for word in ("auto", "burst", "capped(10)", "delay", "skip")]
    arenas = with_late(tpssim.SCENARIOS["stall"], policies)
    assert (
        too_long(tpssim.compare(arenas, ["ewma-deadzone", "headroom"], replications=2).table())
        == []
    )


def test_the_table_of_the_league() -> None:
    """Every law, with ranks of two figures and intervals."""
    names = list(tpssim.CONTROLLERS)
    row = (
        "12-34",
        "0.934",
        "0.106 ±0.012",
        "1.00",
        "0.93",
        "0.84",
        "0.83",
        "1.00",
        "0.90",
        "0.90",
        "1.00",
    )
    result = league(
        [tpssim.SCENARIOS["healthy"]._replace(duration=1.0)], ["fixed", "aimd"], replications=2
    )
    assert isinstance(result, League)
    assert too_long(result.table()) == []
    block = result._blocks()[0]
    assert len(block.columns) == len(row) + 1
    assert block.heads()[-1] == SPLIT[1]
    table = block._replace(title="", rows=[[name, *row] for name in names]).text()
    assert too_long(table) == []
    assert table.count("rank") == 1, "one block"


def test_the_table_of_a_sweep() -> None:
    result = tpssim.sweep(
        "blocking-steady:duration=2",
        "ewma-deadzone",
        {"alpha": [0.1, 0.2], "deadzone": [1.02, 1.2]},
        replications=5,
    )
    assert too_long(f"{result.summary()}\n{result.table()}") == []


@pytest.mark.parametrize("kind", list(catalogue.SINGULAR))
def test_what_list_prints(kind: str) -> None:
    document = catalogue.entries(kind, None)
    assert too_long(catalogue.text(document, None)) == []
    for name, entry in document[kind].items():
        full = catalogue.text({kind: {name: entry}}, name)
        # An example is code: it is not broken.
        assert [line for line in too_long(full) if not line.startswith((">>>", "..."))] == []


def test_the_table_of_validate() -> None:
    """Names of cases and quantities as they are, seven columns, five digits."""
    outcomes = [
        validate.Outcome(
            name, "time in the system, first of two", 0.12345, 0.12346, 0.12344, 0.12347, True, 9
        )
        for name in CASES
    ]
    assert too_long(validate.table(outcomes)) == []


@pytest.mark.parametrize("verb", ["", *VERBS])
def test_help(
    verb: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(WIDTH))
    words = [verb, "--help"] if verb else ["--help"]
    with pytest.raises(SystemExit):
        main(words)
    assert too_long(capsys.readouterr().out) == []


def test_a_table_that_is_too_wide_gives_long_labels_a_line_then_goes_on_below() -> None:
    """Widths worked by hand, with numbers of 7 characters."""

    def table(columns: int, *labels: str) -> str:
        heads = [Column("law", left=True), *(Column(f"c{i}") for i in range(columns))]
        return Table("", heads, [(label, *["1234567"] * columns) for label in labels]).text()

    # 8 + 8 (2 + 7) = 80; 9 + 72 = 81, and 9 + 8 (1 + 7) = 73.
    assert table(8, "headroom").splitlines()[-1] == "headroom" + "  1234567" * 8
    assert table(8, "law-nine-").splitlines()[-1] == "law-nine-" + " 1234567" * 8
    # 10 + 9 (1 + 7) = 82 with the long label, 5 + 72 = 77 without it.
    assert table(9, "fixed", "long-label").splitlines()[-2:] == [
        "long-label",
        " " * 5 + " 1234567" * 9,
    ]
    # 5 + 10 x 8 = 85: nine columns, then one.
    assert [block.count("c") for block in table(10, "fixed").split("\n\n")] == [9, 1]


def test_what_is_written_stands_in_lines_that_fit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names = ["--controllers", "printed-schedule", "--replications", "2", "--workers", "1"]
    assert main(["compare", "--scenarios", "blocking-steady:duration=2", *names]) == 0
    assert too_long(capsys.readouterr().out) == []
