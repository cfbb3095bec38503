"""The gate of admission control: its queue, by priority, the limit of requests at once, and rejections."""

from __future__ import annotations

from math import isfinite
from typing import Any

from lbkit.core.gate import CLASSES
from lbkit.edge import Admission
from lbkit.result import Result
from lbkit.viz.style import title
from lbkit.viz.theatre.plain import numbered, seconds
from lbkit.viz.theatre.props.entries import HOWS, Level, columns, entries, levels
from lbkit.viz.theatre.props.thin import MOST, every, thinned
from lbkit.viz.theatre.window import Window

NAMES = {"aimd": "AIMD", "fifo": "FIFO", "lifo": "LIFO", "codel": "CoDel"}


def gate(result: Result, part: Window) -> dict[str, Any] | None:
    """Return the gate of a recorded run: `entries` are the requests in its queue, `levels` how full it was.

    One that has nothing but a rate is a shaper."""
    admission, passages = result.experiment.admission, result.extra.get("passages", ())
    if not admission or not passages or (admission.rate and not (admission.limit or admission.control)):
        return None
    number_of = numbered(part.rows)
    here = [e for e in entries(passages) if e.row in number_of and e.at <= part.end]
    known = levels(passages)
    before = [level for level in known if level.at <= part.start][-1:]
    known = before + [level for level in known if part.start < level.at <= part.end]
    used = [name for name in CLASSES if name in {entry.priority for entry in here}]
    notes = []
    if len(here) > MOST // 2:
        notes.append(f"gate: of {len(here)} requests, every second, third... is shown in its queue")
    return {
        "kind": "gate",
        "title": gate_title(admission),
        "place": "door",
        "hows": HOWS,
        "classes": used,
        "room": admission.max_queue,
        "timeout": admission.timeout,
        "target": admission.target if admission.queue == "codel" else None,
        "rate": admission.rate,
        "control": admission.control is not None,
        "entries": columns(every(here, MOST // 2), number_of, used),
        "levels": _levels(
            thinned(known, MOST // 2, lambda now: now.at, lambda now: now.running + now.waiting)
        ),
        "notes": notes,
    }


def _levels(known: list[Level]) -> dict[str, list[Any]]:
    return {
        "at": [seconds(now.at) for now in known],
        "running": [now.running for now in known],
        "limit": [round(now.limit, 2) if isfinite(now.limit) else None for now in known],
        "waiting": [now.waiting for now in known],
        "chance": [round(now.chance, 4) for now in known],
        "refused": [now.refused for now in known],
    }


def gate_title(admission: Admission) -> str:
    """Return a gate in a few words: "gate, AIMD limit, FIFO queue of up to 10"."""
    parts = ["gate"]
    if admission.limit:
        kind = str(admission.limit["kind"])
        fixed = admission.limit.get("limit") if kind == "concurrency_limit" else None
        parts.append(f"{fixed:g} at once" if fixed else f"{NAMES.get(kind, title(kind))} limit")
    if admission.rate:
        parts.append(f"{admission.rate:g}/s")
    if admission.control:
        parts.append(f"rejects below {admission.control.success_rate:.0%} success")
    if admission.max_queue and (admission.limit or admission.rate):
        parts.append(f"{NAMES.get(admission.queue, admission.queue)} queue of up to {admission.max_queue}")
    return ", ".join(parts)
