"""Figures in prose: each names the command that makes it, and is what that command gives, as
printed.

A claim is a sentence with fields in place of its figures; they are filled from the summary that the
command leaves, and the sentence must then stand in the document. So the precision is the sentence's
own, and a failure shows what to write. What depends on the wall clock cannot be compared: those
paragraphs name their benchmark.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import json
import math
import re
import shlex
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from helpers import ROOT
from helpers.documents import FOUND, SNIPPETS, T, plain

from tpssim import CONTROLLERS, METRICS
from tpssim.cli.main import main
from tpssim.metrics import verdicts
from tpssim.metrics.score import LEAST, PARTS
from tpssim.scenarios.builtin import CORE, SCENARIOS
from tpssim.scenarios.loads import LOADS
from tpssim.scenarios.user_reports import USER_REPORTS
from tpssim.validation import live_against_simulated
from tpssim.validation.known_answers.cases import CASES
from tpssim.validation.vector_ranges import VECTOR_CASES


def words(name: str) -> str:
    """A document with single spaces."""
    return " ".join((ROOT / name).read_text(encoding="utf-8").split())


class Made(NamedTuple):
    """What a command prints, and the summary that it leaves."""

    text: str
    document: Any


@functools.cache
def made(command: str, more: str = "") -> Made:
    """A command, run as it stands (and with `more` options) beside the documents' own files."""
    given = [*shlex.split(command)[3:], *shlex.split(more), "--out", "out"]
    if given[0] in ("compare", "sweep"):
        given += ["--workers", "1"]
    text = io.StringIO()
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        (Path(folder) / "tests").symlink_to(ROOT / "tests")
        for code in SNIPPETS.values():
            if named := re.match(r"# (\w+\.py)\n", code):
                Path(named[1]).write_text(code, encoding="utf-8")
        with contextlib.redirect_stdout(text), contextlib.redirect_stderr(io.StringIO()):
            assert main(given) == 0
        document = json.loads(Path("out/summary.json").read_text(encoding="utf-8"))
    return Made(text.getvalue(), document)


class Claim(NamedTuple):
    command: str  #: as the documents give it
    texts: Mapping[str, str]  #: document -> sentence; the first document gives the command too
    figures: Callable[[Any], Sequence[float | str]]  #: from the command's summary
    more: str = ""  #: options that make the command quicker and leave the figures as they are


def throttles(document: Any, scenario: str) -> dict[str, Any]:
    return dict(document["scenarios"][scenario]["throttles"])


def mean(cell: Any, measure: str) -> float:
    """A measure of a throttle; a share in %."""
    unit = 100.0 if METRICS[measure].unit == "share" else 1.0
    return unit * float(cell["metrics"][measure]["mean"])


def row(word: str, name: str) -> Claim:
    """A row of the README's table of other throttles."""
    timer = "--timer asyncio-epoll " if "asyncio" in name or "aio" in name else ""
    who = (
        "fixed --throttle "
        + " ".join(f"{LIBRARIES}:with_{n}" for n in ("asyncio_sleep", "aiolimiter"))
        if timer
        else "fixed printed-sleep --throttle "
        + " ".join(f"{LIBRARIES}:with_{n}" for n in ("ratelimit", "pyrate_limiter"))
    )

    def figures(document: Any) -> list[float]:
        cell = throttles(document, "drift:duration=20")[name]
        return [mean(cell, "throughput"), mean(cell, "burst_10ms")]

    live = " (live: 467)" if word == "aiolimiter" else ""
    command = (
        T + f"compare --scenarios drift:duration=20 --replications 1 {timer}--controllers {who}"
    )
    return Claim(command, {"README.md": f"| {word} | {{:.0f}}{live} | {{:.0f}} |"}, figures)


LIBRARIES = "tests/throttles/libraries.py"
TUNED = "ewma-deadzone:alpha=0.0798,deadzone=1.181,low=0.8571,dec_rate=0.8528,inc_step=9.316"
FOUR = "compare --scenarios fast-async:duration=4 --replications 1 --timer "


