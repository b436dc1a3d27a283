"""What everything rests on: types, errors, checked numbers, pacing, windows, clocks, cache keys."""
