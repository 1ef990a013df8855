"""Which changes the caller sees, and which it does not."""

import contextvars

import variables
from cases import ContextTestCase, copied, where_set
from rust import callbacks, changes

UNTIED = contextvars.ContextVar("untied")


def is_own(var):
    """Returns whether `var` belongs to the library."""
    return var.name.startswith("contextvar.")


def snapshot():
    return {var: value for var, value in contextvars.copy_context().items() if not is_own(var)}


class FromRust(ContextTestCase):
    def test_the_caller_does_not_see_what_a_function_sets(self):
        variables.USER.set("ada")
        before = list(contextvars.copy_context().items())
        changes.set(user="grace", tenant="rust", note="noted")
        self.assertEqual(list(contextvars.copy_context().items()), before)
        self.assertEqual(changes.values(), ["ada", None, None, None])

    def test_the_caller_sees_what_a_function_applies(self):
        variables.USER.set("ada")
        changes.set_applying(user="grace", tenant="rust")
        self.assertEqual(snapshot(), {variables.USER: "grace", variables.TENANT: "rust"})

    def test_the_next_function_sees_what_a_function_applies(self):
        changes.set_applying(user="grace", note="noted")
        self.assertEqual(changes.values(), ["grace", None, None, "noted"])
        changes.set_applying(tenant="rust")
        self.assertEqual(changes.values(), ["grace", "rust", None, "noted"])

    def test_run_applying_changes(self):
        self.assertEqual(changes.run_applying("grace"), "grace")
        self.assertEqual(variables.USER.get(), "grace")

    def test_a_method_applies(self):
        account = changes.Account()
        self.assertEqual(account.login("grace"), 1)
        self.assertEqual(variables.USER.get(), "grace")

    def test_changes_of_a_function_that_fails_are_applied(self):
        with self.assertRaisesRegex(ValueError, "^failed$"):
            changes.fail_applying()
        self.assertEqual(changes.values(), ["grace", "failed", None, "failed"])
        self.assertEqual(variables.USER.get(), "grace")

    def test_a_variable_that_is_not_changed_keeps_its_object(self):
        user = "".join(["a", "d", "a"])
        variables.USER.set(user)
        changes.set_applying(tenant="rust")
        self.assertIs(variables.USER.get(), user)

    def test_changes_stay_in_the_context_of_the_caller(self):
        context = contextvars.copy_context()
        context.run(lambda: changes.set_applying(user="grace", note="noted"))
        self.assertEqual(context.run(changes.values), ["grace", None, None, "noted"])
        self.assertEqual(changes.values(), [None, None, None, None])

    def test_siblings_do_not_see_each_others_untied_variables(self):
        changes.set_applying(note="parent")
        first, second = contextvars.copy_context(), contextvars.copy_context()
        first.run(lambda: changes.set_applying(note="first"))
        self.assertEqual(second.run(callbacks.note), "parent")
        second.run(lambda: changes.set_applying(note="second"))
        notes = [first.run(callbacks.note), second.run(callbacks.note), callbacks.note()]
        self.assertEqual(notes, ["first", "second", "parent"])

    def test_python_resets_what_rust_has_applied(self):
        token = variables.USER.set("ada")
        changes.set_applying(user="grace")
        variables.USER.reset(token)
        self.assertEqual(changes.values(), [None, None, None, None])


