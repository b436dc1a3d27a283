"""The command line: reads arguments, answers errors.

Exit codes: 0 done, and help where no verb is given; 1 a case of `validate` fails, a condition of
`live --fail-if` holds, no call of `live` succeeded, `replay` decides otherwise than recorded, or
something outside ended the run; 2 bad input, with one line on stderr; 130 interrupted by Ctrl-C or
SIGTERM, with nothing half written (`live` and `serve` end in good order instead, 0); 141 the reader
of stdout has gone. A verb prints when its files are written: where stdout is closed or full it is
the printing alone that is lost (1).
"""

from __future__ import annotations

import argparse
import contextlib
import math
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Container, Iterator, Sequence
from importlib import import_module
from typing import Any, NoReturn

from tpssim.cli.commands import EPILOG, VERBS
from tpssim.core import streams
from tpssim.core.errors import Aborted, InputError
from tpssim.core.types import VERSION

#: A word that is a value, though it begins as an option does: -1, -.5, -1s:5, -inf.
VALUE = re.compile(r"-(\.?\d|inf|nan)")


class _Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line; an option is known by its whole name."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, allow_abbrev=False)
        self.register("type", float, _number)
        self.register("type", int, _whole)

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; see {self.prog} --help")


def _parser(asked: Container[str] = VERBS) -> argparse.ArgumentParser:
    """The parser of a command line; only the verbs that are asked for are imported."""
    parser = _Parser(
        prog="tpssim",
        description="A bench for the controllers that decide how fast a program calls something.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"tpssim {VERSION}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", parser_class=_Parser)
    for name, verb in VERBS.items():
        of_verb = verbs.add_parser(
            name, help=verb.summary, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        if name in asked:
            import_module(f"tpssim.cli.commands.{verb.module}").add(of_verb)
    return parser


def _number(text: str) -> float:
    """The value of an option that is a number; inf and nan are for its verb to refuse."""
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r:.60} is no number; allowed: a number") from None


def _whole(text: str) -> int:
    """The value of an option that is a whole number."""
    try:
        return int(text)
    except ValueError:
        allowed = "allowed: a whole number"
        raise argparse.ArgumentTypeError(f"{text!r:.60} is no whole number; {allowed}") from None


def _with_values(words: Sequence[str]) -> list[str]:
    """The words, a value that begins with a minus joined to the option before it.

    >>> _with_values(["live", "--stages", "-1s:5", "--json"])
    ['live', '--stages=-1s:5', '--json']
    """
    joined: list[str] = []
    for word in words:
        before = joined[-1] if joined else ""
        if VALUE.match(word) and re.fullmatch(r"--[\w-]+", before):
            joined[-1] = f"{before}={word}"
        else:
            joined.append(word)
    return joined


def _shown(verb: str | None, words: Sequence[str]) -> list[str]:
    """Words that nobody knows; of `live`, which is given secrets, without what may be the value of
    one.
    """
    if verb != "live":
        return list(words)
    return [word.partition("=")[0] if word.startswith("-") else "..." for word in words]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    with streams.sound() as lost_output, _terminable():
        try:
            code = _main(argv)
        except SystemExit:  # of --help and --version
            if lost_output() is None:
                raise
            code = 1
        if (lost := lost_output()) is None:
            return code
        if isinstance(lost, BrokenPipeError):
            return 141  # the reader of our output has gone (`| head`): nothing is left to say
        # A verb prints last, when all that it writes is written: the printing alone is lost.
        lost_line = f"stdout cannot be written: {lost.strerror}; what goes to files is there"
        print(f"tpssim: {lost_line}", file=sys.stderr)
        return code or 1


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM ends a command as Ctrl-C does.

    One that is sent to the process and to its group comes twice: what comes within a second is the
    same one. A later one is another: the first may have been lost, where Python drops what a
    finaliser raises.
    """
    came = -math.inf

    def stop(_: int, __: Any) -> None:
        nonlocal came
        before, came = came, time.monotonic()
        if came - before > 1.0:
            raise KeyboardInterrupt

    ours = threading.current_thread() is threading.main_thread()
    if (
        not ours or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL
    ):  # somebody else's answer stays
        yield
        return
    signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _main(argv: Sequence[str] | None) -> int:
    try:
        words = _with_values(sys.argv[1:] if argv is None else argv)
        # The verb is the first word that is no option: before it stand --help and --version alone.
        parser = _parser([word for word in words if not word.startswith("-")][:1])
        args, unknown = parser.parse_known_args(words)
        if unknown:
            parser.error(f"unrecognized arguments: {' '.join(_shown(args.verb, unknown))}")
        if args.verb is None:  # the name alone is a question
            parser.print_help()
            return 0
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
