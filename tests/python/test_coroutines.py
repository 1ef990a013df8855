"""Rust futures as coroutines: on the runtime, and polled by the event loop."""

import asyncio
import contextvars
import gc
import sys
import threading
import unittest
import warnings

from async_variables import NOTE, REQUEST
from rust import Channel, Gate, coroutines, polled

try:
    import uvloop
except ImportError:
    uvloop = None

since_3_11 = unittest.skipIf(sys.version_info < (3, 11), "new in Python 3.11")
since_3_12 = unittest.skipIf(sys.version_info < (3, 12), "new in Python 3.12")


class AsyncTestCase(unittest.TestCase):
    """Each test runs in an empty context, and must end in time."""

    def run_async(self, coroutine):
        async def in_time():
            return await asyncio.wait_for(coroutine, 60)

        return contextvars.Context().run(lambda: asyncio.run(in_time()))


class Context:
    """Which context a future runs in. `rust` is the module with the functions."""

    def test_is_that_of_the_awaiting_task(self):
        async def main():
            REQUEST.set("call")
            coroutine = self.rust.get()
            REQUEST.set("await")
            return await coroutine

        self.assertEqual(self.run_async(main()), "await")

    @since_3_11
    def test_is_that_of_the_created_task(self):
        async def main():
            REQUEST.set("outer")
            context = contextvars.copy_context()
            context.run(REQUEST.set, "inner")
            inner = await asyncio.create_task(self.rust.get(), context=context)
            return inner, await self.rust.get(), await context.run(self.rust.get)

        self.assertEqual(self.run_async(main()), ("inner", "outer", "outer"))

    def test_has_no_value_that_python_has_not_set(self):
        async def main():
            return await self.rust.get()

        self.assertIsNone(self.run_async(main()))

    def test_changes_are_isolated(self):
        async def main():
            REQUEST.set("before")
            inner = await self.rust.set("of Rust", "return")
            return inner, REQUEST.get(), await self.rust.get()

        self.assertEqual(self.run_async(main()), ("of Rust", "before", "before"))

    def test_changes_are_applied(self):
        async def main():
            REQUEST.set("before")
            await self.rust.set_applying_changes("of Rust", "return")
            return REQUEST.get(), await self.rust.get()

        self.assertEqual(self.run_async(main()), ("of Rust", "of Rust"))

    def test_changes_are_applied_when_the_future_fails(self):
        async def main():
            with self.assertRaisesRegex(ValueError, "failed"):
                await self.rust.set_applying_changes("of Rust", "fail")
            return REQUEST.get()

        self.assertEqual(self.run_async(main()), "of Rust")

    def test_changes_are_not_applied_when_the_future_panics(self):
        async def main():
            REQUEST.set("before")
            with self.assertRaisesRegex(BaseException, "panic") as raised:
                await self.rust.set_applying_changes("of Rust", "panic")
            return type(raised.exception).__name__, REQUEST.get()

        self.assertEqual(self.run_async(main()), (self.panic, "before"))

    def test_changes_are_not_applied_when_the_task_is_canceled(self):
        async def main():
            async def caller():
                REQUEST.set("before")
                try:
                    await self.rust.set_applying_changes("of Rust", (Gate(), channel))
                finally:
                    seen.append(REQUEST.get())

            seen = []
            channel = Channel()
            task = asyncio.ensure_future(caller())
            await channel.receive()
            task.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await task
            return seen

        self.assertEqual(self.run_async(main()), ["before"])

    def test_changes_of_the_task_while_it_awaits_are_not_seen(self):
        """A copy: another task with the same context changes the variable meanwhile."""

        async def main():
            REQUEST.set("before")
            gate, channel = Gate(), Channel()
            context = contextvars.copy_context()
            task = context.run(lambda: asyncio.ensure_future(self.rust.wait(gate, channel)))
            await channel.receive()
            context.run(REQUEST.set, "meanwhile")
            gate.open()
            return await task

        self.assertEqual(self.run_async(main()), ("before", "before"))

    def test_many_overlapping_tasks_keep_their_values(self):
        async def caller(name):
            REQUEST.set(name)
            seen = []
            for _ in range(5):
                seen += await self.rust.read()
                await asyncio.sleep(0)
                seen.append(REQUEST.get())
            return set(seen) == {name}

        async def main():
            return await asyncio.gather(*(caller(f"request {number}") for number in range(100)))

        self.assertEqual(self.run_async(main()), [True] * 100)

    def test_value_stays_while_the_future_waits(self):
        async def caller(name, gate, channel):
            REQUEST.set(name)
            return await self.rust.wait(gate, channel)

        async def main():
            gate, channel = Gate(), Channel()
            names = [f"request {number}" for number in range(20)]
            tasks = [asyncio.ensure_future(caller(name, gate, channel)) for name in names]
            for _ in names:
                await channel.receive()
            gate.open()
            self.assertEqual(await asyncio.gather(*tasks), [(name, name) for name in names])

        self.run_async(main())


