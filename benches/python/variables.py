"""The variables of Python. Each build of the module has a number of them tied."""

from contextvars import ContextVar

ALL = [ContextVar(f"v{n}") for n in range(64)]
for n, variable in enumerate(ALL):
    globals()[f"V{n}"] = variable
