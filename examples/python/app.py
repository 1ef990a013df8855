"""The front service. Its endpoint awaits a Rust function, which calls back into Python."""

import json
import logging
import os
from typing import Any

import engine
from fastapi import FastAPI

from context import ContextMiddleware, init_logging, values

STOCK_URL = os.environ["STOCK_URL"]

init_logging()
log = logging.getLogger("app")
app = FastAPI()
app.add_middleware(ContextMiddleware)


def notify(step: str) -> dict[str, str]:
    """Rust calls this from the coroutine, its tasks, a blocking call and a thread."""
    log.info(step)
    return values()


@app.post("/orders")
async def order() -> dict[str, Any]:
    log.info("ordered")
    steps, stock = await engine.place_order(f"{STOCK_URL}/reserve", notify)
    return {"endpoint": values(), "steps": steps, "stock": json.loads(stock)}
