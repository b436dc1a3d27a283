"""The league: scores, ranks and halves worked by hand; which actuator acts where; the command."""

from __future__ import annotations

import csv
import hashlib
import inspect
import json
import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from helpers.laws import Actuators

from tpssim import InputError, sensitivity, tune
from tpssim.cli.main import main
from tpssim.core.types import Observation, described
from tpssim.experiments.cells import Cell, Run
from tpssim.experiments.compare import league
from tpssim.experiments.comparison import Comparison
from tpssim.experiments.league import SEED, SPLIT, League, acts, half
from tpssim.metrics.score import LEAST, PARTS, checked_weights, score
from tpssim.metrics.verdicts import Verdict
from tpssim.scenarios.builtin import SCENARIOS
from tpssim.scenarios.plant import Async, Blocking, Consumer, Pool
from tpssim.simulation.resolve import throttle_spec

NAN = math.nan
#: A run of the oracle: 100 calls a second in time, none wasted, 99 % of them within 0.1 s.
BEST = {"goodput": 100.0, "wasted": 0.0, "latency_p99": 0.1, "swing": 0.0, "limited": 0.0}
BEST |= {"total_variation": 0.0, "regain_time": NAN, "fairness": NAN}
MAIN = 0.7 / 0.9  # the weight of goodput where nothing recovers and nobody shares


def test_the_weights_sum_to_one() -> None:
    assert math.fsum(part.weight for part in PARTS.values()) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("change", "total"),
    [
        ({}, 1.0),
        ({"goodput": 50.0}, 0.5**MAIN),  # of 0.7 + 0.1 + 0.05 + 0.05
        ({"goodput": 110.0}, 1.0),
        ({"wasted": 0.5}, 0.5 ** (0.1 / 0.9)),
        ({"latency_p99": 0.4}, 0.25 ** (0.05 / 0.9)),
        ({"latency_p99": 0.05}, 1.0),
        ({"swing": 1.0, "limited": 1.0}, 0.5 ** (0.05 / 0.9)),
        ({"swing": 1.0, "total_variation": 1.0}, 0.5 ** (0.05 / 0.9)),
        ({"goodput": 0.0, "wasted": NAN, "latency_p99": NAN}, LEAST ** (0.85 / 0.9)),
    ],
)
def test_a_score_is_the_weighted_geometric_mean_of_its_parts(
    change: dict[str, float], total: float
) -> None:
    assert score({**BEST, **change}, BEST).total == pytest.approx(total)


def test_recovery_and_fairness_count_where_there_are_any() -> None:
    """The oracle is back after 5 s, half of what it is worth at once, and 0.8 fair."""
    best = {**BEST, "regain_time": 5.0, "fairness": 0.8}
    assert score(best, best).total == 1.0
    assert score({**best, "regain_time": 15.0}, best).recovery == pytest.approx(0.25 / 0.5)
    assert score({**best, "regain_time": math.inf}, best).total == pytest.approx(LEAST**0.05)
    assert score({**best, "fairness": 0.4}, best).total == pytest.approx(0.5**0.05)


def test_weights_are_an_argument() -> None:
    run = {**BEST, "goodput": 50.0, "wasted": 0.75}
    weights = checked_weights({"goodput": 1, "useful": 1})
    assert score(run, BEST, weights).total == pytest.approx(math.sqrt(0.5 * 0.25))
    assert score(run, BEST, checked_weights({"goodput": 3})).total == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"speed": 1.0}, "weights: there is no part 'speed'"),
        ({"goodput": -1.0}, "weights: goodput=-1 is out of range; allowed: [0, 1e+06)"),
        ({"tail": 1.0}, "weights: goodput=0; allowed: above 0, for every run has it"),
    ],
)
def test_weights_that_mean_nothing_are_refused(given: dict[str, float], message: str) -> None:
    with pytest.raises(InputError) as error:
        league("healthy:duration=2", "fixed", weights=given)
    assert str(error.value).startswith(message)


def test_what_nobody_can_deliver_is_no_part() -> None:
    assert math.isnan(score({**BEST, "goodput": 1.0}, {**BEST, "goodput": 0.0}).goodput)


def test_a_limit_that_held_nothing_swings_in_vain() -> None:
    assert score({**BEST, "swing": 1.0}, BEST).total == 1.0


