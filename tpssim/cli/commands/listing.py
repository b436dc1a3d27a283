"""`tpssim list`: what there is."""

from __future__ import annotations

import argparse


def add(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    parser.add_argument(
        "kind", nargs="?", choices=("controllers", "scenarios", "metrics", "studies")
    )
    parser.add_argument(
        "name", nargs="?", help="one of them, with its law and parameters; of scenarios also a file"
    )
    parser.add_argument(
        "--json", action="store_true", help="one JSON document on stdout and nothing else"
    )
    parser.set_defaults(run=listing)


def listing(args: argparse.Namespace) -> int:
    from tpssim.cli import catalogue

    document = catalogue.entries(args.kind, args.name)
    if args.json:
        import json

        print(json.dumps(document, indent=1, allow_nan=False))
    else:
        print(catalogue.text(document, args.name))
    return 0
