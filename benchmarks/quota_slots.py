"""Whether quotas hold over 10^6 slots of the model: half of the pacer's, half of the service's.

    python benchmarks/quota_slots.py [--smoke]

The checks of `validate --cases quotas`, which puts 40,000 slots through the model and the rest of
10^6 through the pacer and a window alone. Here all of them go through the simpy model: each
decision is checked in the whole log by `tpssim.theory.quotas`. It takes a minute or two. The exit
code is 1 if one is wrong. `--smoke`: few slots.
"""

from __future__ import annotations

import argparse
import sys
import time

from tpssim.validation.known_answers import quotas
from tpssim.validation.vector_cases import out_of_range


def main() -> int:
    parser = argparse.ArgumentParser(description="Whether quotas hold over 10^6 slots.")
    parser.add_argument("--smoke", action="store_true", help="few slots")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    quotas.CALLS = 10_000 if args.smoke else 560_000  # of the pacer's, some come after the end
    quotas.SLOTS = 10_000 if args.smoke else 500_000
    holds = True
    for name, check in (("pacer", quotas.pacer_in_the_model), ("service", quotas.service)):
        began = time.process_time()
        parts, slots = check(args.seed)
        wrong = out_of_range(list(parts))
        holds = holds and not wrong
        print(f"{name}: {slots:,} slots, {time.process_time() - began:.0f} s of CPU time")
        for part in parts:
            word = "FAILS" if part in wrong else "holds"
            print(f"  {word}: {part.name} {part.value:.5g} ({part.low:g} to {part.high:g})")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
