"""The verbs of the command line, a file each: its options (`add`) and what it does.

A verb calls the library, prints, writes; no law and no measure is here. The library is imported
when a verb runs, so that `--help` and a mistyped option answer at once.
"""

from tpssim.cli.commands import (
    analyse,
    calibrate,
    compare,
    listing,
    live,
    replay,
    report,
    serve,
    simulate,
    sweep,
    tune,
    validate,
)

#: In the order in which `--help` lists them.
VERBS = (
    compare,
    simulate,
    sweep,
    tune,
    analyse,
    validate,
    live,
    calibrate,
    replay,
    report,
    serve,
    listing,
)
