"""Scenarios as TOML files: read back to the bit, and errors that name line and field."""

from __future__ import annotations

import math
import tomllib
from pathlib import Path
from typing import Any, NamedTuple, get_type_hints

import pytest
from helpers.everything import EVERYTHING
from helpers.plants import accepted
from hypothesis import assume, given, reject, settings
from hypothesis import strategies as st

import tpssim
from tpssim import Stages
from tpssim.controllers import CONTROLLERS
from tpssim.core.errors import InputError
from tpssim.core.quotas import Quota
from tpssim.core.schedule import AUTO, DELAY, Late
from tpssim.core.timer_models import TIMERS, TimerModel
from tpssim.core.validation import FLAG, meanings, ranges
from tpssim.scenarios.builtin import SCENARIOS
from tpssim.scenarios.disturbances import Background, Stall, Step, Swap
from tpssim.scenarios.files import (
    Correlated,
    Estimated,
    Provenance,
    ScenarioFile,
    read_scenario,
    read_scenario_file,
)
from tpssim.scenarios.kinds import KIND_OF
from tpssim.scenarios.plant import Async, Backend, Pool
from tpssim.scenarios.producers import Producer
from tpssim.scenarios.retries import Retry
from tpssim.scenarios.scenario import Scenario, checked_scenario
from tpssim.scenarios.service_quotas import ServiceQuota
from tpssim.scenarios.service_times import Constant, Gamma, Lognormal, Recorded, TwoPhase
from tpssim.scenarios.toml_lines import lines_of
from tpssim.scenarios.toml_text import PLAIN as PLAIN_PARTS

PLAIN = Scenario("s", Constant(0.25), 8.0, 10.0)


def read(text: str, folder: Path, name: str = "mine.toml") -> Scenario:
    (folder / name).write_text(text, encoding="utf-8")
    return read_scenario(folder / name)


def again(scenario: Scenario, folder: Path) -> Scenario:
    scenario.to_toml(folder / "mine.toml")
    return read_scenario(folder / "mine.toml")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("files")


@pytest.mark.parametrize("name", SCENARIOS)
def test_each_built_in_scenario_comes_back(name: str, tmp_path: Path) -> None:
    assert again(SCENARIOS[name], tmp_path) == SCENARIOS[name]


@settings(deadline=None)
@given(EVERYTHING)
def test_all_fields_come_back_to_the_bit(folder: Path, scenario: Scenario) -> None:
    laws = [producer.law for producer in scenario.producers if producer.law is not None]
    if all(type(law) in CONTROLLERS.values() for law in laws):
        assert again(scenario, folder) == checked_scenario(scenario)
    else:
        with pytest.raises(InputError, match=r"\.law: \w+ is a law of your own"):
            scenario.to_toml()


FLOATS = st.floats(1e-9, 1e5)


@settings(deadline=None)
@given(
    FLOATS, FLOATS, FLOATS, FLOATS, st.text(), st.lists(FLOATS, min_size=1),
    st.lists(st.tuples(st.floats(0.0, 1e5), st.floats(0.0, 1e5)), min_size=1),
)  # fmt: skip
def test_any_numbers_and_words_come_back_to_the_bit(
    folder: Path, a: float, b: float, c: float, d: float, text: str, times: list[float],
    stages: list[tuple[float, float]],
) -> None:  # fmt: skip
    try:
        target: float | Stages = Stages(stages, start=a)
    except InputError:  # they last for no time
        target = a
    name = f"s{text}"  # no empty one, and none that begins with a dot
    scenario = Scenario(name, Recorded(tuple(times), text), target, b, summary=text, timeout=c)
    scenario = scenario._replace(
        consumer=Pool(3.0, 17.0),
        late=Late(keep=d) if c < d else Late(seconds=d),
        timer=TimerModel(median=min(d, 1.0)),
        disturbances=(Background(0.0, math.nextafter(d, 0.0), c),),
        backend=Backend(servers=2.0),
    )
    if isinstance(target, float):
        scenario = scenario._replace(arrivals=tuple(sorted(time - min(times) for time in times)))
    try:
        allowed = checked_scenario(scenario)
    except InputError as error:
        if "want no call before the end" not in str(error):
            raise
        reject()  # stages that want nothing before the run ends
    assert again(scenario, folder) == allowed


