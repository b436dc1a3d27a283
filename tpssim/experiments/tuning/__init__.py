"""Tuning: where a law's parameters do best, chosen by statistics, and which of them matter."""