def story(document: Any) -> list[float]:
    found = throttles(document, "degrade-recover")
    ours = found["headroom"]
    stuck = found["printed-ewma"]["phases"][-1]["steady_share"]["mean"]
    return [
        100.0 * stuck,
        mean(ours, "achieved"),
        mean(ours, "recovery_time"),
        mean(ours, "regain_time"),
    ]


def looks(document: Any) -> list[float]:
    (found,) = (row for row in document["rows"] if row["quantity"] == "looks above DEADZONE")
    return [100.0 * found["simulated"]["mean"]]


def mended(document: Any) -> list[float]:
    steady, recover = throttles(document, "blocking-steady"), throttles(document, "degrade-recover")
    (phase,) = steady["ewma-deadzone"]["phases"]
    return [
        phase["commanded"]["mean"],
        phase["capacity"],
        mean(recover["ewma-deadzone"], "achieved"),
        1.0 + 3.0 * 0.5 * math.sqrt(0.2 / (2.0 - 0.2)),
        mean(steady["ewma-deadzone:deadzone=1.5"], "drift") / 1e4,
    ]


def other_sensor(document: Any) -> list[float]:
    cell = throttles(document, "degrade-recover")["busy-time"]
    return [mean(cell, "achieved"), mean(cell, "recovery_time")]


def pairs(document: Any) -> list[float | str]:
    points = document["points"]
    found = Counter(point["verdict"] for point in points)
    (one,) = (point for point in points if point["verdict"] == "converges")
    runs = document["replications"]
    return [
        len(points),
        found["stuck"],
        found["saturated"],
        round(one["verdict_share"] * runs),
        runs,
    ]


def searched(document: Any) -> list[float]:
    steady, recover = throttles(document, "blocking-steady"), throttles(document, "degrade-recover")
    achieved = [
        mean(found[law], "achieved")
        for law in (TUNED, "ewma-deadzone")
        for found in (steady, recover)
    ]
    return [*achieved, *(mean(steady[law], "response_p99") for law in (TUNED, "ewma-deadzone"))]


def one_alone(name: str) -> Callable[[Any], list[float]]:
    return lambda document: [mean(throttles(document, "fast-async:duration=4")[name], "throughput")]


