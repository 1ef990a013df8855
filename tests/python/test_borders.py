"""What a call leaves alone: the thread's context, the caller's context, the garbage collector and the GIL."""

import contextvars
import gc
import unittest
import weakref

from cases import ContextTestCase, copied, where_set
from rust import borders
from variables import MEDDLER, OBJECT, TEXT, USER


class WithoutContext(ContextTestCase):
    """Functions of Rust without the argument `python`, which run in the context of their thread."""

    def test_changes_are_those_of_the_caller(self):
        self.assertEqual(copied(self.set_and_get), ("ada", "ada"))
        self.assertIsNone(borders.user_without_context())
        self.assertIsNone(where_set(USER))

    def set_and_get(self):
        def function():
            USER.set("ada")
            return USER.get()

        return borders.apply_without_context(function), USER.get()

    def test_changes_are_applied_after_an_exception(self):
        def function():
            USER.set("ada")
            raise KeyError("callback")

        with self.assertRaisesRegex(KeyError, "callback"):
            borders.apply_without_context(function)
        self.assertEqual(USER.get(), "ada")

    def test_values_of_the_thread_belong_to_no_request(self):
        USER.set("ada")
        self.assertEqual(borders.call_without_context(USER.get), "ada")
        self.assertIsNone(copied(self.call_in_an_empty_context))

    def call_in_an_empty_context(self):
        return contextvars.Context().run(borders.call_without_context, lambda: where_set(USER))

    def test_values_of_a_thread_of_rust_are_seen(self):
        self.assertEqual(borders.call_from_thread(USER.get), "thread")


class Conversions(ContextTestCase):
    def test_what_a_conversion_sets_is_not_seen_by_the_caller(self):
        MEDDLER.set("m")
        borders.enter()
        self.assertIsNone(where_set(TEXT))
        borders.set_meddler("n")
        self.assertEqual(MEDDLER.get(), "n")
        self.assertIsNone(where_set(TEXT))


class Collector(ContextTestCase):
    def test_a_cycle_through_a_tied_variable_is_collected(self):
        class Request:
            pass

        def handle():
            request = Request()
            OBJECT.set(request)
            borders.keep("a variable that is not tied")
            request.context = contextvars.copy_context()
            return weakref.ref(request)

        request = copied(handle)
        gc.collect()
        self.assertIsNone(request())


class Gil(ContextTestCase):
    def test_is_not_taken_where_no_python_value_is_touched(self):
        """The main thread holds the GIL and waits. If the task took the GIL, the test would never end."""
        USER.set("ada")
        self.assertEqual(borders.work_while_the_gil_is_held(), "ada")


if __name__ == "__main__":
    unittest.main()
