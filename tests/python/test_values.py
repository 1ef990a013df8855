"""The values of variables of each type, in both directions."""

import contextvars
import traceback
from decimal import Decimal

import variables
from cases import ContextTestCase, copied, where_set
from rust import values


class FromPython(ContextTestCase):
    def test_values_of_each_type_cross(self):
        shown = {
            "TEXT": ("ada 🦀", '"ada 🦀"'),
            "BYTE": (0, "0"),
            "BIG": (-(2**63), "-9223372036854775808"),
            "FLAG": (True, "true"),
            "RATIO": (0.25, "0.25"),
            "MAYBE": ("some", 'Some("some")'),
            "LIST": ([1, 2, 3], "[1, 2, 3]"),
            "MAP": ({"one": -1}, '{"one": -1}'),
            "RECORD": ({"name": "disk", "size": 7}, 'Record { name: "disk", size: Some(7) }'),
            "SHARED": ("-1..7", "Limits { low: -1, high: 7 }"),
            "POINT": (values.Point(3, 4), "Point { x: 3, y: 4 }"),
            "FUSSY": ("yes", '"yes"'),
            "KEY": ("a key", '"a key"'),
        }
        for name, (value, expected) in shown.items():
            with self.subTest(name):
                getattr(variables, name).set(value)
                self.assertEqual(values.describe(name), expected)

    def test_values_are_those_of_the_moment_of_the_call(self):
        for value in range(3):
            variables.BYTE.set(value)
            self.assertEqual(values.describe("BYTE"), str(value))

    def test_an_object_is_the_same_object(self):
        value = object()
        variables.OBJECT.set(value)
        self.assertIs(values.object(), value)

    def test_a_variable_inside_a_class_is_found(self):
        variables.Namespace.NESTED.set("deep")
        self.assertEqual(values.describe("NESTED"), '"deep"')

    def test_what_a_conversion_sets_is_not_seen_by_the_caller(self):
        other = contextvars.ContextVar("other")

        class Number:
            def __index__(self):
                other.set("set by the conversion")
                return 7

            def __float__(self):
                other.set("set by the conversion")
                return 7.0

        for name, described in (("BIG", "7"), ("RATIO", "7.0")):
            with self.subTest(name):
                token = getattr(variables, name).set(Number())
                self.assertEqual(values.describe(name), described)
                getattr(variables, name).reset(token)
                self.assertIsNone(other.get(None))


class FromRust(ContextTestCase):
    def test_values_of_each_type_cross(self):
        objects = {
            "TEXT": "grüße",
            "BYTE": 255,
            "BIG": -(2**63),
            "FLAG": True,
            "RATIO": 0.5,
            "MAYBE": None,
            "LIST": [3, 2, 1],
            "MAP": {"one": 1},
            "RECORD": {"name": "disk", "size": None},
            "SHARED": "-1..7",
            "POINT": values.Point(3, 4),
            "KEY": "5678",
            "LOCALE": "fr",
            "USER": "grace",
        }
        for name, expected in objects.items():
            with self.subTest(name):
                value = values.send(name, getattr(variables, name).get)
                self.assertEqual(value, expected)
                self.assertIs(type(value), type(expected))
                self.assertIsNone(where_set(getattr(variables, name)))

    def test_an_object_is_the_same_object(self):
        value = object()
        self.assertIs(values.send_object(value, variables.OBJECT.get), value)
        variables.OBJECT.set(value)
        self.assertIs(values.object_again(variables.OBJECT.get), value)

    def test_a_value_that_rust_has_not_changed_is_the_same_object(self):
        lines = [1, 2, 3]
        variables.LIST.set(lines)
        self.assertIs(values.send("USER", variables.LIST.get), lines)

    def test_none_is_a_value(self):
        self.assertTrue(values.send("MAYBE", lambda: variables.MAYBE in contextvars.copy_context()))

    def test_python_sees_no_values_of_rust_in_a_direct_call(self):
        variables.USER.set("ada")
        self.assertEqual(values.send_without_context(variables.USER.get), "ada")


class NotSet(ContextTestCase):
    def test_a_variable_that_python_has_not_set_is_not_set(self):
        for name in ("TEXT", "BYTE", "MAYBE", "FUSSY", "PIN", "USER"):
            self.assertIsNone(values.describe(name), name)

    def test_a_default_of_python_is_no_value(self):
        self.assertEqual(variables.LOCALE.get(), "en")
        self.assertIsNone(values.describe("LOCALE"))

    def test_the_default_of_rust_applies(self):
        self.assertEqual(values.locale(), "de")
        variables.LOCALE.set("en")
        self.assertEqual(values.locale(), "en")

    def test_none_is_a_value(self):
        variables.MAYBE.set(None)
        self.assertEqual(values.describe("MAYBE"), "None")

    def test_none_is_not_a_value_for_every_type(self):
        variables.TEXT.set(None)
        with self.assertRaisesRegex(TypeError, "`variables:TEXT`, of type `NoneType`"):
            values.describe("TEXT")

    def test_a_variable_is_not_set_after_a_reset(self):
        token = variables.USER.set("ada")
        self.assertEqual(values.describe("USER"), '"ada"')
        variables.USER.reset(token)
        self.assertIsNone(values.describe("USER"))

    def test_a_reset_brings_the_value_before_back(self):
        variables.USER.set("ada")
        token = variables.USER.set("grace")
        variables.USER.reset(token)
        self.assertEqual(values.describe("USER"), '"ada"')

    def test_a_value_that_python_sets_after_the_call_has_entered_rust_does_not_cross(self):
        self.assertIs(values.is_set_later(lambda: variables.USER.set("late")), False)
        self.assertIs(values.is_set_later(lambda: None), True)

    def test_a_default_of_python_still_applies_below_rust(self):
        self.assertEqual(values.send("USER", variables.LOCALE.get), "en")


