"""Spans as those of OpenTelemetry's SDK, and the exporter that sends them over HTTP (OTLP).

The SDK makes a span in some twenty microseconds, half of what the proxy needs for a request; so the proxy
keeps plain ones, which become the SDK's in the exporter's thread. Needs the extra `tracing`.
"""

from __future__ import annotations

import logging
import os

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from lbkit import __version__
from lbkit.net.tracing.rules import Tracing
from lbkit.net.tracing.spans import SERVER, Span

SAMPLED = TraceFlags(TraceFlags.SAMPLED)


def resource(service: str) -> Resource:
    """Return what every span and metric says of this process; OTEL_RESOURCE_ATTRIBUTES adds to it."""
    return Resource.create(
        {"service.name": service, "service.version": __version__, "process.pid": os.getpid()}
    )


def quiet() -> None:
    """Keep exporters from logging each failure to standard error; the proxy says the first, and counts."""
    logger = logging.getLogger("opentelemetry.exporter")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())


def otlp_exporter(rules: Tracing) -> OTLPSpanExporter:
    """Return what sends spans. OTEL_EXPORTER_OTLP_HEADERS and its like add to the settings."""
    quiet()
    return OTLPSpanExporter(rules.endpoint, timeout=rules.timeout)


class Converter:
    """Makes spans of the SDK."""

    def __init__(self, service: str) -> None:
        self._resource = resource(service)
        self._scope = InstrumentationScope("lbkit", __version__)

    def __call__(self, span: Span, epoch: int) -> ReadableSpan:
        """Return the span; `epoch`: nanoseconds since 1970 at 0 of the loop's clock."""
        trace_id = int(span.trace.trace_id, 16)
        state = TraceState.from_header([span.trace.state.decode()]) if span.trace.state else None
        context = SpanContext(trace_id, int(span.span_id, 16), False, SAMPLED, state)
        remote = span.kind == SERVER
        parent = SpanContext(trace_id, int(span.parent_id, 16), remote, SAMPLED) if span.parent_id else None

        def nanoseconds(seconds: float) -> int:
            return epoch + int(seconds * 1e9)

        error = {"error.type": span.error} if span.error else {}
        return ReadableSpan(
            span.name,
            context,
            parent,
            self._resource,
            {**span.attributes, **error},
            [Event(name, timestamp=nanoseconds(at)) for name, at in span.events],
            kind=SpanKind[span.kind],
            status=Status(StatusCode.ERROR if span.error else StatusCode.UNSET),
            start_time=nanoseconds(span.start),
            end_time=nanoseconds(span.end),
            instrumentation_scope=self._scope,
        )
