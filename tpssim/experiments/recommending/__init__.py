"""The parts of `recommend`: which services, who is tried on them, and who is chosen."""
