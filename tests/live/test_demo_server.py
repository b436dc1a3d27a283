"""The consumer to try throttles on: its queue worked by hand and against the model, its manners
over HTTP.
"""

from __future__ import annotations

import http.client
import json
import math
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from helpers import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st

from tpssim import InputError, simulate
from tpssim.cli.main import main
from tpssim.core.types import FAILED, OK, REJECTED
from tpssim.live.demo_queue import VirtualQueue, parse_schedule
from tpssim.live.demo_quotas import DemoQuotas
from tpssim.live.demo_server import Server
from tpssim.live.demo_service import PlayedService
from tpssim.scenarios.disturbances import Background, Step
from tpssim.scenarios.plant import Async, Backend
from tpssim.scenarios.scenario import Scenario
from tpssim.scenarios.service_quotas import Meters, ServiceQuota
from tpssim.scenarios.service_times import Constant, Lognormal


def test_answers_are_due_one_after_the_other() -> None:
    # 4/s from two servers: half a second each. The third waits for the first, the fifth is one too
    # many.
    queue = VirtualQueue(rate=4.0, servers=2, places=2)
    assert [queue.due(t) for t in (0.0, 0.125, 0.25, 0.25, 0.25)] == [0.5, 0.625, 1.0, 1.125, None]
    assert queue.due(0.5) == 1.5  # the third has begun: a place is free
    assert queue.due(8.0) == 8.5
    assert queue.report() == {"rate": 4.0, "servers": 2, "answered": 6, "rejected": 1}


def test_the_rate_changes_as_scheduled_after_the_first_request() -> None:
    queue = VirtualQueue(rate=4.0, schedule=parse_schedule("10:2,20:8"))
    arrivals = (100.0, 109.75, 110.0, 119.0, 120.0)
    assert [queue.due(t) for t in arrivals] == [100.25, 110.0, 110.5, 119.5, 120.125]
    queue.set_rate(1.0)
    assert queue.due(200.0) == 201.0


def test_it_is_the_plant_of_the_model() -> None:
    """The model's backend of constant service, to the bit: accepted and turned away alike."""
    plant = Scenario("s", Constant(0.03125), 100.0, 20.0, Async(0.0, "completion"))
    trace = simulate(plant._replace(backend=Backend(servers=2.0, places=5.0), poisson=1.0), "fixed")
    queue = VirtualQueue(rate=64.0, servers=2, places=5)
    due = np.array(
        [math.nan if (t := queue.due(float(at))) is None else t for at in trace.released]
    )
    turned_away = trace.outcome == REJECTED
    assert turned_away.sum() > 100
    assert np.array_equal(
        np.isnan(due)[trace.completed < 20.0], turned_away[trace.completed < 20.0]
    )
    ok = ~np.isnan(due) & (trace.completed < 20.0)
    assert np.array_equal(due[ok], trace.completed[ok])


def test_a_scenario_is_served_as_the_model_has_it() -> None:
    """Each call of a run is answered when the model answers it, and as well, to the bit."""
    scenario = Scenario(
        "all", Lognormal(0.05, 0.8), 120.0, 20.0, Async(0.0, "completion"),
        (Step(5.0, 9.0, 3.0),),
        backend=Backend(servers=4.0, places=30.0, slope=0.01, failure=0.1, limit=28.0,
                        quotas=(ServiceQuota(150.0, 2.0, retry_after=1.0, whole=1.0),)),
        network=Lognormal(0.03, 0.5),
    )  # fmt: skip
    trace = simulate(scenario, "fixed", seed=3, engine="simpy")
    service, codes = PlayedService(scenario, seed=3), {OK: 200, FAILED: 500}
    told = [service.answer(float(at), 1.0) for at in trace.released]
    done = trace.completed < 20.0
    assert np.array_equal(np.array([due for _, due, _ in told])[done], trace.completed[done])
    for (status, _, _), outcome in zip(
        [one for one, ended in zip(told, done, strict=True) if ended],
        trace.outcome[done].tolist(),
        strict=True,
    ):
        assert status == codes.get(outcome, 429)
    assert {status for status, _, _ in told} == {200, 429, 500}


