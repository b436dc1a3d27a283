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
from typing import NoReturn

from tpssim.core import VERSION, Aborted, InputError
from tpssim.verbs import VERBS, compare


class _Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; see {self.prog} --help")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="tpssim",
        description="A bench for the controllers that decide how fast a Python program calls something.",
        epilog=compare.EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"tpssim {VERSION}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True, parser_class=_Parser)
    for verb in VERBS:
        verb.add(verbs)
    return parser


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
