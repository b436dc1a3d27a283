"""`tpssim list`: what there is."""

from __future__ import annotations

import argparse


def add(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    parser.add_argument(
        "kind",
        nargs="?",
        metavar="KIND",
        help="controllers, scenarios, metrics or studies; default: all; a NAME may stand alone",
    )
    parser.add_argument(
        "name",
        nargs="?",
        metavar="NAME",
        help="one of them, with its law and parameters; of scenarios also a file",
    )
    parser.add_argument(
        "--json", action="store_true", help="one JSON document on stdout and nothing else"
    )
    parser.set_defaults(run=listing)


def listing(args: argparse.Namespace) -> int:
    from tpssim.cli import catalogue

    kind, name = catalogue.asked(args.kind, args.name)
    document = catalogue.entries(kind, name)
    if args.json:
        import json

        print(json.dumps(document, indent=1, allow_nan=False))
    else:
        print(catalogue.text(document, name))
    return 0