def test_a_limit_acts_where_several_calls_are_in_flight() -> None:
    plant = SCENARIOS["healthy"]
    several: list[Consumer] = [Pool(2.0), Async(0.0, "completion")]
    single: list[Consumer] = [Pool(1.0), Async(0.0, "handoff"), Blocking()]
    assert all(acts(("limit",), plant._replace(consumer=consumer)) for consumer in several)
    assert not any(acts(("limit",), plant._replace(consumer=consumer)) for consumer in single)
    for actuators in (("rate",), ("reject",), ("rate", "limit")):
        assert all(
            acts(actuators, plant._replace(consumer=consumer)) for consumer in several + single
        )
    assert throttle_spec("netflix-vegas").actuators() == ("limit",)
    assert throttle_spec("printed-aimd").actuators() == ("rate",)


class Plain(NamedTuple):
    """A user's law that says nothing of itself, but by its first state."""

    rate: float = math.inf
    limit: float = math.inf
    reject: float = 0.0

    def init(self, target: float) -> Actuators:
        return Actuators(self.rate, self.limit, self.reject)

    def update(self, state: Actuators, obs: Observation) -> Actuators:
        return state


@described(
    "It may close both.", actuators=("rate", "limit"), signals="none", origin="a test", year=2026
)
class Both(NamedTuple):
    def init(self, target: float) -> Actuators:
        return Actuators(math.inf, 4.0, 0.0)

    def update(self, state: Actuators, obs: Observation) -> Actuators:
        return state


@pytest.mark.parametrize(
    ("law", "actuators"),
    [
        (Plain(rate=5.0), ("rate",)),
        (Plain(limit=3.0), ("limit",)),
        (Plain(rate=5.0, limit=3.0), ("rate", "limit")),
        (Plain(reject=0.5), ("reject",)),
        (Plain(), ("rate", "limit", "reject")),  # all open at first: it may close any
        (Both(), ("rate", "limit")),
    ],
)
def test_what_a_law_of_ones_own_commands(law: Any, actuators: tuple[str, ...]) -> None:
    found = league(["healthy:duration=2", "blocking-steady:duration=2"], law, replications=1)
    (row,) = found.standings()
    assert row.actuator == " or ".join(actuators)
    # A limit alone acts where several calls are in flight, which is on the first scenario only.
    assert row.scenarios == (1 if actuators == ("limit",) else 2)


@pytest.mark.parametrize("declared", ["rate", ("actuator",), (), ["rate"], 3])
def test_actuators_that_do_not_exist_are_refused_in_a_line(declared: Any) -> None:
    class Mistaken(Plain):
        actuators = declared

    with pytest.raises(InputError) as error:
        league("healthy:duration=2", Mistaken(), replications=1)
    assert (
        str(error.value)
        == f"Mistaken: actuators={declared!r}; allowed: a tuple of 'rate', 'limit', 'reject'"
    )


def test_halves_are_by_the_hash_of_the_name() -> None:
    for name in SCENARIOS:
        assert half(name) == SPLIT[int(hashlib.sha256(name.encode()).hexdigest()[:2], 16) % 2]
        assert half(f"{name}:duration=5") == half(name)
    assert min(sum(half(name) == which for name in SCENARIOS) for which in SPLIT) >= 8


def cell(law: str, *shares: float) -> Cell:
    runs = [
        Run({**BEST, "goodput": 100.0 * share}, [], Verdict("converges", ""), 1, "", None)
        for share in shares
    ]
    return Cell(law, {}, runs)


def played(cells: dict[tuple[str, str], Cell], replications: int) -> League:
    """These and the oracle, which delivers all that can be delivered."""
    names = {name: SCENARIOS[name] for name in dict.fromkeys(name for name, _ in cells)}
    best = {(name, "oracle"): cell("oracle", *[1.0] * replications) for name in names}
    return League(Comparison(names, {**cells, **best}, 0, replications))


def made() -> League:
    """Two laws on two scenarios of both halves; `aimd` is better on one in both replications."""
    cells = {
        ("degrade-recover", "aimd"): cell("aimd", 1.0, 1.0),
        ("blocking-steady", "aimd"): cell("aimd", 0.5, 0.25),
        ("degrade-recover", "fixed"): cell("fixed", 0.5, 0.5),
        ("blocking-steady", "fixed"): cell("fixed", 0.5, 0.5),
    }
    return played(cells, 2)


