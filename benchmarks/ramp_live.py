"""How precisely the live throttles follow a ramp: 50 -> 500 -> 50 a second over a minute.

    python benchmarks/ramp_live.py [--smoke]

Slot k of the ramp lies where the integral of the target reaches k, which is solved here once more:
50 t + s t^2 / 2 = k on the way up, and mirrored on the way down. Lateness is measured from outside,
against those times through the earliest release, and beside it that of a constant 275 a second,
which has as many calls. `late="burst"`: a stop of this machine of more than 0.1 s makes calls late,
and moves no later slot. Calls that a stop at the very end keeps from their slots are missing, for a
ramp is over with its last stage. The exit code is 1 if a count is wrong or a median above 1 ms.
`--smoke`: a second each, on a machine that may be busy: only that it runs, with no call too many.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import sys
import time
from collections.abc import Callable
from typing import Any

from tpssim import Stages, athrottle, throttle

LOW, HIGH = 50.0, 500.0
now = time.perf_counter


def ramp(half: float) -> list[float]:
    """When the slots of the ramp lie, s: `half` seconds up, as many down."""
    slope = (HIGH - LOW) / half
    calls = half * (LOW + HIGH)

    def up(k: float) -> float:
        return (math.sqrt(LOW * LOW + 2.0 * slope * k) - LOW) / slope

    return [
        up(k) if k <= 0.5 * calls else 2.0 * half - up(calls - k) for k in range(math.ceil(calls))
    ]


def constant(half: float) -> list[float]:
    rate = 0.5 * (LOW + HIGH)
    return [k / rate for k in range(math.ceil(2.0 * half * rate))]


def blocking(tps: Any, total: int | None) -> list[float]:
    return [now() for _ in throttle([None], tps, total, late="burst")]


def in_a_loop(tps: Any, total: int | None) -> list[float]:
    async def main() -> list[float]:
        return [now() async for _ in athrottle([None], tps, total, late="burst")]

    return asyncio.run(main())


def quantile(values: list[float], q: float) -> float:
    return sorted(values)[min(int(q * len(values)), len(values) - 1)]


def lateness(times: list[float], slots: list[float]) -> tuple[float, float]:
    """(median, p99) of releases against their slots, through the earliest of them, s."""
    origin = min(t - slot for t, slot in zip(times, slots, strict=True))
    late = [t - slot - origin for t, slot in zip(times, slots, strict=True)]
    return quantile(late, 0.5), quantile(late, 0.99)


def measured(
    name: str, made: Callable[[Any, int | None], list[float]], half: float, smoke: bool
) -> dict[str, tuple[float, float]]:
    """Both loads of one throttle; {} if a call is missing (of a smoke run at its end it may be), or
    there is one too many."""
    stages = Stages([(half, HIGH), (half, LOW)], start=LOW)
    loads: list[tuple[str, Any, int | None, list[float]]] = [
        ("ramp", stages, 10**9, ramp(half)),  # it ends with its last stage
        ("constant", 0.5 * (LOW + HIGH), math.ceil(half * (LOW + HIGH)), constant(half)),
    ]
    found = {}
    for load, tps, total, slots in loads:
        times = made(tps, total)
        if smoke and len(slots) // 2 < len(times) < len(slots):
            print(f"  {name}, {load}: {len(times):,} calls of {len(slots):,}, cut off by a stop")
            slots = slots[: len(times)]
        if len(times) != len(slots):
            print(f"  FAILS: {name}, {load}: {len(times):,} calls of {len(slots):,}")
            return {}
        found[load] = lateness(times, slots)
        median, most = found[load]
        print(
            f"  {name:10} {load:10} {len(times):7,} calls   late p50 {median * 1e6:9.1f} us"
            f"   p99 {most * 1e6:9.1f} us",
            flush=True,
        )
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description="How precisely the live throttles follow a ramp.")
    parser.add_argument(
        "--smoke", action="store_true", help="a second each: does it run, with no call too many?"
    )
    args = parser.parse_args()
    half = 0.5 if args.smoke else 30.0
    print(f"{LOW:g} -> {HIGH:g} -> {LOW:g} a second in {2.0 * half:g} s, and {275:g} a second")
    holds = True
    for name, made in (("throttle", blocking), ("athrottle", in_a_loop)):
        found = measured(name, made, half, args.smoke)
        if not found:
            return 1
        (median, most), (_, usual) = found["ramp"], found["constant"]
        well = median <= 1e-3
        holds = holds and (well or args.smoke)
        print(f"  {'holds' if well else 'FAILS'}: median lateness {median * 1e3:.4f} ms <= 1 ms")
        print(f"  p99 of the ramp / p99 of the constant rate: {most / usual:.2f}")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
