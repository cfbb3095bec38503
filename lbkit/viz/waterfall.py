"""A trace as a waterfall: what worked on a request, from when to when, and what waited for what."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from typing import Any, Protocol

from lbkit.viz.drawing import HIDDEN, Figure, Trace, figure, note
from lbkit.viz.style import CLIENTS, FAILED, INK, SYMBOLS, axis, duration, server_look

MOST = 40  # rows that can be read
ROW = 26  # pixels
NANOSECONDS = 1e9
UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))
BACKEND = "lbkit.backend"  # which attempts have
PROXY = "lbkit.attempts"  # which the span of the proxy has


class Span(Protocol):
    """What is drawn of a span: OpenTelemetry's ReadableSpan has it. Times are nanoseconds since 1970."""

    name: str
    context: Any
    parent: Any
    kind: Any
    status: Any
    start_time: int | None
    end_time: int | None

    @property
    def attributes(self) -> Mapping[str, Any] | None: ...
    @property
    def events(self) -> Sequence[Any]: ...


def waterfall(spans: Iterable[Span], trace_id: str = "") -> Figure:
    """Return one trace of these spans: a bar for each, children below their parents, and marks for events.

    `trace_id`: 32 hexadecimal digits; by default the trace that took longest. A bar has the colour of its
    server, or is grey for the proxy; failed ones are red, and pale is what was dropped, as a hedge that lost.
    Raises ValueError for a trace that is not among them."""
    traces = defaultdict(list)
    for span in spans:
        traces[f"{span.context.trace_id:032x}"].append(span)
    if trace_id and trace_id not in traces:
        raise ValueError(f"trace_id is {trace_id!r}: no span has it; use one of {len(traces)} that are there")
    if not traces:
        return figure(
            "No trace",
            [{"type": "bar", "x": [], "y": []}],
            annotations=[note("no span was recorded")],
            xaxis=HIDDEN,
            yaxis=HIDDEN,
        )
    ours = traces[trace_id] if trace_id else max(traces.values(), key=lambda found: _seconds(found))
    rows = list(_rows(ours))[:MOST]
    start = min(_start(span) for span in ours)
    scale, unit = next((u for u in UNITS if _seconds(ours) >= u[0]), UNITS[-1])
    servers = sorted({_attributes(span)[BACKEND] for span in ours if BACKEND in _attributes(span)})
    labels = [_indented(depth, _label(span)) for depth, span in rows]

    def at(nanoseconds: int) -> float:
        return round((nanoseconds - start) / NANOSECONDS / scale, 3)

    bars: Trace = {
        "type": "bar",
        "orientation": "h",
        "y": list(range(len(rows))),
        "base": [at(_start(span)) for _, span in rows],
        "x": [round(at(_end(span)) - at(_start(span)), 3) for _, span in rows],
        "marker": {
            "color": [_colour(span, servers) for _, span in rows],
            "opacity": [
                0.4 if _attributes(span).get("lbkit.outcome") == "dropped" else 1.0 for _, span in rows
            ],
        },
        "customdata": [_hover(span) for _, span in rows],
        "hovertemplate": "%{customdata}<extra></extra>",
        "showlegend": False,
    }
    return figure(
        _finding(ours, rows),
        [bars, *_marks(rows, at, unit)],
        height=120 + ROW * len(rows),
        xaxis=axis(f"{unit} since the trace began", rangemode="tozero"),
        yaxis=axis(tickvals=list(range(len(rows))), ticktext=labels, autorange="reversed", showgrid=False),
    )


def _rows(spans: list[Span]) -> Iterator[tuple[int, Span]]:
    """Yield the spans with their depths: children below their parents, both by their beginnings."""
    known = {span.context.span_id for span in spans}
    children = defaultdict(list)
    for span in sorted(spans, key=_start):
        parent = span.parent.span_id if span.parent else 0
        children[parent if parent in known else 0].append(span)
    stack = [(0, span) for span in reversed(children[0])]
    while stack:
        depth, span = stack.pop()
        yield depth, span
        stack += [(depth + 1, child) for child in reversed(children[span.context.span_id])]


def _marks(rows: Sequence[tuple[int, Span]], at: Any, unit: str) -> Iterator[Trace]:
    """Yield the events of each name, with a symbol of its own."""
    found: dict[str, list[tuple[float, int]]] = {}
    for number, (_, span) in enumerate(rows):
        for event in span.events:
            found.setdefault(event.name, []).append((at(event.timestamp), number))
    for number, (name, points) in enumerate(found.items()):
        yield {
            "type": "scatter",
            "mode": "markers",
            "name": name,
            "x": [x for x, _ in points],
            "y": [y for _, y in points],
            "marker": {
                "symbol": SYMBOLS[number % len(SYMBOLS)],
                "size": 9,
                "color": "#FFFFFF",
                "line": {"width": 1.5, "color": INK},
            },
            "hovertemplate": f"{name} at %{{x:.3~g}} {unit}<extra></extra>",
        }


def _finding(spans: list[Span], rows: Sequence[tuple[int, Span]]) -> str:
    root = rows[0][1]
    path = next((p for span in spans if (p := _attributes(span).get("url.path"))), "")
    attempts = [span for span in spans if BACKEND in _attributes(span)]
    outcomes = [_attributes(span).get("lbkit.outcome") for span in attempts]
    parts = [f"{n} {what}" for what in ("failed", "dropped") if (n := outcomes.count(what))]
    count = f"{len(attempts)} attempt{'s' * (len(attempts) != 1)}"
    if parts:
        count += f" ({', '.join(parts)})"
    won = [_attributes(span)[BACKEND] for span in attempts if _attributes(span).get("lbkit.outcome") == "ok"]
    answer = f"; the answer came from {won[-1]}" if won else ""
    left_out = f" (the first {len(rows)} of {len(spans)} spans)" if len(rows) < len(spans) else ""
    name = escape(f"{root.name} {path}" if path and path not in root.name else root.name, quote=False)
    return f"{name} took {duration(_seconds(spans))}: {count}{answer}{left_out}"


def _label(span: Span) -> str:
    found = _attributes(span)
    if BACKEND in found:
        again = (
            ", hedge"
            if found.get("lbkit.hedge")
            else ", again"
            if "http.request.resend_count" in found
            else ""
        )
        return f"{escape(str(found[BACKEND]), quote=False)}{again}"
    return "proxy" if PROXY in found else escape(span.name, quote=False)


def _indented(depth: int, label: str) -> str:
    return f"{'↳' * depth} {label}" if depth else label


def _hover(span: Span) -> str:
    spent = duration((_end(span) - _start(span)) / NANOSECONDS)
    found = [escape(f"{name}: {value}", quote=False) for name, value in _attributes(span).items()]
    return "<br>".join([f"<b>{_label(span)}</b>: {spent}", *found])


def _colour(span: Span, servers: Sequence[str]) -> str:
    if span.status.status_code.name == "ERROR":
        return FAILED
    if (backend := _attributes(span).get(BACKEND)) in servers:
        return server_look(servers.index(backend)).colour
    return INK if PROXY in _attributes(span) else CLIENTS[0]


def _attributes(span: Span) -> Mapping[str, Any]:
    return span.attributes or {}


def _start(span: Span) -> int:
    return span.start_time or 0


def _end(span: Span) -> int:
    return span.end_time or _start(span)


def _seconds(spans: Sequence[Span]) -> float:
    return (max(map(_end, spans)) - min(map(_start, spans))) / NANOSECONDS
