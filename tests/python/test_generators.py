"""Python generators that call Rust, and that Rust drives."""

import contextvars

import variables
from cases import ContextTestCase
from rust import changes, generators

UNTIED = contextvars.ContextVar("untied")


def users():
    while True:
        yield generators.user()


class CallingRust(ContextTestCase):
    def test_a_generator_sees_the_context_of_each_step(self):
        steps = users()
        seen = []
        for name in ("ada", "grace"):
            variables.USER.set(name)
            seen.append(next(steps))
        seen.append(contextvars.Context().run(next, steps))
        self.assertEqual(seen, ["ada", "grace", None])

    def test_generators_in_two_contexts_do_not_mix(self):
        def count(name):
            for n in range(3):
                changes.set_applying(user=f"{name} {n}", note=f"{name} {n}")
                yield changes.values()
                yield changes.values()

        contexts = [contextvars.copy_context() for _ in range(2)]
        counters = [count(name) for name in ("one", "two")]
        for n in range(3):
            for _ in range(2):
                for name, context, counter in zip(("one", "two"), contexts, counters):
                    seen = context.run(next, counter)
                    self.assertEqual(seen, [f"{name} {n}", None, None, f"{name} {n}"])
        self.assertEqual(changes.values(), [None, None, None, None])

    def test_generators_in_one_context_share_it(self):
        def setter():
            changes.set_applying(note="noted")
            yield
            changes.set_applying(note="noted again")
            yield

        steps = setter()
        seen = []
        for _ in range(2):
            next(steps)
            seen.append(changes.values()[3])
        self.assertEqual(seen, ["noted", "noted again"])


class DrivenByRust(ContextTestCase):
    def test_each_step_sees_the_values_of_rust(self):
        names = ["ada", "grace", "joan"]
        seen = generators.drive([users(), users()], names)
        self.assertEqual(seen, [[name, name] for name in names])

    def test_each_step_runs_in_a_context_of_its_own(self):
        def counter():
            while True:
                variables.USER.set("changed")
                UNTIED.set(UNTIED.get(0) + 1)
                yield UNTIED.get(), generators.user()

        self.assertEqual(
            generators.drive([counter()], ["ada", "grace"]), [[(1, "changed")], [(1, "changed")]]
        )
        self.assertNotIn(UNTIED, contextvars.copy_context())

    def test_the_end_of_a_generator_is_an_exception(self):
        self.assertRaises(StopIteration, generators.drive, [iter(())], ["ada"])

    def test_a_generator_that_rust_has_driven_goes_on_in_python(self):
        steps = users()
        generators.drive([steps], ["ada"])
        variables.USER.set("grace")
        self.assertEqual(next(steps), "grace")