class FromCallbacks(ContextTestCase):
    def change(self):
        self.user = "".join(["j", "o", "a", "n"])
        variables.USER.set(self.user)
        UNTIED.set(self.untied)
        changes.set_applying(note="from the callback")
        return self.user

    def setUp(self):
        self.untied = object()
        variables.USER.set("ada")

    def test_the_caller_does_not_see_what_a_callback_sets(self):
        before = list(contextvars.copy_context().items())
        seen, _ = changes.call(self.change)
        self.assertEqual(seen, ["ada", None, None])
        self.assertEqual(list(contextvars.copy_context().items()), before)

    def test_the_caller_sees_what_a_callback_applies(self):
        seen, user = changes.call_applying(self.change)
        self.assertEqual(seen, ["joan", None, "from the callback"])
        self.assertIs(variables.USER.get(), user)
        self.assertIs(UNTIED.get(), self.untied)
        self.assertEqual(callbacks.note(), "from the callback")

    def test_changes_of_the_callback_and_of_rust_are_merged(self):
        seen, _ = changes.call_applying(self.change, user="grace", tenant="rust")
        self.assertEqual(seen, ["joan", "rust", "from the callback"])
        self.assertEqual(
            snapshot(), {variables.USER: "joan", variables.TENANT: "rust", UNTIED: self.untied}
        )

    def test_the_next_callback_sees_what_the_last_one_has_set(self):
        def both():
            changes.call_applying(self.change)
            return changes.call(lambda: (UNTIED.get(), variables.USER.get(), callbacks.note()))[1]

        self.assertEqual(copied(both), (self.untied, "joan", "from the callback"))

    def test_changes_of_a_callback_that_raises_are_applied(self):
        def fail():
            self.change()
            raise KeyError("after the change")

        with self.assertRaisesRegex(KeyError, "after the change"):
            changes.call_applying(fail, tenant="rust")
        self.assertIs(variables.USER.get(), self.user)
        self.assertIs(UNTIED.get(), self.untied)
        self.assertEqual(changes.values(), ["joan", "rust", None, "from the callback"])

    def test_a_change_to_a_value_that_is_not_one_is_an_exception(self):
        def change():
            variables.TENANT.set("python")
            variables.USER.set(7)

        with self.assertRaisesRegex(TypeError, "`variables:USER`, of type `int`, is not valid"):
            changes.call_applying(change, tenant="rust")
        self.assertEqual(changes.values(), ["ada", "rust", None, None])

    def test_changes_of_a_blocking_call_are_applied(self):
        variables.SESSION.set("a session")
        changes.call_in_blocking_call(self.change)
        self.assertIs(variables.USER.get(), self.user)
        self.assertIs(UNTIED.get(), self.untied)
        self.assertEqual(changes.values(), ["joan", None, None, "from the callback"])
        self.assertEqual(variables.SESSION.get(), "a session")

    def test_a_direct_call_changes_the_context_of_the_caller_itself(self):
        def change():
            variables.TENANT.set("python")
            changes.set_applying(note="noted")

        changes.call_directly(change)
        self.assertEqual(changes.values(), ["grace", "python", None, "noted"])

    def test_a_direct_call_and_the_caller_both_change_untied_variables(self):
        self.assertEqual(
            changes.call_directly_and_set("second", lambda: changes.set_applying(note="noted")),
            None,
        )
        self.assertEqual(changes.values()[3], "noted")
        self.assertEqual(changes.second_note(), "second")

    def test_changes_that_rust_makes_below_a_callback_are_not_lost(self):
        def change():
            self.change()
            changes.set_in_rust("rust", "from rust")

        seen = changes.call_one_after_the_other(change, changes.values)
        self.assertEqual(seen, ["joan", "rust", None, "from the callback"])
        self.assertEqual(changes.values(), ["joan", "rust", None, "from the callback"])
        self.assertIs(variables.USER.get(), self.user)

    def test_what_rust_resets_after_a_callback_has_changed_it_is_as_before(self):
        user = "".join(["a", "d", "a"])
        variables.USER.set(user)
        changes.call_in_scope(self.change)
        self.assertIs(variables.USER.get(), user)
        self.assertIs(UNTIED.get(), self.untied)

    def test_what_rust_unsets_after_a_callback_has_set_it_stays_unset(self):
        context = contextvars.Context()
        context.run(changes.call_in_scope, self.change)
        self.assertEqual(context.run(changes.values), [None, None, None, "from the callback"])
        self.assertIs(context[UNTIED], self.untied)
        self.assertNotIn(variables.USER, context)


class Nested(ContextTestCase):
    def test_changes_on_every_level_reach_the_outermost_caller(self):
        values = {}

        def at(level):
            values[level] = "".join(["user ", str(level)])
            variables.USER.set(values[level])
            UNTIED.set((*UNTIED.get(()), level))
            if level < 4:
                seen, _ = changes.call_applying(
                    lambda: at(level + 1), tenant=f"tenant {level}", note=f"note {level}"
                )
                self.assertEqual(seen, ["user 4", "tenant 3", "note 3"])
                self.assertIs(variables.USER.get(), values[4])

        at(0)
        self.assertIs(variables.USER.get(), values[4])
        self.assertEqual(UNTIED.get(), (0, 1, 2, 3, 4))
        self.assertEqual(changes.values(), ["user 4", "tenant 3", None, "note 3"])

    def test_a_level_that_isolates_keeps_the_changes_below_it(self):
        def inner():
            changes.set_applying(user="inner", note="inner")
            UNTIED.set("inner")
            return variables.USER.get(), callbacks.note()

        def middle():
            variables.TENANT.set("middle")
            isolated = changes.call(inner)
            return isolated[1], variables.USER.get(), callbacks.note(), UNTIED.get(None)

        variables.USER.set("ada")
        _, seen = changes.call_applying(middle, note="outer")
        self.assertEqual(seen, (("inner", "inner"), "ada", "outer", None))
        self.assertEqual(snapshot(), {variables.USER: "ada", variables.TENANT: "middle"})
        self.assertEqual(callbacks.note(), "outer")


class Unset(ContextTestCase):
    def test_a_callback_sees_that_a_variable_is_unset(self):
        marker = object()
        UNTIED.set(marker)
        variables.USER.set("ada")
        variables.LOCALE.set("fr")
        changes.set_applying(note="noted")

        def function():
            return where_set(variables.USER), variables.LOCALE.get(), UNTIED.get(), changes.values()

        self.assertEqual(changes.unset(function), (None, "fr", marker, [None, None, "fr", None]))
        self.assertEqual(changes.values(), ["ada", None, "fr", "noted"])

    def test_a_variable_that_rust_has_unset_is_an_exception(self):
        variables.USER.set("ada")
        message = "^Python's `variables:USER`, Rust's `rust::variables::USER`, was unset, but Python can't unset"
        with self.assertRaisesRegex(RuntimeError, message):
            changes.unset_all()
        self.assertEqual(variables.USER.get(), "ada")

    def test_all_other_changes_are_applied(self):
        variables.USER.set("ada")
        changes.set_applying(note="noted")
        self.assertRaises(RuntimeError, changes.unset_all)
        self.assertEqual(changes.values(), ["ada", "applied", None, None])
        self.assertEqual(variables.SESSION.get(), "applied")

    def test_an_untied_variable_can_be_unset(self):
        changes.set_applying(note="noted")
        changes.unset_all()
        self.assertEqual(changes.values(), [None, "applied", None, None])
