# Runs the operations of the benchmark with CPython's contextvars. Reads lines `operation variables repeats`,
# and writes the nanoseconds of all repeats, or `none`. The loops use itertools.repeat, as timeit does. NUMBER
# and TEXT are both always set, which is one variable more than in the other columns.
import asyncio
import platform
import sys
from contextvars import Context, ContextVar, copy_context
from itertools import repeat
from time import perf_counter_ns

NUMBER = ContextVar("number")
TEXT = ContextVar("text")
UNSET = ContextVar("unset", default=7)
FILLERS = [ContextVar(f"filler {number}") for number in range(1000)]


def context(variables):
    made = Context()
    made.run(NUMBER.set, 1)
    made.run(TEXT.set, "some text")
    for filler in FILLERS[: variables - 1]:
        made.run(filler.set, 1)
    return made


def get(repeats, _):
    start = perf_counter_ns()
    for _ in repeats:
        NUMBER.get()
    return perf_counter_ns() - start


def get_in_turn(repeats, variables):
    fillers = FILLERS[: variables - 1]
    sweeps = max(1, len_of(repeats) // len(fillers))
    start = perf_counter_ns()
    for _ in repeat(None, sweeps):
        for filler in fillers:
            filler.get()
    return (perf_counter_ns() - start) * len_of(repeats) // (sweeps * len(fillers))


def read_string(repeats, _):
    start = perf_counter_ns()
    for _ in repeats:
        TEXT.get()
    return perf_counter_ns() - start


def get_unset(repeats, _):
    start = perf_counter_ns()
    for _ in repeats:
        UNSET.get()
    return perf_counter_ns() - start


def set_number(repeats, _):
    start = perf_counter_ns()
    for _ in repeats:
        token = NUMBER.set(2)
        NUMBER.reset(token)
    return perf_counter_ns() - start


def set_string(repeats, _):
    start = perf_counter_ns()
    for _ in repeats:
        token = TEXT.set("")
        TEXT.reset(token)
    return perf_counter_ns() - start


def copy(repeats, _):
    start = perf_counter_ns()
    for _ in repeats:
        copy_context()
    return perf_counter_ns() - start


def run_in_copy(repeats, _):
    run = copy_context().run
    nothing = int
    start = perf_counter_ns()
    for _ in repeats:
        run(nothing)
    return perf_counter_ns() - start


def copy_on_write(repeats, _):
    start = perf_counter_ns()
    for _ in repeats:
        copied = copy_context()
        NUMBER.set(2)
        del copied
    return perf_counter_ns() - start


class Pending:
    def __await__(self):
        while True:
            yield


async def endless():
    await Pending()


# A step of an asyncio task, without the event loop.
def poll(repeats, _):
    run = copy_context().run
    coroutine = endless()
    send = coroutine.send
    start = perf_counter_ns()
    for _ in repeats:
        run(send, None)
    time = perf_counter_ns() - start
    coroutine.close()
    return time


async def job():
    return NUMBER.get()


def spawn(repeats, _):
    async def spawns():
        start = perf_counter_ns()
        for _ in repeats:
            await asyncio.create_task(job())
        return perf_counter_ns() - start

    return LOOP.run_until_complete(spawns())


def read(which):
    return NUMBER.get() if which % 2 == 0 else len(TEXT.get())


async def request_part(reads):
    total = 0
    for poll in range(50):
        await asyncio.sleep(0)
        if poll % 5 == 0 and poll // 5 < reads:
            total += read(poll // 5)
    return total


async def request_body(blocking):
    NUMBER.set(1)
    TEXT.set("some text")
    for filler in FILLERS[:6]:
        filler.set(1)
    tasks = [asyncio.create_task(request_part(10)) for _ in range(3)]
    if blocking:
        tasks.append(asyncio.create_task(asyncio.to_thread(read, 0)))
    total = await request_part(9)
    for task in tasks:
        total += await task
    return total


def request(repeats, _, blocking=True):
    async def requests():
        start = perf_counter_ns()
        for _ in repeats:
            await asyncio.create_task(request_body(blocking))
        return perf_counter_ns() - start

    return LOOP.run_until_complete(requests())


def request_without_blocking(repeats, _):
    return request(repeats, _, blocking=False)


def len_of(repeats):
    return repeats.__length_hint__()


OPERATIONS = {
    "Get": get,
    "GetInTurn": get_in_turn,
    "ReadString": read_string,
    "GetUnset": get_unset,
    "SetNumber": set_number,
    "SetString": set_string,
    "Copy": copy,
    "RunInCopy": run_in_copy,
    "CopyOnWrite": copy_on_write,
    "Poll": poll,
    "PollHandedOver": poll,
    "SpawnCurrentThread": spawn,
    "Request": request,
    "RequestWithoutBlocking": request_without_blocking,
}
LOOP = asyncio.new_event_loop()
CONTEXTS = {}

print("ready", platform.python_version(), flush=True)
for line in sys.stdin:
    name, variables, repeats = line.split()
    operation = OPERATIONS.get(name)
    if operation is None:
        print("none", flush=True)
        continue
    variables = int(variables)
    if variables not in CONTEXTS:
        CONTEXTS[variables] = context(variables)
    print(CONTEXTS[variables].copy().run(operation, repeat(None, int(repeats)), variables), flush=True)
