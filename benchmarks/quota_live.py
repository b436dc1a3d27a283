"""Whether a quota holds where it counts, at the service: 100 calls a second, from 20 threads.

    python benchmarks/quota_live.py [--smoke]

Twenty threads share a `Limiter` without a target and with `Quota(100, 1.0)`, default margin, and
call `serve` in a process of its own, which has the same quota and logs each call as it arrives.
From that log: the most calls in any second, refusals, and the share of the quota that was used, as
the mean over all seconds of the run. The exit code is 1 if a second has more than 100, a call was
refused, or less than 93 % was used. `--smoke`: short, and only that it runs.
"""

from __future__ import annotations

import argparse
import bisect
import csv
import http.client
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tpssim import Aborted, Limiter, Quota

AMOUNT, PER, THREADS = 100, 1.0, 20


@contextmanager
def served(log: Path) -> Iterator[int]:
    """`serve` with the quota, far faster than that; its port."""
    words = ["--rate", "20000", "--queue", "inf", "--quota", f"{AMOUNT}/{PER:g}s"]
    command = [sys.executable, "-m", "tpssim", "serve", *words, "--log", str(log)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline().split("/")[2].rpartition(":")[2])
        finally:
            process.terminate()  # SIGINT is ignored in the background of a shell


def calls(limiter: Limiter, port: int) -> None:
    """One thread: a call as soon as there is a slot, until the limiter is stopped."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30.0)
    while True:
        try:
            permit = limiter.acquire()
        except Aborted:
            break
        with permit:
            connection.request("GET", "/")
            answer = connection.getresponse()
            answer.read()
            permit.see(answer)
    connection.close()


def arrivals(log: Path) -> tuple[list[float], int]:
    """(when calls arrived, how many of them were refused)."""
    with open(log, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [float(row["seconds"]) for row in rows], sum(row["status"] == "429" for row in rows)


def most_in(times: list[float], seconds: float) -> int:
    """The most in any half-open stretch of time."""
    return max(bisect.bisect_left(times, t + seconds) - k for k, t in enumerate(times))


def mean_in(times: list[float], seconds: float) -> float:
    """The mean over all stretches of so many seconds within the run, a hundredth apart."""
    starts = [k / 100.0 for k in range(int((times[-1] - seconds) * 100.0))]
    return statistics.fmean(
        bisect.bisect_left(times, t + seconds) - bisect.bisect_left(times, t) for t in starts
    )


def main() -> int:
    parser = argparse.ArgumentParser(description="Whether a quota holds at the service.")
    parser.add_argument("--smoke", action="store_true", help="short, and only that it runs")
    args = parser.parse_args()
    seconds = 2.5 if args.smoke else 60.0
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log.csv"
        with served(log) as port:
            limiter = Limiter(float("inf"), quotas=[Quota(AMOUNT, PER)])
            pool = [threading.Thread(target=calls, args=(limiter, port)) for _ in range(THREADS)]
            for thread in pool:
                thread.start()
            time.sleep(seconds)
            limiter.stop()
            for thread in pool:
                thread.join()
            report = limiter.report()
            limiter.close()
        times, refused = arrivals(log)
    most = most_in(times, PER)
    used = mean_in(times, PER) / AMOUNT
    print(f"{len(times):,} calls in {times[-1]:.2f} s at the service; {report.verdict}")
    holds = True
    for text, well in (
        (f"at most {most} in any {PER:g} s, {AMOUNT} allowed", most <= AMOUNT),
        (f"{refused} refused", refused == 0),
        (f"{used:.1%} of the quota used, at least 93 % wanted", used >= 0.93),
    ):
        print(f"  {'holds' if well else 'FAILS'}: {text}")
        holds = holds and well
    return 0 if holds or args.smoke else 1


if __name__ == "__main__":
    sys.exit(main())