def test_standings_by_hand() -> None:
    first, second = made().standings()
    a, b = 0.5**MAIN, 0.25**MAIN
    # aimd: (1 + a) / 2 and (1 + b) / 2; fixed: a and a. In the second replication aimd leads too: b
    # = a^2.
    assert (first.throttle, second.throttle) == ("aimd", "fixed")
    assert first.score.mean == pytest.approx((2.0 + a + b) / 4.0)
    assert second.score.mean == pytest.approx(a)
    assert (first.ranks.mean, second.ranks.mean) == (1.0, 2.0)
    gaps = np.array([(1.0 + a) / 2.0 - a, (1.0 + b) / 2.0 - a])
    assert second.behind.mean == pytest.approx(gaps.mean())
    assert second.behind.high is None, "two replications prove nothing"
    assert (first.first, second.first, first.among) == ("aimd", "aimd", 2)
    assert first.worst[0] == "blocking-steady"
    assert first.worst[1] == pytest.approx((a + b) / 2.0 / a)
    assert first.parts.goodput == pytest.approx((1.0 + 0.375) / 2.0)
    assert math.isnan(first.parts.fairness)


def test_ranks_change_from_replication_to_replication() -> None:
    cells = {
        ("healthy", "aimd"): cell("aimd", 1.0, 0.25),
        ("healthy", "fixed"): cell("fixed", 0.5, 0.5),
    }
    first, second = played(cells, 2).standings()
    assert first.ranks.mean == second.ranks.mean == 1.5


def test_a_rank_compares_equal_scenarios() -> None:
    """The limit has the highest mean (0.9 on the easy one alone) and is beaten there by both
    others.
    """
    names = {name: SCENARIOS[name] for name in ("healthy", "pool-degrade")}
    shares = {"aimd": (1.0, 0.5), "fixed": (0.95, 0.6), "netflix-vegas": (0.9,)}
    cells = {
        (name, law): cell(law, share, share)
        for law, row in shares.items()
        for name, share in zip(names, row, strict=False)
    }
    found = played(cells, 2)
    rows = {row.throttle: row for row in found.standings()}
    assert list(rows) == ["fixed", "aimd", "netflix-vegas"]
    assert rows["netflix-vegas"].score.mean > rows["fixed"].score.mean  # type: ignore[operator]
    assert [(row.rank, row.among, row.first) for row in rows.values()] == [
        (1, 2, "fixed"),
        (2, 2, "fixed"),
        (3, 3, "aimd"),
    ]
    assert rows["netflix-vegas"].ranks.mean == 3.0
    assert rows["netflix-vegas"].behind.mean == pytest.approx(1.0 - 0.9**MAIN)
    text = found.table()
    assert (
        "on 2 of 2 scenarios, ranked among the 2 throttles that act there; first: fixed\n" in text
    )
    assert "on 1 of 2 scenarios, ranked among the 3 throttles that act there; first: aimd\n" in text
    assert text.endswith("compare within a block only.")


def test_intervals_behind_the_first_hold_together() -> None:
    """Four throttles are six pairs, each at 1 - 0.05 / 6; 2 / 2^8 = 0.0078 is left of eight
    replications.

    With seven it is 0.0156, and nothing is said. Between the least and the greatest of eight gaps.
    """
    laws = {"fixed": (1.0, 1.0), "aimd": (0.5, 0.25), "pi": (0.5, 0.5), "pid": (0.25, 0.25)}
    a, b = 0.5**MAIN, 0.25**MAIN
    for replications in (7, 8):
        cells = {
            ("healthy", law): cell(law, *(few[:1] * (replications - 1)), few[1])
            for law, few in laws.items()
        }
        found = played(cells, replications)
        behind = {row.throttle: row for row in found.standings()}["aimd"].behind
        mean = 1.0 - (a * (replications - 1) + b) / replications
        assert behind.mean == pytest.approx(mean)
        assert (behind.high is None) == (replications == 7)
        assert ("it needs 8 replications at least" in found.table()) == (replications == 7)
    # 1 - a seven times and 1 - b once; the greater is further from the mean.
    assert behind.high == pytest.approx(1.0 - b)


def test_the_first_of_many_that_are_alike_is_ahead_by_luck() -> None:
    """Ten throttles of one distribution, 30 replications: anyone is behind for certain in at most 5
    %.

    With the k - 1 intervals of the first it had been more, for the first is the luckiest.
    """
    found = 0
    labels = [f"law {i}" for i in range(10)]
    for trial in range(60):
        shares = np.random.default_rng(trial).uniform(0.2, 1.0, (10, 30))
        cells = {
            ("healthy", name): cell("aimd", *row)
            for name, row in zip(labels, shares.tolist(), strict=True)
        }
        rows = played(cells, 30).standings()
        found += any(row.behind.low is not None and row.behind.low > 0.0 for row in rows)
    assert found <= 8  # three deviations above 3


