"""Traces as waterfalls: pure functions of spans."""

from __future__ import annotations

from typing import Any

import pytest
from needs import need_feature, need_module

need_module("plotly")
need_feature("tracing")

from opentelemetry.sdk.trace import ReadableSpan

from lbkit.net.tracing.context import Context
from lbkit.net.tracing.otel import Converter
from lbkit.net.tracing.spans import CLIENT, SERVER, Span
from lbkit.viz import figures
from lbkit.viz.style import CLIENTS, FAILED, INK, server_look
from lbkit.viz.waterfall import MOST

TRACE = "0af7651916cd43dd8448eb211c80319c"
EPOCH = 1_700_000_000_000_000_000
convert = Converter("lbkit")


def span(
    number: int,
    parent: int,
    start: float,
    end: float,
    kind: str = CLIENT,
    trace: str = TRACE,
    **attributes: Any,
) -> ReadableSpan:
    made = Span(Context(trace, "", True), f"{number:016x}", f"{parent:016x}" if parent else "", kind, start)
    made.end, made.name = end, "GET"
    made.error = attributes.pop("error", "")
    made.attributes = {f"lbkit.{name}": value for name, value in attributes.items()}
    made.events = [("picked", start), ("first byte", end)]
    return convert(made, EPOCH)


def hedged() -> list[ReadableSpan]:
    """A client, the proxy, an attempt that fails, one that is slow, and its hedge, in no order."""
    proxy = span(2, 1, 10.001, 10.07, SERVER, attempts=3)
    proxy._attributes["url.path"] = "/cart"  # type: ignore[index]
    return [
        span(5, 2, 10.03, 10.07, backend="s1", outcome="ok", hedge=True),
        span(3, 2, 10.001, 10.005, backend="s3", outcome="failed", error="refused"),
        proxy,
        span(4, 2, 10.005, 10.07, backend="s2", outcome="dropped"),
        span(1, 0, 10.0, 10.0715),
    ]


def test_children_stand_below_their_parents_in_time() -> None:
    figure = figures.waterfall(hedged())
    bars, *marks = figure.data
    assert list(figure.layout.yaxis.ticktext) == ["GET", "↳ proxy", "↳↳ s3", "↳↳ s2", "↳↳ s1, hedge"]
    assert list(bars.base) == [0.0, 1.0, 1.0, 5.0, 30.0]
    assert list(bars.x) == pytest.approx([71.5, 69.0, 4.0, 65.0, 40.0])
    assert list(bars.marker.color) == [
        CLIENTS[0],
        INK,
        FAILED,
        server_look(1).colour,
        server_look(0).colour,
    ]
    assert list(bars.marker.opacity) == [1.0, 1.0, 1.0, 0.4, 1.0]
    assert figure.layout.xaxis.title.text == "ms since the trace began"
    assert {mark.name: list(mark.y) for mark in marks} == {
        "picked": [0, 1, 2, 3, 4],
        "first byte": [0, 1, 2, 3, 4],
    }
    assert len({mark.marker.symbol for mark in marks}) == 2


def test_the_title_says_what_happened() -> None:
    assert figures.waterfall(hedged()).layout.title.text.replace("<br>", " ").replace("\u00a0", " ") == (
        "GET /cart took 71.5 ms: 3 attempts (1 failed, 1 dropped); the answer came from s1"
    )


def test_the_slowest_trace_is_drawn_unless_another_is_asked_for() -> None:
    other = "1" * 32
    spans = [*hedged(), span(9, 0, 3.0, 5.0, trace=other)]
    assert len(figures.waterfall(spans).data[0].x) == 1
    assert figures.waterfall(spans).layout.xaxis.title.text == "s since the trace began"
    assert len(figures.waterfall(spans, TRACE).data[0].x) == 5
    with pytest.raises(ValueError, match=r"trace_id is '2+': no span has it; use one of 2 that are there"):
        figures.waterfall(spans, "2" * 32)


def test_no_spans_are_said() -> None:
    figure = figures.waterfall([])
    assert figure.layout.annotations[0].text == "no span was recorded"


def test_a_span_without_its_parent_is_a_root_and_circles_end() -> None:
    assert len(figures.waterfall([span(2, 1, 0.0, 1.0), span(3, 2, 0.0, 1.0)]).data[0].x) == 2
    itself = [span(1, 0, 0.0, 1.0), span(2, 2, 0.0, 1.0)]
    assert len(figures.waterfall(itself).data[0].x) == 1


def test_rows_are_bounded_and_texts_cannot_be_tags() -> None:
    spans = [span(i + 1, 0, i / 100, 1.0, backend="<b>", outcome="ok") for i in range(MOST + 5)]
    figure = figures.waterfall(spans)
    assert len(figure.data[0].x) == MOST
    assert "40 of 45 spans" in figure.layout.title.text.replace("<br>", " ")
    assert "<b>" not in figure.layout.yaxis.ticktext[0]
    assert "lbkit.backend: &lt;b&gt;" in figure.data[0].customdata[0]
