"""Python awaitables that Rust awaits."""

import asyncio
import contextvars
import functools
import gc
import sys
import threading
import unittest
import warnings

from async_variables import NOTE, REQUEST
from rust import Channel, Gate, awaitables
from test_coroutines import AsyncTestCase

PLACES = {
    "future": functools.partial(awaitables.call, "future"),
    "task": functools.partial(awaitables.call, "task"),
    "thread": functools.partial(awaitables.call, "thread"),
    "polled": awaitables.call_polled,
}


class Awaitable:
    def __init__(self, function):
        self.function = function

    def __await__(self):
        return self.function().__await__()


class CallAsync(AsyncTestCase):
    def call_everywhere(self, function, applies_changes=False):
        """Calls the function from each place. Returns the results by place."""

        async def main(call):
            REQUEST.set("outer")
            NOTE.set("untied")
            result = await call(function, applies_changes)
            self.assertEqual((REQUEST.get(), NOTE.get()), ("outer", "untied"))
            return result

        return {place: self.run_async(main(call)) for place, call in PLACES.items()}

    def check_everywhere(self, function, expected, applies_changes=False):
        result = self.call_everywhere(function, applies_changes)
        self.assertEqual(result, {place: expected for place in PLACES})

    def test_coroutine_sees_both_contexts(self):
        async def function():
            before = REQUEST.get(), NOTE.get()
            await asyncio.sleep(0)
            return before, REQUEST.get(), NOTE.get()

        seen = (("of Rust", "untied"), "of Rust", "untied")
        self.check_everywhere(function, (seen, "of Rust"))

    def test_function_sees_both_contexts(self):
        """The function itself, and not only the coroutine that it returns."""

        def function():
            async def coroutine():
                return seen

            seen = REQUEST.get(), NOTE.get()
            return coroutine()

        self.check_everywhere(function, (("of Rust", "untied"), "of Rust"))

    def test_future(self):
        def function():
            seen = REQUEST.get()
            future = loops[-1].create_future()
            loops[-1].call_soon_threadsafe(future.set_result, seen)
            return future

        async def main(call):
            loops.append(asyncio.get_running_loop())
            return await call(function, False)

        loops = []
        for place, call in PLACES.items():
            with self.subTest(place):
                self.assertEqual(self.run_async(main(call)), ("of Rust", "of Rust"))

    def test_task(self):
        """A task that was made before keeps its own context."""

        async def read():
            await asyncio.sleep(0)
            return REQUEST.get()

        async def main(call):
            REQUEST.set("of the task")
            task = asyncio.ensure_future(read())
            return await call(lambda: task, False)

        for place, call in PLACES.items():
            with self.subTest(place):
                self.assertEqual(self.run_async(main(call)), ("of the task", "of Rust"))

    def test_object_with_await(self):
        async def function():
            await asyncio.sleep(0)
            return REQUEST.get()

        self.check_everywhere(lambda: Awaitable(function), ("of Rust", "of Rust"))

    def test_object_that_cannot_be_awaited_is_a_type_error(self):
        with self.assertRaisesRegex(TypeError, "int.*await"):
            self.call_everywhere(lambda: 7)

    def test_exception_of_the_coroutine(self):
        async def function():
            await asyncio.sleep(0)
            raise error

        for error in (KeyError("text"), StopAsyncIteration("text"), GeneratorExit("text")):
            for place, call in PLACES.items():
                with self.subTest(place, error=error):
                    with self.assertRaises(type(error)) as raised:
                        self.run_async(call(function, False))
                    self.assertIs(raised.exception, error)

    def test_exception_of_the_function(self):
        def function():
            raise KeyError("text")

        for place, call in PLACES.items():
            with self.subTest(place), self.assertRaisesRegex(KeyError, "text"):
                self.run_async(call(function, False))

    def test_changes_do_not_come_back(self):
        async def function():
            REQUEST.set("of Python")

        self.check_everywhere(function, (None, "of Rust"))

    def test_changes_come_back(self):
        async def function():
            REQUEST.set("early")
            await asyncio.sleep(0)
            REQUEST.set("of Python")

        self.check_everywhere(function, (None, "of Python"), applies_changes=True)

    def test_changes_come_back_when_the_coroutine_fails(self):
        async def function():
            REQUEST.set("of Python")
            raise KeyError("text")

        async def main():
            REQUEST.set("outer")
            with self.assertRaisesRegex(KeyError, "text"):
                await awaitables.call_applying_all_changes(function)
            return REQUEST.get()

        self.assertEqual(self.run_async(main()), "of Python")

    def test_task_that_python_cancels_is_an_error(self):
        async def function():
            asyncio.current_task().cancel()
            await asyncio.sleep(0)

        for place, call in PLACES.items():
            with self.subTest(place), self.assertRaises(asyncio.CancelledError):
                self.run_async(call(function, False))

    def test_nested_calls(self):
        """Python, Rust, Python, Rust, Python."""

        async def inner():
            await asyncio.sleep(0)
            return REQUEST.get()

        async def function():
            REQUEST.set("of Python")
            inside = {place: await call(inner, False) for place, call in PLACES.items()}
            return inside, REQUEST.get()

        inside = {place: ("of Rust", "of Rust") for place in PLACES}
        self.check_everywhere(function, ((inside, "of Python"), "of Rust"))

    def test_many_overlapping_calls(self):
        async def function(name):
            seen = [REQUEST.get(), NOTE.get()]
            REQUEST.set(name)
            for _ in range(3):
                await asyncio.sleep(0)
                seen += REQUEST.get(), NOTE.get()
            return seen

        async def caller(number, call):
            name = f"request {number}"
            NOTE.set(name)
            seen = await call(functools.partial(function, name), True)
            return seen == (["of Rust"] + [name] * 7, name)

        async def main():
            calls = list(PLACES.values())
            callers = (caller(number, calls[number % 4]) for number in range(200))
            return await asyncio.gather(*callers)

        self.assertEqual(self.run_async(main()), [True] * 200)


