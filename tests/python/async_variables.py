"""The variables of the tests with async functions."""

from contextvars import ContextVar

REQUEST = ContextVar("request")  # Tied.
NOTE = ContextVar("note")  # Not tied.
