"""Many runs: designs of points, each reduced to its measures where it ran, kept as it arrives."""
