"""An OpenTelemetry collector for examples/telemetry: checks that each span and log record has the values of its request.

See scripts/interop.
"""

import collections
import http.server
import os
import subprocess
import sys
import threading

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse

PROGRAM = sys.argv[1]
REQUESTS = 100
SPANS = ["request", "direct", "call", "moved"]
RECORDS = ["started", "called", "worked"]
# Set by tracing-opentelemetry.
OTHERS = ["busy_ns", "idle_ns", "code.", "target", "thread."]


def python(value):
    """Returns the value of an attribute. Types stay apart: an integer is never a float."""
    kind = value.WhichOneof("value")
    if kind == "kvlist_value":
        return {pair.key: python(pair.value) for pair in value.kvlist_value.values}
    if kind == "array_value":
        return [python(element) for element in value.array_value.values]
    return kind, getattr(value, kind)


def attributes(pairs):
    assert len({pair.key for pair in pairs}) == len(pairs), pairs
    return {pair.key: python(pair.value) for pair in pairs if not pair.key.startswith(tuple(OTHERS))}


def expected(n, cart):
    return {
        "request_id": ("int_value", n),
        "tenant": ("string_value", f"tenant-{n}"),
        "share": ("double_value", n / 4),
        "is_premium": ("bool_value", n % 2 == 0),
        "cart": cart,
    }


class Collector(http.server.BaseHTTPRequestHandler):
    spans, records = [], []

    def do_POST(self):
        assert self.headers["content-type"] == "application/x-protobuf"
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.path == "/v1/traces":
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                for scope in resource.scope_spans:
                    self.spans.extend(scope.spans)
            answer = ExportTraceServiceResponse()
        else:
            assert self.path == "/v1/logs"
            for resource in ExportLogsServiceRequest.FromString(body).resource_logs:
                for scope in resource.scope_logs:
                    self.records.extend(scope.log_records)
            answer = ExportLogsServiceResponse()
        answer = answer.SerializeToString()
        self.send_response(200)
        self.send_header("content-type", "application/x-protobuf")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector) as collector:
    threading.Thread(target=collector.serve_forever).start()
    try:
        environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = f"http://127.0.0.1:{collector.server_port}"
        subprocess.run([PROGRAM], env=environment, stdout=subprocess.DEVNULL, timeout=120, check=True)
    finally:
        collector.shutdown()

traces, counts = collections.defaultdict(set), collections.Counter()
for span in Collector.spans:
    what, n = span.name.split()
    cart = f'{{"items":[{n},{int(n) + 1}],"note":null}}'
    shown = attributes(span.attributes)
    assert shown == expected(int(n), ("string_value", cart)), (span.name, shown)
    traces[n].add(span.trace_id)
    counts[what] += 1
assert counts == {what: REQUESTS for what in SPANS}, counts

counts.clear()
for record in Collector.records:
    what, n = record.body.string_value.split()
    shown = attributes(record.attributes)
    cart = {"items": [("int_value", int(n)), ("int_value", int(n) + 1)]}
    assert shown == expected(int(n), cart), (what, n, shown)
    traces[n].add(record.trace_id)
    counts[what] += 1
assert counts == {what: REQUESTS for what in RECORDS}, counts
# The spans of a request are one trace, and its records belong to it.
assert len(traces) == REQUESTS and all(len(ids) == 1 for ids in traces.values()), traces

print(f"{len(Collector.spans)} spans and {len(Collector.records)} log records of {REQUESTS} requests had their request's values")
