"""Python functions that Rust calls, from every place."""

import contextvars
import threading

import variables
from cases import ContextTestCase, copied, where_set
from rust import callbacks, values

UNTIED = contextvars.ContextVar("untied")

INHERITING = (
    "contextvar::thread",
    "contextvar::thread::scope",
    "task",
    "spawn_blocking",
)
SAME_CONTEXT = ("here", "here, detached", "block_on")
# A task that tokio polls inside of a context reads that context.
WITH_CONTEXT = (*SAME_CONTEXT, *INHERITING, "bound std::thread", "task on this thread")
WITHOUT_CONTEXT = (
    "empty context",
    "std::thread",
    "task without a context",
    "task in an empty context",
)
ON_OTHER_THREADS = (
    "contextvar::thread",
    "contextvar::thread::scope",
    "bound std::thread",
    "std::thread",
    "spawn_blocking",
    "task",
    "task without a context",
)


class Places(ContextTestCase):
    def setUp(self):
        variables.USER.set("ada")
        variables.TENANT.set("python")
        variables.SESSION.set("a session")

    def assert_from_each(self, places, function, expected):
        for place in places:
            with self.subTest(place):
                self.assertEqual(callbacks.call_from(place, function), expected)

    def test_the_callback_sees_the_values_of_rust(self):
        def function():
            return variables.USER.get(), variables.TENANT.get()

        self.assert_from_each(WITH_CONTEXT, function, ("ada", "rust"))

    def test_the_callback_sees_untied_variables_of_its_caller(self):
        marker = object()
        UNTIED.set(marker)
        self.assert_from_each(WITH_CONTEXT, UNTIED.get, marker)

    def test_a_function_of_rust_below_the_callback_sees_untied_variables_of_rust(self):
        self.assert_from_each(WITH_CONTEXT, callbacks.note, "from rust")

    def test_the_callback_runs_in_a_copy(self):
        def change():
            for var in (UNTIED, variables.USER, variables.TENANT):
                var.set("changed")

        before = dict(contextvars.copy_context().items())
        self.assert_from_each((*WITH_CONTEXT, *WITHOUT_CONTEXT), change, None)
        self.assertEqual(dict(contextvars.copy_context().items()), before)

    def test_no_value_crosses_to_work_without_a_context(self):
        def function():
            return (
                where_set(variables.USER),
                where_set(variables.TENANT),
                where_set(UNTIED),
                callbacks.note(),
            )

        UNTIED.set("untied")
        self.assert_from_each(WITHOUT_CONTEXT, function, (None, None, None, None))

    def test_the_places_are_on_other_threads(self):
        here = threading.get_ident()
        self.assert_from_each(ON_OTHER_THREADS, lambda: threading.get_ident() == here, False)
        self.assert_from_each(SAME_CONTEXT, threading.get_ident, here)

    def test_an_exception_of_the_callback_comes_through(self):
        error = KeyError("from the callback")

        def fail():
            variables.USER.set("changed")
            raise error

        for place in (*WITH_CONTEXT, *WITHOUT_CONTEXT):
            with self.subTest(place):
                with self.assertRaises(KeyError) as caught:
                    callbacks.call_from(place, fail)
                self.assertIs(caught.exception, error)
                self.assertEqual(variables.USER.get(), "ada")

    def test_a_variable_that_is_not_inherited_stays_in_its_task(self):
        def function():
            return where_set(variables.SESSION), values.describe("USER"), variables.TENANT.get()

        self.assert_from_each(INHERITING, function, (None, '"ada"', "rust"))

    def test_a_variable_that_is_not_inherited_is_unset_and_others_are_as_they_were(self):
        marker = object()
        UNTIED.set(marker)
        variables.LIST.set([1])
        expected = dict(contextvars.copy_context().items())
        del expected[variables.SESSION]
        expected[variables.TENANT] = "rust"

        def function():
            with self.assertRaises(LookupError):
                variables.SESSION.get()
            items = contextvars.copy_context().items()
            own = {var: value for var, value in items if not var.name.startswith("contextvar.")}
            return own, id(variables.LIST.get())

        self.assert_from_each(INHERITING, function, (expected, id(variables.LIST.get())))

    def test_a_direct_call_sees_a_variable_that_is_not_inherited(self):
        places = (*SAME_CONTEXT, "bound std::thread")
        self.assert_from_each(places, variables.SESSION.get, "a session")

    def test_a_call_that_enters_no_context_runs_in_a_copy_of_the_callers(self):
        def function():
            seen = UNTIED.get(), variables.USER.get(), variables.SESSION.get()
            UNTIED.set("changed")
            return seen

        UNTIED.set("untied")
        seen = callbacks.call_unentered(function)
        self.assertEqual(seen, ("untied", "ada", "a session"))
        self.assertEqual(UNTIED.get(), "untied")

    def test_two_tasks_at_a_time_do_not_mix(self):
        both = threading.Barrier(2, timeout=30)

        def function():
            variables.USER.set(f"user of {variables.TENANT.get()}")
            both.wait()
            return variables.USER.get(), callbacks.tenant()

        seen = callbacks.call_from_two_tasks(function)
        self.assertEqual(seen, [("user of one", "one"), ("user of two", "two")])


