"""One page of a results folder. It reads what is written there; it can start no run."""
