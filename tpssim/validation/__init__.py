"""Known answers, published scenarios, and live runs against simulated ones."""
