"""How long a user waits: the first comparison after an installation, the next one, and the league.

    python benchmarks/first_use.py [--smoke] [--workers N] [--only compare|league]

Each command runs twice in processes of their own: with an empty folder for compiled code, as after
an installation, and again. Bytecode is there already, as pip leaves it: a small comparison runs
before, and that of all it imports is kept in a folder of the benchmark's. The league is that of
0.1.0: its 27 laws on its 26 scenarios, 5 replications. Printed are seconds and CPU seconds, beside
the seconds that are allowed on two cores; the exit code is 1 if one is exceeded. With `--smoke` one
small comparison runs, with the compiled code that is there, and nothing is made of its time.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tpssim.scenarios.builtin import SCENARIOS
from tpssim.scenarios.loads import LOADS

#: Scenarios that came after 0.1.0.
LATER = {scenario.name for scenario in LOADS}
LAWS = (
    "fixed,token-bucket,aimd,ewma-deadzone,busy-time,headroom,bbr,netflix-vegas,netflix-gradient,"
    "netflix-gradient2,netflix-aimd,envoy-gradient,brpc-auto,failsafe-adaptive,botocore-cubic,"
    "aimd-epoch,vector-arc,gozero-breaker,sre-throttling,codel,codel-folly,pie,firestore-ramp,"
    "scrapy-autothrottle,pi,pid,spark-pid"
)
OLD = [name for name in SCENARIOS if name not in LATER]
LEAGUE = ["--league", "--scenarios", ",".join(OLD), "--controllers", LAWS]
#: By name: words of the command, and the seconds that are allowed for the first and for the next.
COMMANDS = {
    "compare": ([], 12.0, 4.0),
    "league": (LEAGUE, 120.0, 45.0),
}
SMALL = ["--scenarios", "blocking-steady:duration=2", "--controllers", "fixed,printed-spin"]


def took(words: list[str], folder: Path, compiled: Path | None) -> tuple[float, float]:
    """Seconds and CPU seconds of a `compare` with these words."""
    environment = dict(os.environ)
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    environment["PYTHONPYCACHEPREFIX"] = str(folder / "bytecode")
    if compiled is not None:
        environment["NUMBA_CACHE_DIR"] = str(compiled)
    command = [sys.executable, "-m", "tpssim", "compare", *words, "--out", str(folder / "results")]
    began, before = time.perf_counter(), used()
    subprocess.run(command, env=environment, check=True, capture_output=True)
    return time.perf_counter() - began, used() - before


def used() -> float:
    """CPU seconds of the processes that have ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return children.ru_utime + children.ru_stime


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smoke", action="store_true", help="one small comparison")
    parser.add_argument("--workers", default="2", metavar="N", help="processes (2)")
    parser.add_argument("--only", choices=list(COMMANDS), help="one of the commands")
    args = parser.parse_args()
    workers, holds = ["--workers", args.workers], True
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if args.smoke:
            wall, cpu = took([*SMALL, "--replications", "2"], folder, None)
            print(f"a small comparison: {wall:.1f} s, {cpu:.1f} s of CPU")
            return 0
        took([*SMALL, *workers], folder, folder / "small")
        for command, (words, first, again) in COMMANDS.items():
            if args.only not in (None, command):
                continue
            for when, allowed in (("first", first), ("again", again)):
                wall, cpu = took([*words, *workers], folder, folder / command)
                said = "holds" if wall <= allowed else "FAILS"
                holds = holds and wall <= allowed
                figures = f"{wall:6.1f} s, {cpu:6.1f} s of CPU"
                print(f"  {said}: {command}, {when}: {figures}; allowed: {allowed:g} s", flush=True)
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
