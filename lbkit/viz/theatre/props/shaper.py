"""Traffic shaping: queues that let requests go at a steady rate.

The leaky bucket as a queue, nginx's limit_req with a delay, and the pace of the gate.
"""

from __future__ import annotations

from typing import Any

from lbkit.recorded import ADMITTED
from lbkit.result import Result
from lbkit.viz.theatre.plain import numbered
from lbkit.viz.theatre.props.entries import DENIED, HOWS, Entry, columns, entries
from lbkit.viz.theatre.props.rules import Cell, cells, rule_title
from lbkit.viz.theatre.props.thin import MOST, every
from lbkit.viz.theatre.props.visits import Visit, visits
from lbkit.viz.theatre.window import Window


def shaper(result: Result, part: Window) -> dict[str, Any] | None:
    """Return the queues with a rate, for the busiest keys, each with its requests: in, out, and how.

    The pace of a gate is known of recorded runs only."""
    found, notes = visits(result, part.end) if result.experiment.limits else ({}, [])
    queues, more = cells(result, found, queues=True)
    shown = [(_queue(cell), [_entry(visit) for visit in cell.visits]) for cell in queues]
    titles = list(dict.fromkeys(rule_title(cell.rule) for cell in queues))
    admission, passages = result.experiment.admission, result.extra.get("passages", ())
    if admission and admission.rate and not admission.limit and passages:
        queue = {"key": "all requests", "limit": admission.max_queue, "rate": admission.rate}
        shown.append((queue, entries(passages)))
        titles.append(f"gate, {admission.rate:g}/s, burst {admission.burst:g}, {admission.queue} queue")
    if not shown:
        return None
    number_of = numbered(part.rows)
    most = MOST // len(shown)
    here = [[e for e in some if e.row in number_of and e.at <= part.end] for _, some in shown]
    if max(map(len, here)) > most:
        notes.append(f"shaping: of more than {most} requests of a queue, every second, third... is shown")
    return {
        "kind": "shaper",
        "title": "; ".join(titles),
        "place": "door",
        "hows": HOWS,
        "cells": [
            {**queue, **columns(every(some, most), number_of)}
            for (queue, _), some in zip(shown, here, strict=True)
        ],
        "more": more,
        "notes": notes,
    }


def _queue(cell: Cell) -> dict[str, Any]:
    return {"key": cell.key, "limit": cell.limiter.limit, "rate": getattr(cell.limiter, "rate", None)}


def _entry(visit: Visit) -> Entry:
    out = visit.at + (visit.delay if visit.allowed else 0.0)
    return Entry(visit.at, visit.row, out, ADMITTED if visit.allowed else DENIED)
