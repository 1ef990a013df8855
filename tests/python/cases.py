"""A test case whose tests share no values."""

import contextvars
import unittest


class ContextTestCase(unittest.TestCase):
    """Runs each test in an empty context."""

    def run(self, result=None):
        return contextvars.Context().run(super().run, result)


def copied(function, *args):
    """Calls `function` in a copy of the current context."""
    return contextvars.copy_context().run(function, *args)


def where_set(var):
    """Returns the value that `var` is set to, or None. Ignores its default."""
    return contextvars.copy_context().get(var)