@pytest.mark.parametrize("name", CONTROLLERS)
def test_the_law_of_a_producer_comes_back_with_its_parameters(name: str, tmp_path: Path) -> None:
    law = CONTROLLERS[name]()
    assert set(ranges(law)) == set(law._fields)
    for field, allowed in ranges(law).items():
        value = getattr(law, field)
        nearby = value * 0.9999 if value < math.inf else 1e5
        changes = nearby != value and allowed.unit != FLAG and allowed.holds(nearby)
        if changes and not _conflict(law, field, nearby):
            law = law._replace(**{field: nearby})
    scenario = PLAIN._replace(producers=(Producer(), Producer(1.0, law=law)))
    assert again(scenario, tmp_path).producers[1].law == law


def _conflict(law: Any, field: str, value: float) -> bool:
    changed = law._replace(**{field: value})
    return bool(changed.conflict()) if hasattr(changed, "conflict") else False


def test_the_text_leaves_defaults_out_and_is_of_one_form() -> None:
    scenario = Scenario(
        "checkout",
        Recorded((0.1, 0.2, 0.3, 0.4, 0.5, 0.6), "by hand"),
        Stages("10s:50,500ms:0"),
        10.5,
        consumer=Async(0.0, "completion"),
        disturbances=(Stall(1.0, 2.0), Swap(3.0, 4.0, TwoPhase(0.01, 1.0, 0.1))),
        timer=TIMERS["linux"],
        backend=Backend(servers=8.0, quotas=(ServiceQuota(500.0, 60.0),)),
        late=DELAY,
        quotas=(Quota(10.0, 1.0, window="fixed", align=True),),
    )
    assert (
        scenario.to_toml()
        == """\
name = "checkout"
target = "10s:50,500ms:0"  # the wanted TPS of each producer (1/s)
duration = 10.5  # how long the run is (s)
timer = "linux"  # how sleeps of the caller end late
late = "delay"  # what becomes of slots that were missed

[service]
kind = "recorded"
recording = [
  0.1, 0.2, 0.3, 0.4, 0.5,
  0.6,
]  # service times in their order (s)
source = "by hand"  # where they come from

[consumer]
kind = "async"
handoff = 0  # how long it takes to hand a call over (s)
feedback = "completion"  # what the law sees: handoff or completion

[[disturbances]]
kind = "stall"
start = 1  # when it begins (s)
end = 2  # when it is over (s)

[[disturbances]]
kind = "swap"
start = 3  # when it begins (s)
end = 4  # when it is over (s)

[disturbances.service]
kind = "two-phase"
fast = 0.01  # expected service time of the fast calls (s)
slow = 1  # expected service time of the slow calls (s)
share = 0.1  # how many of the calls are slow (of the calls)

[backend]
servers = 8  # calls that are worked on at once (calls)

[[backend.quotas]]
amount = 500  # calls, or their cost, that a window takes (calls or cost)
per = 60  # length of the window (s)

[[quotas]]
amount = 10  # calls, or their cost, in a window (calls or cost)
per = 1  # length of the window (s)
window = "fixed"  # how the window moves: rolling or fixed
align = true  # whether fixed windows begin at multiples of `per` on the wall clock
"""
    )


BY_HAND = """\
# what we know of checkout
target = [[10, 50], [20.5, 0]]
late = { keep = 3 }
network = {kind = "gamma", mean = 1e-3, cv = 0.1}
retry.attempts = 2
backend.servers = 8

[service]
kind = "lognormal"  # as last spring
mean = 0.08
cv = 0.6

[timer]
median = 1e-4

[consumer]
kind = "async"
feedback = "completion"

[[disturbances]]
kind = "step"
start = 5
end = 15
factor = 2
[[producers]]
[[producers]]
start = 1
target = "5s:10"
law = "aimd:dec_rate=0.5"
"""


