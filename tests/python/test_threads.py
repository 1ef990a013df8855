"""Python threads that call Rust at the same time."""

import contextvars
import subprocess
import sys
import sysconfig
import threading
import unittest

import variables
from cases import ContextTestCase
from rust import callbacks, changes, counts, values

UNTIED = contextvars.ContextVar("untied")
THREADS = 8
ROUNDS = 200


class Threads(ContextTestCase):
    def in_each_thread(self, function):
        """Calls `function` with a name, in several threads at the same time. Raises their exceptions."""
        start = threading.Barrier(THREADS, timeout=60)
        errors = []

        def run(name):
            start.wait()
            try:
                for n in range(ROUNDS):
                    function(name, n)
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=run, args=(f"thread {n}",)) for n in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for error in errors:
            raise error

    def test_values_do_not_mix(self):
        def enter(name, n):
            user = f"{name}, {n}"
            variables.USER.set(user)
            self.assertEqual(values.describe("USER"), f'"{user}"')

        self.in_each_thread(enter)

    def test_changes_do_not_mix(self):
        def change(name, n):
            user, note = f"{name}, {n}", f"note of {name}, {n}"
            changes.set_applying(user=user, note=note)
            self.assertEqual((variables.USER.get(), callbacks.note()), (user, note))
            self.assertEqual(changes.values(), [user, None, None, note])

        self.in_each_thread(change)

    def test_callbacks_do_not_mix(self):
        def call(name, n):
            marker = object()
            variables.USER.set(name)
            UNTIED.set(marker)

            def function():
                self.assertIs(UNTIED.get(), marker)
                self.assertEqual(changes.values(), [name, "rust", None, "from rust"])
                changes.set_applying(tenant=name, note=name)
                self.assertEqual(callbacks.call(f"{name}, {n}", callbacks.note), f"{name}, {n}")
                return changes.values()

            place = ("here", "contextvar::thread", "task", "spawn_blocking", "bound std::thread")[
                n % 5
            ]
            seen = callbacks.call_from(place, function)
            self.assertEqual(seen, [name, name, None, name])
            self.assertEqual(changes.values(), [name, None, None, None])

        self.in_each_thread(call)

    def test_changes_of_callbacks_do_not_mix(self):
        def call(name, n):
            marker = object()

            def function():
                UNTIED.set(marker)
                variables.TENANT.set(f"{name}, {n}")

            changes.call_applying(function, user=name, note=name)
            self.assertIs(UNTIED.get(), marker)
            self.assertEqual(changes.values(), [name, f"{name}, {n}", None, name])

        self.in_each_thread(call)

    def test_tasks_of_one_context_do_not_mix(self):
        """Threads of the runtime copy one context of Python at a time."""

        def call(name, n):
            variables.USER.set(name)

            def function():
                seen = variables.USER.get(), callbacks.tenant()
                variables.USER.set(f"{name}, {n}")
                return seen

            seen = callbacks.call_from_two_tasks(function)
            self.assertEqual(seen, [(name, "one"), (name, "two")])
            self.assertEqual(variables.USER.get(), name)

        self.in_each_thread(call)

    def test_threads_share_one_context_object_in_turn(self):
        context = contextvars.copy_context()
        lock = threading.Lock()

        def count(name, n):
            with lock:
                context.run(lambda: changes.set_applying(note=str(int(callbacks.note() or 0) + 1)))

        self.in_each_thread(count)
        self.assertEqual(context.run(callbacks.note), str(THREADS * ROUNDS))

    def test_panics_and_exceptions_leave_no_values(self):
        def fail(name, n):
            variables.USER.set(name)
            self.assertRaises(ValueError, counts.fail)
            with self.assertRaises(BaseException):
                callbacks.panic()
            self.assertEqual(changes.values(), [name, None, None, None])

        self.in_each_thread(fail)


FIRST_CALLS = """
import sys, threading
import variables
from rust import callbacks

def call(name):
    variables.USER.set(name)
    start.wait()
    seen.append(callbacks.call(name, lambda: (name, variables.USER.get(), callbacks.note())))

sys.setswitchinterval(1e-6)
start, seen = threading.Barrier(8, timeout=60), []
threads = [threading.Thread(target=call, args=(str(n),)) for n in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(sorted(seen))
"""


class FirstCalls(unittest.TestCase):
    def test_threads_call_rust_for_the_first_time_at_a_time(self):
        """They all use the tied variables that one of them has found."""
        for run in range(20):
            with self.subTest(run=run):
                ended = subprocess.run(
                    [sys.executable, "-c", FIRST_CALLS], capture_output=True, text=True, timeout=60
                )
                self.assertEqual(
                    ended.stdout, f"{[(str(n),) * 3 for n in range(8)]}\n", ended.stderr
                )


@unittest.skipUnless(sysconfig.get_config_var("Py_GIL_DISABLED"), "needs free-threaded Python")
class FreeThreaded(unittest.TestCase):
    def test_the_module_does_not_bring_the_gil_back(self):
        self.assertFalse(sys._is_gil_enabled())
