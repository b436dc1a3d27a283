"""`tpssim list`: what there is."""

from __future__ import annotations

import argparse


def listing(args: argparse.Namespace) -> int:
    from tpssim import catalogue

    document = catalogue.entries(args.kind, args.name)
    if args.json:
        import json

        print(json.dumps(document, indent=1, allow_nan=False))
    else:
        print(catalogue.text(document, args.name))
    return 0
