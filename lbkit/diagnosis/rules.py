"""What is looked for in the windows of a run: a function for each kind of trouble."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from math import inf, sqrt
from statistics import fmean, median, pstdev

from lbkit.arrivals import Closed
from lbkit.core.state_change import OUT
from lbkit.diagnosis.finding import Finding
from lbkit.diagnosis.windows import LONG, Window, Windows, service_times

FULL = 0.97  # busy share of a server that has no room left
ROOM = 0.6  # busy share of one that has
WAITS = 2.0  # service times that requests wait on average, where there is a queue
SLOWER = 2.0  # times the expected service time
SIGMAS = 5.0  # standard errors of a mean that chance does not reach
FAILS = 0.2  # share of the requests
FAILS_ALONE = 0.05  # share of a server's answers, if those of the others are
HEALTHY = 0.25  # of that share, at most
MANY = 1.5  # attempts a request
FLAPS = 3  # times that a check takes a server out
CHECK = "check"  # the kind of changes by health checks
SILENT = 0.25  # of the usual number of requests

Spell = list[Window]


def saturated(windows: Windows) -> Iterator[Finding]:
    """A server, or all of them, works all the time and has a queue."""
    servers = range(len(windows.servers))

    def full(window: Window, server: int) -> bool:
        expected = _expected(windows, server)
        waits = window.begun[server] and window.waited[server] / window.begun[server] > WAITS * expected
        return bool(waits) and windows.utilisation(window, server) >= FULL

    everywhere = set()
    for spell in windows.spells(lambda window: all(full(window, server) for server in servers)):
        if windows.by_chance(spell, servers):
            continue
        everywhere |= {id(window) for window in spell}
        sent = sum(window.sent for window in spell) / _seconds(spell)
        evidence = f"all servers work {FULL:.0%} of the time or more, and {sent:.3g} requests a second come"
        yield _finding("overload", "", spell, evidence)
    for server in servers:
        for spell in windows.spells(lambda w, s=server: full(w, s) and id(w) not in everywhere):  # type: ignore[misc]
            if windows.by_chance(spell, [server]):
                continue
            others = [
                windows.utilisation(window, other) for window in spell for other in servers if other != server
            ]
            rest = sum(others) / len(others) if others else 1.0
            yield _finding(
                "saturated server",
                windows.servers[server].name,
                spell,
                f"it works all the time, and requests wait {_wait(spell, server):.3g} s for it;"
                f" the others work {rest:.0%} of the time",
            )


def unfair(windows: Windows) -> Iterator[Finding]:
    """Requests wait at a server while others that are in service have room."""
    for server, known in enumerate(windows.servers):
        others = [i for i in range(len(windows.servers)) if i != server]

        def unfair_here(window: Window, server: int = server, others: list[int] = others) -> bool:
            if windows.utilisation(window, server) < FULL:
                return False
            if window.waited[server] <= WAITS * _expected(windows, server) * window.begun[server]:
                return False
            serving = [i for i in others if window.begun[i]]
            return any(windows.utilisation(window, i) < ROOM for i in serving)

        for spell in windows.spells(unfair_here):
            if windows.by_chance(spell, [server]):
                continue
            idle = {windows.servers[i].name: _busy(windows, spell, i) for i in others}
            name = min(idle, key=idle.__getitem__)
            yield _finding(
                "unfair split",
                known.name,
                spell,
                f"requests wait {_wait(spell, server):.3g} s for it"
                f" while {name} works {idle[name]:.0%} of the time",
            )


def slow(windows: Windows) -> Iterator[Finding]:
    """A server takes much longer for its work than it should."""
    for server, known in enumerate(windows.servers):
        expected = _expected(windows, server)
        times = service_times(known)
        spread = pstdev(times) / fmean(times)

        def takes_long(window: Window, server: int = server, expected: float = expected) -> bool:
            requests = window.begun[server]
            return requests >= 5 and window.worked[server] > SLOWER * expected * requests

        for spell in windows.spells(takes_long):
            requests = sum(w.begun[server] for w in spell)
            took = sum(w.worked[server] for w in spell) / requests
            if took < (1 + SIGMAS * spread / sqrt(requests)) * expected:
                continue  # chance: few requests, which differ much
            evidence = f"a request takes it {took:.3g} s instead of {expected:.3g} s"
            yield _finding("slow server", known.name, spell, evidence)


def failing(windows: Windows) -> Iterator[Finding]:
    """A server answers with errors while the others do not."""
    for server, known in enumerate(windows.servers):

        def fails(window: Window, server: int = server) -> bool:
            served, errors = sum(window.served), sum(window.errors)
            own, mine = window.served[server], window.errors[server]
            others = (errors - mine) / (served - own) if served > own else 0.0
            return mine >= 3 and mine / own >= FAILS_ALONE and others < HEALTHY * mine / own

        for spell in windows.spells(fails):
            answers = sum(window.served[server] for window in spell)
            errors = sum(window.errors[server] for window in spell)
            evidence = f"{errors} of its {answers} answers are errors; of the others' hardly any"
            yield _finding("failing server", known.name, spell, evidence)


def outage(windows: Windows) -> Iterator[Finding]:
    """Hardly anybody gets a good answer."""
    for spell in windows.spells(lambda window: window.ended >= 5 and window.failed >= 0.9 * window.ended, 1):
        ended, failed = (sum(getattr(w, name) for w in spell) for name in ("ended", "failed"))
        yield _finding("outage", "", spell, f"{failed} of {ended} requests fail")


def storm(windows: Windows) -> Iterator[Finding]:
    """Repeated requests keep the servers busy, while requests fail."""
    servers = range(len(windows.servers))

    def repeats(window: Window) -> bool:
        fails = window.failed >= FAILS * window.ended
        busy = sum(windows.utilisation(window, server) for server in servers) / len(servers)
        return fails and window.sent >= 5 and window.attempts > MANY * window.sent and busy > ROOM

    for spell in windows.spells(repeats):
        sent, attempts = sum(w.sent for w in spell), sum(w.attempts for w in spell)
        failed = sum(w.failed for w in spell) / (sum(w.ended for w in spell) or 1)
        evidence = f"{attempts / sent:.2g} attempts for each request, and {failed:.0%} fail all the same"
        yield _finding("retry storm", "", spell, evidence)


def flapping(windows: Windows) -> Iterator[Finding]:
    """A health rule takes a server out again and again, though it was not down for long."""
    outs = defaultdict(list)
    for name, kind, out, back in _times_out(windows):
        if back < inf:
            outs[name, kind].append((out, back))
    for (name, kind), spans in outs.items():
        if len(spans) < FLAPS:
            continue
        start, end = spans[0][0], spans[-1][1]
        lasted = median(back - out for out, back in spans)
        evidence = f"its {kind} takes it out {len(spans)} times, for {lasted:.3g} s each (median)"
        yield Finding("flapping check", name, start, end, evidence)


def down(windows: Windows) -> Iterator[Finding]:
    """Checks hold a server out of service for long: requests may not fail, but its capacity is missing."""
    for name, kind, out, until in _times_out(windows):
        back = min(until, windows.all[-1].end)
        if kind == CHECK and back - out >= LONG * windows.length:
            evidence = f"its checks fail for {back - out:.3g} s, so the others do its work"
            yield Finding("server down", name, out, back, evidence)


def omission(windows: Windows) -> Iterator[Finding]:
    """Users of a closed loop all wait, so nothing is sent: what others would have suffered is not measured.

    (Gil Tene: coordinated omission.)"""
    arrivals = windows.result.experiment.traffic.arrivals
    if not isinstance(arrivals, Closed):
        return
    usual = median(window.sent for window in windows.all)
    for spell in windows.spells(lambda window: window.sent < SILENT * usual, 1):
        missing = usual * len(spell) - sum(window.sent for window in spell)
        evidence = (
            f"all {arrivals.users} users wait and send nothing: about {missing:.0f} requests are missing, and"
            " the percentiles lack their waits; an open loop (Poisson) would send them"
        )
        yield _finding("coordinated omission", "", spell, evidence)


RULES: tuple[Callable[[Windows], Iterator[Finding]], ...] = (
    outage,
    storm,
    saturated,
    unfair,
    slow,
    failing,
    flapping,
    down,
    omission,
)


# -- figures of several windows ------------------------------------------------------------------------------


def _finding(name: str, server: str, spell: Spell, evidence: str) -> Finding:
    return Finding(name, server, spell[0].start, spell[-1].end, evidence)


def _times_out(windows: Windows) -> Iterator[tuple[str, str, float, float]]:
    """Yield from when to when which health rule held which server out of service; inf: until the end."""
    since: dict[tuple[str, str], float] = {}
    for change in windows.result.changes:
        of = change.backend, change.kind
        if change.takes_out:
            since.setdefault(of, change.at)
        elif change.after not in OUT and of in since:
            yield *of, since.pop(of), change.at
    for of, at in since.items():
        yield *of, at, inf


def _seconds(spell: Spell) -> float:
    return spell[-1].end - spell[0].start


def _expected(windows: Windows, server: int) -> float:
    known = windows.servers[server]
    return known.service.mean / known.speed


def _busy(windows: Windows, spell: Spell, server: int) -> float:
    return sum(windows.utilisation(window, server) for window in spell) / len(spell)


def _wait(spell: Spell, server: int) -> float:
    return sum(w.waited[server] for w in spell) / (sum(w.begun[server] for w in spell) or 1)
