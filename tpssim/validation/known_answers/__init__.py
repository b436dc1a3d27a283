"""Cases with a known answer, for `validation`: queues, loops, published scenarios."""