def test_a_served_scenario_by_hand() -> None:
    """One server, 0.5 s a call, answers 0.25 s on their way; from 10 s on a call takes 2 s. Its
    time begins with the first call."""
    scenario = Scenario(
        "hand", Constant(0.5), 1.0, 60.0, disturbances=(Step(10.0, 60.0, 4.0),),
        backend=Backend(servers=1.0, places=1.0), network=Constant(0.25),
    )  # fmt: skip
    service = PlayedService(scenario)
    # The first leaves the backend when its answer is there, 0.75 s after it came.
    answers = [service.answer(100.0 + t, 1.0) for t in (0.0, 0.125, 0.5, 0.75, 10.0)]
    assert answers == [
        (200, 100.75, 0.0),
        (200, 101.25, 0.0),
        (503, 101.25, 0.0),
        (200, 101.75, 0.0),
        (200, 112.25, 0.0),
    ]
    assert service.report() == {"answered": 4, "rejected": 1}


def test_a_silent_refusal_is_never_answered_and_others_clients_are_not_played() -> None:
    scenario = Scenario("quota", Constant(0.001), 1.0, 60.0)
    quota = Backend(quotas=(ServiceQuota(1.0, 10.0),), silent=1.0)
    service = PlayedService(scenario._replace(backend=quota))
    assert [service.answer(t, 1.0)[1] for t in (0.0, 1.0)] == [0.001, math.inf]
    with pytest.raises(InputError, match="other clients"):
        PlayedService(scenario._replace(disturbances=(Background(1.0, 2.0, 5.0),)))
    with pytest.raises(InputError, match="allowed: its disturbances"):
        service.set_rate(5.0)


