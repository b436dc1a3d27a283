"""`tpssim validate`: is the simulation right?"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from tpssim.core import VERSION, InputError
from tpssim.verbs.common import Progress, command, run_record


def validate(args: argparse.Namespace) -> int:
    began = time.perf_counter()
    from tpssim import validation
    from tpssim.artefacts import MARK, check_out, results_folder, write_json

    if args.seed < 0:
        raise InputError(f"seed={args.seed}; allowed: a whole number >= 0")
    out = args.out or Path("results") / "validate"
    check_out(out)
    outcomes = validation.validate(args.cases, seed=args.seed, progress=Progress("cases"))
    document = {
        "tpssim": VERSION,
        "command": command(args),
        "seed": args.seed,
        "confidence": validation.CONFIDENCE,
        "widest": validation.WIDEST,
        "cases": {outcome.case: outcome._asdict() for outcome in outcomes},
    }
    with results_folder(out) as folder:
        write_json(folder / "summary.json", document)
        write_json(folder / MARK, run_record(args, began, "simpy"))
    failed = [outcome.case for outcome in outcomes if not outcome.holds]
    if args.json:
        import json

        print(json.dumps(document, indent=1, allow_nan=False))
    else:
        print(validation.table(outcomes))
        calls = sum(outcome.calls for outcome in outcomes)
        verdict = f"{len(failed)} of {len(outcomes)} fail: {', '.join(failed)}" if failed else "all hold"
        print(f"\n{calls:,} calls, {len(outcomes)} cases: {verdict}. Written to {out}: summary.json")
    return 1 if failed else 0
