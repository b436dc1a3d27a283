"""M/M/8 in cimba: prints the seconds that a customer takes.

    python benchmarks/cimba_queue.py [CUSTOMERS] [SEED] [--smoke]

Without cimba (pip install cimba) it says so and measures nothing.
"""

import argparse
import sys
import time

try:
    import cimba as cb
    from cimba import inputs
except ImportError:
    print("skipped benchmarks/cimba_queue.py: cimba is not installed (pip install cimba)")
    sys.exit(0)


class Queue(cb.Model):
    gap: cb.Input[float] = inputs.dist.exponential(mean=1.0 / 6.4)
    work: cb.Input[float] = inputs.dist.exponential(mean=1.0)
    line: cb.Container
    waiting: cb.Output[float]

    @cb.process
    def arrivals(self) -> None:
        while True:
            cb.hold(self.gap.next())
            self.line.put(1)

    @cb.process(copies=8)
    def server(self) -> None:
        while True:
            self.line.get(1)
            cb.hold(self.work.next())

    @cb.on_end
    def measure(self) -> None:
        self.waiting = self.line.mean_level()


MODEL = Queue()


def waiting_in(customers: int, seed: int) -> float:
    """Mean number of waiting customers in a run of about so many."""
    window = cb.Window(warmup=0.0, duration=customers / 6.4)
    result = cb.Experiment(MODEL, replications=1, window=window, seed=seed).run(workers=1)
    return float(result[MODEL].waiting.values[0, 0])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="M/M/8 in cimba: seconds a customer.")
    parser.add_argument("customers", nargs="?", type=int, default=200_000)
    parser.add_argument("seed", nargs="?", type=int, default=0)
    parser.add_argument("--smoke", action="store_true", help="few customers: does it run?")
    args = parser.parse_args()
    customers = 20_000 if args.smoke else args.customers
    waiting_in(1000, args.seed)  # compiled
    began = time.perf_counter()
    waiting = waiting_in(customers, args.seed)
    seconds = time.perf_counter() - began
    # Erlang C of 8 servers at 6.4: 0.4593, so that 0.4593 x 0.8 / 0.2 = 1.84 wait in the mean.
    assert 1.2 < waiting < 2.8, waiting
    print(seconds / customers)
