"""The variables that the Rust side is tied to."""

from contextvars import ContextVar

USER = ContextVar("user")
TENANT = ContextVar("tenant")
LOCALE = ContextVar("locale", default="en")
SESSION = ContextVar("session")

# One of each type: see src/values.rs.
TEXT = ContextVar("text")
BYTE = ContextVar("byte")
BIG = ContextVar("big")
FLAG = ContextVar("flag")
RATIO = ContextVar("ratio")
MAYBE = ContextVar("maybe")
LIST = ContextVar("list")
MAP = ContextVar("map")
RECORD = ContextVar("record")
OBJECT = ContextVar("object")
SHARED = ContextVar("shared")
POINT = ContextVar("point")
FUSSY = ContextVar("fussy")
PIN = ContextVar("pin", default="0000")
KEY = ContextVar("key")
MEDDLER = ContextVar("meddler")


class Namespace:
    NESTED = ContextVar("nested")
