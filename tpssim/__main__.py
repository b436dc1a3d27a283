"""`python -m tpssim`."""

import sys

from tpssim.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
