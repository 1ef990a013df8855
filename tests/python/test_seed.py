"""The five programs, with their functions in both languages."""

import asyncio
import contextlib
import contextvars
import io
import sys
import unittest
from uuid import uuid4

from rust import seed
from seed_variables import ctx

KEPT = """
    Current context value: A
    Nested context value: A
    Nested context2 value: A
"""
SET = """
    Current context value: A
    Nested context value: B
    Nested context2 value: B
"""
SYNCHRONOUS = """
    Initial context value: A
    Value in copied context: A
    Inside nested_context, before set: A
    Inside nested_context, after set: B
    Context value after copy.run(): A
    nested_context2 value: A
"""
TRAP = """
    Current context value: A
    Original context value: A
    Copy context value: A
    Nested context value: B
    Context value after copy: B
    Nested context2 value: B
"""
CURE = """
    Current context value: A
    Original context value: A
    Copy context value: A
    Nested context value: B
    Context value after copy: A
    Nested context2 value: A
"""


# The nested functions, and the callers. Each caller takes the two nested functions.


async def nested():
    print(f"Nested context value: {ctx.get()}")


async def nested_that_sets():
    ctx.set(uuid4())
    print(f"Nested context value: {ctx.get()}")


async def nested2():
    print(f"Nested context2 value: {ctx.get()}")


def nested_context():
    print(f"Inside nested_context, before set: {ctx.get()}")
    ctx.set(uuid4())
    print(f"Inside nested_context, after set: {ctx.get()}")


def nested_context2():
    print(f"nested_context2 value: {ctx.get()}")


async def kept_through_nested_awaits(nested, nested2):
    if ctx.get(None) is None:
        ctx.set(uuid4())
    print(f"Current context value: {ctx.get()}")
    await nested()
    await nested2()


async def nested_set(nested, nested2):
    ctx.set(uuid4())
    print(f"Current context value: {ctx.get()}")
    await nested()
    await nested2()


def synchronous(nested_context, nested_context2):
    ctx.set(uuid4())
    print(f"Initial context value: {ctx.get()}")
    copy = contextvars.copy_context()
    print(f"Value in copied context: {copy[ctx]}")
    copy.run(nested_context)
    print(f"Context value after copy.run(): {ctx.get()}")
    nested_context2()


def set_and_copy():
    ctx.set(uuid4())
    print(f"Current context value: {ctx.get()}")
    original = contextvars.copy_context()
    copy = contextvars.copy_context()
    print(f"Original context value: {original[ctx]}")
    print(f"Copy context value: {copy[ctx]}")
    return copy


async def trap(nested, nested2):
    copy = set_and_copy()
    await copy.run(nested)
    print(f"Context value after copy: {ctx.get()}")
    await copy.run(nested2)


async def task_in_copy(nested, nested2):
    copy = set_and_copy()
    if sys.version_info >= (3, 11):
        await asyncio.create_task(nested(), context=copy)
    else:
        await copy.run(lambda: asyncio.create_task(nested()))
    print(f"Context value after copy: {ctx.get()}")
    await nested2()


class Seed(unittest.TestCase):
    def check(self, program, expected, *nested):
        """Runs the program in an empty context and compares what it prints."""
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            contextvars.Context().run(program, *nested)
        names = {}
        lines = []
        for line in output.getvalue().splitlines():
            label, value = line.split(": ")
            self.assertNotEqual(value, str(ctx.get()), "the default")
            lines.append(f"{label}: {names.setdefault(value, 'ABC'[len(names)])}")
        self.assertEqual(lines, [line.strip() for line in expected.strip().splitlines()])

    def check_async(self, program, expected, *nested):
        self.check(lambda: asyncio.run(program(*nested)), expected)

    def check_value_is_kept_from_before(self, program, nested, nested2):
        async def caller():
            ctx.set(value)
            await program(nested, nested2)

        value = uuid4()
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            contextvars.Context().run(lambda: asyncio.run(caller()))
        values = [line.split(": ")[1] for line in output.getvalue().splitlines()]
        self.assertEqual(values, [str(value)] * 3)


class NestedInRust(Seed):
    def test_value_is_kept_through_nested_awaits(self):
        self.check_async(kept_through_nested_awaits, KEPT, seed.nested, seed.nested2)

    def test_value_of_the_caller_is_kept(self):
        self.check_value_is_kept_from_before(kept_through_nested_awaits, seed.nested, seed.nested2)

    def test_later_sibling_sees_what_a_nested_function_sets(self):
        self.check_async(nested_set, SET, seed.nested_that_sets, seed.nested2)

    def test_copy_context_and_run(self):
        self.check(synchronous, SYNCHRONOUS, seed.nested_context, seed.nested_context2)

    def test_run_only_makes_the_coroutine(self):
        self.check_async(trap, TRAP, seed.nested_that_sets, seed.nested2)

    def test_task_runs_in_the_copy(self):
        self.check_async(task_in_copy, CURE, seed.nested_that_sets, seed.nested2)


class CallerInRust(Seed):
    def test_value_is_kept_through_nested_awaits(self):
        self.check_async(seed.kept_through_nested_awaits, KEPT, nested, nested2)

    def test_value_of_the_caller_is_kept(self):
        self.check_value_is_kept_from_before(seed.kept_through_nested_awaits, nested, nested2)

    def test_later_sibling_sees_what_a_nested_function_sets(self):
        self.check_async(seed.nested_set, SET, nested_that_sets, nested2)

    def test_copy_context_and_run(self):
        self.check(seed.synchronous, SYNCHRONOUS, nested_context, nested_context2)

    def test_run_only_makes_the_future(self):
        self.check_async(seed.trap, TRAP, nested_that_sets, nested2)

    def test_task_runs_in_the_copy(self):
        self.check_async(seed.task_in_copy, CURE, nested_that_sets, nested2)


class BothInPython(Seed):
    """Shows that the programs in Python print the lines."""

    def test_programs(self):
        self.check_async(kept_through_nested_awaits, KEPT, nested, nested2)
        self.check_async(nested_set, SET, nested_that_sets, nested2)
        self.check(synchronous, SYNCHRONOUS, nested_context, nested_context2)
        self.check_async(trap, TRAP, nested_that_sets, nested2)
        self.check_async(task_in_copy, CURE, nested_that_sets, nested2)


class BothInRust(Seed):
    """The nested functions are called by way of Python."""

    def test_programs(self):
        self.check_async(seed.kept_through_nested_awaits, KEPT, seed.nested, seed.nested2)
        self.check_async(seed.nested_set, SET, seed.nested_that_sets, seed.nested2)
        self.check(seed.synchronous, SYNCHRONOUS, seed.nested_context, seed.nested_context2)
        self.check_async(seed.trap, TRAP, seed.nested_that_sets, seed.nested2)
        self.check_async(seed.task_in_copy, CURE, seed.nested_that_sets, seed.nested2)


if __name__ == "__main__":
    unittest.main()
