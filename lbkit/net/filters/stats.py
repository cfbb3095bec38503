"""Statistics of exchanges by backend: whole numbers only, which the processes of a proxy can add up."""

from __future__ import annotations

from typing import Any

from lbkit.core.histogram import Histogram
from lbkit.net.filters.base import Filter
from lbkit.net.messages import ExchangeView

SWITCHED = 101
LEFT = "client left"
CUT_OFF = "cut off"
DURATIONS = ("latency", "first_byte", "connect")
MOST_ROWS = 10_000  # names of backends that are counted apart; addresses of a name may change for years


class Row:
    """The exchanges that ended at one backend. All counts only grow."""

    __slots__ = ("classes", "connect", "errors", "first_byte", "latency", "retries")

    def __init__(self) -> None:
        self.classes = [0] * 10  # answers by the first digit of their status; 0: the client left before one
        self.errors: dict[str, int] = {}  # answers by why they were no success
        self.retries = 0  # attempts after the first
        # Of successes, as failures may be quick: from the request to the end of the answer; from the pick of
        # the backend to the head of its answer; and of new connections.
        self.latency = Histogram()
        self.first_byte = Histogram()
        self.connect = Histogram()

    def to_dict(self, durations: bool = True) -> dict[str, Any]:
        """Return the counts; with `durations` the histograms, too, which are most of them."""
        counts = {"classes": self.classes, "errors": self.errors, "retries": self.retries}
        found = {"done": sum(self.classes), **counts}
        if durations:
            found["durations"] = {name: getattr(self, name).to_dict() for name in DURATIONS}
        return found


class StatsFilter(Filter):
    """Counts what the admin interface shows. A WebSocket's duration is no latency."""

    name = "stats"

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}  # by the name of the last backend; "": none was picked

    def on_origin_done(self, exchange: ExchangeView, ok: bool | None, now: float) -> None:
        lease = exchange.lease
        name = lease.backend.name if lease else ""
        row = self.rows.get(name)
        if row is None:
            row = self._new_row(name)
        status = exchange.status
        row.classes[status // 100] += 1
        if exchange.attempts > 1:
            row.retries += exchange.attempts - 1
        if ok and lease and status != SWITCHED:
            row.latency.add(now - exchange.began)
            row.first_byte.add(exchange.headed - lease.start)
            if exchange.connected > lease.start:
                row.connect.add(exchange.connected - lease.start)
        elif not ok and (why := _why(status, ok)):
            row.errors[why] = row.errors.get(why, 0) + 1

    def _new_row(self, name: str) -> Row:
        return self.rows.setdefault(name if len(self.rows) < MOST_ROWS else "", Row())


def _why(status: int, ok: bool | None) -> str:
    """Return why an answer was no success; empty if it was not the proxy's or a backend's fault."""
    if not status:
        return LEFT
    if status >= 500:
        return f"status {status}"
    return CUT_OFF if ok is False and status < 400 else ""