class Asyncio:
    """What asyncio does with coroutines."""

    def test_is_a_coroutine(self):
        coroutine = self.rust.get()
        self.assertTrue(asyncio.iscoroutine(coroutine))
        coroutine.close()

    def test_gather(self):
        async def main():
            REQUEST.set("before")
            seen = await asyncio.gather(
                self.rust.get(), self.rust.set("a", "return"), self.rust.get()
            )
            return seen, REQUEST.get()

        self.assertEqual(self.run_async(main()), (["before", "a", "before"], "before"))

    def test_gathered_changes_stay_in_their_tasks(self):
        async def main():
            REQUEST.set("before")
            await asyncio.gather(self.rust.set_applying_changes("a", "return"))
            return REQUEST.get()

        self.assertEqual(self.run_async(main()), "before")

    @since_3_11
    def test_task_group(self):
        async def main():
            REQUEST.set("outer")
            context = contextvars.copy_context()
            context.run(REQUEST.set, "inner")
            async with asyncio.TaskGroup() as group:
                outer = group.create_task(self.rust.get())
                inner = group.create_task(self.rust.get(), context=context)
                applied = group.create_task(
                    self.rust.set_applying_changes("applied", "return"), context=context
                )
            return outer.result(), inner.result(), applied.result(), context[REQUEST], REQUEST.get()

        self.assertEqual(self.run_async(main()), ("outer", "inner", "applied", "applied", "outer"))

    @since_3_11
    def test_task_group_cancels_the_others(self):
        async def main():
            REQUEST.set("outer")
            channel = Channel()

            async def fail():
                await channel.receive()
                raise ValueError

            with self.assertRaises(ExceptionGroup):
                async with asyncio.TaskGroup() as group:
                    waiting = group.create_task(self.rust.wait(Gate(), channel))
                    group.create_task(fail())
            return waiting.cancelled(), await channel.receive()

        self.assertEqual(self.run_async(main()), (True, "dropped in outer"))

    def test_wait_for_with_a_timeout(self):
        async def main():
            REQUEST.set("outer")
            channel = Channel()
            with self.assertRaises(asyncio.TimeoutError):
                await asyncio.wait_for(self.rust.wait(Gate(), channel), 0.2)
            self.assertEqual(await channel.receive(), "waiting")
            return await channel.receive()

        self.assertEqual(self.run_async(main()), "dropped in outer")

    def test_wait_for_in_time(self):
        async def main():
            REQUEST.set("outer")
            return await asyncio.wait_for(self.rust.get(), 60)

        self.assertEqual(self.run_async(main()), "outer")

    def test_shield(self):
        async def main():
            REQUEST.set("outer")
            gate, channel = Gate(), Channel()
            inner = asyncio.ensure_future(self.rust.wait(gate, channel))
            shielded = asyncio.shield(inner)
            await channel.receive()
            shielded.cancel()
            gate.open()
            return await inner, shielded.cancelled()

        self.assertEqual(self.run_async(main()), (("outer", "outer"), True))

    @since_3_12
    def test_eager_task(self):
        async def main():
            asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
            REQUEST.set("outer")
            context = contextvars.copy_context()
            context.run(REQUEST.set, "inner")
            gate, channel = Gate(), Channel()
            # The task starts at once.
            waiting = asyncio.create_task(self.rust.wait(gate, channel))
            REQUEST.set("later")
            inner = await asyncio.create_task(self.rust.read(), context=context)
            gate.open()
            return await waiting, set(inner)

        self.assertEqual(self.run_async(main()), (("outer", "outer"), {"inner"}))

    def test_awaiting_twice_fails(self):
        async def main():
            REQUEST.set("outer")
            coroutine = self.rust.get()
            self.assertEqual(await coroutine, "outer")
            with self.assertRaisesRegex(RuntimeError, "cannot reuse already awaited coroutine"):
                await coroutine

        self.run_async(main())

    def test_close_before_the_start(self):
        async def main():
            coroutine = self.rust.get()
            coroutine.close()
            with self.assertRaisesRegex(RuntimeError, "cannot reuse already awaited coroutine"):
                await coroutine

        self.run_async(main())

    def test_throw_before_the_start(self):
        coroutine = self.rust.get()
        with self.assertRaisesRegex(KeyError, "thrown"):
            coroutine.throw(KeyError("thrown"))

    def test_exceptions(self):
        class Own(BaseException):
            pass

        async def raised_by(exception):
            try:
                await self.rust.fail(exception)
            except BaseException as raised:
                return raised

        async def main():
            for exception in (ValueError("text"), Own("text"), asyncio.CancelledError("text")):
                with self.subTest(exception):
                    self.assertIs(await raised_by(exception), exception)

        self.run_async(main())

    def test_two_event_loops_in_two_threads(self):
        async def main(name):
            REQUEST.set(name)
            barrier.wait()
            seen = set()
            for _ in range(50):
                seen.update(await self.rust.read())
                await self.rust.set("of Rust", "return")
            return seen, REQUEST.get()

        def run(name):
            results[name] = self.run_async(main(name))

        results = {}
        barrier = threading.Barrier(2)
        threads = [threading.Thread(target=run, args=(name,)) for name in ("a", "b")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(results, {"a": ({"a"}, "a"), "b": ({"b"}, "b")})

    def test_one_event_loop_after_the_other(self):
        async def main(name):
            REQUEST.set(name)
            return set(await self.rust.read())

        self.assertEqual([self.run_async(main(name)) for name in "abc"], [{"a"}, {"b"}, {"c"}])

    @unittest.skipIf(uvloop is None, "uvloop is not installed")
    def test_uvloop(self):
        async def main():
            REQUEST.set("outer")
            self.assertIsInstance(asyncio.get_running_loop(), uvloop.Loop)
            gate, channel = Gate(), Channel()
            task = asyncio.ensure_future(self.rust.wait(gate, channel))
            await channel.receive()
            await self.rust.set_applying_changes("applied", "return")
            gate.open()
            return await task, set(await self.rust.read()), REQUEST.get()

        loop = uvloop.new_event_loop()
        try:
            result = contextvars.Context().run(loop.run_until_complete, main())
        finally:
            loop.close()
        self.assertEqual(result, (("outer", "outer"), {"applied"}, "applied"))


class OnTheRuntime(Context, Asyncio, AsyncTestCase):
    rust = coroutines
    panic = "RustPanic"

    def test_never_awaited_warns_and_drops_the_future(self):
        channel = Channel()
        with self.assertWarnsRegex(RuntimeWarning, "never awaited"):
            coroutines.guarded(channel)
            gc.collect()
        self.assertFalse(channel.is_empty())

    def test_close_before_the_start_drops_the_future(self):
        channel = Channel()
        coroutine = coroutines.guarded(channel)
        coroutine.close()
        del coroutine
        self.assertFalse(channel.is_empty())

    def test_close_while_it_waits_drops_the_future(self):
        async def main():
            REQUEST.set("outer")
            channel = Channel()
            coroutine = coroutines.wait(Gate(), channel)
            coroutine.send(None)
            await channel.receive()
            coroutine.close()
            return await channel.receive()

        self.assertEqual(self.run_async(main()), "dropped in outer")

    def test_throw_while_it_waits_drops_the_future(self):
        async def main():
            REQUEST.set("outer")
            channel = Channel()
            coroutine = coroutines.wait(Gate(), channel)
            coroutine.send(None)
            await channel.receive()
            with self.assertRaises(KeyError):
                coroutine.throw(KeyError("thrown"))
            return await channel.receive()

        self.assertEqual(self.run_async(main()), "dropped in outer")

    def test_stop_iteration_is_another_exception(self):
        """In every coroutine, Python raises another exception in place of a `StopIteration`."""

        async def main():
            with self.assertRaisesRegex((TypeError, RuntimeError), "StopIteration"):
                await coroutines.fail(StopIteration(7))

        self.run_async(main())

    def test_awaited_without_an_event_loop_fails(self):
        with self.assertRaisesRegex(RuntimeError, "event loop"):
            coroutines.get().send(None)

    def test_output_is_converted_in_the_context(self):
        async def main():
            REQUEST.set("outer")
            return await coroutines.convert("read", False), await coroutines.convert("read", True)

        self.assertEqual(self.run_async(main()), ("of the future",) * 2)

    def test_output_that_cannot_be_converted_is_an_exception(self):
        async def main():
            for applies_changes in (False, True):
                with self.assertRaisesRegex(ValueError, "no object"):
                    await coroutines.convert("fail", applies_changes)

        self.run_async(main())

    def test_panic_of_a_conversion_is_an_exception(self):
        async def main():
            for applies_changes in (False, True):
                with self.assertRaisesRegex(Exception, "panic") as raised:
                    await coroutines.convert("panic", applies_changes)
                self.assertEqual(type(raised.exception).__name__, "RustPanic")

        self.run_async(main())

    def test_event_loop_closed_before_the_end(self):
        async def main():
            REQUEST.set("outer")
            return asyncio.ensure_future(coroutines.wait(gate, channel))

        gate, channel = Gate(), Channel()
        loop = asyncio.new_event_loop()
        task = contextvars.Context().run(loop.run_until_complete, main())
        loop.run_until_complete(channel.receive())
        loop.close()
        gate.open()
        # The future ends, and its result is dropped.
        self.assertEqual(channel.receive_blocking(), "dropped in outer")
        self.assertFalse(task.done())
        task._log_destroy_pending = False
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            del task
            gc.collect()

    def test_into_future(self):
        async def function():
            seen.append((REQUEST.get(), NOTE.get()))
            await asyncio.sleep(0)
            REQUEST.set("of Python")
            return REQUEST.get()

        async def main():
            REQUEST.set("outer")
            NOTE.set("untied")
            return await coroutines.await_by_into_future(function)

        seen = []
        self.assertEqual(self.run_async(main()), ("outer", "of Python"))
        self.assertEqual(seen, [("outer", "untied")])

    def test_context_of_the_locals_is_a_copy(self):
        """What code sets in it is not set in calls that Rust makes."""

        def set():
            REQUEST.set("of the locals")
            NOTE.set("of the locals")

        async def main():
            REQUEST.set("outer")
            NOTE.set("untied")
            return await coroutines.call_in_locals(set, lambda: (REQUEST.get(), NOTE.get()))

        self.assertEqual(self.run_async(main()), ("outer", "untied"))

    def test_future_into_py(self):
        async def await_(awaitable):
            return await awaitable, REQUEST.get(), NOTE.get()

        async def main():
            REQUEST.set("outer")
            NOTE.set("untied")
            return await coroutines.await_by_future_into_py(await_)

        self.assertEqual(self.run_async(main()), (["outer"], "outer", "untied"))


class PolledByTheEventLoop(Context, Asyncio, AsyncTestCase):
    rust = polled
    panic = "PanicException"


if __name__ == "__main__":
    unittest.main()