class Nested(ContextTestCase):
    def test_each_level_sees_the_level_above(self):
        seen = []

        def at(level):
            seen.append((level, callbacks.note(), variables.USER.get()))
            if level < 5:
                variables.USER.set(f"user {level}")
                callbacks.call(f"note {level}", at, level + 1)
            seen.append((level, callbacks.note(), variables.USER.get()))

        variables.USER.set("user")
        copied(at, 0)
        down = [(0, None, "user")] + [(n, f"note {n - 1}", f"user {n - 1}") for n in range(1, 6)]
        up = [(n, f"note {n - 1}" if n else None, f"user {n}") for n in range(5)]
        self.assertEqual(seen, [*down, down[5], *reversed(up)])

    def test_a_function_of_rust_in_a_copied_context(self):
        def function():
            context = contextvars.copy_context()
            variables.USER.set("grace")
            return (
                context.run(values.describe, "USER"),
                context.run(callbacks.note),
                context.run(callbacks.tenant),
            )

        variables.USER.set("ada")
        seen = callbacks.call_from("here", function)
        self.assertEqual(seen, ('"ada"', "from rust", "rust"))

    def test_a_function_of_rust_in_an_empty_context(self):
        def function():
            return [contextvars.Context().run(f) for f in (callbacks.note, callbacks.tenant)]

        self.assertEqual(callbacks.call_from("here", function), [None, None])

    def test_the_context_of_a_callback_outlives_it(self):
        variables.USER.set("ada")
        context = callbacks.call_from("task", contextvars.copy_context)
        variables.USER.set("grace")
        self.assertEqual(context.run(values.describe, "USER"), '"ada"')
        self.assertEqual(context.run(callbacks.note), "from rust")
        self.assertIsNone(callbacks.note())

    def test_a_callback_is_itself_a_function_of_rust(self):
        self.assertEqual(callbacks.call("noted", callbacks.note), "noted")
        self.assertEqual(callbacks.call_from("task", callbacks.tenant), "rust")


class Panics(ContextTestCase):
    def assert_panics(self, function, *args):
        with self.assertRaises(BaseException) as caught:
            function(*args)
        self.assertEqual(type(caught.exception).__name__, "PanicException")
        self.assertEqual(str(caught.exception), "a panic")

    def test_nothing_of_a_function_that_panics_is_seen(self):
        self.assert_panics(callbacks.panic)
        self.assertIsNone(where_set(variables.TENANT))
        self.assertIsNone(callbacks.note())

    def test_a_panic_below_a_callback_comes_through_both_languages(self):
        variables.TENANT.set("python")
        variables.USER.set("ada")
        for place in SAME_CONTEXT:
            with self.subTest(place):
                self.assert_panics(callbacks.call_from, place, callbacks.panic)
                self.assertEqual((variables.USER.get(), callbacks.tenant()), ("ada", "python"))
                self.assertIsNone(callbacks.note())

    def test_a_callback_catches_a_panic_and_goes_on(self):
        def function():
            self.assert_panics(callbacks.panic)
            return variables.TENANT.get(), callbacks.tenant(), callbacks.note()

        seen = callbacks.call_from("here", function)
        self.assertEqual(seen, ("rust", "rust", "from rust"))
