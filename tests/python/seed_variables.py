"""The variable of the five programs."""

from contextvars import ContextVar
from uuid import uuid4

ctx = ContextVar("ctx", default=uuid4())