CLAIMS = {
    "story": Claim(
        T + "compare --scenarios degrade-recover",
        {
            "README.md": (
                "EWMA + dead zone stays stuck at {:.0f} % of the achievable rate."
                " `headroom` delivers {:.0f} %: when the service recovers, its rate is back after"
                " {:.2f} s, and its completions (averaged over a second) after {:.1f} s."
            ),
            "README.ko.md": (
                "EWMA + 데드존은 회복한 뒤에도 가능한 속도의 {:.0f} %에 머무릅니다. "
                "`headroom`은 감당할 수 있는 양의 {:.0f} %를 쓰고, 서비스가 회복하면 내보내는"
                " 속도는 {:.2f}초, "
                "완료되는 호출은 {:.1f}초 만에 따라 올라옵니다."
            ),
        },
        story,
    ),
    "corridor": Claim(
        T + "sweep alpha-deadzone",
        {
            "README.md": (
                "runs throttle 5 at {} points of ALPHA x DEADZONE, ten replications each "
                "({:.0f} million calls)"
            )
        },
        lambda document: [
            len(document["points"]),
            10 * sum(point["calls"] for point in document["points"]) / 1e6,
        ],
        "--replications 1",
    ),
    "throttle": row("`throttle`", "fixed"),
    "sleep": row("`sleep(1 / tps)`", "printed-sleep"),
    "asyncio": row("`asyncio.sleep(1 / tps)`", "libraries.py:with_asyncio_sleep"),
    "aiolimiter": row("aiolimiter", "libraries.py:with_aiolimiter"),
    "ratelimit": row("ratelimit", "libraries.py:with_ratelimit"),
    "pyrate-limiter": row("pyrate-limiter", "libraries.py:with_pyrate_limiter"),
    "blocked": Claim(
        T
        + "compare --scenarios degrade-recover --controllers headroom "
        + f"--throttle {LIBRARIES}:with_aiolimiter",
        {"README.md": "On `degrade-recover` aiolimiter achieves {:.1f} %"},
        lambda document: [
            mean(throttles(document, "degrade-recover")["libraries.py:with_aiolimiter"], "achieved")
        ],
    ),
    "ours there": Claim(
        T + "compare --scenarios degrade-recover",
        {"README.md": ("`headroom` achieves {:.1f} %, with a response time of {:.2f} s at p99")},
        lambda document: [
            mean(throttles(document, "degrade-recover")["headroom"], measure)
            for measure in ("achieved", "response_p99")
        ],
    ),
    "epoll": Claim(
        T + FOUR + "asyncio-epoll --controllers fixed --throttle mine.py:throttle",
        {"docs/bench.md": "The limiter above then gives {:.0f} and"},
        one_alone("mine.py:throttle"),
    ),
    "uvloop": Claim(
        T + FOUR + "asyncio-uvloop --controllers fixed --throttle mine.py:throttle",
        {"docs/bench.md": "and {:.0f} of 500 calls a second:"},
        one_alone("mine.py:throttle"),
    ),
    "looks": Claim(
        T + "analyse ewma-deadzone --scenario blocking-steady",
        {"docs/bench.md": "{:.0f} % of the looks at capacity cross DEADZONE by chance"},
        looks,
    ),
    "mended": Claim(
        T + "compare --scenarios blocking-steady,degrade-recover "
        "--controllers ewma-deadzone ewma-deadzone:deadzone=1.5 busy-time",
        {
            "docs/bench.md": (
                "the rate settles at {:.0f} of {:.0f} a second, and on `degrade-recover` it never"
                " returns ({:.1f} % of the achievable). A DEADZONE beyond the noise, 1 + 3 sigma"
                " sqrt(alpha / (2 - alpha)) = {:.1f}, stops the false cuts, but then an overload is"
                " tolerated: on `blocking-steady` the lag grows by {:.0f} % of the time"
            )
        },
        mended,
    ),
    "other sensor": Claim(
        T + "compare --scenarios blocking-steady,degrade-recover "
        "--controllers ewma-deadzone ewma-deadzone:deadzone=1.5 busy-time",
        {"docs/bench.md": "it achieves {:.1f} % of `degrade-recover` and is back after {:.1f} s"},
        other_sensor,
    ),
    "pairs": Claim(
        T + "sweep --scenario degrade-recover --controller ewma-deadzone --replications 10 --grid "
        "alpha=0.02,0.05,0.1,0.2,0.4 deadzone=1.02,1.05,1.1,1.15,1.2,1.3,1.4,1.5,1.7",
        {
            "docs/bench.md": (
                "Of {} pairs of ALPHA (0.02 to 0.4) and DEADZONE (1.02 to 1.7) on "
                "`degrade-recover`, {} are stuck, {} saturated, and one converges, in {} of {} runs"
            )
        },
        pairs,
    ),
    "searched": Claim(
        T
        + f"compare --scenarios blocking-steady,degrade-recover --controllers ewma-deadzone {TUNED}"
        " --seed 1",
        {
            "docs/bench.md": (
                "achieves {:.0f} % of `blocking-steady` and {:.0f} % of `degrade-recover` (as"
                " printed: {:.0f} % and {:.0f} %), at the price of a p99 of {:.2f} s in place of"
                " {:.2f} s"
            )
        },
        searched,
    ),
}


@pytest.mark.usefixtures("searched_once")
@pytest.mark.parametrize("name", CLAIMS)
def test_a_claim_is_what_its_command_gives(name: str) -> None:
    claim = CLAIMS[name]
    first = next(iter(claim.texts))
    commands = [command for _, command in FOUND[first].commands]
    assert plain(claim.command) in commands, f"{first} does not name {claim.command}"
    figures = claim.figures(made(claim.command, claim.more).document)
    for document, text in claim.texts.items():
        assert text.format(*figures) in words(document), (
            f"{document}: write\n{text.format(*figures)}"
        )