class EventLoop(AsyncTestCase):
    async def read(self):
        await asyncio.sleep(0)
        return REQUEST.get()

    def test_none_is_an_error(self):
        with warnings.catch_warnings():
            # The function has made a coroutine.
            warnings.simplefilter("ignore", RuntimeWarning)
            with self.assertRaisesRegex(
                RuntimeError, "there is no event loop to run the awaitable"
            ):
                awaitables.call_and_block(self.read, False)

    def test_is_unknown_in_a_thread_of_python(self):
        async def main():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)
                await asyncio.to_thread(awaitables.call_and_block, self.read, False)

        with self.assertRaisesRegex(RuntimeError, "there is no event loop to run the awaitable"):
            self.run_async(main())

    def test_is_known_in_a_thread_of_python_below_a_call_from_rust(self):
        async def function():
            return await asyncio.to_thread(awaitables.call_and_block, self.read, False)

        async def main(call):
            REQUEST.set("outer")
            return await call(function, False)

        for place, call in PLACES.items():
            with self.subTest(place):
                result = self.run_async(main(call))
                self.assertEqual(result, (("of Rust", "of Rust"), "of Rust"))

    def test_executor_with_a_copied_context(self):
        async def function():
            run = contextvars.copy_context().run
            call = functools.partial(run, awaitables.call_and_block, self.read, True)
            return await asyncio.get_running_loop().run_in_executor(None, call)

        async def main():
            return await awaitables.call("future", function, False)

        self.assertEqual(self.run_async(main()), (("of Rust", "of Rust"), "of Rust"))

    def test_closed_before_the_task_starts(self):
        """The loop takes the call, and never runs it."""

        async def main():
            gate, channel = Gate(), Channel()
            awaitables.call_later(self.read, gate, channel)
            return gate, channel

        def call_soon_threadsafe(*args, **kwargs):
            handle = type(loop).call_soon_threadsafe(loop, *args, **kwargs)
            scheduled.set()
            return handle

        scheduled = threading.Event()
        loop = asyncio.new_event_loop()
        gate, channel = loop.run_until_complete(main())
        loop.call_soon_threadsafe = call_soon_threadsafe
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            gate.open()
            scheduled.wait()
            loop.close()
            self.assertRegex(channel.receive_blocking(), "the event loop was closed")

    def test_closed_before_the_call(self):
        async def main():
            gate, channel = Gate(), Channel()
            awaitables.call_later(self.read, gate, channel)
            return gate, channel

        gate, channel = self.run_async(main())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            gate.open()
            self.assertRegex(channel.receive_blocking(), "Event loop is closed")

    def test_ends_while_the_task_runs(self):
        """`asyncio.run` cancels the tasks that are left."""

        async def function():
            started.set()
            await asyncio.Event().wait()

        async def main():
            nonlocal started
            started = asyncio.Event()
            gate, channel = Gate(), Channel()
            awaitables.call_later(function, gate, channel)
            gate.open()
            await started.wait()
            return channel

        started = None
        self.assertRegex(self.run_async(main()).receive_blocking(), "CancelledError")


