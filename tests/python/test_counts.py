"""Reference counts and memory: objects that cross are released."""

import contextvars
import gc
import os
import sys
import tracemalloc
import weakref

import variables
from cases import ContextTestCase
from rust import callbacks, changes, counts, values

UNTIED = contextvars.ContextVar("untied")
TIMES = 1000


class Value:
    """A value that has weak references."""


def nothing():
    pass


def settle():
    counts.attach()
    gc.collect()


def fails(function, *args):
    try:
        function(*args)
    except (ValueError, KeyError, TypeError):
        return
    raise AssertionError("no exception")


def raise_error():
    variables.TENANT.set("python")
    raise KeyError("from the callback")


class References(ContextTestCase):
    """Each test counts the references before and after many crossings of one kind."""

    def setUp(self):
        self.user = "".join(["a", "d", "a"])
        self.value, self.untied, self.lines = Value(), Value(), [1, 2, 3]
        variables.USER.set(self.user)
        variables.OBJECT.set(self.value)
        variables.LIST.set(self.lines)
        UNTIED.set(self.untied)

    def assert_balanced(self, step, *others):
        context = contextvars.copy_context()
        counted = (context, self.user, self.value, self.untied, self.lines, step, *others)

        def count():
            settle()
            return [sys.getrefcount(object) for object in counted], len(gc.get_objects())

        context.run(step)
        count()
        references, objects = count()
        for _ in range(TIMES):
            context.run(step)
        references_after, objects_after = count()
        self.assertEqual(references_after, references)
        self.assertLess(objects_after - objects, TIMES // 10)

    def test_run(self):
        self.assert_balanced(counts.run)

    def test_run_applying_changes(self):
        self.assert_balanced(counts.run_applying)

    def test_call(self):
        def callback():
            variables.USER.set("python")
            return variables.OBJECT.get(), UNTIED.get()

        self.assert_balanced(lambda: counts.call(callback), callback)

    def test_call_applying_changes(self):
        def callback():
            variables.TENANT.set("python")
            variables.OBJECT.set(self.value)
            UNTIED.set(self.untied)

        self.assert_balanced(lambda: counts.call_applying(callback), callback)

    def test_objects_that_come_back(self):
        self.assert_balanced(values.object)
        self.assert_balanced(lambda: values.send_object(self.value, variables.OBJECT.get))

    def test_nested_calls(self):
        def callback():
            counts.call(counts.run_applying)
            counts.call_applying(nothing)

        self.assert_balanced(lambda: counts.call_applying(callback), callback)

    def test_calls_on_other_threads(self):
        def callback():
            variables.USER.set("python")
            UNTIED.set(self.value)

        self.assert_balanced(lambda: counts.call_on_threads(callback), callback)

    def test_an_exception_of_the_function(self):
        self.assert_balanced(lambda: fails(counts.fail))
        self.assert_balanced(lambda: fails(counts.fail_applying))

    def test_an_exception_of_a_callback(self):
        self.assert_balanced(lambda: fails(counts.call, raise_error), raise_error)
        self.assert_balanced(lambda: fails(counts.call_applying, raise_error), raise_error)
        self.assert_balanced(lambda: fails(counts.call_on_threads, raise_error), raise_error)

    def test_an_exception_of_a_value_into_rust(self):
        wrong = Value()

        def enter():
            variables.BYTE.set(wrong)
            fails(counts.run)

        self.assert_balanced(enter, wrong)

    def test_an_exception_of_a_value_back_into_rust(self):
        wrong = Value()
        self.assert_balanced(
            lambda: fails(counts.call_applying, lambda: variables.BYTE.set(wrong)), wrong
        )

    def test_an_exception_of_a_value_back_into_python(self):
        self.assert_balanced(lambda: fails(values.send, "FUSSY", nothing), nothing)

    def test_an_exception_about_an_unset_variable(self):
        def enter():
            try:
                changes.unset_all()
            except RuntimeError:
                return
            raise AssertionError("no exception")

        self.assert_balanced(enter)

    def test_a_call_without_a_variable(self):
        self.assert_balanced(lambda: changes.unset(nothing), nothing)


class Release(ContextTestCase):
    """A value is freed with the last context that holds it."""

    def assert_released(self, cross):
        value = Value()
        watched = weakref.ref(value)

        def enter():
            variables.OBJECT.set(value)
            UNTIED.set(value)
            variables.USER.set("ada")
            cross()

        context = contextvars.copy_context()
        context.run(enter)
        del value, enter
        settle()
        self.assertIsNotNone(watched())
        del context
        settle()
        self.assertIsNone(watched())

    def test_a_value_that_crossed_is_freed_with_its_context(self):
        for cross in (
            counts.run,
            counts.run_applying,
            lambda: counts.call(nothing),
            lambda: counts.call_applying(nothing),
            lambda: counts.call_on_threads(nothing),
            lambda: callbacks.call_from("task", nothing),
            lambda: changes.unset(nothing),
            lambda: fails(counts.fail_applying),
            lambda: fails(counts.call_applying, raise_error),
        ):
            self.assert_released(cross)

    def test_a_value_that_only_rust_holds_is_freed_with_the_call(self):
        value = Value()
        watched = weakref.ref(value)
        values.send_object(value, variables.OBJECT.get)
        del value
        settle()
        self.assertIsNone(watched())


class Memory(ContextTestCase):
    """Crossings in one context leave nothing behind."""

    def test_the_heap_of_python_does_not_grow(self):
        def callback():
            variables.TENANT.set("python")
            UNTIED.set(object())

        def step():
            counts.run_applying()
            counts.call_applying(callback)
            counts.call(callback)

        def traced(times):
            for _ in range(times):
                step()
            settle()
            return tracemalloc.get_traced_memory()[0]

        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        traced(TIMES)
        before = traced(TIMES)
        self.assertLess(traced(10 * TIMES) - before, TIMES)

    def assert_flat(self, step):
        page = os.sysconf("SC_PAGE_SIZE")

        def resident(times):
            for _ in range(times):
                step()
            settle()
            with open("/proc/self/statm") as statm:
                return int(statm.read().split()[1]) * page

        before = resident(10_000)
        # A chain of contexts would hold at least 100 bytes each time.
        self.assertLess(resident(100_000) - before, 4_000_000)

    def test_changes_in_one_context_do_not_grow(self):
        self.assert_flat(counts.run_applying)

    def test_changes_of_callbacks_in_one_context_do_not_grow(self):
        self.assert_flat(lambda: counts.call_applying(lambda: variables.TENANT.set("python")))
