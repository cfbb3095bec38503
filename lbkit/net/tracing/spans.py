"""A span: what one party did for a request, from when to when."""

from __future__ import annotations

from typing import Any

SERVER, CLIENT = "SERVER", "CLIENT"  # kinds: it answers a request, or makes one

Value = str | int | bool


class Span:
    """A span under way, and as it is exported. Times are the loop's, in seconds."""

    __slots__ = (
        "attributes",
        "end",
        "error",
        "events",
        "kind",
        "name",
        "parent_id",
        "span_id",
        "start",
        "trace",
    )

    def __init__(self, trace: Any, span_id: str, parent_id: str, kind: str, start: float) -> None:
        self.trace = trace  # the Context that its request carries
        self.span_id = span_id
        self.parent_id = parent_id  # empty: the trace begins here
        self.kind = kind
        self.name = ""
        self.start = start
        self.end = 0.0
        self.events: list[tuple[str, float]] = []
        self.attributes: dict[str, Value] = {}
        self.error = ""  # what kind, if it failed
