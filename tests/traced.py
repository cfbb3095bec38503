"""Proxies whose spans are kept in memory, and a collector of OTLP over HTTP."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from needs import need_feature

need_feature("tracing")

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from lbkit.net import Proxy


def keep(proxy: Proxy, exporter: Any = None) -> Any:
    """Have a proxy that has not started export its spans to this exporter: by default into memory."""
    exporter = exporter or InMemorySpanExporter()
    proxy.filters["tracing"].export.exporter = exporter  # type: ignore[attr-defined]
    return exporter


def tree(spans: Sequence[ReadableSpan]) -> tuple[ReadableSpan, list[ReadableSpan]]:
    """Return the span of the proxy, of one trace, and those of its attempts in their order."""
    assert len({span.context.trace_id for span in spans}) == 1
    (ours,) = [span for span in spans if span.kind is SpanKind.SERVER]
    attempts = sorted((span for span in spans if span is not ours), key=lambda span: span.start_time or 0)
    assert {span.kind for span in attempts} <= {SpanKind.CLIENT}
    for span in attempts:
        assert span.parent
        assert span.parent.span_id == ours.context.span_id
        assert (
            (ours.start_time or 0) <= (span.start_time or 0) <= (span.end_time or 0) <= (ours.end_time or 0)
        )
    return ours, attempts


def names(span: ReadableSpan) -> list[str]:
    return [event.name for event in span.events]


class Collector:
    """Takes what exporters send, and answers as it is told: with each status in turn, the last for ever."""

    def __init__(self, *statuses: int, hold: threading.Event | None = None) -> None:
        self.statuses = list(statuses or (200,))
        self.hold = hold
        self.traces: list[ExportTraceServiceRequest] = []
        self.metrics: list[ExportMetricsServiceRequest] = []
        self.asked = threading.Event()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.asked.set()
                if collector.hold:
                    collector.hold.wait(20)
                status = collector.statuses.pop(0) if len(collector.statuses) > 1 else collector.statuses[0]
                if status == 200 and self.path == "/v1/traces":
                    collector.traces.append(ExportTraceServiceRequest.FromString(body))
                elif status == 200 and self.path == "/v1/metrics":
                    collector.metrics.append(ExportMetricsServiceRequest.FromString(body))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def url(self, path: str = "/v1/traces") -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}{path}"

    @property
    def spans(self) -> list[Any]:
        return [
            span
            for request in self.traces
            for of_resource in request.resource_spans
            for scope in of_resource.scope_spans
            for span in scope.spans
        ]

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def __enter__(self) -> Collector:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def attributes(span: Any) -> dict[str, Any]:
    """Return the attributes of a span, or of a resource, as OTLP has them."""
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in span.attributes}
