"""The variables that the Rust side is tied to."""

from contextvars import ContextVar

USER = ContextVar("user")
TENANT = ContextVar("tenant")
LOCALE = ContextVar("locale", default="en")
