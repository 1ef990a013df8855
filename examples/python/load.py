"""Starts both services, sends overlapping requests, and checks every answer and every log line."""

import asyncio
import json
import os
import re
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

REQUESTS = 500
# How many requests are sent at a time, and how many the second service holds before it answers them.
CONCURRENCY = 200
OVERLAP = 100

STEPS = ["received", "priced", "taxed", "invoiced", "audited"]
# The log lines of one request: where they come from, and their messages.
LINES = Counter(
    [("app", "ordered"), ("engine", "reserved"), ("stock", "reserved")]
    + [(target, step) for target in ("engine", "app") for step in STEPS]
)

Values = dict[str, str]


class Failure(Exception):
    """Ends the program with a message."""


def values_of(n: int) -> Values:
    return {"request_id": f"request-{n}", "user": f"Lovelace, Ada {n}", "locale": f"en-x-{n}"}


@asynccontextmanager
async def service(name: str, log: list[str], **env: str) -> AsyncIterator[str]:
    """Runs a service and yields its URL. Adds the lines that it logs to `log`."""
    # A short keep-alive could close an idle connection just as a request is sent on it.
    options = ["--no-access-log", "--timeout-keep-alive", "60", "--timeout-graceful-shutdown", "10"]
    process = await asyncio.create_subprocess_exec(
        *[sys.executable, "-m", "uvicorn", f"{name}:app", "--port", "0", *options],
        cwd=Path(__file__).parent,
        env={**os.environ, **env},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    url: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def read_log() -> None:
        async for line in process.stdout:
            log.append(line.decode())

    async def read_messages() -> None:
        left = 100
        async for line in process.stderr:
            text = line.decode()
            if started := re.search(r"running on (http://\S+)", text):
                url.set_result(started[1])
            elif not text.startswith("INFO:") and left > 0:
                left -= 1
                print(f"{name}: {text}", end="", file=sys.stderr)
        if not url.done():
            url.set_exception(Failure(f"{name} did not start"))

    output = asyncio.gather(read_log(), read_messages())
    try:
        yield await url
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
        status = await asyncio.wait_for(process.wait(), 60)
        await output
        if status != 0:
            raise Failure(f"{name} ended with status {status}")
    except asyncio.TimeoutError:
        raise Failure(f"{name} did not stop") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def send(url: str, values: Values) -> Any:
    """Returns the answer, or an error."""
    headers = {
        "x-request-id": values["request_id"],
        "x-user": values["user"],
        "accept-language": values["locale"],
    }
    request = Request(f"{url}/orders", headers=headers, method="POST")
    try:
        with urlopen(request, timeout=60) as answer:
            return json.load(answer)
    except OSError as error:
        return error


async def send_all(url: str, sent: list[Values]) -> list[Any]:
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(CONCURRENCY) as threads:
        answers = [loop.run_in_executor(threads, send, url, values) for values in sent]
        return await asyncio.gather(*answers)


def check_answer(sent: Values, answer: Any) -> list[str]:
    expected = {
        "endpoint": sent,
        "steps": {step: {"rust": sent, "python": sent} for step in STEPS},
        # The locale is not in the baggage.
        "stock": {"request_id": sent["request_id"], "user": sent["user"]},
    }
    return [] if answer == expected else [f"{sent['request_id']}: wrong answer: {answer}"]


def check_log(sent: list[Values], log: list[str]) -> list[str]:
    wrong = []
    counts: dict[str, Counter[tuple[str, str]]] = {
        values["request_id"]: Counter() for values in sent
    }
    users = {values["request_id"]: values["user"] for values in sent}
    for text in log:
        try:
            line = json.loads(text)
        except ValueError:
            line = {}
        request_id, user = line.get("request_id"), line.get("user")
        if request_id not in users:
            wrong.append(f"a line without the id of a request: {text.strip()}")
        elif user != users[request_id]:
            wrong.append(f"a line with a wrong user: {text.strip()}")
        else:
            counts[request_id][line["target"], line["message"]] += 1
    for request_id, lines in counts.items():
        for target, message in (LINES - lines).elements():
            wrong.append(f'{request_id}: no line "{message}" of {target}')
        for target, message in (lines - LINES).elements():
            wrong.append(f'{request_id}: one line "{message}" of {target} too many')
    return wrong


async def main() -> None:
    # On SIGTERM, stop the services as well.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asyncio.current_task().cancel)

    sent = [values_of(n) for n in range(REQUESTS)]
    log: list[str] = []
    async with service("stock", log, OVERLAP=str(OVERLAP)) as stock_url:
        async with service("app", log, STOCK_URL=stock_url) as url:
            answers = await send_all(url, sent)

    wrong = check_log(sent, log)
    for values, answer in zip(sent, answers):
        wrong += check_answer(values, answer)
    if wrong:
        raise Failure("\n".join(wrong[:10] + [f"{len(wrong)} lines and answers are wrong"]))
    print(f"{len(answers)} requests: {len(log)} log lines and {len(answers)} answers are right")


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except Failure as failure:
        sys.exit(str(failure))