def test_who_gets_no_answer_waits_until_he_gives_up() -> None:
    scenario = Scenario(
        "quota", Constant(0.001), 1.0, 60.0,
        backend=Backend(quotas=(ServiceQuota(1.0, 3600.0),), silent=1.0),
    )  # fmt: skip
    with Server(PlayedService(scenario)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
        assert ask(connection, "GET", "/") == (200, "done")
        said = "rate=5 of a scenario's service; allowed: its disturbances"
        assert ask(connection, "PUT", "/rate?per_second=5") == (400, said)
        connection.sock.settimeout(0.05)
        with pytest.raises(TimeoutError):
            ask(connection, "GET", "/")
        connection.close()
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--seed 3", "--seed 3 without --service; allowed: together"),
        ("--service healthy --rate 5", "--rate with --service, which says it"),
        ("--service healthy --quota 5/1s", "--quota with --service, which says it"),
        ("--service helthy", "did you mean 'healthy'"),
        ("--service noisy-neighbour", "other clients"),
    ],
)
def test_what_serve_takes_for_a_service(
    words: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", *words.split()]) == 2
    assert said in capsys.readouterr().err


@pytest.fixture
def port() -> Iterator[int]:
    with Server(VirtualQueue(rate=1000.0, servers=1, places=0)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def ask(
    connection: http.client.HTTPConnection, method: str, path: str, body: str = ""
) -> tuple[int, str]:
    connection.request(method, path, body or None)
    answer = connection.getresponse()
    return answer.status, answer.read().decode().strip()


def test_over_http_on_one_connection(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    assert ask(connection, "GET", "/") == (200, "done")
    socket = connection.sock
    assert ask(connection, "POST", "/", "a body that nobody reads") == (200, "done")
    assert ask(connection, "GET", "/nothing")[0] == 404
    assert ask(connection, "PUT", "/anything?per_second=5")[0] == 404
    assert json.loads(ask(connection, "GET", "/report")[1])["rate"] == 1000.0
    assert ask(connection, "PUT", "/rate?per_second=250")[0] == 200
    for bad in ("0", "inf"):
        said = f"rate={bad} is out of range; allowed: (0, inf)"
        assert ask(connection, "PUT", f"/rate?per_second={bad}") == (400, said)
    for bad in ("", "per_second=fast", "per_second=1&per_second=2"):
        said = f"{bad!r} sets no rate; allowed: PUT /rate?per_second=N, N in (0, inf)"
        assert ask(connection, "PUT", f"/rate?{bad}") == (400, said)
    status, text = ask(connection, "GET", "/report")
    assert (status, json.loads(text)) == (
        200,
        {"rate": 250.0, "servers": 1, "answered": 2, "rejected": 0, "refused": 0},
    )
    assert connection.sock is socket
    connection.close()


@pytest.mark.parametrize("method", ["GET", "PUT"])
@pytest.mark.parametrize("length", ["five", "-1", "1.5", ""])
def test_a_body_of_unknown_length_is_answered_and_ends_the_connection(
    method: str, length: str, port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, "/rate?per_second=5", headers={"Content-Length": length})
    answer = connection.getresponse()
    assert answer.status == 400
    assert answer.read().decode() == "bad Content-Length; allowed: requests as RFC 9112 has them\n"
    assert answer.getheader("Connection") == "close"
    assert connection.sock is None  # the client has understood
    connection.close()
    assert capsys.readouterr().err == ""


def test_a_full_queue_answers_503(port: int) -> None:
    one, other = (http.client.HTTPConnection("127.0.0.1", port, timeout=10) for _ in range(2))
    ask(one, "PUT", "/rate?per_second=2")
    one.request("GET", "/")  # half a second of work
    while json.loads(ask(other, "GET", "/report")[1])["answered"] == 0:
        pass
    assert ask(other, "GET", "/") == (503, "the queue is full")
    assert one.getresponse().status == 200
    one.close()
    other.close()


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_the_command_serves_until_it_is_asked_to_stop(signum: int) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tpssim", "serve", "--rate", "500", "--schedule", "5:100"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert "500 answers a second from 4 servers, at most 100 wait" in line
        connection = http.client.HTTPConnection(
            "127.0.0.1", int(line.split("/")[2].rpartition(":")[2]), timeout=10
        )
        assert ask(connection, "GET", "/") == (200, "done")
        connection.close()
        process.send_signal(signum)
        _, error = process.communicate(timeout=10)
    assert process.returncode == 0
    assert json.loads(error)["answered"] == 1


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("serve --rate 0", "rate=0 is out of range"),
        ("serve --servers 0", "servers=0 is out of range"),
        ("serve --queue -1", "queue=-1 is out of range"),
        ("serve --schedule 10", "'10' is not SECONDS:RATE"),
        ("serve --schedule 10:100,5:200", "its times do not rise; allowed: rising seconds"),
        ("serve --schedule 10:100,10:200", "its times do not rise; allowed: rising seconds"),
        ("serve --port 99999", "port=99999; allowed: 0 (a free one) to 65535"),
        ("serve --port -1", "port=-1; allowed: 0 (a free one) to 65535"),
        ("serve --host nowhere.invalid", "allowed: an address of this machine and a free port"),
        ("serve --quota -1/s", "--quota '-1/s'; allowed: AMOUNT/PER above 0"),
        ("serve --quota 5.5/s", "quota: amount=5.5 is no whole number of calls"),
        ("serve --quota 5/1e-9s", "quota: per=1e-09 is out of range; allowed: [1e-06, 1e+06] s"),
        ("serve --quota 100", "--quota '100'; allowed: AMOUNT/PER above 0, such as 500/1m"),
        ("serve --quota 0/1s", "--quota '0/1s'; allowed"),
        ("serve --quota 5/nan", "--quota '5/nan'; allowed"),
        ("serve --quota 5/1s:twice", "and :cost or :fixed behind it"),
        ("serve --log /nowhere/at/all", "cannot be written: No such file"),
    ],
)
def test_bad_input_gets_one_line(
    line: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(line.split()) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_taken_port_is_refused(port: int) -> None:
    with pytest.raises(InputError, match="cannot be served"):
        Server(VirtualQueue(1.0), port=port)


# Quotas: at most 3 in a second.
TIMES = (0.0, 0.25, 0.5, 0.75, 1.0, 1.125, 1.25, 1.75)


def test_a_rolling_quota_refuses_and_says_when_there_is_room() -> None:
    quota = DemoQuotas([ServiceQuota(3.0, 1.0, retry_after=1.0)])
    # The calls of 0, 0.25 and 0.5 leave at 1, 1.25 and 1.5.
    said = [None, None, None, 0.25, None, 0.125, None, None]
    assert [quota.refusal(t, 1.0) for t in TIMES] == said
    assert quota.refused == 2


def test_a_call_that_was_refused_may_count_as_well() -> None:
    quota = DemoQuotas([ServiceQuota(3.0, 1.0, counts_refused=1.0, retry_after=1.0)])
    # Each counts for a second. From 0.75 on more than two do all the time: at 1.0 those of 0.25,
    # 0.5 and 0.75; there is room when all but two have left, of which the last one is just here.
    said = [None, None, None, 0.5, 0.5, 0.625, 0.75, 0.375]
    assert [quota.refusal(t, 1.0) for t in TIMES] == said
    assert quota.refusal(9.0, 1.0) is None


def test_fixed_windows_follow_one_another_from_the_first_call_on() -> None:
    quota = DemoQuotas([ServiceQuota(2.0, 1.0, window="fixed", retry_after=1.0)])
    times = (10.5, 11.25, 11.375, 11.5, 11.625, 11.75, 13.75)
    assert [quota.refusal(t, 1.0) for t in times] == [None, None, 0.125, None, None, 0.75, None]


def test_costs_count_against_a_quota_of_them_and_all_quotas_hold_at_once() -> None:
    cost = ServiceQuota(100.0, 10.0, of="cost", retry_after=1.0)
    quotas = DemoQuotas([cost, ServiceQuota(3.0, 1.0)])
    assert quotas.refusal(0.0, 60.0) is None
    assert quotas.refusal(0.5, 50.0) == 9.5
    assert quotas.refusal(0.5, 101.0) == 0.0, "never: nothing is said"
    assert [quotas.refusal(0.5, 1.0) for _ in range(3)] == [None, None, 0.0], "not a word"


ANY = st.builds(
    ServiceQuota,
    amount=st.sampled_from([1.0, 2.0, 5.0]),
    per=st.sampled_from([0.5, 1.0, 4.0]),
    of=st.sampled_from(["calls", "cost"]),
    window=st.sampled_from(["rolling", "fixed"]),
    counts_refused=st.sampled_from([0.0, 1.0]),
    retry_after=st.sampled_from([0.0, 1.0]),
    whole=st.sampled_from([0.0, 1.0]),
    at_once=st.sampled_from([0.0, 1.0]),
)


@settings(max_examples=200, deadline=None)
@given(
    quotas=st.lists(ANY, min_size=1, max_size=3),
    calls=st.lists(st.tuples(st.integers(0, 12), st.integers(0, 6)), min_size=1, max_size=40),
)
def test_quotas_are_those_of_the_model(
    quotas: list[ServiceQuota], calls: list[tuple[int, int]]
) -> None:
    """Both have been written from the same words, and not from one another. Times and costs are
    multiples of an eighth, so that both are exact."""
    demo, meters, now = DemoQuotas(quotas), Meters(tuple(quotas)), 0.0
    for k, (gap, cost) in enumerate(calls):
        now += gap / 8.0 if k else 0.0
        opens, wait = meters.take(now, cost / 2.0), demo.refusal(now, cost / 2.0)
        assert (opens == -1.0) == (wait is None)
        if wait is not None:
            assert wait == (opens - now if opens < math.inf else 0.0)


@pytest.mark.parametrize(
    ("quota", "message"),
    [
        (ServiceQuota(0.0, 1.0), r"amount=0"),
        (ServiceQuota(1.0, math.nan), r"per=nan"),
        (ServiceQuota(1.0, 1.0, of="tokens"), r"of='tokens'; allowed: calls, cost"),
        (ServiceQuota(1.0, 1.0, window="daily"), r"window='daily'; allowed: rolling, fixed"),
    ],
)
def test_bad_quotas(quota: ServiceQuota, message: str) -> None:
    with pytest.raises(InputError, match=message):
        DemoQuotas([quota])


def test_the_command_answers_429_and_logs_what_came(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    words = ["--rate", "10000", "--quota", "2/1h", "--quota", "100/90s:cost", "--log", str(log)]
    with subprocess.Popen(
        [sys.executable, "-m", "tpssim", "serve", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert "at most 100 wait, quota 2/1h, quota 100/90s:cost; Ctrl-C" in line
        port = int(line.split("/")[2].rpartition(":")[2])
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        assert ask(connection, "GET", "/?cost=60")[0] == 200
        connection.request("GET", "/?cost=41")
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (429, b"too many calls\n")
        assert 80 <= int(answer.getheader("Retry-After") or 0) <= 90
        assert ask(connection, "GET", "/?cost=40")[0] == 200
        connection.request("GET", "/?cost=0")
        answer = connection.getresponse()
        answer.read()
        assert 3590 <= int(answer.getheader("Retry-After") or 0) <= 3600
        for bad in ("cost=-1", "cost=nan", "cost=x", "cost=1&cost=2", "price=1"):
            said = f"{bad!r} is no cost; allowed: /?cost=N, N in [0, inf)"
            assert ask(connection, "GET", f"/?{bad}") == (400, said)
        connection.close()
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=10)
    assert json.loads(error)["refused"] == 2
    head, *lines = log.read_text().splitlines()
    assert head == "seconds,status,cost"
    assert [line.split(",")[1:] for line in lines] == [
        ["200", "60"], ["429", "41"], ["200", "40"], ["429", "0"],
    ]  # fmt: skip
    times = [float(line.split(",")[0]) for line in lines]
    assert times[0] == 0.0
    assert times == sorted(times)


def test_a_quota_may_be_silent_about_when() -> None:
    with Server(VirtualQueue(rate=1000.0), quotas=[ServiceQuota(1.0, 3600.0)]) as server:
        assert server.arrived(1.0)[::2] == (200, 0.0)
        assert server.arrived(1.0)[::2] == (429, 0.0)
