"""`tpssim report`: one page of a results folder."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from tpssim.cli.commands.progress import Progress
from tpssim.core.errors import InputError


def add(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    parser.add_argument(
        "folder", type=Path, metavar="DIR", help="as written by compare, sweep, live, ..."
    )
    parser.add_argument(
        "-o", "--out", type=Path, metavar="FILE", help="default: report.html in the folder itself"
    )
    parser.add_argument(
        "--json", action="store_true", help="one JSON document on stdout and nothing else"
    )
    parser.set_defaults(run=report)


def report(args: argparse.Namespace) -> int:
    began = time.perf_counter()
    out = args.out or args.folder / "report.html"
    from tpssim.output.html.page import page
    from tpssim.output.results_dir import is_page, write_whole

    if out.exists() and not is_page(out):
        raise InputError(
            f"--out {str(out)!r} is no page of tpssim's; allowed: a file that is new or an earlier"
            " report"
        )
    text = page(args.folder, Progress("pictures"))
    write_whole(out, text)
    size = len(text.encode())
    if args.json:
        import json

        print(json.dumps({"folder": str(args.folder), "report": str(out), "bytes": size}, indent=1))
    else:
        print(f"Written to {out}: {size / 1e6:.1f} MB, in {time.perf_counter() - began:.1f} s")
    return 0
