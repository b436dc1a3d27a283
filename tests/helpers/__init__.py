"""What several tests share; no test imports another."""

from pathlib import Path

#: The folder of the checkout.
ROOT = Path(__file__).parent.parent.parent
