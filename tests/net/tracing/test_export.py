"""Spans on their way to a collector: a real one over HTTP, and what happens when it is slow or down."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from needs import need_feature
from scripted import TIMEOUT, answers, ask, nobody_listens, proxied

need_feature("tracing")

from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from traced import Collector, attributes

from lbkit.net import Proxy, ProxyConfig
from lbkit.net.preflight import notes
from lbkit.net.tracing.context import Context
from lbkit.net.tracing.export import Export
from lbkit.net.tracing.rules import Tracing
from lbkit.net.tracing.spans import SERVER, Span

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
GET = (
    f"GET /a?b=c HTTP/1.1\r\nHost: a\r\ntraceparent: 00-{TRACE}-{SPAN}-01\r\ntracestate: a=1\r\n\r\n".encode()
)


def until(true: Callable[[], object]) -> None:
    end = time.monotonic() + TIMEOUT
    while not true():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.002)


def figures(proxy: Proxy) -> dict[str, int]:
    found = proxy.filters["tracing"].figures()
    return {name.removeprefix("spans "): count for name, count in found.items()}


def span() -> Span:
    made = Span(Context(TRACE, SPAN, True), "1" * 16, SPAN, SERVER, 1.0)
    made.end = 2.0
    return made


class Gate(SpanExporter):
    """Holds the first batch until it is told to go on."""

    def __init__(self) -> None:
        self.entered, self.go = threading.Event(), threading.Event()
        self.batches: list[int] = []
        self.result = SpanExportResult.SUCCESS
        self.shut = False

    def export(self, spans: Any) -> SpanExportResult:
        self.entered.set()
        self.go.wait(TIMEOUT)
        self.batches.append(len(spans))
        return self.result

    def shutdown(self) -> None:
        self.shut = True


@contextmanager
def exporting(gate: Gate, rules: Tracing) -> Iterator[tuple[Export, list[str]]]:
    faults: list[str] = []
    export = Export(rules, faults.append)
    export.exporter = gate
    try:
        yield export, faults
    finally:
        gate.go.set()
        asyncio.run(export.close())


def test_a_collector_gets_the_spans_as_opentelemetry_writes_them() -> None:
    with (
        Collector() as collector,
        proxied(answers(OK), tracing=Tracing(collector.url(), service="edge", delay=0.01)) as proxy,
    ):
        before = time.time_ns()
        assert ask(proxy, GET)[0] == 200
        until(lambda: figures(proxy) == {"sent": 2, "dropped": 0, "not sent": 0})
        after = time.time_ns()
        ours, attempt = collector.spans
        assert (ours.trace_id.hex(), ours.parent_span_id.hex(), ours.trace_state) == (TRACE, SPAN, "a=1")
        assert (attempt.trace_id, attempt.parent_span_id) == (ours.trace_id, ours.span_id)
        assert (ours.kind, attempt.kind) == (ours.SPAN_KIND_SERVER, ours.SPAN_KIND_CLIENT)
        assert (
            before
            <= ours.start_time_unix_nano
            <= attempt.end_time_unix_nano
            <= ours.end_time_unix_nano
            <= after
        )
        assert [event.name for event in attempt.events] == ["picked", "connected", "first byte"]
        assert attributes(ours)["http.response.status_code"] == 200
        assert attributes(ours)["url.path"] == "/a"
        assert b"b=c" not in b"".join(request.SerializeToString() for request in collector.traces)
        of_process = attributes(collector.traces[0].resource_spans[0].resource)
        assert of_process["service.name"] == "edge"


def test_the_last_spans_are_sent_when_the_proxy_stops() -> None:
    with Collector() as collector:
        with proxied(answers(OK), tracing=Tracing(collector.url(), delay=TIMEOUT)) as proxy:
            assert ask(proxy)[0] == 200
            assert not collector.spans
        assert len(collector.spans) == 2


def test_without_a_collector_requests_are_served_and_spans_are_counted(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with nobody_listens() as port:
        url = f"http://127.0.0.1:{port}/v1/traces"
        with proxied(answers(OK), tracing=Tracing(url, delay=0.01, timeout=0.05)) as proxy:
            for _ in range(3):
                assert ask(proxy)[0] == 200
            until(lambda: figures(proxy)["not sent"] == 6)
    said = capfd.readouterr().err
    assert said.count("spans cannot be sent") == 1
    assert "Traceback" not in said


def test_what_a_collector_refuses_is_counted() -> None:
    with (
        Collector(400) as collector,
        proxied(answers(OK), tracing=Tracing(collector.url(), delay=0.01)) as proxy,
    ):
        assert ask(proxy)[0] == 200
        until(lambda: figures(proxy)["not sent"] == 2)


def test_a_slow_collector_costs_spans_and_no_time() -> None:
    gate = Gate()
    with exporting(gate, Tracing(queue=4, batch=2, delay=60)) as (export, faults):
        export.add([span(), span()])  # a batch, which the thread takes at once
        assert gate.entered.wait(TIMEOUT)
        export.add([span(), span()])
        export.add([span()])
        export.add([span(), span()])  # there is room for one: all or none
        assert export.figures() == {"spans sent": 0, "spans dropped": 2, "spans not sent": 0}
        gate.go.set()
        until(lambda: export.figures()["spans sent"] == 5)
    assert gate.batches == [2, 2, 1]
    assert not gate.shut  # it is not ours
    assert not faults


def test_an_exporter_that_raises_costs_its_batch_only() -> None:
    class Broken(Gate):
        def export(self, spans: Any) -> SpanExportResult:
            if not self.batches:
                self.batches.append(0)
                raise RuntimeError("no disk")
            return super().export(spans)

    gate = Broken()
    gate.go.set()
    with exporting(gate, Tracing(batch=1, delay=60)) as (export, faults):
        export.add([span()])
        until(lambda: export.figures()["spans not sent"] == 1)
        export.add([span()])
        until(lambda: export.figures()["spans sent"] == 1)
    assert faults == ["the exporter of spans failed"]


def test_a_stop_waits_for_a_collector_for_a_moment_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lbkit.net.tracing.export.CLOSING", 0.05)
    gate = Gate()
    with exporting(gate, Tracing(batch=1)) as (export, _):
        export.add([span()])
        assert gate.entered.wait(TIMEOUT)
        asyncio.run(export.close())
        assert not gate.batches


def test_without_an_endpoint_no_thread_and_no_queue() -> None:
    export = Export(Tracing(), print)
    export.add([span()])
    assert export.figures() == {}
    assert not export._waiting
    assert export._thread is None
    asyncio.run(export.close())


def test_a_check_says_that_nobody_listens() -> None:
    with nobody_listens() as port:
        tracing = {"endpoint": f"http://127.0.0.1:{port}/v1/traces"}
        config = ProxyConfig.from_dict({"backends": [{"address": "127.0.0.1:9001"}], "tracing": tracing})
        (said,) = [line for line in notes(config, 1) if "tracing" in line]
        assert said.startswith(f"tracing.endpoint: cannot connect to 127.0.0.1:{port}: ")
        assert said.endswith("until it answers, spans are dropped")
