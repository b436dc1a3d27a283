"""`report` on results that are damaged, old, or without a number: a page, or file and key in one
line.
"""

from __future__ import annotations

import functools
import json
import operator
import random
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tpssim.cli.main import main
from tpssim.core.errors import InputError
from tpssim.experiments.tuning import tune as tuning
from tpssim.live.calibration import read_timer
from tpssim.metrics.measure import METRICS
from tpssim.output import format
from tpssim.output.html.page import page
from tpssim.output.meanings import MEANINGS
from tpssim.output.pictures import read_picture
from tpssim.output.results_dir import MARK

SUMMARY = ("summary.json", "timer.json")  # of all verbs but calibrate, of that
FEW = ["--replications", "1", "--workers", "1"]
SHORT = "blocking-steady:duration=3"
LAST = [*METRICS][-1]
MADE = {
    "compare": [
        "compare",
        "--scenarios",
        "stall:duration=12",
        "--controllers",
        "aimd",
        "fixed",
        *FEW,
    ],
    "league": ["compare", "--league", "--scenarios", SHORT, "--controllers", "aimd", "fixed", *FEW],
    # With pictures of the measure that is damaged, the last.
    "sweep": [
        *["sweep", "--scenario", SHORT, "--grid", "alpha=0.1,0.2", "deadzone=1.1,1.3", *FEW],
        *["--heatmap", LAST, "--plot", LAST],
    ],
    "simulate": ["simulate", SHORT, "aimd"],
    "live": ["live", "--call", "math:sqrt", "--tps", "500", "--total", "20", "--quiet"],
    "replay": ["replay", "RECORDING"],
    "validate": ["validate", "--cases", "ties"],
    "analyse": ["analyse", "aimd", "--scenario", SHORT, "--replications", "2"],
    "calibrate": ["calibrate", "--sleeps", "20"],
    # The law never recovers there, and as tuned it does: means that are null.
    "tune": ["tune", "ewma-deadzone", "--scenarios", "degrade-recover", "--budget", "24", *FEW],
}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("results")
    for kind, argv in MADE.items():
        argv = [
            str(root / "live" / "recording.ndjson") if word == "RECORDING" else word
            for word in argv
        ]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tuning, "CHOOSING", 20)  # its form is looked at, not what is chosen
            assert main([*argv, "--out", str(root / kind)]) == 0
    return root


