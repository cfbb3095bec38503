"""Sends spans to where traces are kept, in a thread: no request waits for it.

The proxy's thread only appends finished spans to a bounded queue. What finds no room there is dropped and
counted, so a collector that is slow or down costs spans, not memory or time.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from time import monotonic
from typing import TYPE_CHECKING

from lbkit.net.tracing.rules import Tracing
from lbkit.net.tracing.spans import Span

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

CLOSING = 2.0  # seconds that a stop waits for the last spans


class Export:
    """The queue and the thread. Without an endpoint or an exporter it takes spans and forgets them.

    `exporter`: one of OpenTelemetry's SDK, in place of the rules' endpoint, such as one that keeps spans in
    memory; set before the first request. It is not shut down."""

    def __init__(self, rules: Tracing, fault: Callable[[str], object]) -> None:
        """`fault` is called with what failed, in any thread."""
        self.exporter: SpanExporter | None = None
        self._rules = rules
        self._fault = fault
        self._waiting: deque[Span] = deque()
        self._due = threading.Event()  # a batch is full, or the proxy stops
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._sent = self._dropped = self._failed = 0

    # -- in the proxy's thread -----------------------------------------------------------------

    def add(self, spans: list[Span]) -> None:
        """Take the finished spans of a request: all of them, or none if there is no room."""
        if not (self._rules.endpoint or self.exporter):
            return
        waiting = self._waiting
        if len(waiting) + len(spans) > self._rules.queue:
            self._dropped += len(spans)
            self._due.set()
            return
        waiting.extend(spans)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="lbkit spans", daemon=True)
            self._thread.start()
        if len(waiting) >= self._rules.batch and not self._due.is_set():
            self._due.set()

    def figures(self) -> Mapping[str, int]:
        if not (self._rules.endpoint or self.exporter):
            return {}
        return {"spans sent": self._sent, "spans dropped": self._dropped, "spans not sent": self._failed}

    async def close(self) -> None:
        """Send what waits, for CLOSING seconds at most."""
        self._stopping = True
        self._due.set()
        if self._thread:
            await asyncio.to_thread(self._thread.join, CLOSING)

    # -- in its own thread ---------------------------------------------------------------------

    def _run(self) -> None:
        from lbkit.net.tracing.otel import Converter, otlp_exporter  # of the extra

        rules = self._rules
        exporter = self.exporter or otlp_exporter(rules)
        convert = Converter(rules.service)
        while not self._stopping:
            self._due.wait(rules.delay)
            self._due.clear()
            self._send_all(exporter, convert)
        self._send_all(exporter, convert)
        if exporter is not self.exporter:
            exporter.shutdown()

    def _send_all(self, exporter: SpanExporter, convert: Callable[[Span, int], object]) -> None:
        while self._waiting:
            epoch = time.time_ns() - int(monotonic() * 1e9)  # the wall's clock at 0 of the loop's
            size = min(len(self._waiting), self._rules.batch)
            batch = [convert(self._waiting.popleft(), epoch) for _ in range(size)]
            try:
                sent = exporter.export(batch).name == "SUCCESS"  # type: ignore[arg-type]
            except Exception:  # an exporter of a learner's own may raise anything
                self._fault("the exporter of spans failed")
                sent = False
            else:
                if not sent:
                    self._fault(
                        f"spans cannot be sent to {self._rules.endpoint or exporter}: they are dropped"
                    )
            self._sent += size * sent
            self._failed += size * (not sent)
