"""What one run comes to, as functions of numbers: compiled where that is possible, else plain
Python.

`collecting` walks over the columns of a run; then NumPy, which does that best, sorts the samples
and transforms the waves, of one run or of many at once; `concluding` puts the rest in. What each
measure means stands in `metrics.METRICS`; its position there is its constant in `records`.
"""