@pytest.mark.parametrize(
    ("document", "command"),
    [
        ("README.md", "compare --scenarios degrade-recover"),
        (
            "docs/bench.md",
            "compare --scenarios stall --controllers fixed --late burst,delay,skip,'capped(20)'",
        ),
    ],
    ids=["throttles", "late policies"],
)
def test_the_rows_of_a_table_are_what_its_command_prints(document: str, command: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    assert plain(T + command) in [known for _, known in FOUND[document].commands]
    text_of = made(T + command).text
    last = text_of[text_of.rindex("\nthrottle") :]
    header = re.search(r"^throttle +(?:late|verdict) .*$", last, re.M)
    assert header
    block = text.partition(f"    {header[0].split()[0]} ")[2].partition("\n\n")[0].splitlines()
    rows = {" ".join(line.split()) for line in text_of.splitlines()}
    shown = [" ".join(line.split()) for line in block[2:]]
    assert len(shown) >= 4
    assert [line for line in shown if line not in rows] == [], f"what it prints:\n{text_of}"


def table_of_headroom() -> dict[str, list[str]]:
    """Scenario -> cells of the table in docs/headroom.md, which a test of its own compares with a
    run.
    """
    text = (ROOT / "docs/headroom.md").read_text(encoding="utf-8")
    block = text.partition("<!-- headroom -->")[2].partition("<!-- /headroom -->")[0]
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in block.strip().splitlines()[2:]
    ]
    return {row[0]: row[1:] for row in rows}


def test_what_is_said_of_headroom_is_in_its_table() -> None:
    table = table_of_headroom()
    achieved = {name: cells[2] for name, cells in table.items()}
    readme, text = words("README.md"), words("docs/headroom.md")
    assert f"(`idle-growth`: {achieved['idle-growth']} % of the achievable)" in readme
    assert f"(`fast-errors`: {achieved['fast-errors']} %)" in readme
    below = {name for name, share in achieved.items() if float(share) < 95.0}
    (sentence,) = re.findall(r"almost everywhere; less in (.*?)\. - \*", text)
    assert set(re.findall(r"`([\w-]+)`", sentence)) == below
    in_turn = re.findall(r"`([\w-]+)`", sentence)
    assert re.findall(r"([\d.]+) %", sentence) == [achieved[name] for name in in_turn]


def test_where_headroom_is_behind_is_in_the_league() -> None:
    league = json.loads(
        (ROOT / "results/reference-league/summary.json").read_text(encoding="utf-8")
    )
    best: dict[str, float] = {}
    ours: dict[str, float] = {}
    for cell in league["cells"]:
        if cell["throttle"] == "oracle":
            continue
        best[cell["scenario"]] = max(cell["score"], best.get(cell["scenario"], 0.0))
        if cell["throttle"] == "headroom":
            ours[cell["scenario"]] = cell["score"]
    behind = {name: ours[name] / best[name] for name in ours if ours[name] < 0.9 * best[name]}
    text = words("docs/headroom.md")
    assert ("On each scenario it scores at least 90 % of the best law" in text) is (not behind)
    if behind:
        (sentence,) = re.findall(r"it scores less than 90 % of the best law: (.*?)\. It does", text)
        shown = dict(re.findall(r"`([\w-]+)` \((\d+) %\)", sentence))
        assert shown == {name: f"{100.0 * share:.0f}" for name, share in behind.items()}


def test_what_is_said_of_the_held_out_half_is_in_the_league() -> None:
    league = json.loads(
        (ROOT / "results/reference-league/summary.json").read_text(encoding="utf-8")
    )
    first, *others = sorted(league["held_out"], key=lambda row: (-row["scenarios"], row["rank"]))
    second = others[0]
    assert (
        f"`{first['throttle']}` is first with {first['score']['mean']:.3f} over its"
        f" {first['scenarios']} scenarios (`{second['throttle']}`, the second there, has"
        f" {second['score']['mean']:.3f})" in words("docs/league.md")
    )