def test_a_file_by_hand_means_what_it_says(tmp_path: Path) -> None:
    found = read(BY_HAND, tmp_path, "checkout.toml")
    law = CONTROLLERS["aimd"]()._replace(dec_rate=0.5)
    assert found == Scenario(
        name="checkout",  # that of the file
        service=Lognormal(0.08, 0.6),
        target=Stages("10s:50,20.5s:0"),
        duration=30.5,  # when the stages end
        consumer=Async(20e-6, "completion"),
        disturbances=(Step(5.0, 15.0, 2.0),),
        timer=TimerModel(median=1e-4),
        backend=Backend(servers=8.0),
        retry=tpssim.Retry(attempts=2.0),
        late=Late(3.0),
        producers=(Producer(), Producer(1.0, target=Stages("5s:10"), law=law)),
        network=Gamma(1e-3, 0.1),
    )


def test_windows_ends_of_lines_and_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_bytes(b"\xef\xbb\xbf" + BY_HAND.replace("\n", "\r\n").encode())
    assert read_scenario(tmp_path / "a.toml") == read(BY_HAND, tmp_path)._replace(name="a")


def test_arrivals_and_recordings_may_be_files_beside_it(tmp_path: Path) -> None:
    (tmp_path / "calls.csv").write_text("start,service\n0,0.1\n1,0.3\n3,0.2\n", encoding="utf-8")
    text = 'arrivals = "calls.csv"\nservice = {kind = "recorded", recording = "calls.csv"}\n'
    found = read(text, tmp_path)
    assert found.arrivals == (0.0, 1.0, 3.0)
    assert found.service == Recorded((0.1, 0.3, 0.2), "mine.toml")
    assert (found.target, found.duration) == (1.0, 4.0)  # three in three seconds; a second after
    with pytest.raises(InputError, match=r"mine\.toml, line 1: arrivals: .*nothing\.csv"):
        read(text.replace("calls.csv", "nothing.csv", 1), tmp_path)