class Dropped(AsyncTestCase):
    """A call whose future Rust drops."""

    def function(self, log):
        async def function():
            log.append(f"started in {REQUEST.get()}")
            started.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                log.append(f"canceled in {REQUEST.get()}, {NOTE.get()}")
                raise
            finally:
                # The Python code can go on until it has cleaned up.
                await asyncio.sleep(0)
                log.append(f"finally in {REQUEST.get()}")
                ended.set()

        started, ended = asyncio.Event(), asyncio.Event()
        return function, started, ended

    def check(self, start):
        async def main():
            REQUEST.set("outer")
            NOTE.set("untied")
            log, gate = [], Gate()
            function, started, ended = self.function(log)
            task = asyncio.ensure_future(start(function, gate))
            await started.wait()
            gate.open()
            result = await task
            await ended.wait()
            expected = ["started in of Rust", "canceled in of Rust, untied", "finally in of Rust"]
            self.assertEqual(log, expected)
            return result

        return self.run_async(main())

    def test_on_the_runtime(self):
        self.check(awaitables.drop_call)

    def test_by_the_event_loop(self):
        self.check(awaitables.drop_call_polled)

    def test_with_its_task_aborted(self):
        self.assertTrue(self.check(awaitables.abort_call))

    def test_with_the_outer_task_canceled_by_python(self):
        async def main(start):
            REQUEST.set("outer")
            NOTE.set("untied")
            log = []
            function, started, ended = self.function(log)
            task = asyncio.ensure_future(start(function, Gate()))
            await started.wait()
            task.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await task
            await ended.wait()
            expected = ["started in of Rust", "canceled in of Rust, untied", "finally in of Rust"]
            self.assertEqual(log, expected)

        for start in (awaitables.drop_call, awaitables.drop_call_polled):
            with self.subTest(start):
                self.run_async(main(start))

    def test_before_the_coroutine_has_started(self):
        """The coroutine is closed, and does not warn that it was never awaited."""

        async def main():
            REQUEST.set("outer")
            log, gate = [], Gate()
            function, *_ = self.function(log)
            gate.open()
            await awaitables.drop_call_polled(function, gate)
            # More turns than the loop needs to start the task.
            for _ in range(5):
                await asyncio.sleep(0)
            gc.collect()
            return log

        with warnings.catch_warnings():
            warnings.simplefilter("error")
            self.assertEqual(self.run_async(main()), [])

    def test_before_its_task_is_awaited(self):
        """The awaitable is a task that runs by itself. It is canceled, as if its awaiting task had been."""

        async def main():
            REQUEST.set("outer")
            NOTE.set("untied")
            log, gate, tasks = [], Gate(), []
            function, *_ = self.function(log)

            def start():
                tasks.append(asyncio.get_running_loop().create_task(function()))
                return tasks[0]

            gate.open()
            await awaitables.drop_call_polled(start, gate)
            with self.assertRaises(asyncio.CancelledError):
                await tasks[0]

        self.run_async(main())

    def test_an_exception_of_the_cleanup_is_reported(self):
        """No caller could see it."""

        async def main():
            REQUEST.set("outer")

            async def function():
                started.set()
                try:
                    await asyncio.Event().wait()
                finally:
                    raise KeyError("cleanup")

            started, gate = asyncio.Event(), Gate()
            task = asyncio.ensure_future(awaitables.drop_call_polled(function, gate))
            await started.wait()
            gate.open()
            await task
            while not reported:
                await asyncio.sleep(0)

        reported = []
        hook = sys.unraisablehook
        sys.unraisablehook = lambda unraisable: reported.append(repr(unraisable.exc_value))
        try:
            self.run_async(main())
        finally:
            sys.unraisablehook = hook
        self.assertEqual(reported, ["KeyError('cleanup')"])

    def test_in_a_race_with_the_start(self):
        """Drops the calls at any moment. Each coroutine that has started is canceled."""

        async def function():
            counts["started"] += 1
            try:
                await asyncio.Event().wait()
            finally:
                counts["ended"] += 1

        async def main():
            for _ in range(300):
                gate = Gate()
                task = asyncio.ensure_future(awaitables.drop_call(function, gate))
                await asyncio.sleep(0)
                gate.open()
                await task
            # The last calls end soon.
            while counts["started"] > counts["ended"]:
                await asyncio.sleep(0)

        counts = {"started": 0, "ended": 0}
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            self.run_async(main())
        self.assertEqual(counts["started"], counts["ended"])


if __name__ == "__main__":
    unittest.main()