def test_the_settled_share_in_a_sudden_overload() -> None:
    """docs/headroom.md on `idle-growth`, from the run of its table."""
    command = "compare --scenarios idle-growth --controllers headroom --seed 1000"
    document = made(T + command).document
    phase = throttles(document, "idle-growth")["headroom"]["phases"][1]
    assert phase["end"] - phase["start"] == 10.0
    assert phase["achievable"] == 0.5 * document["scenarios"]["idle-growth"]["target"]
    share = round(100.0 * phase["steady_share"]["mean"])
    assert (
        f"for 10 s the service can sustain half of the target, and the law settles at {share} % of"
        " that" in words("docs/headroom.md")
    )


NUMBERS = [
    "no",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
]


def test_what_is_counted() -> None:
    loads = [scenario.name for scenario in LOADS]
    others = (*CORE, *USER_REPORTS, *loads)
    flight = [name for name in SCENARIOS if name not in others]
    bench = words("docs/bench.md")
    assert f"holds the model against {len(CASES)} known answers" in bench
    assert f"and {len(VECTOR_CASES)} scenarios with the ranges that Vector's own tests" in bench
    named = ", ".join(f"`{name}`" for name in flight)
    assert (
        f"{NUMBERS[len(flight)].capitalize()} with many calls in flight, where a limit can act:"
        f" {named}." in bench
    )
    assert f"{NUMBERS[len(loads)].capitalize()} loads and quotas" in bench
    for scenario in LOADS:
        assert f"| `{scenario.name}` | " in bench
    listed = ", ".join(f"`{name}`" for name in USER_REPORTS)
    assert f"And {NUMBERS[len(USER_REPORTS)]} complaints" in bench
    assert listed in bench
    assert f"on the {NUMBERS[len(CORE)]} core scenarios" in words("README.md")


def test_the_rules_are_those_of_the_code() -> None:
    bench, league, live = (words(f"docs/{name}.md") for name in ("bench", "league", "live"))
    assert (
        f"`stuck` (settled below {verdicts.STUCK:.0%} of the achievable)".replace("%", " %")
        in bench
    )
    assert verdicts.EXCESS == 1.1
    assert "goes a tenth faster than it was asked to" in bench
    for name, part in PARTS.items():
        assert f"| {name} | {part.weight:g} |" in league
    assert f"counts as {LEAST:g} at least" in league
    assert (
        live_against_simulated.ALLOWED["throughput"] == live_against_simulated.ALLOWED["commanded"]
    )
    share, time = (
        f"{100 * live_against_simulated.ALLOWED[name]:.0f} %"
        for name in ("throughput", "regain_time")
    )
    assert (
        f"its throughput and its mean rate are within {share} of the median of twenty runs" in live
    )
    assert f"the time until the service's capacity is used again within {time}" in live


