"""The API as pages, from the docstrings, with every warning an error.

python docs/api.py [FOLDER]        default: build/api; needs the extra docs
"""

from __future__ import annotations

import importlib
import sys
import warnings
from pathlib import Path

import tpssim

#: The public names, and the modules whose records one builds plants and laws of.
MODULES = (
    "tpssim",
    "tpssim.core.clocks",
    "tpssim.controllers",
    "tpssim.core.types",
    "tpssim.scenarios.disturbances",
    "tpssim.scenarios.feedback",
    "tpssim.scenarios.plant",
    "tpssim.scenarios.retries",
    "tpssim.scenarios.scenario",
    "tpssim.scenarios.service_quotas",
    "tpssim.core.window",
    "tpssim.scenarios.service_times",
)


def build(folder: Path) -> None:
    """Write the pages to a folder, `index.html` first."""
    try:
        import pdoc
    except ImportError:
        print("docs/api.py needs the extra docs: pip install '.[docs]'", file=sys.stderr)
        sys.exit(2)

    for name in (
        tpssim.__all__
    ):  # loaded when first used; a reader of the module's own names looks for them
        setattr(tpssim, name, getattr(tpssim, name))
    for name in MODULES:
        importlib.import_module(name)
    for module in [
        module for name, module in sys.modules.items() if name.partition(".")[0] == "tpssim"
    ]:
        for record in vars(module).values():
            if isinstance(record, type) and hasattr(record, "_fields"):
                # A NamedTuple's constructor belongs to no module in which its types could be looked
                # up.
                record.__new__.__module__ = record.__module__
    pdoc.render.configure(search=True, show_source=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # Only a type checker reads `array[float]`; before Python 3.12 it cannot be evaluated.
        warnings.filterwarnings("ignore", ".*'array.array' is not subscriptable")
        # In a checkout with the package installed: what is imported is what is documented.
        warnings.filterwarnings("ignore", ".*may refer to either the installed Python module")
        pdoc.pdoc(*MODULES, output_directory=folder)


if __name__ == "__main__":
    folder = Path(*sys.argv[1:] or ["build/api"])
    build(folder)
    print(f"Written to {folder}: index.html")
