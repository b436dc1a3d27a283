"""The command line: reads arguments, answers errors.

Exit codes: 0 done; 1 a case of `validate` fails, a condition of `live --fail-if` holds, `replay` decides
otherwise than recorded, or something outside ended the run; 2 bad input, with one line on stderr; 130
interrupted, with nothing half written.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from tpssim import verbs as does
from tpssim.core import VERSION, Aborted, InputError

EPILOG = """\
throttles and scenarios take parameters: NAME:key=value,key=value
  python -m tpssim compare --scenarios degrade-recover --controllers aimd:dec_rate=0.8 headroom
  python -m tpssim compare --scenarios blocking-steady:mean=0.05,cv=1
  python -m tpssim compare --trace calls.csv --column latency --unit ms
"""


SWEEP_EPILOG = """\
studies: alpha-deadzone, spin-threshold (python -m tpssim list studies)
grid syntax: NAME=LOW:HIGH:N, NAME=LOW:HIGH:N:log, NAME=A,B,C; with --design sobol or lhs: NAME=LOW:HIGH
  python -m tpssim sweep alpha-deadzone
  python -m tpssim sweep spin-threshold
  python -m tpssim sweep --grid alpha=0.05:0.5:10 deadzone=1.02,1.1,1.2
  python -m tpssim sweep --scenario blocking-steady --controller aimd --grid dec_rate=0.5:0.95:10 cv=0.2,1
A run that is interrupted or killed goes on where it was when the same command is given again.
"""


LIVE_EPILOG = """\
  python -m tpssim serve --rate 800 --schedule 10:200,30:800 --port 8000
  python -m tpssim live --url http://127.0.0.1:8000/ --tps 500 --seconds 60 --async --controller headroom
  python -m tpssim live --call mymodule:send --tps 200 --total 10000 --workers 8 --fail-if 'rate_error>1%'