@pytest.mark.parametrize(
    ("line", "wrong", "said"),
    [
        (10, "mean = -1", r"service\.mean=-1 is out of range; allowed: \[1e-12, 1e\+06\] s"),
        (10, "mean = true", r"service\.mean=True is not a number; allowed"),
        (10, "mean = [1]", r"service\.mean=\[1\] is not a number; allowed"),
        (11, "cvv = 0.6", r"service: there is no field 'cvv', did you mean 'cv'\? allowed: mean"),
        (9, 'kind = "lognorml"', "service: there is no kind 'lognorml', did you mean 'lognormal'"),
        (9, "kind = 3", "service: there is no kind '3'; allowed: constant"),
        (8, "[servce]", "there is no field 'servce', did you mean 'service'"),
        (6, "backend.servers = 2.5", r"backend: servers=2\.5 is no whole number; allowed: 1, 2"),
        (6, "backend = 8", r"backend=8; allowed: a table \[backend\]"),
        (6, "quotas = 8", r"quotas=8; allowed: tables \[\[quotas\]\]"),
        (5, 'retry.jitter = "some"', "retry: jitter='some'; allowed: none, full, decorrelated"),
        (5, "retry.jitter = 5", r"retry\.jitter=5; allowed: text in quotes"),
        (4, 'network = {kind = "constant"}', "network has no mean; allowed: mean"),
        (4, 'network = {mean = 1}', r"network\.kind is missing; allowed: constant, exponential"),
        (3, 'late = "never"', "late: .*'never'.* allowed: auto, burst"),
        (3, "late = {keep = 3, seconds = 1}", "late: seconds=1 with keep=3"),
        (2, 'target = "10x:5"', "target: stages='10x:5': '10x:5' is not duration:target"),
        (2, "target = 2e6", r"target=2e\+06 is out of range; allowed: \(0, 1e\+06\] 1/s"),
        (2, 'target = "5s:2e6"', r"target: the peak of 5s:2e\+06: target=2e\+06 is out of range"),
        (13, "[[timer]]", r"timer=\[.*; allowed: a table \[timer\]"),
        (18, 'feedback = "telepathy"', "feedback='telepathy'; allowed: handoff, completion"),
        (22, "start = 25", r"disturbances\[0\]: a step from 25 to 15 s; allowed: 0 <= start"),
        (22, 'start = "5"', r"disturbances\[0\]\.start='5' is not a number"),
        (24, "factor = 0", r"disturbances\[0\]\.factor=0 is out of range"),
        (27, "start = 40", "a producer from 40 to inf s in a run of 30.5 s"),
        (28, "target = 0", r"producers\[1\]\.target=0 is out of range"),
        (29, 'law = "amid"', r"producers\[1\]\.law: there is no controller 'amid', did you mean"),
        (29, 'law = "aimd:dec_rate=2"', r"producers\[1\]\.law: aimd: dec_rate=2 is out of range"),
        (29, "law = 5", r"producers\[1\]\.law=5; allowed: text such as 'aimd:dec_rate=0\.5'"),
        (7, "cost = {", "this is no TOML: "),
        (7, "timeout = 5\ntimeout = 6", "this is no TOML: Cannot overwrite a value"),
        (7, "poisson = 0.5", r"poisson=0\.5 .*allowed"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_line(
    line: int, wrong: str, said: str, tmp_path: Path
) -> None:
    lines = BY_HAND.split("\n")
    lines[line - 1] = wrong
    with pytest.raises(InputError, match=said) as raised:
        read("\n".join(lines), tmp_path)
    place = str(raised.value).removeprefix(str(tmp_path / "mine.toml"))
    if "TOML: " in said:  # a table that does not end, a name that is there twice: one line later
        assert place.startswith((f", line {line}: ", f", line {line + 1}: "))
    elif "a step" in said:
        assert place.startswith(", line 20: ")  # its table
    elif "a producer" in said:
        assert place.startswith(", line 25: ")
    elif said.startswith("timer"):
        assert place.startswith(", line 13: ")
    else:
        assert place.startswith(f", line {line}: "), place
    assert "\n" not in str(raised.value)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"mine\.toml: service is missing; allowed: name, service"):
        read("target = 5\nduration = 5\n", tmp_path)
    with pytest.raises(InputError, match=r"mine\.toml: target is missing"):
        read("service = {kind = 'constant', mean = 1}\n", tmp_path)
    with pytest.raises(InputError, match=r"nothing\.toml cannot be read: No such file"):
        read_scenario(tmp_path / "nothing.toml")
    (tmp_path / "bytes.toml").write_bytes(b"name = '\xff'")
    with pytest.raises(InputError, match=r"bytes\.toml is no text in UTF-8"):
        read_scenario(tmp_path / "bytes.toml")


class Mine(NamedTuple):
    """A service of the user's own."""

    mean: float

    def noise(self) -> str:
        return "uniform"

    def times(self, draws: Any) -> Any:
        return 0.0 * draws + self.mean


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"service": Mine(0.1)}, "scenario s: service: Mine is a class of your own, which a file"),
        ({"network": Mine(0.1)}, "scenario s: network: Mine is a class of your own"),
        (
            {"disturbances": (Swap(1.0, 2.0, Mine(0.1)),)},
            r"scenario s: disturbances\.service: Mine is a class of your own.*allowed: constant",
        ),
        ({"summary": "\ud800"}, r"summary='\\ud800'; allowed: text that UTF-8 can hold"),
        ({"duration": -1.0}, "duration=-1 is out of range"),
    ],
)
def test_what_a_file_cannot_hold_is_refused_and_nothing_is_written(
    change: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=said):
        PLAIN._replace(**change).to_toml(tmp_path / "mine.toml")
    assert not list(tmp_path.iterdir())


def test_a_file_that_cannot_be_written_stays_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").mkdir()
    with pytest.raises(InputError, match=r"mine\.toml' cannot be written"):
        PLAIN.to_toml(tmp_path / "mine.toml")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.toml"]


