"""FastAPI in front: a middleware sets the variables, and all code that serves the request sees them in Rust."""

import asyncio
import unittest

from async_variables import NOTE, REQUEST
from rust import awaitables, coroutines, polled, shutdown
from test_coroutines import AsyncTestCase

try:
    import httpx
    from fastapi import BackgroundTasks, Depends, FastAPI
    from fastapi.responses import StreamingResponse
    from starlette.middleware.base import BaseHTTPMiddleware
except ImportError:
    httpx = None
    BackgroundTasks = object


class SetRequest:
    """Middleware for ASGI: calls the application in its own task."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        REQUEST.set(scope["path"].split("/")[-1])
        await self.app(scope, receive, send)
        seen_after.setdefault(REQUEST.get(), []).append(NOTE.get("not set"))


async def set_request(request, call_next):
    """Middleware for BaseHTTPMiddleware, which calls the application in another task."""
    REQUEST.set(request.url.path.split("/")[-1])
    response = await call_next(request)
    seen_after.setdefault(REQUEST.get(), []).append(NOTE.get("not set"))
    return response


def application(*middleware):
    app = FastAPI()

    async def async_dependency():
        before = await coroutines.get()
        yield before
        background.setdefault(before, []).append(await coroutines.get())

    def sync_dependency():
        before = shutdown.get()
        yield before
        background.setdefault(before, []).append(shutdown.get())

    async def call_back():
        await asyncio.sleep(0)
        return REQUEST.get()

    @app.get("/async/{name}")
    async def async_endpoint(name: str):
        # Rust sets "of Rust" before it calls back.
        called, _ = await awaitables.call("task", call_back, False)
        seen = {*await coroutines.read(), *await polled.read(), shutdown.get(), REQUEST.get()}
        return [*sorted(seen), called]

    @app.get("/sync/{name}")
    def sync_endpoint(name: str):
        return [shutdown.get(), shutdown.call_detached(REQUEST.get), REQUEST.get()]

    @app.get("/set/{name}")
    async def set_endpoint(name: str):
        await coroutines.set_applying_changes("of Rust", "return")
        NOTE.set("of the endpoint")
        return [REQUEST.get()]

    @app.get("/background/{name}")
    async def background_endpoint(name: str, tasks: BackgroundTasks):
        async def async_task():
            background.setdefault(name, []).append(await coroutines.get())

        def sync_task():
            background.setdefault(name, []).append(shutdown.get())

        tasks.add_task(async_task)
        tasks.add_task(sync_task)
        return [await coroutines.get()]

    @app.get("/async-stream/{name}")
    async def async_stream(name: str):
        async def lines():
            for _ in range(3):
                yield f"{await coroutines.get()} {await polled.get()} {shutdown.get()}\n"

        return StreamingResponse(lines())

    @app.get("/sync-stream/{name}")
    async def sync_stream(name: str):
        def lines():
            for _ in range(3):
                yield f"{shutdown.get()}\n"

        return StreamingResponse(lines())

    @app.get("/dependencies/{name}")
    async def dependencies(
        name: str, one: str = Depends(async_dependency), other: str = Depends(sync_dependency)
    ):
        return [one, other, await coroutines.get()]

    for options in middleware:
        app.add_middleware(options[0], **options[1])
    return app


# The values seen by background tasks, by the cleanup of dependencies, and by middleware afterwards.
background = {}
seen_after = {}


class Requests:
    """`middleware` is how the application is made."""

    def setUp(self):
        background.clear()
        seen_after.clear()

    def get(self, *paths):
        """Makes overlapping requests. Returns the texts of the responses."""

        async def main():
            transport = httpx.ASGITransport(app=application(self.middleware()))
            async with httpx.AsyncClient(
                transport=transport, base_url="http://example.com"
            ) as client:
                responses = await asyncio.gather(*(client.get(path) for path in paths))
            for response in responses:
                self.assertEqual(response.status_code, 200)
            return responses

        return self.run_async(main())

    def get_json(self, path):
        return self.get(path)[0].json()

    def test_async_endpoint(self):
        self.assertEqual(self.get_json("/async/ada"), ["ada", "of Rust"])

    def test_sync_endpoint(self):
        self.assertEqual(self.get_json("/sync/ada"), ["ada", "of Rust", "ada"])

    def test_background_tasks(self):
        self.assertEqual(self.get_json("/background/ada"), ["ada"])
        self.assertEqual(background, {"ada": ["ada", "ada"]})

    def test_stream_of_an_async_generator(self):
        self.assertEqual(self.get("/async-stream/ada")[0].text, "ada ada ada\n" * 3)

    def test_stream_of_a_sync_generator(self):
        self.assertEqual(self.get("/sync-stream/ada")[0].text, "ada\n" * 3)

    def test_dependencies_with_yield(self):
        self.assertEqual(self.get_json("/dependencies/ada"), ["ada", "ada", "ada"])
        self.assertEqual(background, {"ada": ["ada", "ada"]})

    def test_overlapping_requests(self):
        names = [f"request-{number}" for number in range(200)]
        kinds = ["async", "sync", "background", "async-stream", "sync-stream", "dependencies"]
        kinds = [kinds[number % len(kinds)] for number in range(200)]
        responses = self.get(*(f"/{kind}/{name}" for kind, name in zip(kinds, names)))
        for kind, name, response in zip(kinds, names, responses):
            expected = {
                "async": [name, "of Rust"],
                "sync": [name, "of Rust", name],
                "background": [name],
                "async-stream": f"{name} {name} {name}\n" * 3,
                "sync-stream": f"{name}\n" * 3,
                "dependencies": [name] * 3,
            }[kind]
            self.assertEqual(response.text if "stream" in kind else response.json(), expected)
            if kind in ("background", "dependencies"):
                self.assertEqual(background[name], [name, name])


@unittest.skipIf(httpx is None, "FastAPI and httpx are not installed")
class PureMiddleware(Requests, AsyncTestCase):
    def middleware(self):
        return SetRequest, {}

    def test_middleware_sees_what_an_async_endpoint_sets(self):
        self.assertEqual(self.get_json("/set/ada"), ["of Rust"])
        self.assertEqual(seen_after, {"of Rust": ["of the endpoint"]})


@unittest.skipIf(httpx is None, "FastAPI and httpx are not installed")
class MiddlewareInAnotherTask(Requests, AsyncTestCase):
    def middleware(self):
        return BaseHTTPMiddleware, {"dispatch": set_request}

    def test_middleware_does_not_see_what_an_endpoint_sets(self):
        self.assertEqual(self.get_json("/set/ada"), ["of Rust"])
        self.assertEqual(seen_after, {"ada": ["not set"]})


if __name__ == "__main__":
    unittest.main()
