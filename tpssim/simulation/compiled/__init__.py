"""The model's loop without an event list, compiled where numba is there: the same bits, far
faster.
"""
