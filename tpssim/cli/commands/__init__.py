"""The verbs of the command line, a file each: its options (`add`) and what it does.

A verb calls the library, prints and writes; no law and no metric is here. A verb is imported when
it is asked for, and the library when it runs, so that `--help` and a mistyped option answer at
once.
"""

from typing import NamedTuple

from tpssim.core.types import record


@record
class Verb(NamedTuple):
    module: str  #: of this package
    summary: str  #: its line in `--help`


#: How throttles and scenarios are named, below `--help`.
EPILOG = """\
throttles and scenarios take parameters: NAME:key=value,key=value
  python -m tpssim compare --scenarios degrade-recover \\
    --controllers aimd:dec_rate=0.8 headroom
  python -m tpssim compare --scenarios blocking-steady:mean=0.05,cv=1
  python -m tpssim compare --trace calls.csv --column latency --unit ms
"""

#: In the order in which `--help` lists them.
VERBS = {
    "compare": Verb(
        "compare",
        "every throttle on every scenario under the same noise: table, pictures, JSON, CSV",
    ),
    "simulate": Verb("simulate", "one run: its measures, its picture, its trace"),
    "sweep": Verb(
        "sweep",
        "one law at every point of a grid: table, heat maps with the noise rule, CSV; resumable",
    ),
    "tune": Verb(
        "tune",
        "the best parameters of a law, chosen on fresh seeds: gain, confidence, what is given up",
    ),
    "fit": Verb(
        "fit",
        "your own service as a scenario, learned from a recording of its calls, and checked",
    ),
    "recommend": Verb(
        "recommend",
        "which law for your service, or none, with which parameters: what to expect, code",
    ),
    "analyse": Verb(
        "analyse", "a law on a scenario: margins, limit cycles and noise, predicted and simulated"
    ),
    "validate": Verb("validate", "is the simulation right? theory beside simulation, case by case"),
    "live": Verb("live", "real calls at a rate, under any law: a callable, a command or a URL"),
    "calibrate": Verb("calibrate", "how this machine waits: a timer model for the simulator"),
    "replay": Verb(
        "replay",
        "a recorded live run: the same decisions again, and what other laws would have done",
    ),
    "report": Verb("report", "a results folder as one HTML page that needs nothing else"),
    "serve": Verb("serve", "an HTTP consumer of an exact capacity, to try throttles on"),
    "list": Verb("listing", "what there is: controllers, scenarios, metrics, studies"),
}
