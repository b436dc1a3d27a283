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

import numpy as np
import pytest
from helpers import ROOT

from tpssim import InputError, simulate
from tpssim.cli.main import main
from tpssim.core.types import REJECTED
from tpssim.live.demo_server import Server, VirtualQueue, parse_schedule
from tpssim.scenarios.plant import Async, Backend
from tpssim.scenarios.scenario import Scenario
from tpssim.scenarios.service_times import Constant


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
    for bad in (
        "",
        "per_second=fast",
        "per_second=0",
        "per_second=inf",
        "per_second=1&per_second=2",
    ):
        said = f"{bad!r} sets no rate; allowed: PUT /rate?per_second=N, N in (0, inf)"
        assert ask(connection, "PUT", f"/rate?{bad}") == (400, said)
    status, text = ask(connection, "GET", "/report")
    assert (status, json.loads(text)) == (
        200,
        {"rate": 250.0, "servers": 1, "answered": 2, "rejected": 0},
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
def test_the_command_serves_until_it_is_told_to_stop(signum: int) -> None:
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
        ("serve --schedule 10:100,5:200", "goes back in time"),
        ("serve --port 99999", "cannot be served"),
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
