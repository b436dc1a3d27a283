"""`python -m tpssim`."""

import atexit
import gc
import sys

from tpssim.cli.main import main

# What is left at the end goes with the process: looking through it for garbage takes up to a second
# where something was compiled.
atexit.register(gc.freeze)

if __name__ == "__main__":
    sys.exit(main())