def copy(results: Path, kind: str, to: Path) -> Path:
    """With the pictures, of which a page draws those of a sweep again; without traces, which take
    long.
    """
    to.mkdir()
    names = (SUMMARY[kind == "calibrate"], MARK)
    for path in (*(results / kind / name for name in names), *(results / kind).glob("*.png")):
        shutil.copy(path, to / path.name)
    return to


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a document."""
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for name, inner in items:
        yield (*path, name)
        yield from paths(inner, (*path, name))


def kinds_of_place(document: Any) -> list[tuple[Any, ...]]:
    """One place for all that are alike: of a list the last, of the measures one."""
    known: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    for path in paths(document):
        alike = tuple(
            "*" if isinstance(p, int) else "M" if p in NAMES else KEY.sub("M", p) for p in path
        )
        known[alike] = path
    return list(known.values())


# alike in what follows
NAMES = {
    *METRICS,
    *MEANINGS,
    "aimd",
    "fixed",
    "tuned",
    "better",
    "total",
    "held_out",
}
#: A column of a measure, without its end.
KEY = re.compile(f"^({'|'.join(METRICS)})(?=_(low|high|n|never)$)")
GONE = object()
NUMBER = 1e308  # whatever it is multiplied by


def changed(text: str, path: tuple[Any, ...], value: Any) -> str:
    document = json.loads(text)
    at = document
    for name in path[:-1]:
        at = at[name]
    if value is GONE:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return json.dumps(document)


def one_line(folder: Path) -> str:
    """What is wrong; "" if there is a page. Anything but an `InputError` fails the test."""
    message = ""
    try:
        assert "</html>" in page(folder)
    except InputError as error:
        message = str(error)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("kind", MADE)
def test_each_number_may_be_null_or_absurd_and_each_key_missing_or_of_another_type(
    kind: str, results: Path, tmp_path: Path
) -> None:
    folder = copy(results, kind, tmp_path / "r")
    summary = folder / SUMMARY[kind == "calibrate"]
    text = summary.read_text(encoding="utf-8")
    assert one_line(folder) == ""
    named, whole = 0, json.loads(text)
    for path in kinds_of_place(whole):
        for value in (None, GONE, "text", NUMBER):
            if value is NUMBER and not isinstance(
                functools.reduce(operator.getitem, path, whole), float
            ):
                continue
            summary.write_text(changed(text, path, value), encoding="utf-8")
            message = one_line(folder)
            named += bool(message)
            if message:
                assert message.startswith(f"{str(summary)!r}: "), message
                assert "allowed: " in message, message
    assert named, "what a record of this kind holds is known"


@pytest.mark.parametrize(
    ("kind", "path", "value", "message"),
    [
        ("simulate", ("verdict",), GONE, "verdict is missing; allowed: an object"),
        ("simulate", ("verdict", "word"), 3, "verdict > word is 3; allowed: text"),
        (
            "simulate",
            ("metrics", "achieved"),
            "much",
            "metrics > achieved is 'much'; allowed: a number or null",
        ),
        (
            "compare",
            ("scenarios", "stall:duration=12", "target"),
            None,
            "stall:duration=12 > target is null; a",
        ),
        (
            "compare",
            ("scenarios", "stall:duration=12", "throttles", "aimd", "metrics", "iae"),
            GONE,
            "iae is m",
        ),
        ("compare", ("replications",), 10**400, "replications is 1000000"),
        (
            "sweep",
            ("points", 1, "achieved"),
            GONE,
            "points > 1 > achieved is missing; allowed: a number or null",
        ),
        (
            "sweep",
            ("points", 1, "alpha"),
            [1],
            "points > 1 > alpha is a list of 1; allowed: a number or text",
        ),
        ("sweep", ("points",), [], "points is empty; allowed: at least one"),
        (
            "sweep",
            ("points", 3, "achieved_n"),
            "text",
            "> 3 > achieved_n is 'text'; allowed: a whole number",
        ),
        (
            "sweep",
            ("points", 3, "achieved_n"),
            None,
            "> 3 > achieved_n is null; allowed: a whole number",
        ),
        (
            "sweep",
            ("points", 3, "achieved_n"),
            [1],
            "> 3 > achieved_n is a list of 1; allowed: a whole number",
        ),
        (
            "sweep",
            ("points", 3, "achieved_n"),
            0.5,
            "> 3 > achieved_n is 0.5; allowed: a whole number",
        ),
        (
            "sweep",
            ("points", 3, "regain_time_never"),
            -3,
            "> 3 > regain_time_never is -3; allowed: [0, 1]",
        ),
        (
            "sweep",
            ("points", 3, "settling_time_never"),
            1,
            "settling_time_n and settling_time_never are more",
        ),
        ("simulate", ("never",), None, "never is null; allowed: a list"),
        ("simulate", ("never",), ["speed"], "never names 'speed'; allowed: throughput,"),
        ("tune", ("judgements",), [], "judgements has 0 entries; allowed: 1, as beside it"),
        (
            "sweep",
            ("curves",),
            [{"label": "", "x": [1, 2], "y": [1]}],
            "curves > 0 > y has 1 entries; allowed: 2",
        ),
        ("league", ("standings",), [], "standings is empty"),
        (
            "league",
            ("cells", 0, "tail"),
            {},
            "cells > 0 > tail is an object; allowed: a number or null",
        ),
        ("tune", ("gain",), [], "gain has 0 entries; allowed: 1, as beside it"),
        (
            "tune",
            ("better", 0, "measure"),
            "speed",
            "better > 0 > measure names 'speed'; allowed: throughput,",
        ),
        ("live", ("report", "rate"), "fast", "report > rate is 'fast'; allowed: a number or null"),
        ("replay", ("numbers",), {"law": {}}, "numbers > law > throughput is missing"),
    ],
)
def test_the_key_is_named_with_what_is_allowed(
    kind: str,
    path: tuple[Any, ...],
    value: Any,
    message: str,
    results: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = copy(results, kind, tmp_path / "r")
    text = (folder / "summary.json").read_text(encoding="utf-8")
    (folder / "summary.json").write_text(changed(text, path, value), encoding="utf-8")
    assert main(["report", str(folder)]) == 2
    error = capsys.readouterr().err
    assert "summary.json': " in error
    assert message in error
    assert error.count("\n") == 1
    assert not (folder / "report.html").exists()


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (
            "schema_version",
            GONE,
            "schema_version is missing; allowed: 1, as tpssim",
        ),  # as until 0.1
        ("schema_version", 2, "schema_version is 2; allowed: 1, as tpssim"),
        ("schema_version", "1", "schema_version is '1'; allowed: 1, as tpssim"),
        ("schema_version", True, "schema_version is True; allowed: 1, as tpssim"),
    ],
)
def test_a_folder_of_another_version_is_named_with_the_way_out(
    key: str, value: Any, message: str, results: Path, tmp_path: Path
) -> None:
    folder = copy(results, "simulate", tmp_path / "r")
    text = changed((folder / "summary.json").read_text(encoding="utf-8"), ("tpssim",), "0.0.3")
    (folder / "summary.json").write_text(changed(text, (key,), value), encoding="utf-8")
    found = one_line(folder)
    assert f"summary.json': {message}" in found
    assert "; written by tpssim 0.0.3; make it again: python -m tpssim simulate " in found


@pytest.mark.parametrize("value", [GONE, "dance", None, ["simulate"]])
def test_a_kind_that_is_not_known_is_named(value: Any, results: Path, tmp_path: Path) -> None:
    folder = copy(results, "simulate", tmp_path / "r")
    text = (folder / "summary.json").read_text(encoding="utf-8")
    (folder / "summary.json").write_text(changed(text, ("kind",), value), encoding="utf-8")
    assert re.search(
        r"kind is (missing|.*); allowed: compare, league, services, simulate", one_line(folder)
    )


@pytest.mark.parametrize("file", ["../secret.png", "/etc/passwd", "a/../../b.png", "C:\\b.png", ""])
def test_a_figure_lies_in_the_folder(file: str, results: Path, tmp_path: Path) -> None:
    folder = copy(results, "simulate", tmp_path / "r")
    whole = (folder / "summary.json").read_text(encoding="utf-8")
    for key, place in ("file", ("file",)), ("traces", ("traces", "aimd")):
        text = changed(whole, ("figures", 0, *place), file)
        (folder / "summary.json").write_text(text, encoding="utf-8")
        assert f"figures > 0 > {key} is {file!r}; allowed: a path inside" in one_line(folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot be read as JSON"),
        (b'{"scenario": "x", "metr', "cannot be read as JSON"),
        (b"\xff\xfe{}", "cannot be read as JSON"),
        (b"[1, 2]", "holds no JSON object"),
        (b'{"a": NaN}', "cannot be read as JSON: NaN is no number"),
        (b'{"a": {"b": [1, -Infinity]}}', "cannot be read as JSON: -Infinity is no number"),
        (b'{"a": {"b": [1, 1e999]}}', "a > b > 1 is inf; allowed: a number that a float holds"),
        (b'{"a": ' + b"[" * 60 + b"]" * 60 + b"}", "is nested too deeply; allowed: 40 levels"),
        (b'{"a": ' * 100_000, "is nested too deeply; allowed: 40 levels"),
    ],
    ids=lambda value: str(value)[:20],
)
@pytest.mark.parametrize("kind", ["simulate", "validate"])
@pytest.mark.parametrize("file", ["summary.json", MARK])
def test_a_file_that_is_no_result_is_named(
    file: str, kind: str, content: bytes, message: str, results: Path, tmp_path: Path
) -> None:
    folder = copy(results, kind, tmp_path / "r")
    (folder / file).write_bytes(content)
    found = one_line(folder)
    assert f"{file}'" in found
    assert message in found


def test_a_search_with_a_measure_that_is_never_reached_says_never(results: Path) -> None:
    """`tune ewma-deadzone`: the default never regains its rate on degrade-recover."""
    summary = json.loads((results / "tune" / "summary.json").read_text(encoding="utf-8"))
    nulls = [c for c in summary["worse"] + summary["better"] if None in (c["default"], c["tuned"])]
    assert nulls, "the case of this test"
    assert '<td data-key="inf">never</td>' in page(results / "tune")


def test_a_measure_that_became_never_is_given_up_before_any_number(
    results: Path, tmp_path: Path
) -> None:
    folder = copy(results, "tune", tmp_path / "r")
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    none = {"mean": None, "low": None, "high": None, "n": 0, "never": 0}
    some = {"mean": 9.0, "low": 8.0, "high": 10.0, "n": 5, "never": 0}
    change = {"measure": "recovery_time", "pairs": 5}
    summary["worse"] = [
        change
        | {"scenario": "a", "default": 1.0, "tuned": 10.0, "difference": some, "never": [0, 0]},
        change
        | {"scenario": "b", "default": 2.5, "tuned": None, "difference": none, "never": [1, 5]},
    ]
    (folder / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    assert "recovery_time 2.5 (never in 1 of 5) to never s on b" in page(folder)


def test_a_phase_without_a_share_is_a_dash() -> None:
    assert format.shares([0.8, None]) == "80/-"
    assert format.shares([None] * 5) == "-/-/-/-/-"


def test_a_picture_that_is_none_is_named_and_one_that_is_gone_is_passed_over(
    results: Path, tmp_path: Path
) -> None:
    folder = copy(results, "league", tmp_path / "r")
    (folder / "odd.png").write_bytes(b"a picture of somebody else's")
    assert one_line(folder) == ""
    (folder / "league.png").write_bytes(b"no picture")
    assert "league.png' is no picture; allowed: a PNG that tpssim wrote, or none" in one_line(
        folder
    )
    (folder / "league.png").unlink()
    assert one_line(folder) == ""
    (folder / "league.png").mkdir()
    assert one_line(folder) == ""


def test_a_trace_with_any_damage_is_read_or_named(results: Path, tmp_path: Path) -> None:
    whole = (results / "simulate" / "trace.npz").read_bytes()
    path = tmp_path / "trace.npz"
    dice, messages = random.Random(1), []
    for _ in range(150):
        data = bytearray(whole[: dice.randrange(1, len(whole))] if dice.random() < 0.2 else whole)
        for _ in range(dice.randrange(1, 4)):
            data[dice.randrange(len(data))] = dice.randrange(256)
        path.write_bytes(data)
        try:
            read_picture(path)
        except InputError as error:
            messages.append(str(error))
    assert len(messages) > 50
    assert {*messages} == {f"{str(path)!r} is no trace; allowed: an npz file that tpssim wrote"}


def test_a_calibration_that_is_none_is_named(tmp_path: Path) -> None:
    path = tmp_path / "timer.json"
    for text in (
        "[" * 100_000,
        '{"timers": {"sleep": {"median": 1' + "0" * 400 + "}}}",
        '{"timers": [1]}',
    ):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(InputError, match=r"^timer '.*timer\.json' is no calibration; allowed"):
            read_timer(str(path))
