"""The rows of the benchmark: functions that do something `n` times. `python3 rows.py ROW N` runs one."""

import asyncio
import gc
import os
import sys
from itertools import repeat

import rust
import variables

TIED = int(os.environ["TIED"])


def set_up():
    """Sets as many variables as `$SET` says."""
    for number, variable in enumerate(variables.ALL[: int(os.environ["SET"])]):
        variable.set(number if os.environ["TYPE"] == "u64" else f"value {number}")


def each(function):
    """Returns a row that calls a function from Python."""

    def row(n):
        for _ in repeat(None, n):
            function()

    return row


def do_nothing():
    pass


async def await_nothing():
    pass


def hand_over(n):
    """Passes each value as an argument."""
    f = rust.takes_arguments
    call = "f(" + ", ".join(f"V{i}.get()" for i in range(TIED)) + ")"
    code = compile(f"def row(n):\n for _ in repeat(None, n): {call}", "row", "exec")
    names = {**vars(variables), "f": f, "repeat": repeat}
    exec(code, names)
    names["row"](n)


def return_and_set(n):
    f, variable = rust.returns_one, variables.ALL[0]
    for _ in repeat(None, n):
        variable.set(f())


LOOP = asyncio.new_event_loop()


def awaiting(function):
    """Returns a row that awaits what a function returns."""

    async def go(n):
        for _ in repeat(None, n):
            await function()

    return lambda n: LOOP.run_until_complete(go(n))


def awaited(function):
    """Returns a row whose function awaits a coroutine of Python `n` times."""

    async def go(n):
        await function(await_nothing, n)

    return lambda n: LOOP.run_until_complete(go(n))


ROWS = {
    "nothing": each(rust.nothing),
    "enter": each(rust.enter),
    "enter_and_read": each(rust.enter_and_read),
    "in_task_locals": each(rust.in_task_locals),
    "in_scopes": each(rust.in_scopes),
    "arguments": hand_over,
    "apply": each(rust.apply),
    "apply_one": each(rust.apply_one),
    "return_and_set": return_and_set,
    "call": lambda n: rust.call(do_nothing, n),
    "call_changed": lambda n: rust.sets_then_calls(do_nothing, n),
    "call0": lambda n: rust.call0(do_nothing, n),
    "run_in_copy": lambda n: rust.run_in_copy(do_nothing, n),
    "set_and_run_in_copy": lambda n: rust.set_and_run_in_copy(do_nothing, n, variables.ALL[0]),
    "call_on_thread": lambda n: rust.call_on_thread(do_nothing, n),
    "attach_and_call0": lambda n: rust.attach_and_call0(do_nothing, n),
    "attach_and_run_in_copy": lambda n: rust.attach_and_run_in_copy(do_nothing, n),
    "attach": rust.attach,
    "lazy_reads": lambda n: rust.lazy_reads(variables.ALL[0], n, 0),
    "get": rust.get,
    "set": rust.set,
    "coroutine": awaiting(rust.coroutine),
    "future_into_py": awaiting(rust.future_into_py),
    "call_async": awaited(rust.call_async),
    "into_future": awaited(rust.into_future),
}


def on_event_loop(row):
    """Returns the same row inside a coroutine, where the event loop crosses as well."""

    async def go(n):
        row(n)

    return lambda n: LOOP.run_until_complete(go(n))


ROWS |= {
    f"{name} on an event loop": on_event_loop(ROWS[name])
    for name in ["enter", "call", "run_in_copy"]
}

if __name__ == "__main__":
    gc.disable()
    set_up()
    ROWS[sys.argv[1]](int(sys.argv[2]))