A first Ctrl-C (or SIGTERM) stops in good order, with a report and whole files; a second one at once.
"""


class _Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; see {self.prog} --help")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="tpssim",
        description="A bench for the controllers that decide how fast a Python program calls something.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"tpssim {VERSION}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True, parser_class=_Parser)

    compare = verbs.add_parser(
        "compare",
        help="every throttle on every scenario under the same noise: table, pictures, JSON, CSV",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    compare.add_argument(
        "--scenarios", metavar="A,B", nargs="+", action="extend", help="default: all built-in ones"
    )
    compare.add_argument(
        "--controllers",
        metavar="NAME",
        nargs="+",
        action="extend",
        help="default: all laws and printed throttles",
    )
    compare.add_argument(
        "--throttle",
        metavar="FILE.py:callable",
        nargs="+",
        action="extend",
        help="a throttle of your own beside them, called as (items, tps, total); or package.module:callable",
    )
    compare.add_argument(
        "--late",
        metavar="POLICY",
        action="append",
        help="what becomes of missed slots: burst, capped(N), delay or skip; several are compared",
    )
    _add_trace(compare)
    compare.add_argument("--tps", type=float, metavar="RATE", help="the wanted rate, 1/s, in every scenario")
    compare.add_argument("--replications", type=int, default=5, metavar="N", help="default: 5")
    compare.add_argument("--workers", type=int, metavar="N", help="processes; default: one a core")
    compare.add_argument(
        "--traces", choices=("first", "all"), default="first", help="which replications' traces are written"
    )
    _add_common(compare)
    compare.set_defaults(run=does.compare)

    simulate = verbs.add_parser("simulate", help="one run: its measures, its picture, its trace")
    simulate.add_argument("scenario", nargs="?", metavar="SCENARIO", help="or --trace FILE")
    simulate.add_argument("controller", metavar="CONTROLLER")
    _add_trace(simulate)
    simulate.add_argument("--tps", type=float, metavar="RATE", help="the wanted rate, 1/s")
    simulate.add_argument("--replication", type=int, default=0, metavar="R", help="which noise; default: 0")
    _add_common(simulate)
    simulate.set_defaults(run=does.simulate)

    sweep = verbs.add_parser(
        "sweep",
        help="one law at every point of a grid: table, heat maps with the theory, CSV; resumable",
        epilog=SWEEP_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    sweep.add_argument("study", nargs="?", metavar="STUDY", help="a built-in sweep; see below")
    sweep.add_argument("--scenario", metavar="NAME", help="default: the study's, or degrade-recover")
    sweep.add_argument("--controller", metavar="NAME", help="default: the study's, or ewma-deadzone")
    _add_trace(sweep)
    sweep.add_argument("--tps", type=float, metavar="RATE", help="the wanted rate, 1/s")
    sweep.add_argument(
        "--grid", metavar="NAME=VALUES", nargs="+", action="extend", help="one or more factors"
    )
    sweep.add_argument("--design", default="grid", metavar="D", help="grid (default), sobol or lhs")
    sweep.add_argument("--points", type=int, metavar="N", help="of a design that is no grid")
    sweep.add_argument("--replications", type=int, metavar="N", help="default: 10, or the study's")
    sweep.add_argument(
        "--seed-set",
        default="common",
        metavar="S",
        help="common random numbers at all points (default), or independent ones",
    )
    sweep.add_argument("--heatmap", metavar="MEASURE", nargs="+", action="extend", help="over the first two")
    sweep.add_argument(
        "--plot",
        metavar="MEASURE",
        nargs="+",
        action="extend",
        help="MEASURE or MEASURE:X; X a factor or a measure",
    )
    sweep.add_argument("--traces", metavar="N", nargs="+", type=int, help="points whose first run is written")
    sweep.add_argument("--workers", type=int, metavar="N", help="processes; default: one a core")
    sweep.add_argument("--dask", metavar="ADDRESS", help="run on the workers of that Dask scheduler instead")
    sweep.add_argument("--store", type=Path, metavar="FILE", help="keep every run there; reused when it fits")
    _add_common(sweep)
    sweep.set_defaults(run=does.sweep)

    validate = verbs.add_parser(
        "validate", help="is the simulation right? theory beside simulation, case by case"
    )
    validate.add_argument("--cases", metavar="NAME", nargs="+", action="extend", help="default: all")
    validate.add_argument(
        "--live",
        action="store_true",
        help="instead: the same scenario on the bench and over HTTP to a server of our own, in real time",
    )
    validate.add_argument(
        "--laws", metavar="NAME", nargs="+", action="extend", help="with --live; default: headroom"
    )
    validate.add_argument("--seconds", type=float, metavar="S", help="of each live run; default: 30")
    _add_common(validate)
    validate.set_defaults(run=does.validate)

    live = verbs.add_parser(
        "live",
        help="real calls at a rate, under any law: a callable, a command or a URL",
        epilog=LIVE_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    live.add_argument("--call", metavar="MODULE:FUNCTION", help="or FILE.py:FUNCTION; gets the call's number")
    live.add_argument("--command", metavar="TEXT", help="a shell command; an exit code not 0 is a failure")
    live.add_argument(
        "--url", metavar="URL", help="429 and 503 are drops, other answers from 400 up failures"
    )
    live.add_argument("--method", default="GET", metavar="M", help="default: GET")
    live.add_argument("--header", metavar="'NAME: VALUE'", action="append")
    live.add_argument("--data", metavar="TEXT", help="the body of the request")
    live.add_argument("--tps", type=float, required=True, metavar="RATE", help="the wanted rate, 1/s")
    live.add_argument("--total", type=int, metavar="N", help="that many calls; default: until Ctrl-C")
    live.add_argument("--seconds", type=float, metavar="S", help="for that long")
    live.add_argument("--controller", default="fixed", metavar="LAW", help="default: fixed")
    live.add_argument(
        "--workers",
        type=int,
        default=0,
        metavar="N",
        help="threads for the calls; default: 0, one call at a time, which holds up the schedule",
    )
    live.add_argument(
        "--async", dest="asynchronous", action="store_true", help="calls in an event loop instead"
    )
    live.add_argument("--max-in-flight", type=int, metavar="N", help="with --async; default: any number")
    live.add_argument("--timeout", type=float, metavar="S", help="of a command or request; default: none")
    live.add_argument(
        "--late", default="burst", metavar="POLICY", help="missed slots: burst, capped(N), delay or skip"
    )
    live.add_argument("--spin", default="auto", help="auto (default), off, or seconds")
    live.add_argument("--record", metavar="FILE", help="default: recording.ndjson in the results folder")
    live.add_argument(
        "--fail-if", metavar="COND", action="append", help="such as 'rate_error>1%%': exit code 1 if it holds"
    )
    live.add_argument("--quiet", action="store_true", help="show nothing while it runs")
    _add_common(live)
    live.set_defaults(run=does.live)

    calibrate = verbs.add_parser("calibrate", help="how this machine waits: a timer model for the simulator")
    calibrate.add_argument(
        "--sleeps",
        type=int,
        default=100,
        metavar="N",
        help="of each length and kind; default: 100, 8 s in all",
    )
    _add_common(calibrate)
    calibrate.set_defaults(run=does.calibrate)

    replay = verbs.add_parser(
        "replay", help="a recorded live run: the same decisions again, and what other laws would have done"
    )
    replay.add_argument("recording", metavar="FILE", help="as written by live --record, or by record=")
    replay.add_argument(
        "--controllers",
        metavar="NAME",
        nargs="+",
        action="extend",
        help="laws to try on its service times, beside the recorded one",
    )
    _add_common(replay)
    replay.set_defaults(run=does.replay)

    serve = verbs.add_parser("serve", help="an HTTP consumer of an exact capacity, to try throttles on")
    serve.add_argument(
        "--rate", type=float, default=800.0, metavar="N", help="answers a second; default: 800"
    )
    serve.add_argument("--servers", type=int, default=4, metavar="N", help="how many at a time; default: 4")
    serve.add_argument(
        "--queue", type=float, default=100.0, metavar="N", help="how many wait; others get 503; default: 100"
    )
    serve.add_argument(
        "--schedule", metavar="S:RATE,...", help="other rates, seconds after the first request: 10:200,30:800"
    )
    serve.add_argument("--host", default="127.0.0.1", help="default: 127.0.0.1")
    serve.add_argument("--port", type=int, default=0, help="default: a free one, which is printed")
    serve.set_defaults(run=does.serve)

    listing = verbs.add_parser("list", help="what there is: controllers, scenarios, metrics, studies")
    listing.add_argument("kind", nargs="?", choices=("controllers", "scenarios", "metrics", "studies"))
    listing.add_argument("name", nargs="?", help="one of them, with its law and parameters")
    listing.add_argument("--json", action="store_true", help="one JSON document on stdout and nothing else")
    listing.set_defaults(run=does.listing)
    return parser


def _add_trace(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--timer", metavar="NAME", help="for every scenario: linux, say, or a timer.json of calibrate"
    )
    parser.add_argument("--trace", metavar="FILE", help="a scenario from a CSV of recorded service times")
    parser.add_argument("--column", metavar="NAME", help="its column; default: a known one, or the only one")
    parser.add_argument(
        "--unit", choices=("s", "ms", "us"), help="its unit; default: s, or the known column's"
    )


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seed", type=int, default=0, help="default: 0")
    parser.add_argument("--out", type=Path, metavar="DIR", help="default: results/VERB-NAME")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout and nothing else")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    try:
        args = _parser().parse_args(argv)
        run: Callable[[argparse.Namespace], int] = args.run
        return run(args)
    except InputError as error:
        print(f"tpssim: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as error:
        print(f"tpssim: interrupted; {str(error) or 'nothing was written'}", file=sys.stderr)
        return 130
    except Aborted as error:
        print(f"tpssim: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # The reader of our output has gone (`| head`): nothing is left to say.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
