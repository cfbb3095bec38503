"""Sticky sessions: the server of each, since when, and why some had to move."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from math import inf
from typing import Any, NamedTuple

from lbkit.core.state_change import OUT
from lbkit.core.sticky import Sticky
from lbkit.result import Result
from lbkit.viz.theatre.happenings import DELAY, SPEED, WEIGHT, Happening, happenings
from lbkit.viz.theatre.plain import seconds
from lbkit.viz.theatre.props.rows import rows_of
from lbkit.viz.theatre.window import Window

MOST = 500  # sessions of a film
EARLIER = "a request sent before that was answered"  # where a client has several at once
AWAY = {*OUT, "draining", "booting", "hung"}  # states that make sessions leave a server


class Pin(NamedTuple):
    """From `at` on a session is on a server."""

    at: float
    server: int
    why: str = ""  # it has left another one


class Session:
    """The pins of a session, or of a client where the traffic has no sessions."""

    __slots__ = ("began", "client", "number", "pins", "seen")

    def __init__(self, number: int, client: int, at: float, server: int) -> None:
        self.number = number
        self.client = client
        self.began = self.seen = at
        self.pins = [Pin(at, server)]


def sticky(result: Result, part: Window) -> dict[str, Any] | None:
    """Return the sessions of a film; None without sticky sessions. It follows from the rows of any engine."""
    rules = result.experiment.policy.sticky
    if rules is None:
        return None
    found = [s for s in _sessions(result, rules, part.end) if s.seen >= part.start]
    places = rows_of([(session.began, session.seen) for session in found[:MOST]])
    left_out = len(found) - MOST
    named = rules.how != "source" and "session" in result.columns
    return {
        "kind": "sticky",
        "title": title(rules),
        "place": "door",
        "named": named,
        "rows": max(places, default=-1) + 1,
        "sessions": [
            {
                "row": row,
                "number": session.number,
                "client": session.client,
                "began": seconds(session.began),
                "seen": seconds(session.seen),
                "at": [seconds(pin.at) for pin in session.pins],
                "server": [pin.server for pin in session.pins],
                "why": [pin.why for pin in session.pins],
            }
            for row, session in zip(places, found[:MOST], strict=True)
        ],
        "notes": [f"sticky sessions: the first {MOST} of {len(found)} are shown"] if left_out > 0 else [],
    }


def title(rules: Sticky) -> str:
    where = "a table of the balancer" if rules.table else "the client's cookie"
    if rules.how == "route":
        where = "the client's URL"
    limits = [f"{name} {value:g} s" for name, value in (("idle", rules.idle), ("life", rules.life))]
    kept = [limit for limit, value in zip(limits, (rules.idle, rules.life), strict=True) if value < inf]
    return ", ".join([f"sticky sessions, kept in {where}", *kept])


def _sessions(result: Result, rules: Sticky, end: float) -> list[Session]:
    """Return all sessions that have begun by `end`, in the order of their first answers."""
    named = rules.how != "source" and "session" in result.columns
    holder: Sequence[int] = result.session if named else result.client
    states = _states(result)
    latest: dict[int, Session] = {}
    found = []
    for row in sorted(range(len(result)), key=result.end.__getitem__):
        at, server, key = result.end[row], result.backend[row], holder[row]
        if server < 0 or not at <= end:
            continue
        session = latest.get(key)
        if session is None or _expired(session, rules, result.arrival[row]):
            session = latest[key] = Session(key, result.client[row], at, server)
            found.append(session)
        elif session.pins[-1].server != server:
            before, sent = session.pins[-1], result.arrival[row]
            name = result.backends[before.server]
            why = EARLIER if sent < before.at else _why(states[before.server], name, sent, at)
            session.pins.append(Pin(at, server, why))
        session.seen = at
    return found


def _expired(session: Session, rules: Sticky, now: float) -> bool:
    return now - session.seen > rules.idle or now - session.began > rules.life


def _states(result: Result) -> dict[int, list[Happening]]:
    """Return what happens to each server that may make sessions leave it, in order of time."""
    number_of = {name: number for number, name in enumerate(result.backends)}
    found = defaultdict(list)
    for happening in happenings(result.experiment, result.changes, result.history):
        if happening.server and happening.kind not in (SPEED, WEIGHT, DELAY):
            found[number_of[happening.server]].append(happening)
    return found


def _why(states: Sequence[Happening], server: str, sent: float, answered: float) -> str:
    """Return why a session has left a server, for a request that was `sent` and `answered` elsewhere."""
    return next(_reasons(states, server, sent, answered), f"{server} did not answer")


def _reasons(states: Sequence[Happening], server: str, sent: float, answered: float) -> Iterator[str]:
    now = {happening.kind: happening for happening in states if happening.at <= sent}
    meanwhile = [happening for happening in states if sent < happening.at <= answered]
    for happening in (*sorted(now.values(), key=lambda happening: -happening.at), *meanwhile):
        if happening.state in AWAY:
            yield f"{server} {happening.state}" if happening.state != "open" else f"{server}: breaker open"
