"""The documents: commands and snippets run, links lead somewhere, figures are what a run gives."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import inspect
import io
import json
import math
import os
import re
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from urllib.request import urlopen

import pytest
from helpers import ROOT
from helpers.documents import DOCUMENTS, FOUND, SNIPPETS, Found, T, plain, read

from tpssim.cli.main import main
from tpssim.controllers import CONTROLLERS
from tpssim.experiments.league import half
from tpssim.live.demo_queue import VirtualQueue
from tpssim.live.demo_server import Server
from tpssim.live.report import Report
from tpssim.output.meanings import MEANINGS
from tpssim.scenarios.builtin import SCENARIOS
from tpssim.validation import live_against_simulated

#: Not run here: what this test is part of, and what the gate runs beside it.
EXEMPT = {
    "pip install '.[all]'": "an installation",
    "pip install '.[all,test]'": "an installation",
    "pip install .": "an installation",
    "pip install 'tpssim[parquet]'": "an installation",
    "python -m pytest": "this very run",
    'python -m pytest -m "not slow"': "a part of this very run",
    "mypy": "the gate runs it",
    "lint-imports": "the gate runs it",
    "python docs/packages.py": "tests/test_layers.py runs it",
    "python tests/bounds.py --quick": "the gate runs it",
    "python tests/test_goldens.py --write": "it writes what the tests compare with",
    "python tests/test_goldens.py --write refused": "it writes what the tests compare with",
    "python tests/test_goldens.py --write list refused": "it writes what the tests compare with",
    "python benchmarks/one_by_one.py": "the gate runs it with --smoke, as every benchmark",
    "python benchmarks/kinds_before_after.py": "the gate runs it with --smoke, as every benchmark",
    "python benchmarks/kinds_before_after.py --before ../before --kinds bimodal,tight-timeout,"
    "correlated,far,retrograde,quota-silent,quota-retry-after,outage": "it needs a checkout",
    "python benchmarks/kinds_before_after.py --before ../earlier --kinds plain-quota": (
        "it needs a checkout"
    ),
    "python benchmarks/overloads.py": "the gate runs it with --smoke, as every benchmark",
    "python benchmarks/one_by_one.py --services 12 --seed 132": "the gate runs one_by_one --smoke",
    "python benchmarks/one_by_one.py --services 12 --seed 132 --out results/reference-one-by-one": (
        "the gate runs one_by_one --smoke"
    ),
    "python benchmarks/robustness.py --services 6 --seed 133": "the gate runs robustness --smoke",
    "python benchmarks/plain_quotas.py": "the gate runs it with --smoke, as every benchmark",
    "python benchmarks/promises.py": "the gate runs it with --smoke, as every benchmark",
    "python benchmarks/recommend_promises.py": "the gate runs it with --smoke, as every benchmark",
    "python benchmarks/recommend_trial.py": "the gate runs it with --smoke, as every benchmark",
    "python benchmarks/robustness.py": "the gate runs it with --smoke, as every benchmark",
}
#: Run as they stand.
QUICK = {
    T + "list metrics",
    T + "list metrics achieved",
    T + "list scenarios",
    T + "list controllers",
    T + "list controllers aimd",
    T + "list controllers ewma-deadzone",
    T + "simulate degrade-recover headroom",
    T + "simulate docs/my-service.toml:servers=4,network.mean=0.02 headroom",
    T + "list scenarios docs/my-service.toml",
    T + "simulate healthy headroom --stages 5s:300,10s:300,5s:0",
    T + "simulate healthy fixed --arrivals tpssim/scenarios/recordings/sqlite_commits.csv",
    "ruff check .",
    "ruff format --check .",
}
FEW = " --replications 1 --workers 1"
FIVE = "blocking-steady:duration=5"
COMPARED = T + f"compare --scenarios {FIVE} --controllers fixed aimd{FEW}"
RECORDED = (
    T + "live --call calls.py:send --tps 500 --seconds 0.2 --quiet --controller headroom --out"
    " results/live"
)
TUNED = " --budget 24 --replications 1 --workers 1 --parameters dec_rate"
LIBRARIES = "tests/throttles/libraries.py"
SQLITE = " --trace tpssim/scenarios/recordings/sqlite_commits.csv --column service_s --unit s"
URL = (
    T + "live --url http://127.0.0.1:{port}/ --tps 300 --seconds 0.3 --quiet --async --controller"
    " headroom --out results/live-url"
)
PARITY = T + "validate --live --laws fixed --seconds 6 --out results/reference-live"
#: What stands for a command that takes long: others of the same verb with all its options, the last
#: A service that is fitted to a recording made for it.
FITTED = (
    T + "simulate healthy:duration=10 fixed --out results/recorded",
    T + "fit results/recorded/trace.csv -o my-service.toml --runs 2",
)
RECOMMENDED = (
    *FITTED,
    T + "recommend my-service.toml:duration=3 --for latency --tps 200 --draws 2 --controllers aimd"
    " --budget 16 --workers 1",
)
#: of a row.
SHORTER: dict[str, tuple[str, ...]] = {
    T + "fit calls.csv -o my-service.toml": FITTED,
    T + "fit results/live/recording.ndjson -o my-service.toml": FITTED,
    T + "recommend results/live/recording.ndjson --tps 200": RECOMMENDED,
    T + "recommend docs/my-service.toml --for latency": RECOMMENDED,
    T + "compare --scenarios my-service.toml --controllers aimd headroom": (
        *FITTED,
        T + f"compare --scenarios my-service.toml:duration=3 --controllers aimd headroom{FEW}",
    ),
    T + "compare --scenarios flash-crowd --controllers fixed bbr headroom netflix-gradient2"
    " --out results/reference-load": (
        T + "compare --scenarios flash-crowd:duration=20 --controllers fixed bbr headroom"
        f" netflix-gradient2{FEW} --out results/reference-load",
    ),
    T + "compare --scenarios flash-crowd --controllers fixed bbr headroom netflix-gradient2": (
        T + "compare --scenarios flash-crowd:duration=20 --controllers fixed bbr headroom"
        f" netflix-gradient2{FEW}",
    ),
    T + "compare --scenarios healthy --controllers fixed headroom --stages 5s:100,10s:1000,5s:0": (
        T + "compare --scenarios healthy --controllers fixed headroom"
        f" --stages 2s:100,3s:1000,2s:0{FEW}",
    ),
    T + "compare --scenarios docs/my-service.toml --controllers fixed aimd headroom": (
        T + f"compare --scenarios docs/my-service.toml --controllers fixed aimd headroom{FEW}",
    ),
    T + "compare": (COMPARED,),
    T + "simulate SCENARIO oracle": (T + "simulate healthy:duration=2 oracle",),
    T + "compare --scenarios degrade-recover": (COMPARED,),
    T + "compare --scenarios degrade-recover --controllers aimd:dec_rate=0.8 headroom": (
        T + "compare --scenarios degrade-recover:duration=12 --controllers aimd:dec_rate=0.8"
        f" headroom{FEW}",
    ),
    T + "compare --scenarios degrade-recover --throttle mine.py:throttle": (
        T + f"compare --scenarios {FIVE} --controllers fixed --throttle mine.py:throttle{FEW}",
    ),
    T + "compare --scenarios blocking-steady:mean=0.05,cv=1": (
        T + "compare --scenarios blocking-steady:mean=0.05,cv=1,duration=5 --controllers aimd"
        f" headroom{FEW}",
    ),
    T + "compare" + SQLITE: (T + f"compare{SQLITE} --controllers fixed headroom{FEW}",),
    T + "compare --league": (
        T + f"compare --league --scenarios healthy:duration=2,{FIVE} --controllers aimd"
        f" headroom{FEW}",
    ),
    T + "compare --league --replications 16": (
        T + f"compare --league --scenarios healthy:duration=2,{FIVE} --controllers aimd"
        f" headroom{FEW}",
    ),
    T + "compare --league --replications 16 --out results/reference-league": (
        T
        + f"compare --league --scenarios healthy:duration=2 --controllers aimd headroom{FEW} --out"
        " results/l",
    ),
    T
    + "compare --league --scenarios healthy,overload,knee,constant-timeouts,baseline-drift,slow-recovery,probe-rejections,cuts-per-event,ramp-up,flash-crowd --controllers headroom brpc-auto --replications 30": (
        T
        + f"compare --league --scenarios healthy:duration=2 --controllers headroom brpc-auto{FEW}",
    ),
    T
    + "compare --league --scenarios healthy,overload,knee,constant-timeouts,baseline-drift,slow-recovery,probe-rejections,cuts-per-event,ramp-up,flash-crowd --controllers headroom brpc-auto --replications 30 --out results/reference-held-out": (
        T + f"compare --league --scenarios healthy:duration=2 --controllers headroom brpc-auto{FEW}"
        " --out results/reference-held-out",
    ),
    T + "simulate results/random/scenarios/knee-0.toml headroom": (
        T + "simulate docs/my-service.toml headroom",
    ),
    T + "compare --random 306 --kinds judging --seed 135": (
        T + "compare --random 1 --kinds light-load --seed 127 --controllers fixed --workers 1",
    ),
    T + "compare --random 200": (
        T + "compare --random 2 --kinds blocking --controllers fixed aimd --workers 1",
    ),
    T + "compare --random 48 --kinds tuning --seed 5 --controllers headroom aimd:dec_rate=0.9": (
        T + "compare --random 2 --kinds far,blocking --seed 5 --controllers headroom"
        " aimd:dec_rate=0.9 --workers 1",
    ),
    T + "compare --random 30 --kinds overload,far,blocking --throttle mine.py:throttle": (
        T + "compare --random 2 --kinds blocking --controllers fixed --throttle mine.py:throttle"
        " --workers 1",
    ),
    T + "compare --league --controllers aimd headroom": (
        T + f"compare --league --scenarios healthy:duration=2,{FIVE} --controllers aimd"
        f" headroom{FEW}",
    ),
    T
    + f"compare --scenarios drift:duration=20 --replications 1 --controllers fixed printed-sleep --throttle {LIBRARIES}:with_ratelimit {LIBRARIES}:with_pyrate_limiter": (
        T + f"compare --scenarios {FIVE} --controllers fixed --throttle"
        f" {LIBRARIES}:with_ratelimit{FEW}",
    ),
    T
    + f"compare --scenarios drift:duration=20 --replications 1 --timer asyncio-epoll --controllers fixed --throttle {LIBRARIES}:with_asyncio_sleep {LIBRARIES}:with_aiolimiter": (
        T + f"compare --scenarios {FIVE} --timer asyncio-epoll --controllers fixed"
        f" --throttle {LIBRARIES}:with_asyncio_sleep{FEW}",
    ),
    T
    + f"compare --scenarios degrade-recover --controllers headroom --throttle {LIBRARIES}:with_aiolimiter": (
        T + f"compare --scenarios {FIVE} --controllers headroom --throttle"
        f" {LIBRARIES}:with_aiolimiter{FEW}",
    ),
    **{
        T
        + f"compare --scenarios fast-async:duration=4 --replications 1 --timer {timer} --controllers fixed --throttle mine.py:throttle": (
            T + f"compare --scenarios {FIVE} --timer {timer} --controllers fixed --throttle"
            f" mine.py:throttle{FEW}",
        )
        for timer in ("asyncio-epoll", "asyncio-uvloop")
    },
    T
    + "compare --scenarios blocking-steady,degrade-recover --controllers ewma-deadzone ewma-deadzone:deadzone=1.5 busy-time": (
        COMPARED,
    ),
    T
    + "compare --scenarios blocking-steady,degrade-recover --controllers ewma-deadzone ewma-deadzone:alpha=0.0798,deadzone=1.181,low=0.8571,dec_rate=0.8528,inc_step=9.316 --seed 1": (
        COMPARED + " --seed 1",
    ),
    T
    + "sweep --scenario degrade-recover --controller ewma-deadzone --replications 10 --grid alpha=0.02,0.05,0.1,0.2,0.4 deadzone=1.02,1.05,1.1,1.15,1.2,1.3,1.4,1.5,1.7": (
        T + f"sweep --scenario {FIVE} --controller ewma-deadzone --grid alpha=0.02"
        f" deadzone=1.02,1.1{FEW}",
    ),
    T + "analyse ewma-deadzone --scenario blocking-steady": (
        T + f"analyse ewma-deadzone --scenario {FIVE} --replications 2",
    ),
    T + "compare --scenarios stall --controllers fixed --late burst,delay,skip,capped(20)": (
        T + "compare --scenarios stall:duration=14 --controllers fixed"
        f" --late 'burst,delay,skip,capped(20)'{FEW}",
    ),
    T
    + "compare --scenarios degrade-recover --controllers printed-sleep printed-schedule printed-spin printed-aimd printed-ewma headroom --out results/reference": (
        T + f"compare --scenarios {FIVE} --controllers printed-sleep printed-schedule printed-spin "
        f"printed-aimd printed-ewma headroom --out results/reference{FEW}",
    ),
    T + "sweep alpha-deadzone": (
        T + f"sweep alpha-deadzone --grid alpha=0.1,0.2 deadzone=1.1,1.2 duration=5{FEW}",
    ),
    T + "sweep alpha-deadzone --heatmap verdict --out results/reference-sweep": (
        T + "sweep alpha-deadzone --grid alpha=0.1,0.2 deadzone=1.1,1.2 duration=5"
        f" --heatmap verdict --out results/reference-sweep{FEW}",
    ),
    T + "sweep spin-threshold": (
        T + f"sweep spin-threshold --grid spin_threshold=0,0.001 duration=2{FEW}",
    ),
    T + "sweep --grid alpha=0.05:0.5:10 deadzone=1.02,1.1,1.2": (
        T + f"sweep --grid alpha=0.05:0.5:2 deadzone=1.02,1.1{FEW}",
    ),
    T
    + "sweep --scenario blocking-steady --controller aimd --grid dec_rate=0.5:0.95:10 cv=0.2,1 --heatmap verdict": (
        T + "sweep --scenario blocking-steady --controller aimd --grid dec_rate=0.5:0.95:2 cv=0.2,1"
        f" --heatmap verdict{FEW}",
    ),
    T + "sweep --design sobol --points 64 --grid alpha=0.02:0.6 deadzone=1:2 inc_step=0.1:10": (
        T + "sweep --design sobol --points 4 --grid alpha=0.02:0.6 deadzone=1:2"
        f" inc_step=0.1:10{FEW}",
    ),
    T + "tune ewma-deadzone": (T + f"tune ewma-deadzone --scenarios {FIVE}{TUNED}",),
    T + "tune LAW --objective score": (
        T + f"tune aimd --scenarios {FIVE} --objective score{TUNED}",
    ),
    T + "tune headroom --scenarios spikes,stall --worst --objective tracking + 0.1 * churn": (
        T
        + f"tune headroom --scenarios {FIVE},stall:duration=14 --worst --objective 'tracking + 0.1"
        " * churn' --budget 24 --replications 1 --workers 1 --parameters share",
    ),
    T
    + "tune headroom --objective score --seed 0 --scenarios degrade-recover,spikes,heavy-tail,join-leave,sqlite-commits,pool-degrade,refusing,lucky-minimum,creep,zero-rate,fast-errors,idle-growth,few-samples,join-leave-in-flight": (
        T
        + f"tune headroom --objective score --seed 0 --scenarios {FIVE},degrade-recover:duration=12"
        " --budget 16 --replications 1 --workers 1",
    ),
    T + "tune ewma-deadzone --parameters alpha,deadzone=1:3 --sensitivity": (
        T + f"tune ewma-deadzone --parameters alpha,deadzone=1:3 --sensitivity --scenarios {FIVE}"
        " --budget 24 --replications 1 --workers 1",
    ),
    T + "tune aimd --objective tracking churn": (
        T + f"tune aimd --objective tracking churn --scenarios {FIVE}{TUNED}",
    ),
    T + "tune headroom --trace tpssim/scenarios/recordings/sqlite_commits.csv --objective score": (
        T + "tune headroom --trace tpssim/scenarios/recordings/sqlite_commits.csv --objective score"
        " --budget 24 --replications 1 --workers 1 --parameters share",
    ),
    T + "tune aimd --trace results/live/live.csv --column latency --objective score": (
        RECORDED,
        T + f"tune aimd --trace results/live/live.csv --column latency --objective score{TUNED}",
    ),
    T + "analyse ewma-deadzone": (T + f"analyse ewma-deadzone --scenario {FIVE} --replications 2",),
    T + "analyse aimd --scenario blocking-steady": (
        T + f"analyse aimd --scenario {FIVE} --replications 2",
    ),
    T + "validate": (T + "validate --cases Lindley ties",),
    T + "validate --cases M/M/1 Lindley": (T + "validate --cases Lindley ties",),
    T + "validate --live": (PARITY,),
    T + "validate --live --out results/reference-live": (PARITY,),
    T + "calibrate": (T + "calibrate --sleeps 20",),
    T + "simulate drift ewma-deadzone --timer results/calibrate/timer.json": (
        T + "calibrate --sleeps 20",
        T + "simulate drift:duration=2 ewma-deadzone --timer results/calibrate/timer.json",
    ),
    T
    + "live --url http://127.0.0.1:8000/ --tps 500 --seconds 40 --async --controller headroom --out results/live": (
        URL,
    ),
    T
    + "live --call calls.py:send --tps 200 --seconds 60 --controller headroom --out results/live": (
        RECORDED,
    ),
    T + "live --call calls.py:send --tps 200 --seconds 60 --controller aimd:dec_rate=0.9": (
        T + "live --call calls.py:send --tps 200 --seconds 0.3 --quiet --controller"
        " aimd:dec_rate=0.9",
    ),
    T + "live --call calls.py:send --tps 200 --total 10000 --workers 8 --fail-if rate_error>1%": (
        T + "live --call calls.py:send --tps 200 --total 60 --workers 8 --fail-if 'rate_error>99%'"
        " --quiet",
    ),
    T + "replay results/live/recording.ndjson --controllers ewma-deadzone": (
        RECORDED,
        T + "replay results/live/recording.ndjson --controllers ewma-deadzone",
    ),
    T + "report results/live": (RECORDED, T + "report results/live"),
    T + "report DIR": (COMPARED, T + f"report results/compare-{FIVE.replace(':', '_')}"),
    T + "serve": (T + "serve --port 0",),
    T + "serve --service docs/my-service.toml": (T + "serve --service docs/my-service.toml",),
    T + "serve --rate 800 --servers 4 --queue 100 --schedule 10:200,30:800 --port 8000": (
        T + "serve --rate 800 --servers 4 --queue 100 --schedule 10:200,30:800 --port 0",
    ),
}
#: Six seconds of a busy machine need not agree with the bench; that both ran is what counts here.
MAY_DIFFER = ("validate", "--live")

CALLS = "import time\n\n\ndef send(k):\n    time.sleep(0.002)\n"


COMMANDS = {command: where for found in FOUND.values() for where, command in found.commands}
PLAIN_EXEMPT = {plain(command) for command in EXEMPT}
TO_RUN = [
    command for command in COMMANDS if command not in PLAIN_EXEMPT and "docs/api.py" not in command
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where commands are run: like a checkout, but nothing that they write ends there."""
    made = tmp_path_factory.mktemp("checkout")
    for name in ("docs", "tpssim", "tests"):
        (made / name).symlink_to(ROOT / name)
    (made / "calls.py").write_text(CALLS, encoding="utf-8")
    for code in SNIPPETS.values():
        if named := re.match(r"# (\w+\.py)\n", code):
            (made / named[1]).write_text(code, encoding="utf-8")
    return made