def test_the_league_is_not_played_on_the_noise_of_the_search(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By default neither `tune` nor `sensitivity`, nor their command, takes the seed of the
    league.
    """
    used = {inspect.signature(run).parameters["seed"].default for run in (tune, sensitivity)}
    assert inspect.signature(league).parameters["seed"].default == SEED
    assert SEED not in used
    asked: list[int] = []

    def watched(*_: Any, seed: int, **__: Any) -> None:
        asked.append(seed)
        raise InputError("enough")

    monkeypatch.setattr("tpssim.experiments.compare.league", watched)
    monkeypatch.setattr("tpssim.experiments.compare.compare", watched)
    monkeypatch.setattr("tpssim.experiments.tuning.tune.tune", watched)
    for words in (
        ["compare", "--league"],
        ["compare"],
        ["tune", "aimd"],
        ["compare", "--league", "--seed", "5"],
    ):
        assert main([*words, "--workers", "1"]) == 2
    assert asked == [SEED, 0, 0, 5]


def test_a_throttle_without_scenarios_of_a_half_is_not_in_its_table() -> None:
    names = {name: SCENARIOS[name] for name in ("healthy", "pool-degrade")}
    assert [half(name) for name in names] == ["held-out", "tuning"]
    cells = {
        ("healthy", "aimd"): cell("aimd", 1.0, 1.0),
        ("pool-degrade", "fixed"): cell("fixed", 0.5, 0.5),
    }
    found = played(cells, 2)
    assert [row.throttle for row in found.standings("held-out")] == ["aimd"]
    assert [(row.throttle, row.among) for row in found.standings()] == [("aimd", 1), ("fixed", 1)]
    assert found.cell("healthy", "fixed") is None


def test_only_laws_whose_actuator_acts_take_part() -> None:
    found = league(["blocking-steady:duration=2"], ["netflix-vegas", "aimd"], replications=1)
    assert [label for _, label in found.comparison.cells] == ["aimd", "oracle"]
    # A scenario that nobody played is in no table.
    found = league(
        ["blocking-steady:duration=2", "healthy:duration=2"], ["netflix-vegas"], replications=1
    )
    assert [row.scenarios for row in found.standings()] == [1]
    assert "netflix-vegas" in found.table()
    with pytest.raises(InputError, match="no actuator of these laws acts on these scenarios"):
        league(["blocking-steady:duration=2"], ["netflix-vegas"], replications=1)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "league"
    words = ["compare", "--league", "--scenarios", "healthy:duration=2,blocking-steady:duration=2"]
    words += [
        "--controllers",
        "fixed",
        "headroom",
        "netflix-vegas",
        "--replications",
        "2",
        "--workers",
        "1",
    ]
    assert main([*words, "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert all(word in printed for word in ("netflix-vegas", "behind", "held-"))
    assert max(len(line) for line in printed.splitlines()) <= 80 + len(str(tmp_path))
    document: dict[str, Any] = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    assert {row["throttle"] for row in document["standings"]} == {
        "fixed",
        "headroom",
        "netflix-vegas",
    }
    rows = list(csv.DictReader((out / "league.csv").read_text(encoding="utf-8").splitlines()))
    assert len(rows) == 7  # a limit does not act on the blocking one; the oracle on both
    assert (out / "league.png").read_bytes().startswith(b"\x89PNG")
    assert main([*words, "--json", "--out", str(tmp_path / "again")]) == 0
    assert json.loads(capsys.readouterr().out) == document
    assert main([*words, "--late", "skip", "--out", str(out)]) == 2
    assert "--late and --traces do not go with --league" in capsys.readouterr().err


def test_weights_and_deadline_on_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Calls of exactly 50 ms: none of them in time within 49 ms, and all within 51 ms."""
    words = ["compare", "--league", "--scenarios", "fast-errors:duration=2,rate=200"]
    words += ["--controllers", "fixed", "--replications", "1", "--workers", "1", "--json"]
    found = []
    for number, deadline in enumerate(("0.049", "0.051")):
        more = ["--weights", "goodput=2,tail=1", "--deadline", deadline]
        assert main([*words, *more, "--out", str(tmp_path / str(number))]) == 0
        found.append(json.loads(capsys.readouterr().out))
    weights = {name: part["weight"] for name, part in found[0]["parts"].items()}
    none = dict.fromkeys(("useful", "smoothness", "recovery", "fairness"), 0.0)
    assert weights == {"goodput": 2.0, "tail": 1.0, **none}
    assert [row["cells"][0]["goodput"] for row in found] == [None, 1.0]
    assert main(["compare", "--weights", "goodput=1"]) == 2
    assert "--weights without --league; allowed: with it" in capsys.readouterr().err
    assert main([*words, "--weights", "speed=1"]) == 2
    assert "weights: there is no part 'speed'" in capsys.readouterr().err
