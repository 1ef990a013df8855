"""Counts the instructions of a row with callgrind."""

import os
import re
import subprocess
import sys

REPEATS = 1000


def environment(modules, build, tied, set_variables):
    """Returns the environment in which `rows.py` runs a build of the module."""
    return {
        **os.environ,
        "PYTHONHASHSEED": "0",
        "PYTHONPATH": os.path.join(modules, build),
        "TYPE": build.split("-")[0],
        "TIED": str(tied),
        "SET": str(set_variables),
    }


def start(env, row, repeats):
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    return subprocess.Popen(
        [*command, sys.executable, "rows.py", row, str(repeats)],
        env=env,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process):
    _, report = process.communicate()
    collected = re.search(r"Collected : (\d+)", report)
    if process.returncode or not collected:
        raise RuntimeError(report)
    return int(collected[1])


def count(env, row, repeats=REPEATS):
    """Returns the instructions of one repeat: the difference of two runs, so that start-up cancels."""
    once, twice = start(env, row, repeats), start(env, row, 2 * repeats)
    once, twice = finish(once), finish(twice)
    return (twice - once) / repeats