def test_the_constants_in_the_text_of_headroom_are_those_of_the_law() -> None:
    from tpssim.controllers import _headroom_base as base
    from tpssim.controllers import _headroom_busy as busy
    from tpssim.controllers import _headroom_concurrency as flight
    from tpssim.controllers import _headroom_rate as pace
    from tpssim.controllers import _headroom_steps as steps
    from tpssim.controllers import _headroom_windows as windows
    from tpssim.controllers import headroom

    text = words("docs/headroom.md")
    for sentence in (
        f"once it is {busy.LOOKS:g} standard deviations of its own noise away",
        f"after {pace.WAIT:g} of the time for which the service has refused",
        f"exceeded by {pace.ABOVE - 1.0:.0%}".replace("%", " %"),
        f"span = max(first, min({pace.LAST:g}, span ({pace.LONGER:g} if allowed >= mark else 1)))",
        f"scale = min(scale, max(scale / {pace.SHORTER:g}, {pace.FIRST:g}, {pace.TRIPS:g} allowed"
        " call))",
        f"(1 + {busy.GAIN:g} (min(1, idle / busy) - (1 - share)))",
        f"`scatter = {busy.SCATTER:g}`".replace("0.5", "1/2"),
        f"sd = max(sqrt(scatter), {busy.LEAST_SD:g})",
        f"logs - lately > {busy.FALLS:g} sd sqrt({busy.FAST:g} / {2.0 - busy.FAST:g})",
        f"is known from {pace.ENOUGH:g} calls, if these are half as many as those of the last mean,"
        f" or {pace.MOST:g}",
        f"in_flight > max(1, {headroom.PROVEN:g} proven)",
        f"n >= {windows.SAMPLES:g}, now - begin >= exp(base) units",
        f"as long as n < {windows.FEW:g}, any with which `come` is above {windows.SAMPLES:g}",
        f"`come` is above {windows.SAMPLES:g}, or `high` above {flight.CROWD:g}, or"
        f" now - begin >= {flight.FIRST_LASTS:g} exp(level) units",
        f"{windows.LOST:g} of the n are queued timeouts",
        f"up to {steps.LATEST:g} latencies",
        f"S <- {windows.KEPT:g} (S + D)",
        f"at first S = {windows.PRIOR * windows.USUAL:g}, W = {windows.PRIOR:g}",
        f"between <- between + max({windows.NEW:g}, 1 / k) (rest^2 / 2 - between)",
        f"max(places, calls + {steps.CREEP:g})",
        f"multiplied by {flight.FADED:g} at the end of each window",
        f"latency <= {flight.PROMPT:g} exp(base) units",
        f"{busy.CALM:g} calls in a row were held back",
        f"sqrt(({base.LOWER:g}^2 + 2 ln(1 + base's weight / max(1, the window's weight)))",
        f"base < least + {base.LOWER:g} sqrt(one / weight + one / its weight)",
        f"A window with n < {windows.LONGER:g} *goes on because of a sure queue*",
        f"base + {base.ALIKE:g} sqrt(base's doubt) and its `held` at most {base.MORE:g} `among`",
        f"ended {steps.AT_FIRST:g} calls are allowed",
        f"calls <- max({steps.LEAST_OPEN:g}, min({steps.AT_FIRST:g}, {steps.OPEN:g} high))",
        f"`held` is {flight.REACHED:g} of floor(calls) or more",
        f"less than {flight.MET:.0%} of the target".replace("%", " %"),
        f"comes after {steps.AGAIN:g} windows",
        f"{steps.PROBE:g} of the calls are allowed for a window",
        f"min(calls, high, {steps.ONCE:g} held)",
        f"min({steps.DOWN:g} (queued(z) - wanted)",
        f"way <- {steps.GROWTH:g} calls, but if fresh",
        f"max(in use, {steps.FORGOTTEN:g} top)",
        f"floor(calls) <= {steps.SHOWS:g} floor(was.calls)",
        f"way < {steps.APART:g}",
        f"was.level > least + {steps.FAR:g}, and not slower: no queue if |fell| <"
        f" {1.0 - steps.STIFF:.1f} way",
        f"level > base + {0.5 * steps.FAR:g} and own > max(base's one, 1e-6) max(1/2, exp(base"
        " - level))",
        f"fell > {1.0 - steps.ELASTIC:g} way",
    ):
        assert sentence in text
    law = CONTROLLERS["headroom"]()
    for name, value in law._asdict().items():
        assert f"| `{name}` | {value:.15g} |" in text
    assert pace.FADES**34.0 > pace.ACCIDENTS - 1.0 > pace.FADES**35.0
    assert "One in 34 is an accident" in text
    assert (windows.LOST, windows.FEW, steps.MOST_DOWN, base.EMPTY) == (8.0, 4.0, 0.5, 0.5)
    assert (steps.HALF, steps.CONSTANT) == (0.5, 1e-6)
    assert (flight.FADED, flight.PROMPT) == (0.98, 2.0)
    assert law.queue == 2.0
    assert (pace.QUICKER, pace.LATELY, pace.MOST_QUICKER) == (1.1, 1.0 / 32.0, 14.0)
    assert (pace.WAY, pace.KNOWN_WAY) == (0.5, 0.75)
    assert "w = 3/4 if brief and near, else 1/2" in text
    assert f"takes = max(got, last), top = {pace.CLOSE:g} takes" in text
    assert f"takes = got, top = {pace.ABOVE:g} takes" in text
    assert f"between -{busy.STRAY:g} sd and {busy.STRAY:g} sd" in text


