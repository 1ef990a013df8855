"""Times pairs of rows by turns. `python3 timing.py` prints the pairs' medians as JSON."""

import gc
import json
import statistics
import threading
import time

import rows
import rust
import variables

ROUNDS = 101
ROUND_NS = 2_000_000


def time_of(row, n):
    start = time.perf_counter_ns()
    row(n)
    return (time.perf_counter_ns() - start) / n


def repeats(row):
    """Returns how often a row runs in one round."""
    n = 8
    while time_of(row, n) * n < ROUND_NS / 4:
        n *= 2
    return max(8, int(ROUND_NS / time_of(row, n)))


def compare(one, other):
    """Returns the median nanoseconds of two rows, and the quartiles of their ratio within a round."""
    one, other = rows.ROWS[one], rows.ROWS[other]
    turns = [(one, repeats(one)), (other, repeats(other))]
    times = []
    for round in range(ROUNDS):
        pair = [0.0, 0.0]
        # Each round begins with the other row.
        for index in (0, 1) if round % 2 else (1, 0):
            pair[index] = time_of(*turns[index])
        times.append(pair)
    ratios = [one / other for one, other in times]
    medians = [statistics.median(column) for column in zip(*times)]
    return {"medians": medians, "ratio": statistics.quantiles(ratios, n=4)}


def read_while_busy():
    """Returns the nanoseconds of a read that needs the GIL, while another thread computes."""
    stopped = threading.Event()

    def compute():
        while not stopped.is_set():
            sum(range(1000))

    thread = threading.Thread(target=compute)
    thread.start()
    try:
        return statistics.median(rust.lazy_reads(variables.ALL[0], 1, 200) for _ in range(51))
    finally:
        stopped.set()
        thread.join()


if __name__ == "__main__":
    gc.disable()
    rows.set_up()
    pairs = [
        ("enter", "in_task_locals"),
        ("enter", "arguments"),
        ("call", "run_in_copy"),
        ("call_changed", "set_and_run_in_copy"),
        ("call_on_thread", "attach_and_run_in_copy"),
        ("coroutine", "future_into_py"),
        ("call_async", "into_future"),
    ]
    result = {f"{one} {other}": compare(one, other) for one, other in pairs}
    result["free"] = statistics.median(
        rust.lazy_reads(variables.ALL[0], 1000, 0) for _ in range(51)
    )
    result["busy"] = read_while_busy()
    print(json.dumps(result))
