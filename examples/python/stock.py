"""The second service. It responds with the baggage that it has received."""

import asyncio
import logging
import os
from typing import Annotated
from urllib.parse import unquote

from fastapi import FastAPI, Header

from context import REQUEST_ID, USER, init_logging

init_logging()
log = logging.getLogger("stock")
app = FastAPI()


class Gate:
    """Opens when `size` requests are waiting, so that they overlap."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.waiting: list[asyncio.Future[None]] = []

    async def wait(self) -> None:
        opened = asyncio.get_running_loop().create_future()
        self.waiting.append(opened)
        if len(self.waiting) == self.size:
            for waiting in self.waiting:
                waiting.set_result(None)
            self.waiting = []
        await opened


gate = Gate(int(os.environ.get("OVERLAP", "1")))


@app.post("/reserve")
async def reserve(baggage: Annotated[str, Header()]) -> dict[str, str]:
    entries = (entry.split("=", 1) for entry in baggage.split(","))
    received = {key: unquote(value) for key, value in entries}
    REQUEST_ID.set(received["request_id"])
    USER.set(received["user"])
    await gate.wait()
    log.info("reserved")
    return received
