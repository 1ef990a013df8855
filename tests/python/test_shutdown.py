"""The shutdown of the interpreter while Rust works. Each program runs in many processes."""

import os
import subprocess
import sys
import tempfile
import textwrap
import unittest

RUNS = 20

START = """
import asyncio, atexit, os, sys, threading, time
from async_variables import REQUEST
from rust import Channel, Gate, awaitables, coroutines, polled, shutdown
REQUEST.set("outer")
"""


class Shutdown(unittest.TestCase):
    def check(self, program, output="", code=0, error=None, arguments=()):
        """Runs the program. `error` is a text that standard error must have, and is empty otherwise."""
        program = START + textwrap.dedent(program)
        for run in range(RUNS):
            with self.subTest(run=run):
                ended = subprocess.run(
                    [sys.executable, "-W", "ignore", "-c", program, *arguments],
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    text=True,
                    timeout=60,
                )
                self.assertEqual((ended.returncode, ended.stdout), (code, output), ended.stderr)
                if error is None:
                    self.assertEqual(ended.stderr, "")
                self.assertIn(error or "", ended.stderr)
                self.assertNotRegex(ended.stderr.lower(), "fatal|abort|panicked|never awaited")

    def test_task_that_sleeps(self):
        self.check("""
            class Object:
                pass

            shutdown.sleep_forever(Object())
            """)

    def test_task_that_calls_again_and_again(self):
        self.check("""
            called = threading.Event()
            shutdown.call_forever(called.set)
            called.wait()
            """)

    def test_thread_in_the_middle_of_a_call_that_needs_the_gil(self):
        """The shutdown waits for the call, which computes while it holds the GIL."""
        self.check(
            """
            def function():
                started.set()
                exiting.wait()
                for _ in range(1_000_000):
                    pass
                print("done", flush=True)

            started, exiting = threading.Event(), threading.Event()
            shutdown.call_on_thread(function)
            started.wait()
            atexit.register(exiting.set)
            """,
            "done\n",
        )

    def test_thread_in_the_middle_of_a_call_that_releases_the_gil(self):
        self.check(
            """
            def function():
                started.set()
                exiting.wait()
                for _ in range(100):
                    # Releases the GIL.
                    time.sleep(0)
                print("done", flush=True)

            started, exiting = threading.Event(), threading.Event()
            shutdown.call_on_thread(function)
            started.wait()
            atexit.register(exiting.set)
            """,
            "done\n",
        )

    def test_threads_that_wait_for_the_gil(self):
        self.check("""
            def function():
                called.set()

            called = threading.Event()
            for _ in range(8):
                shutdown.call_forever(function)
            called.wait()
            # Keeps the GIL.
            sys.setswitchinterval(1000)
            sum(range(100_000))
            """)

    def test_coroutine_is_pending_when_the_event_loop_fails(self):
        program = """
            async def main():
                channel = Channel()
                tasks = [
                    asyncio.ensure_future(module.wait(Gate(), channel))
                    for module in (coroutines, polled)
                ]
                for _ in tasks:
                    await channel.receive()
                raise {exception}

            asyncio.run(main())
            """
        self.check(program.format(exception="ValueError('text')"), code=1, error="ValueError: text")
        self.check(program.format(exception="SystemExit(3)"), code=3)

    def test_coroutine_is_pending_at_a_keyboard_interrupt(self):
        self.check(
            """
            import signal

            # A parent process can have made it ignored.
            signal.signal(signal.SIGINT, signal.default_int_handler)

            async def main():
                channel = Channel()
                task = asyncio.ensure_future(coroutines.wait(Gate(), channel))
                await channel.receive()
                signal.raise_signal(signal.SIGINT)
                await task

            try:
                asyncio.run(main())
            except KeyboardInterrupt:
                print("interrupted")
                sys.exit(5)
            """,
            "interrupted\n",
            code=5,
        )

    def test_call_async_is_pending(self):
        """The event loop has stopped and is not closed."""
        self.check("""
            async def function():
                started.set()
                await asyncio.Event().wait()

            async def main():
                global started
                started = asyncio.Event()
                shutdown.await_in_task(function)
                await started.wait()

            loop = asyncio.new_event_loop()
            loop.run_until_complete(main())
            # No message about the pending task.
            asyncio.all_tasks(loop).pop()._log_destroy_pending = False
            """)

    def test_call_async_is_pending_when_the_event_loop_ends(self):
        self.check("""
            async def function():
                started.set()
                await asyncio.Event().wait()

            async def main():
                global started
                started = asyncio.Event()
                shutdown.await_in_task(function)
                await started.wait()

            asyncio.run(main())
            """)

    def test_exit_in_a_coroutine_that_rust_calls(self):
        self.check(
            """
            async def function():
                sys.exit(4)

            async def main():
                await awaitables.call("task", function, False)

            asyncio.run(main())
            """,
            code=4,
        )

    def test_exit_handler_that_calls_rust(self):
        """Handlers that Python calls before and after this crate's own."""
        self.check(
            """
            def handler():
                print(shutdown.get(), shutdown.call_detached(REQUEST.get), flush=True)

            atexit.register(handler)
            shutdown.get()
            atexit.register(handler)
            """,
            "outer of Rust\nouter of Rust\n",
        )

    @unittest.skipIf(
        sys.version_info < (3, 11),
        "CPython frees the interpreter while daemon threads wait for the GIL",
    )
    def test_daemon_threads_that_call_rust(self):
        self.check("""
            def call():
                while True:
                    shutdown.get()
                    called.set()

            called = threading.Event()
            for _ in range(4):
                threading.Thread(target=call, daemon=True).start()
            called.wait()
            """)

    def test_daemon_threads_that_rust_calls_back(self):
        self.check("""
            def call():
                try:
                    while True:
                        shutdown.call_detached(REQUEST.get)
                        called.set()
                except RuntimeError:
                    # The shutdown has begun.
                    pass

            called = threading.Event()
            for _ in range(4):
                threading.Thread(target=call, daemon=True).start()
            called.wait()
            """)

    def test_call_is_an_error_when_the_end_has_begun(self):
        """The task writes the error to a file without Python. A handler that Python calls last waits for the file."""
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "fifo")
            os.mkfifo(path)
            self.check(
                """
                path = sys.argv[1]

                def read():
                    with open(path, "rb", buffering=0) as file:
                        print(file.read().decode(), flush=True)

                atexit.register(read)
                called = threading.Event()
                shutdown.write_at_error(called.set, path)
                called.wait()
                """,
                "error\n",
                arguments=[path],
            )


if __name__ == "__main__":
    unittest.main()