@pytest.fixture(scope="module")
def done() -> set[str]:
    """Lines that were run."""
    return set()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    server = Server(VirtualQueue(800.0, 4, 100.0))
    threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
    ).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


def test_what_the_documents_hold_is_found() -> None:
    text = (
        "`python -m x\ny` and `mypy`\n\n    pip install '.[a]' && python -m pytest\n\n```python\na"
        " = 1\n```\n"
    )
    assert read("x", text) == Found(
        [("x:6", "a = 1\n")],
        [("x", "pip install .[a]"), ("x", "python -m pytest"), ("x", "python -m x y")],
    )
    for name in ("README.md", "README.ko.md", "CONTRIBUTING.md", "docs/bench.md", "docs/live.md"):
        assert len(FOUND[name].commands) >= 3, name
        assert FOUND[name].snippets, name


def test_the_file_that_is_shown_is_the_one_that_is_there() -> None:
    text = (ROOT / "docs/bench.md").read_text(encoding="utf-8")
    shown = re.findall(r"^```toml\n(.*?)^```$", text, re.S | re.M)
    assert shown == [(ROOT / "docs/my-service.toml").read_text(encoding="utf-8")]


def test_the_gate_finds_its_command() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "    pip install '.[all]' && python -m tpssim compare\n" in text
    assert "    pip install '.[all,test]' && python -m pytest\n" in text


