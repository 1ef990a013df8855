"""Tests that examples/two_services reads requests of other clients, and that OpenTelemetry for Python reads those it sends.

See scripts/interop.
"""

import contextlib
import http.server
import json
import pathlib
import sqlite3
import subprocess
import sys
import tempfile
import threading

import httpx
import requests
from opentelemetry import baggage, trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

PROGRAM = sys.argv[1]
# Characters that a header has to encode, and text that is not ASCII.
TENANTS = ["acme", "with space", 'a,b;c=d "e"', "100%", "%20", "a+b", "größe ☃ 🦀", "back\\slash", "'quoted'", "line\nfeed"]
ID = "018f6f2e-1c34-7a5b-9c53-0123456789ab"


@contextlib.contextmanager
def service(*arguments):
    """Starts a service. Yields its URL, and a list that has its log after it has ended."""
    with subprocess.Popen([PROGRAM, *arguments], stdout=subprocess.PIPE, text=True, encoding="utf-8") as process:
        url, log = "http://" + process.stdout.readline().strip(), []
        reader = threading.Thread(target=lambda: log.extend(map(json.loads, process.stdout)))
        reader.start()
        try:
            yield url, log
        finally:
            process.kill()
            reader.join()


def curl(url, headers, body):
    arguments = [argument for name, value in headers.items() for argument in ("--header", f"{name}: {value}")]
    command = ["curl", "--silent", "--show-error", "--fail", *arguments, "--data-binary", body, url]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def with_requests(url, headers, body):
    response = requests.post(url, headers=headers, data=body)
    response.raise_for_status()
    return response.text


def with_httpx(url, headers, body):
    return httpx.post(url, headers=headers, content=body).raise_for_status().text


CLIENTS = [curl, with_requests, with_httpx]


def check_other_clients():
    """Sends requests from other clients and checks the backend's rows and log."""
    expected = {}
    with tempfile.TemporaryDirectory() as directory:
        database = pathlib.Path(directory, "orders.sqlite")
        with service("backend", str(database)) as (url, log):
            tracer = TracerProvider().get_tracer("interop")
            for client in CLIENTS:
                for tenant in TENANTS:
                    span = tracer.start_span("order")
                    context = trace.set_span_in_context(span)
                    for key, value in [("request.id", ID), ("tenant", tenant), ("unknown", "1")]:
                        context = baggage.set_baggage(key, value, context)
                    headers = {}
                    W3CBaggagePropagator().inject(headers, context)
                    TraceContextTextMapPropagator().inject(headers, context)
                    item = f"{client.__name__} {tenant!r}"
                    client(url + "/store", headers, item.encode())
                    # OpenTelemetry for Python encodes a space as `+`, as HTML forms do. W3C baggage has no
                    # such encoding.
                    expected[item] = (ID, tenant.replace(" ", "+"), "en", f"{span.get_span_context().trace_id:032x}")
            # Written by hand. The backend ignores entries that it cannot read.
            headers = {"baggage": f"request.id={ID}, tenant = by%20hand ;property, locale=fr, request.id2=x"}
            curl(url + "/store", headers, "by hand")
            expected["by hand"] = (ID, "by hand", "fr", "0" * 32)
        with contextlib.closing(sqlite3.connect(database)) as connection:
            rows = connection.execute("SELECT item, request_id, tenant, locale, trace FROM orders")
            assert {row[0]: row[1:] for row in rows} == expected
        lines = [line["fields"] for line in log if line["fields"]["message"] == "stored"]
        shown = sorted((line["request_id"], line["tenant"], line.get("locale", "en"), line["trace_id"]) for line in lines)
        assert shown == sorted(expected.values())
    return len(expected)


def check_gateway():
    """Sends requests from the gateway to a backend in Python, and checks what that reads."""
    seen = {}

    class Backend(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            headers = {name.lower(): value for name, value in self.headers.items()}
            context = TraceContextTextMapPropagator().extract(headers, W3CBaggagePropagator().extract(headers))
            item = self.rfile.read(int(self.headers["content-length"])).decode()
            span = trace.get_current_span(context).get_span_context()
            seen[item] = (dict(baggage.get_all(context)), f"{span.trace_id:032x}")
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    expected = {}
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Backend) as backend:
        threading.Thread(target=backend.serve_forever).start()
        try:
            with service("gateway", f"http://127.0.0.1:{backend.server_port}") as (url, _):
                for client in CLIENTS:
                    for tenant in filter(lambda tenant: tenant.isascii() and tenant.isprintable(), TENANTS):
                        item = f"{client.__name__} {tenant!r}"
                        headers = {"x-tenant": tenant, "accept-language": "fr", "user-agent": "stays at the gateway"}
                        request_id, trace_id = client(url + "/orders", headers, item.encode()).split()
                        values = {"request.id": request_id, "tenant": tenant, "locale": "fr"}
                        expected[item] = (values, trace_id)
        finally:
            backend.shutdown()
    assert seen == expected, (seen, expected)
    return len(expected)


print(f"{check_other_clients()} requests from other clients and OpenTelemetry for Python were read")
print(f"{check_gateway()} requests from the gateway were read by OpenTelemetry for Python")
