"""Many runs: comparisons, leagues, sweeps, searches, replays, analyses."""
