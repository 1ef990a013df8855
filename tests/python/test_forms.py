"""The forms of functions that Python calls."""

import inspect

import variables
from cases import ContextTestCase, copied
from rust import forms


class Functions(ContextTestCase):
    def setUp(self):
        variables.USER.set("ada")

    def test_the_attribute_above_pyfunction(self):
        self.assertEqual(forms.above(), "ada")

    def test_the_attribute_below_pyfunction(self):
        self.assertEqual(forms.below(), "ada")

    def test_a_signature(self):
        self.assertEqual(forms.with_signature(), "hello, ada.")
        self.assertEqual(forms.with_signature("bye", mark="!"), "bye, ada!")
        self.assertEqual(
            str(inspect.signature(forms.with_signature)), "(greeting='hello', *, mark=None)"
        )

    def test_a_signature_above_the_attribute(self):
        self.assertEqual(forms.below_signature("a", "b", "c"), "aadabadac")

    def test_entries(self):
        self.assertEqual(forms.with_entries("of "), ("of ada", 6))

    def test_run(self):
        self.assertEqual(forms.run(None), "ada")
        self.assertEqual(forms.run("grace"), "grace")
        self.assertEqual(variables.USER.get(), "ada")

    def test_borrowed_arguments_and_a_borrowed_result(self):
        values = {}
        self.assertEqual(forms.borrow("key", values), "ada")
        self.assertEqual(values, {"key": "ada"})
        self.assertIs(forms.first_of(values, None), values)

    def test_an_exception_of_an_argument_comes_through(self):
        with self.assertRaisesRegex(TypeError, "unhashable"):
            forms.borrow([], {})


class OwnErrors(ContextTestCase):
    def test_a_function_returns_its_own_error(self):
        with self.assertRaisesRegex(LookupError, "USER"):
            forms.fail_in_own_way()

    def test_an_exception_at_the_border_is_converted_into_it(self):
        variables.USER.set(7)
        with self.assertRaisesRegex(TypeError, "`variables:USER`, of type `int`"):
            forms.fail_in_own_way()


class Methods(ContextTestCase):
    def setUp(self):
        variables.USER.set("ada")
        self.greeter = forms.Greeter()
        variables.USER.set("grace")

    def test_a_constructor_and_a_method(self):
        self.assertEqual(self.greeter.greet(), "ada greets grace")

    def test_a_static_method(self):
        self.assertEqual(forms.Greeter.user(), "grace")

    def test_a_getter(self):
        self.assertEqual(self.greeter.reader, "grace")

    def test_a_call(self):
        self.assertEqual(self.greeter(0), "grace")
        self.assertEqual(list(self.greeter), [])

    def test_an_iterator_sees_the_values_of_each_step(self):
        steps = iter(self.greeter)
        self.assertEqual(next(steps), "grace")
        variables.USER.set("joan")
        self.assertEqual(next(steps), "joan")
        self.assertRaises(StopIteration, next, steps)

    def test_an_object_sees_the_context_that_it_is_called_in(self):
        def call():
            variables.USER.set("joan")
            return self.greeter.greet()

        self.assertEqual(copied(call), "ada greets joan")
        self.assertEqual(self.greeter.greet(), "ada greets grace")

    def test_a_constructor_fails_if_a_value_is_not_one(self):
        variables.USER.set(7)
        self.assertRaises(TypeError, forms.Greeter)
        self.assertRaises(TypeError, lambda: self.greeter.reader)
        self.assertRaises(TypeError, next, self.greeter)
