"""A service learned from a recording of its calls, how sure that is, and whether it holds."""