class Errors(ContextTestCase):
    def raised(self, function, *args):
        with self.assertRaises(Exception) as caught:
            function(*args)
        return caught.exception

    def test_an_integer_that_does_not_fit(self):
        for name, rust, value in (("BYTE", "u8", 256), ("BYTE", "u8", -1), ("BIG", "i64", 2**63)):
            with self.subTest(name, value=value):
                token = getattr(variables, name).set(value)
                error = self.raised(values.describe, "USER")
                getattr(variables, name).reset(token)
                self.assertIs(type(error), ValueError)
                self.assertIs(type(error.__cause__), OverflowError)
                self.assertEqual(
                    str(error),
                    f"the value of Python's `variables:{name}`, of type `int`, is not valid for Rust's "
                    f"`rust::values::{name}`, of type `{rust}`: {error.__cause__}",
                )

    def test_an_object_of_another_type(self):
        for name, value in (
            ("TEXT", 7),
            ("BYTE", "7"),
            ("FLAG", "yes"),
            ("RATIO", "half"),
            ("LIST", "abc"),
            ("MAP", {"one": "1"}),
            ("POINT", (3, 4)),
            ("SHARED", None),
        ):
            with self.subTest(name):
                token = getattr(variables, name).set(value)
                error = self.raised(values.describe, "USER")
                getattr(variables, name).reset(token)
                kind = type(value).__name__
                self.assertIn(f"`variables:{name}`, of type `{kind}`, is not valid", str(error))
                self.assertIn(f"`rust::values::{name}`, of type `", str(error))
                self.assertTrue(str(error).endswith(f": {error.__cause__}"), error)
                is_type_error = isinstance(error.__cause__, TypeError)
                self.assertIs(type(error), TypeError if is_type_error else ValueError)

    def test_a_part_of_a_value_is_not_one(self):
        variables.RECORD.set({"name": "disk", "size": "big"})
        error = self.raised(values.describe, "RECORD")
        self.assertIs(type(error), TypeError)
        self.assertIn("size", str(error))
        variables.RECORD.set({"size": 7})
        self.assertIs(type(self.raised(values.describe, "RECORD").__cause__), KeyError)

    def test_a_codec_that_refuses_an_object(self):
        variables.FUSSY.set("no")
        error = self.raised(values.describe, "USER")
        self.assertIs(type(error), ValueError)
        self.assertIs(type(error.__cause__), KeyError)
        self.assertIn("`variables:FUSSY`, of type `str`", str(error))
        self.assertTrue(str(error).endswith("of type `alloc::string::String`: 'no value for no'"))

    def test_a_codec_that_refuses_a_value(self):
        calls = []
        error = self.raised(values.send, "FUSSY", lambda: calls.append(1))
        self.assertIs(type(error), ValueError)
        self.assertIs(type(error.__cause__), LookupError)
        self.assertEqual(
            str(error),
            "the value of Rust's `rust::values::FUSSY`, of type `alloc::string::String`, can't be converted to a "
            "Python object: no object for no",
        )
        self.assertEqual(calls, [])

    def test_a_call_works_again_when_the_value_is_one(self):
        token = variables.BYTE.set(Decimal(1))
        self.raised(values.describe, "BYTE")
        variables.BYTE.reset(token)
        self.assertIsNone(values.describe("BYTE"))

    def test_the_context_of_the_caller_stays_as_it_was(self):
        variables.USER.set("ada")
        variables.BYTE.set("seven")
        before = list(contextvars.copy_context().items())
        self.raised(values.describe, "USER")
        self.assertEqual(list(contextvars.copy_context().items()), before)


class Secrets(ContextTestCase):
    def assert_hidden(self, secret, error):
        text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
        self.assertIn("`rust::values::", text)
        self.assertNotIn(secret, text)
        self.assertNotIn(secret, repr(error.args))
        self.assertIsNone(error.__cause__)
        self.assertIsNone(error.__context__)

    def test_an_object_that_is_refused_is_in_no_message(self):
        variables.PIN.set("987654")
        with self.assertRaises(ValueError) as caught:
            values.describe("USER")
        self.assert_hidden("987654", caught.exception)

    def test_an_object_of_another_type_is_in_no_message(self):
        class Reveals:
            def __repr__(self):
                return "987654"

        variables.KEY.set(Reveals())
        with self.assertRaises(TypeError) as caught:
            values.describe("USER")
        self.assert_hidden("987654", caught.exception)

    def test_a_value_that_is_refused_is_in_no_message(self):
        with self.assertRaises(ValueError) as caught:
            values.send("PIN", lambda: None)
        self.assert_hidden("1234", caught.exception)

    def test_a_secret_crosses(self):
        variables.KEY.set("987654")
        self.assertEqual(values.describe("KEY"), '"987654"')
        self.assertEqual(values.send("USER", variables.KEY.get), "987654")


class Contexts(ContextTestCase):
    def test_each_context_has_its_own_values(self):
        variables.USER.set("ada")
        other = contextvars.copy_context()
        other.run(variables.USER.set, "grace")
        self.assertEqual(other.run(values.describe, "USER"), '"grace"')
        self.assertEqual(values.describe("USER"), '"ada"')
        self.assertEqual(copied(values.describe, "USER"), '"ada"')
