"""The context of a request: its variables, and the log lines that show them.

`src/lib.rs` ties Rust variables to these. Both languages see the values that the middleware sets.
"""

import json
import logging
import sys
from contextvars import ContextVar

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

REQUEST_ID: ContextVar[str] = ContextVar("request_id")
USER: ContextVar[str] = ContextVar("user")
LOCALE: ContextVar[str] = ContextVar("locale")


def values() -> dict[str, str]:
    return {"request_id": REQUEST_ID.get(), "user": USER.get(), "locale": LOCALE.get()}


class ContextMiddleware:
    """Sets the variables from a request's headers."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            REQUEST_ID.set(headers["x-request-id"])
            USER.set(headers["x-user"])
            LOCALE.set(headers["accept-language"])
        await self.app(scope, receive, send)


def add_context(record: logging.LogRecord) -> bool:
    """Adds the variables to a log record. Used as a filter of a handler."""
    record.request_id = REQUEST_ID.get(None)
    record.user = USER.get(None)
    return True


class JsonFormatter(logging.Formatter):
    """Formats log lines as Rust does."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "level": record.levelname,
            "request_id": record.request_id,
            "user": record.user,
            "message": record.getMessage(),
            "target": record.name,
        }
        return json.dumps(line)


def init_logging() -> None:
    handler = logging.StreamHandler(sys.stdout)
    handler.addFilter(add_context)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
