"""What throttles come to over services: a table by hand, and shares that are the score's."""

from __future__ import annotations

import json

import pytest

from tpssim import random_scenarios
from tpssim.experiments.compare import league
from tpssim.experiments.over_services import Over, OverServices, kind_of, over_services
from tpssim.experiments.scoring import score_of
from tpssim.output.records import from_dict

#: Two throttles on four services, of which a limit, the third, plays on three.
BY_HAND = OverServices(
    {
        "far-0": {"steady": 1.0, "quick": 0.5, "limit": 0.99},
        "far-1": {"steady": 0.6, "quick": 0.8, "limit": 0.73},
        "knee-0": {"steady": 0.9, "quick": 0.3, "limit": 0.0},
        "blocking-0": {"steady": 0.0, "quick": 0.0},
    },
    seed=5,
    replications=1,
)


def row(result: OverServices, throttle: str, family: str | None = None) -> Over:
    (found,) = (row for row in result.standings(family) if row.throttle == throttle)
    return found


def test_a_standing_is_what_is_counted_by_hand() -> None:
    steady, quick, limit = (row(BY_HAND, name) for name in ("steady", "quick", "limit"))
    # steady: 1, 0.6 / 0.8, 1, and where nobody delivers anything nobody is behind.
    assert steady.services == 4
    assert steady.share.mean == pytest.approx(2.5 / 4.0)
    assert (steady.near, steady.below_90, steady.below_70) == (0.75, 0.25, 0.0)
    assert steady.worst[0] == "far-1"
    assert steady.worst[1] == pytest.approx(0.75)
    # quick: 0.5, 1, 0.3 / 0.9, 1; 0.9 less than steady in all, over four services.
    assert (quick.near, quick.below_90, quick.below_70) == (0.5, 0.5, 0.5)
    assert quick.worst[0] == "knee-0"
    assert quick.worst[1] == pytest.approx(1.0 / 3.0)
    assert quick.first == "steady"
    assert quick.behind.mean == pytest.approx(0.9 / 4.0)
    # limit: 0.99, 0.73 / 0.8 = 0.91, and 0; ranked on its own three.
    assert (limit.services, limit.first) == (3, "steady")
    assert limit.behind.mean == pytest.approx((0.01 - 0.13 + 0.9) / 3.0)
    assert (limit.near, limit.below_90, limit.below_70) == pytest.approx((1 / 3, 1 / 3, 1 / 3))
    assert [one.throttle for one in BY_HAND.standings()] == ["steady", "quick", "limit"]


def test_families_are_ranked_for_themselves() -> None:
    assert BY_HAND.families() == ["far", "blocking", "knee"]  # those for tuning first
    assert [row.throttle for row in BY_HAND.standings("far")] == ["limit", "steady", "quick"]
    assert row(BY_HAND, "quick", "far").share.mean == pytest.approx(0.65)
    assert [kind_of(name) for name in ("far", "knee", "")] == ["tuning", "judging", ""]
    own = OverServices({"checkout": {"fixed": 1.0}}, 0, 1)
    assert (own.families(), own.standings("")[0].services) == ([""], 1)


def test_the_table_fits_a_terminal_and_the_picture_has_a_cell_for_each_family() -> None:
    text = BY_HAND.table()
    assert max(map(len, text.splitlines())) <= 80
    assert "4 services of 3 families" in text
    assert "far-1" in text
    (axes,) = BY_HAND.plot().axes
    shown = [label.get_text() for label in axes.get_xticklabels()]
    assert shown == ["far", "blocking", "knee"]
    assert ".65" in [text.get_text() for text in axes.texts]  # quick on far
    assert "worst 0.33" in [text.get_text() for text in axes.texts]  # quick on knee: 0.3 of 0.9


def test_its_record_is_read_back() -> None:
    record = BY_HAND.record()
    assert from_dict(json.loads(BY_HAND.to_json())) == record
    assert record.kinds == {"far": "tuning", "blocking": "tuning", "knee": "judging"}
    assert len(record.services) == 11
    assert record.families["knee"][0]["throttle"] == "steady"


def test_shares_are_those_of_the_score() -> None:
    services = random_scenarios(2, 3, ["overload", "blocking"])
    found = over_services(league(services, ["fixed", "aimd"], replications=2, seed=9))
    assert [*found.shares] == ["overload-0", "blocking-0"]
    for scenario in services:
        each = [score_of(scenario, "aimd", seed=9, replication=k).goodput for k in (0, 1)]
        assert found.shares[scenario.name]["aimd"] == pytest.approx(sum(each) / 2.0)
    assert set(found.shares["overload-0"]) == {"fixed", "aimd"}  # without the oracle
