"""Runs programs in Python alone, and in both languages. See programs.py for the steps."""

import asyncio
import threading
from contextlib import contextmanager
from contextvars import Context, ContextVar, Token, copy_context

import rust
from programs import SLOTS, languages

A = ContextVar("a")
B = ContextVar("b", default="default")
C = ContextVar("c")
D = ContextVar("d", default="default")
# Not tied. Blocks in Python use the first variable, and blocks in Rust the second one.
IN_PYTHON = ContextVar("in_python")
IN_RUST = ContextVar("in_rust")

VARS = {"Python": [A, B, C, D, IN_PYTHON], "Rust": [A, B, C, D, IN_RUST]}

Raised = rust.mixed.Raised

# The functions that run a block in Rust, by the way of the call and by whether its changes are applied.
CALLS = [
    [rust.mixed.call, rust.mixed.call_applying_changes],
    [rust.mixed.call_detached, rust.mixed.call_detached_applying_changes],
]
COROUTINES = [
    [rust.mixed.coroutine, rust.mixed.coroutine_applying_changes],
    [rust.mixed.polled, rust.mixed.polled_applying_changes],
]


def run_now(coroutine):
    """Runs a coroutine that never suspends."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("synchronous steps do not wait")


class Program:
    """A program that runs in Python alone, and what its blocks have seen."""

    def __init__(self, blocks):
        self.blocks = blocks
        self.traces = [[] for _ in blocks]
        self.languages = languages(blocks)

    def record(self, block, seen):
        self.traces[block].append(seen)


class Frame:
    """The state of a task, a thread or a call from the other language. Blocks for Rust also run in Python."""

    def __init__(self, program, vars):
        self.program = program
        self.vars = vars
        self.tokens = [None] * SLOTS
        self.contexts = [None] * SLOTS
        # Each is a task, the slot to which its context returns, and the context.
        self.tasks = [None] * SLOTS
        # Tasks whose slots were overwritten. They are joined at the end.
        self.other_tasks = []

    @staticmethod
    def vars_of(program, block):
        return VARS[program.languages[block]]

    @classmethod
    async def run_frame(cls, program, block):
        """Runs a block with a frame of its own, and joins its tasks."""
        frame = cls(program, cls.vars_of(program, block))
        try:
            await frame.exec(block)
        finally:
            for slot in range(SLOTS):
                await frame.join_slot(slot)
            for task in frame.other_tasks:
                await frame.join_task(*task)

    @classmethod
    async def run_to_end(cls, program, block):
        """Does what `run_frame` does, and records an exception."""
        try:
            await cls.run_frame(program, block)
        except Exception as error:
            program.record(block, f"died {error}")

    async def exec(self, block):
        try:
            for kind, numbers in self.program.blocks[block]:
                await getattr(self, kind)(lambda seen: self.program.record(block, seen), *numbers)
        finally:
            self.program.record(block, self.values())

    def values(self):
        """Returns the values of all variables in the current context."""
        return " ".join(var.get() if var in (B, D) else var.get("-") for var in self.vars)

    async def get(self, record):
        record(self.values())

    async def get_or(self, record, var, value):
        record(self.vars[var].get(f"text {value}"))

    async def set(self, record, var, value, slot):
        token = self.vars[var].set(f"text {value}")
        record("missing" if token.old_value is Token.MISSING else token.old_value)
        self.tokens[slot] = token

    async def reset(self, record, slot, var):
        if self.tokens[slot] is None:
            return record("no token")
        try:
            self.vars[var].reset(self.tokens[slot])
            record("reset")
        except RuntimeError:
            record("used")
        except ValueError as error:
            different_var = "different ContextVar" in str(error)
            record("another variable's" if different_var else "another context's")

    async def scoped(self, record, var, value, inner):
        token = self.vars[var].set(f"text {value}")
        try:
            run_now(self.exec(inner))
        finally:
            self.vars[var].reset(token)

    async def copy(self, record, slot):
        self.contexts[slot] = copy_context()

    async def new(self, record, slot):
        self.contexts[slot] = Context()

    async def lookup(self, record, slot):
        context = self.contexts[slot]
        record(
            "no context"
            if context is None
            else " ".join(context.get(var, "-") for var in self.vars)
        )

    def take_context(self, slot):
        context, self.contexts[slot] = self.contexts[slot], None
        return context

    def put_back(self, slot, context):
        """Puts a context back, unless the slot was filled meanwhile."""
        if self.contexts[slot] is None:
            self.contexts[slot] = context

    async def run(self, record, slot, inner):
        context = self.take_context(slot)
        if context is not None:
            try:
                context.run(run_now, self.exec(inner))
            finally:
                self.put_back(slot, context)

    async def raise_(self, record, value):
        raise Raised(value)

    async def catch(self, record, inner):
        try:
            await self.exec(inner)
        except Exception as error:
            record(f"caught {error}")

    async def call(self, record, way, applying_changes, inner):
        coroutine = self.run_frame(self.program, inner)
        with self.recorded_end(record):
            if applying_changes:
                run_now(coroutine)
            else:
                copy_context().run(run_now, coroutine)

    async def thread(self, record, copies, inner):
        context = copy_context() if copies else Context()
        coroutine = self.run_to_end(self.program, inner)
        thread = threading.Thread(target=context.run, args=(run_now, coroutine))
        thread.start()
        thread.join()

    async def task(self, record, slot, inner):
        task = asyncio.create_task(self.run_to_end(self.program, inner))
        self.store_task(slot, (task, slot, None))

    async def task_in(self, record, from_slot, slot, inner):
        context = self.take_context(from_slot)
        if context is not None:
            coroutine = self.run_to_end(self.program, inner)
            task = asyncio.create_task(coroutine, context=context)
            self.store_task(slot, (task, from_slot, context))

    def store_task(self, slot, task):
        if self.tasks[slot] is not None:
            self.other_tasks.append(self.tasks[slot])
        self.tasks[slot] = task

    async def join(self, record, slot):
        await self.join_slot(slot)

    async def join_slot(self, slot):
        task, self.tasks[slot] = self.tasks[slot], None
        if task is not None:
            await self.join_task(*task)

    async def join_task(self, task, slot, context):
        await task
        self.put_back(slot, context)

    async def yield_(self, record):
        await asyncio.sleep(0)

    async def await_(self, record, inner):
        await self.exec(inner)

    async def isolated(self, record, inner):
        await asyncio.create_task(self.exec(inner), context=copy_context())

    async def to_thread(self, record, inner):
        await asyncio.to_thread(run_now, self.run_to_end(self.program, inner))

    async def call_async(self, record, way, applying_changes, inner):
        coroutine = self.run_frame(self.program, inner)
        with self.recorded_end(record):
            if applying_changes:
                await coroutine
            else:
                await asyncio.create_task(coroutine, context=copy_context())

    @contextmanager
    def recorded_end(self, record):
        """Records what a call has changed, and its exception."""
        try:
            yield
            record(self.values())
        except Exception as error:
            record(f"{self.values()}, raised {error}")
            raise


class MixedFrame(Frame):
    """A frame in Python, which calls Rust."""

    @staticmethod
    def vars_of(program, block):
        return VARS["Python"]

    async def call(self, record, way, applying_changes, inner):
        with self.recorded_end(record):
            CALLS[way % 2][applying_changes](self.program, inner)

    async def call_async(self, record, way, applying_changes, inner):
        function = COROUTINES[way % 2][applying_changes]
        # The context in which a coroutine is made does not matter.
        context = Context() if way // 2 else copy_context()
        with self.recorded_end(record):
            await context.run(function, self.program, inner)


def call(program, block):
    run_now(MixedFrame.run_frame(program, block))


def call_async(program, block):
    return MixedFrame.run_frame(program, block)


async def run(blocks):
    """Runs a program in both languages. Returns what its blocks have seen, and the program."""
    event_loop = asyncio.get_running_loop()
    program = rust.mixed.Program(blocks, call, call_async, event_loop)
    await asyncio.create_task(MixedFrame.run_to_end(program, 0), context=Context())
    return program


async def run_in_python(blocks):
    """Runs a program in Python alone."""
    program = Program(blocks)
    await asyncio.create_task(Frame.run_to_end(program, 0), context=Context())
    return program