def test_no_entry_is_left_over() -> None:
    listed = {*QUICK, *map(plain, SHORTER), *PLAIN_EXEMPT}
    assert {command for command in listed if command not in COMMANDS} == set()


@pytest.mark.usefixtures("chosen_soon")
@pytest.mark.parametrize("command", TO_RUN, ids=TO_RUN)
def test_command(
    command: str, folder: Path, port: int, done: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    instead = {plain(known): row for known, row in SHORTER.items()}
    assert command in QUICK or command in instead, (
        f"{COMMANDS[command]}: {command!r} is neither in QUICK nor in SHORTER"
    )
    monkeypatch.chdir(folder)
    monkeypatch.setattr(live_against_simulated, "PROBES", 200)
    row = instead.get(command, (command,))
    words, last = command.split(), shlex.split(row[-1])
    assert words[:4] == last[: len(words[:4])], "the same verb"
    assert {word for word in words if word.startswith("--")} <= set(last), "every option is there"
    for line in row:
        if line not in done:  # some stand for several
            run(shlex.split(line.format(port=port)))
            done.add(line)


def run(words: list[str]) -> None:
    """One command, in this process if it is ours."""
    if words[:3] != T.split():
        program = words[1:] if words[0] == "python" else ["-m", *words]
        done = subprocess.run([sys.executable, *program], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    elif words[3] == "serve":
        serves(words)
    else:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            code = main(words[3:])
        assert code == 0 or (code == 1 and tuple(words[3:5]) == MAY_DIFFER), printed.getvalue()
        assert printed.getvalue()


def serves(words: list[str]) -> None:
    """It says where, answers there, and ends when it is asked to."""
    process = subprocess.Popen(
        [sys.executable, *words[1:]], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        found = re.search(r"http://\S+/", process.stdout.readline())
        assert found
        with urlopen(found[0] + "report", timeout=30) as answer:
            assert answer.status == 200
    finally:
        process.terminate()
        process.communicate(timeout=30)


def call(item: Any) -> None:
    time.sleep(0.001)


async def acall(item: Any) -> None:
    await asyncio.sleep(0.001)


def executed(where: str) -> str:
    """What a snippet prints; where it awaits, it is run in an event loop."""
    code = compile(
        SNIPPETS[where], where, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True
    )
    names: dict[str, Any] = {
        "__name__": "__main__",
        "data": range(20),
        "call": call,
        "acall": acall,
    }
    printed = io.StringIO()

    async def waited() -> None:
        await eval(code, names)

    with contextlib.redirect_stdout(printed):
        if code.co_flags & inspect.CO_COROUTINE:
            asyncio.run(waited())
        else:
            exec(code, names)
    return printed.getvalue()


#: The snippet of a table, which the test of that table runs.
(TABLE,) = (where for where, code in FOUND["docs/headroom.md"].snippets if "SCENARIOS" in code)


@pytest.mark.parametrize("where", [where for where in SNIPPETS if where != TABLE])
def test_snippet(where: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    printed = executed(where)
    assert bool(printed) == ("print(" in SNIPPETS[where])


def test_the_table_of_headroom_is_what_its_snippet_prints(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    text = (ROOT / "docs/headroom.md").read_text(encoding="utf-8")
    shown = text.partition("<!-- headroom -->")[2].partition("<!-- /headroom -->")[0]
    made = executed(TABLE)
    assert shown.strip().splitlines()[2:] == made.splitlines(), f"paste this:\n{made}"


def test_the_table_of_the_league_is_the_committed_one() -> None:
    """docs/league.md against the summary beside the picture, which may be older than a law."""
    league = json.loads(
        (ROOT / "results/reference-league/summary.json").read_text(encoding="utf-8")
    )
    text = (ROOT / "docs/league.md").read_text(encoding="utf-8")
    assert {row["throttle"] for row in league["standings"]} <= set(CONTROLLERS)
    played = {row["scenario"] for row in league["cells"]}
    assert played <= set(SCENARIOS)
    assert league["command"].endswith(f"--league --traces first --seed {league['seed']}")
    block = re.search(r"^    throttle .*^Scores", text, re.S | re.M)
    assert block
    # A long name has a line of its own.
    found = re.findall(r"^    ([a-z][\w-]+)(?: +|\n +)([\d-]+ 0\..*)$", block[0], re.M)
    shown = {
        name: [cell for cell in rest.split() if not cell.startswith("±")] for name, rest in found
    }
    assert list(shown) == [row["throttle"] for row in league["standings"]]

    def two(value: float | None) -> str:
        return "-" if value is None else f"{value:.2f}"

    for row in league["standings"]:
        rank, score, behind, *rest = shown[row["throttle"]]
        low, _, high = rank.partition("-")
        assert [int(low), int(high or low)] == [
            max(1, math.floor(row["ranks"][end] + 0.5)) for end in ("low", "high")
        ]
        first = row["throttle"] == row["first"]
        assert (score, behind) == (
            f"{row['score']['mean']:.3f}",
            "-" if first else f"{row['behind']['mean']:.3f}",
        )
        assert rest == [two(value) for part, value in row["parts"].items() if part != "total"] + [
            two(value) for value in row["halves"].values()
        ]
        high = row["behind"]["high"]  # of too few replications there is none
        width = "" if high is None else f" ±{high - row['behind']['mean']:.3f}"
        assert first or re.search(rf"{row['throttle']}\s[^±]*{behind}{width} ", block[0])
    for number, among, first in dict.fromkeys(
        (row["scenarios"], row["among"], row["first"]) for row in league["standings"]
    ):
        where = (
            f"on {number} of {len(played)} scenarios, ranked among the {among} throttles that"
            " act there"
        )
        assert f"    {where}; first: {first}\n" in text


@pytest.mark.parametrize("name", ["docs/league.md", "docs/headroom.md"])
def test_the_lead_on_the_held_out_half_is_the_committed_one(name: str) -> None:
    """Thirty replications of `headroom` and of the best of its rivals there, as the table has
    it.
    """
    folder = ROOT / "results"
    table = json.loads((folder / "reference-league/summary.json").read_text(encoding="utf-8"))
    pair = json.loads((folder / "reference-held-out/summary.json").read_text(encoding="utf-8"))
    words = pair["command"].split()
    names = words[words.index("--scenarios") + 1].split(",")
    assert {half(scenario) for scenario in names} == {"held-out"}
    cells = {
        (row["scenario"], row["throttle"]) for row in table["cells"] if row["half"] == "held-out"
    }
    assert set(names) == {scenario for scenario, throttle in cells if throttle == "brpc-auto"}
    first, second = pair["held_out"]
    best = min(
        (row for row in table["held_out"] if row["throttle"] != "headroom"),
        key=lambda row: row["behind"]["mean"],
    )
    assert (first["throttle"], second["throttle"]) == ("headroom", "brpc-auto")
    assert best["throttle"] == "brpc-auto"
    assert pair["replications"] == 30
    text = " ".join((ROOT / name).read_text(encoding="utf-8").split())
    lead, scores = second["behind"], [row["score"]["mean"] for row in (first, second)]
    assert f"{lead['mean']:.4f} [{lead['low']:.4f}, {lead['high']:.4f}]" in text
    assert f"{scores[0]:.3f} against {scores[1]:.3f}" in text
    asked = f"--scenarios {','.join(names)} --controllers headroom brpc-auto --replications 30"
    assert any(f"compare --league {asked}" in command for command in COMMANDS)


def anchors(path: Path) -> set[str]:
    """What a link into a Markdown page may end with: its headings, as the hosts of repositories
    name them.
    """
    text = re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.S | re.M)
    headings = re.findall(r"^#+ +(.*?) *$", text, re.M)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


PAGES = [
    *DOCUMENTS,
    "CHANGELOG.md",
    *sorted(str(p.relative_to(ROOT)) for p in ROOT.glob("tpssim/**/*.md")),
]


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    for target, anchor in re.findall(r"\]\(([^)#]*)#?([^)]*)\)", text):
        if not target.startswith("http"):
            path = (ROOT / name).parent / target if target else ROOT / name
            assert path.exists(), target
            assert not anchor or anchor in anchors(path), f"{target}#{anchor}"
    for path in re.findall(r"`((?:tpssim|tests|docs|benchmarks|notebooks)/[\w./-]+)`", text):
        if "mine" not in path:
            assert (ROOT / path).exists(), path


def test_the_words_of_a_report_mean_what_they_mean_on_its_page() -> None:
    text = (ROOT / "docs" / "live.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([\w -]+)(?: \(\w+\))? \| `(\w+)` \| (.*) \|$", text, re.M)
    assert {"doubles", "re-anchored", "limited"} <= {word for word, _, _ in rows}
    numbers: dict[str, Any] = dict.fromkeys(Report._fields, 0.0)
    printed = str(Report(**{**numbers, "verdict": "on pace"}))
    for word, name, meaning in rows:
        assert word in printed
        assert meaning == ": ".join(MEANINGS[name])


class Page(HTMLParser):
    """The anchors of a page, and where its links lead."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.anchors: set[str] = {""}
        self.links: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.anchors.add(given.get("id") or "")
        if tag == "a" and given.get("href"):
            self.links.append(given["href"] or "")


def dead_links(folder: Path) -> list[str]:
    """Links between the pages of a folder that lead to no page or to no anchor of it."""
    pages = {path.resolve(): Page(path) for path in folder.rglob("*.html")}
    dead = []
    for path, page in pages.items():
        for link in page.links:
            target, _, anchor = link.partition("#")
            there = (path.parent / unquote(target)).resolve() if target else path
            known = pages.get(there / "index.html" if there.is_dir() else there)
            elsewhere = re.match(r"[a-z]+:", link) is not None
            if not elsewhere and (known is None or unquote(anchor) not in known.anchors):
                dead.append(f"{path.name}: {link}")
    return dead


def test_a_dead_link_of_a_page_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(
        '<p id="here"><a href="#here">1</a><a href="b.html#x">2</a>', "utf-8"
    )
    (tmp_path / "b.html").write_text(
        '<p id="y"><a href="a.html">1</a><a href="c.html">2</a>', "utf-8"
    )
    assert sorted(dead_links(tmp_path)) == ["a.html: b.html#x", "b.html: c.html"]


def test_without_its_extra_the_api_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "pdoc.py").write_text("raise ImportError", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "docs/api.py", str(tmp_path / "api")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "docs/api.py needs the extra docs: pip install '.[docs]'\n"
    assert not (tmp_path / "api").exists()


def test_the_pages_of_the_api_are_built_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("pdoc", reason="pdoc is not installed")
    made = tmp_path / "api"
    done = subprocess.run(
        [sys.executable, "docs/api.py", str(made)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    import tpssim

    assert dead_links(made) == []
    page = (made / "tpssim.html").read_text(encoding="utf-8")
    assert [name for name in tpssim.__all__ if f'id="{name}"' not in page] == []
    assert 'id="Headroom.queue"' in (made / "tpssim/controllers/headroom.html").read_text(
        encoding="utf-8"
    )
