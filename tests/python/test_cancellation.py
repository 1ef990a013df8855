"""Cancellation from Python and from Rust: destructors run in the context."""

import asyncio
import contextvars
import unittest

from async_variables import REQUEST
from rust import Channel, Gate, cancellation, coroutines, polled
from test_coroutines import AsyncTestCase, since_3_11

# Each returns a coroutine that waits, and sends the variable's value when it is dropped.
WAITS = {
    "coroutine": coroutines.wait,
    "polled": polled.wait,
    "task": cancellation.wait_in_task,
}


class Canceled(AsyncTestCase):
    def check(self, cancel):
        """`cancel` awaits the coroutine and cancels it when the channel says that it waits."""

        async def main(wait):
            REQUEST.set("outer")
            channel = Channel()
            await cancel(wait(Gate(), channel), channel)
            REQUEST.set("later")
            return await channel.receive()

        for name, wait in WAITS.items():
            with self.subTest(name):
                self.assertEqual(self.run_async(main(wait)), "dropped in outer")

    def test_by_task_cancel(self):
        async def cancel(coroutine, channel):
            task = asyncio.ensure_future(coroutine)
            await channel.receive()
            task.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await task

        self.check(cancel)

    def test_by_wait_for(self):
        async def cancel(coroutine, channel):
            with self.assertRaises(asyncio.TimeoutError):
                await asyncio.wait_for(coroutine, 0.2)
            self.assertEqual(await channel.receive(), "waiting")

        self.check(cancel)

    @since_3_11
    def test_by_timeout(self):
        async def cancel(coroutine, channel):
            with self.assertRaises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await coroutine
            self.assertEqual(await channel.receive(), "waiting")

        self.check(cancel)

    def test_inside_of_a_coroutine_of_python(self):
        async def outer(coroutine):
            try:
                await coroutine
            except asyncio.CancelledError:
                seen.append(REQUEST.get())
                raise

        async def cancel(coroutine, channel):
            task = asyncio.ensure_future(outer(coroutine))
            await channel.receive()
            task.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await task

        seen = []
        self.check(cancel)
        self.assertEqual(seen, ["outer"] * len(WAITS))

    def test_a_task_of_rust_can_be_aborted(self):
        async def main(is_running):
            REQUEST.set("outer")
            channel = Channel()
            aborted = await cancellation.abort(channel, is_running)
            return aborted, await channel.receive()

        for is_running in (False, True):
            with self.subTest(is_running=is_running):
                self.assertEqual(self.run_async(main(is_running)), (True, "dropped in outer"))

    def test_many_overlapping_tasks(self):
        async def caller(number, wait):
            name = f"request {number}"
            REQUEST.set(name)
            channel = Channel()
            task = asyncio.ensure_future(wait(Gate(), channel))
            await channel.receive()
            task.cancel()
            await asyncio.wait([task])
            return await channel.receive() == f"dropped in {name}"

        async def main():
            waits = list(WAITS.values())
            return await asyncio.gather(*(caller(n, waits[n % len(waits)]) for n in range(150)))

        self.assertEqual(self.run_async(main()), [True] * 150)

    def test_in_the_context_of_the_created_task(self):
        async def main(wait):
            REQUEST.set("outer")
            context = contextvars.copy_context()
            context.run(REQUEST.set, "inner")
            channel = Channel()
            task = context.run(lambda: asyncio.ensure_future(wait(Gate(), channel)))
            await channel.receive()
            task.cancel()
            await asyncio.wait([task])
            return await channel.receive()

        for name, wait in WAITS.items():
            with self.subTest(name):
                self.assertEqual(self.run_async(main(wait)), "dropped in inner")


if __name__ == "__main__":
    unittest.main()