def test_provenance_and_estimates_come_back(tmp_path: Path) -> None:
    file = ScenarioFile(
        PLAIN._replace(backend=Backend(servers=8.0), network=Lognormal(0.01, 0.5)),
        Provenance('the "calls".csv', "ab" * 32, "tpssim fit calls.csv", "0.1.0", 7),
        (
            Estimated("backend.servers", 8.0, 8.0, math.inf),
            Estimated("network.mean", 0.1 + 0.2, 1e-300, 5.0, 1 / 3),
            Estimated("timeout", 2.0, 1.0, 3.0),
            Estimated("service.cv", 0.0, -math.inf, 1.0),  # no parameter of a constant service
        ),
        (
            Correlated("network.mean", "timeout", -1.0),
            Correlated("network.mean", "service.cv", 0.1 + 0.2),
            Correlated("timeout", "service.cv", 0.5),
        ),
    )
    text = file.to_toml(tmp_path / "fitted.toml")
    assert read_scenario_file(tmp_path / "fitted.toml") == file
    assert read_scenario(tmp_path / "fitted.toml") == file.scenario
    document = tomllib.loads(text)
    assert document["provenance"]["seed"] == 7
    assert document["estimates"]["network.mean"]["std"] == 1 / 3
    (tmp_path / "fitted.toml").write_text(text.replace("low = 1\n", 'low = "1"\n'))
    with pytest.raises(InputError, match=r"line \d+: estimates\.timeout\.low='1' is not a number"):
        read_scenario(tmp_path / "fitted.toml")
    (tmp_path / "fitted.toml").write_text(text.replace('"timeout" = -1\n', '"timeout" = -1.5\n'))
    said = r"line \d+: correlations\.network\.mean\.timeout=-1\.5 is out of range; allowed:"
    with pytest.raises(InputError, match=said):
        read_scenario(tmp_path / "fitted.toml")
    (tmp_path / "fitted.toml").write_text(text.replace('"timeout" = -1\n', '"time" = 0\n'))
    with pytest.raises(InputError, match=r"line \d+: correlations: there is no estimate 'time'"):
        read_scenario(tmp_path / "fitted.toml")


def test_a_written_file_says_what_its_flags_and_units_are() -> None:
    backend = Backend(quotas=(ServiceQuota(500.0, 10.0, retry_after=1.0, whole=1.0),))
    scenario = PLAIN._replace(
        backend=backend, cost=Constant(400.0), retry=Retry(2.0, 0.5, jitter="full")
    )
    lines = scenario.to_toml().split("\n")
    assert {
        "retry_after = 1  # 1: a rejection says when to come back; 0: it does not",
        "whole = 1  # of which the wait that is said is a multiple; 0: any wait (s)",
        "per = 10  # length of the window (s)",
        "base = 0.5  # wait before the first retry (s)",
        'jitter = "full"  # how the wait is drawn: none, full or decorrelated',
        "[cost]  # what a call costs: tokens, say",
        "mean = 400",  # no time
    } <= set(lines)


def test_each_number_that_a_file_can_hold_has_its_meaning() -> None:
    unsaid = [
        f"{cls.__name__}.{field}"
        for cls in (Scenario, *PLAIN_PARTS, *KIND_OF)
        for field, hint in get_type_hints(cls).items()
        if not meanings(cls)[field] and (hint in (float, bool, int) or field in ranges(cls))
    ]
    assert unsaid == []


@settings(deadline=None)
@given(EVERYTHING)
def test_each_value_is_on_the_line_that_is_said(scenario: Scenario) -> None:
    backend = scenario.backend._replace(limit=math.inf)  # which one blocking producer may not have
    scenario = scenario._replace(producers=(Producer(end=2.0),), late=AUTO, backend=backend)
    assume(accepted(scenario))  # a background load needs a limit
    text = scenario.to_toml()
    lines, found = text.split("\n"), lines_of(text)

    def look(value: Any, place: tuple[str | int, ...]) -> None:
        if isinstance(value, dict):
            for name, inner in value.items():
                look(inner, (*place, name))
        elif isinstance(value, list) and isinstance(value[0], dict):
            for number, inner in enumerate(value):
                look(inner, (*place, number))
        elif len(place) == 1 or isinstance(place[-2], str) or value is not None:
            written = lines[found[place] - 1]
            assert written.startswith(f"{place[-1]} = ")
            if not isinstance(value, list):
                assert tomllib.loads(written)[str(place[-1])] == value

    look(tomllib.loads(text), ())


def test_values_of_several_lines_are_followed() -> None:
    text = 'a = """\n[no]\nx = 1\n"""\nb = [ # ]\n  1,\n  [2],\n]\n\n'
    text += "[c.d] # [[\ne = 5\n[[f.g]]\n[f.g.h]\ni=1"
    assert tomllib.loads(text)  # it is TOML
    found = lines_of(text)
    assert (found["a",], found["b",], found["c", "d", "e"]) == (1, 5, 11)
    assert (found["f", "g", 0], found["f", "g", 0, "h", "i"]) == (12, 14)
    assert ("no",) not in found
