"""The article's five throttles as one would paste them into a file: nothing in it knows of
tpssim.
"""

import itertools
import time
from time import perf_counter, sleep

SPIN_THRESHOLD = 0.0005
ALPHA, DEADZONE, DEC_RATE, INC_STEP = 0.2, 1.1, 0.9, 1.0


def sleeping(items, tps, total):
    interval = 1 / tps
    for item in itertools.islice(itertools.cycle(items), total):
        yield item
        time.sleep(interval)


def schedule(items, tps, total):
    iterator = itertools.cycle(items)
    interval = 1 / tps
    next_tick = perf_counter()
    for _ in range(total):
        sleep_time = next_tick - perf_counter()
        if sleep_time > 0:
            sleep(sleep_time)
        yield next(iterator)
        next_tick += interval


def wait_until(next_tick, clock=time.perf_counter):
    while True:
        remaining = next_tick - clock()
        if remaining <= 0:
            break
        if remaining > SPIN_THRESHOLD:
            sleep(remaining - SPIN_THRESHOLD)


def spin(items, tps, total):
    iterator = itertools.cycle(items)
    interval = 1 / tps
    next_tick = time.perf_counter()
    for _ in range(total):
        wait_until(next_tick)
        yield next(iterator)
        next_tick += interval


def aimd(items, tps, total):
    iterator = itertools.cycle(items)
    current_tps = tps
    interval = 1 / current_tps
    last_yield = None
    next_tick = time.perf_counter()
    for _ in range(total):
        while True:
            now = time.perf_counter()
            remaining = next_tick - now
            if remaining <= 0:
                break
            if remaining > SPIN_THRESHOLD:
                time.sleep(remaining - SPIN_THRESHOLD)
        yield next(iterator)
        now = time.perf_counter()
        if last_yield is not None:
            actual_interval = now - last_yield
            if actual_interval > interval * 1.5:
                current_tps *= 0.7
            else:
                current_tps += 1
            current_tps = max(1, min(current_tps, tps))
            interval = 1 / current_tps
        last_yield = now
        next_tick += interval


def ewma(items, tps, total):
    iterator = itertools.cycle(items)
    current_tps = tps
    interval = 1 / current_tps
    last_yield = None
    average = None
    next_tick = time.perf_counter()
    for _ in range(total):
        while next_tick - time.perf_counter() > 0:
            remaining = next_tick - time.perf_counter()
            if remaining > SPIN_THRESHOLD:
                time.sleep(remaining - SPIN_THRESHOLD)
        yield next(iterator)
        now = time.perf_counter()
        if last_yield is not None:
            measured = now - last_yield
            average = measured if average is None else ALPHA * measured + (1 - ALPHA) * average
            ratio = average / interval
            if ratio > DEADZONE:
                current_tps *= DEC_RATE
            elif ratio < 0.95:
                current_tps += INC_STEP
            current_tps = max(1, min(current_tps, tps))
            interval = 1 / current_tps
        last_yield = now
        next_tick += interval
