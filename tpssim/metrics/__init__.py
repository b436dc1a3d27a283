"""What one run comes to, as functions of numbers: compiled where that is possible, else plain
Python.

`single_pass` walks over the columns of a run; then NumPy, which does that best, sorts the samples
and transforms the waves, of one run or of many at once; `order_statistics` adds the rest. What each
metric means stands in `definitions`; its position there is its constant in `layout`.
"""
