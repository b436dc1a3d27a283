"""What each verb of the command line does: calls the library, prints, writes. No law and no measure is here.

The library is imported when a verb runs, so that `--help` and a mistyped option answer at once.
"""

from tpssim.verbs.calibrate import calibrate
from tpssim.verbs.compare import compare
from tpssim.verbs.listing import listing
from tpssim.verbs.live import live
from tpssim.verbs.replay import replay
from tpssim.verbs.serve import serve
from tpssim.verbs.simulate import simulate
from tpssim.verbs.sweep import sweep
from tpssim.verbs.validate import validate

__all__ = ["calibrate", "compare", "listing", "live", "replay", "serve", "simulate", "sweep", "validate"]
