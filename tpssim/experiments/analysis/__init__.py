"""A law on a scenario: what theory predicts, beside what the simulation shows."""