#: What the wall clock makes: (document, part of the paragraph, the benchmark that it must name).
LIVE = [
    ("README.md", "One thread releases at most about 100,000 a second", "live_pacing"),
    ("README.md", "(live: by", "live_pacing"),
    ("README.md", "500 a second become some 497", "live_pacing"),
    ("docs/live.md", "At 500 a second.", "live_pacing"),
    ("docs/live.md", "An empty body runs at 100,000 a second", "live_pacing"),
    ("docs/live.md", 'With `late="delay"`', "live_pacing"),
    ("docs/bench.md", "times less than in the simpy model", "engine_speed"),
]


@pytest.mark.parametrize(
    ("document", "part", "benchmark"), LIVE, ids=[part[:20] for _, part, _ in LIVE]
)
def test_a_figure_of_the_wall_clock_names_its_benchmark(
    document: str, part: str, benchmark: str
) -> None:
    paragraphs = [
        " ".join(text.split())
        for text in (ROOT / document).read_text(encoding="utf-8").split("\n\n")
    ]
    (found,) = (text for text in paragraphs if part in text)
    assert f"`benchmarks/{benchmark}.py`" in found


def test_the_korean_readme_is_in_step() -> None:
    """What a plain installation holds, and what replay does, as the English text says."""
    korean, english = words("README.ko.md"), words("README.md")
    extras = re.findall(
        r"`(fast|live|notebook|dask|tune|docs)`", english.partition("The extras add")[2]
    )
    assert [f"`{extra}`" in korean for extra in dict.fromkeys(extras)] == [True] * 6
    assert "실시간 스로틀과 벤치는 `pip install .`만으로도 쓸 수 있습니다" in korean
    assert "같은 결정을 비트까지 똑같이 다시 내리고" in korean, (
        "it does both: the same decisions, and others"
    )
    assert "497" in korean
    assert "some 497" in english


def test_the_figures_of_the_recording_are_those_of_its_file() -> None:
    """tpssim/scenarios/recordings/README.md against the CSV beside it."""
    path = ROOT / "tpssim/scenarios/recordings/sqlite_commits.csv"
    times = sorted(
        float(line.split(",")[1]) for line in path.read_text(encoding="utf-8").splitlines()[1:]
    )
    n, average = len(times), sum(times) / len(times)
    spread = math.sqrt(sum((x - average) ** 2 for x in times) / n) / average
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]

    def quantile(q: float) -> float:
        """Linear between neighbours, ms."""
        at = q * (n - 1)
        low = math.floor(at)
        high = min(low + 1, n - 1)
        return 1e3 * (times[low] + (at - low) * (times[high] - times[low]))

    text = words("tpssim/scenarios/recordings/README.md")
    assert (
        f"| {n:,} | {1e3 * average:.3f} ms | {spread:.2f} | {quantile(0.5):.3f} ms | "
        f"{quantile(0.9):.3f} ms | {quantile(0.99):.2f} ms | {quantile(0.999):.2f} ms | "
        f"{quantile(1.0):.2f} ms |" in text
    )
    assert f"| {digest} |" in text
    assert f"({sum(x > 0.005 for x in times) / n:.1%} lie above 5 ms)".replace("%", " %") in text
