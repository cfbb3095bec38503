"""The events of an experiment: what happens to which server, and when; at given times, or at random ones."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import Enum
from typing import Any

from attrs import field, frozen

from lbkit.checks import number, several
from lbkit.core.balance import make_balancer
from lbkit.core.options import FINITE, named_fields
from lbkit.core.text import did_you_mean, shown

__all__ = [
    "DEPENDENCY_STATES",
    "OUTAGES",
    "Action",
    "Event",
    "Failures",
    "as_action",
    "joining",
    "order_fault",
    "without_flaps",
]


class Action(Enum):
    """What happens to a server in an event."""

    CRASH = "crash"  # its connections close without an answer, new ones are refused
    RECOVER = "recover"  # it accepts requests again, after its `boot`, at its usual speed
    SLOW = "slow"  # speed x value, for work that starts from now on; ends with a crash, and at "recover"
    ADD = "add"  # it joins the pool, as a new backend with the weight of the experiment
    REMOVE = "remove"  # it leaves the pool at once; running requests finish
    SET_WEIGHT = "set_weight"
    DRAIN = "drain"  # no new requests; running ones have the time that `policy.drain` gives them
    UNDRAIN = "undrain"  # new requests again
    SWITCH = "switch"  # not to a server: the balancer goes on with another `algorithm`
    # -- chaos; "recover" ends it
    HANG = "hang"  # its process stops: connections are accepted, and nothing answers; then it goes on
    FLAP = "flap"  # it crashes, recovers `value` seconds later, crashes again `value` seconds later, ...
    LOSE = "lose"  # a share `value` of its requests gets no answer; ends also with a crash, as the next does
    FAIL = "fail"  # a share `value` of the clients get status 500 from it, and the others do not
    DELAY = "delay"  # each way to it takes `value` seconds longer
    # -- chaos around servers: of one that the event names, or of all that have this dependency
    FAIL_DEPENDENCY = "fail_dependency"  # paths that need it get 500
    DEGRADE_DEPENDENCY = "degrade_dependency"  # only /health/detail shows it
    RESTORE_DEPENDENCY = "restore_dependency"


def as_action(what: Action | str) -> Action:
    """Return an action, given as itself or by its name. Raises ValueError with the names there are."""
    try:
        return Action(what)
    except ValueError:
        names = [action.value for action in Action]
        near = did_you_mean(str(what), names)
        raise ValueError(f"action is {what!r}: use one of {', '.join(names)}{near}") from None


# The actions that take a `value`: its check, and its meaning.
_VALUE: dict[Action, tuple[Callable[[float], bool], str]] = {
    Action.SLOW: (lambda v: 1e-6 <= v <= 1e6, "the factor on speed, from 1e-06 to 1e+06"),
    Action.SET_WEIGHT: (lambda v: 0 <= v <= FINITE, "the new weight, 0 or more"),
    Action.FLAP: (lambda v: 0.01 <= v <= 1e6, "seconds down, and then up, from 0.01 to 1e+06"),
    Action.LOSE: (lambda v: 0 <= v <= 1, "the share of requests, from 0 to 1"),
    Action.FAIL: (lambda v: 0 <= v <= 1, "the share of clients, from 0 to 1"),
    Action.DELAY: (lambda v: 0 <= v <= 1e6, "seconds each way, from 0 to 1e+06"),
}
# The actions of a dependency, and the state that it has then.
DEPENDENCY_STATES = {
    Action.FAIL_DEPENDENCY: "failed",
    Action.DEGRADE_DEPENDENCY: "degraded",
    Action.RESTORE_DEPENDENCY: "ok",
}
# The actions after which a server does not answer.
OUTAGES = (Action.CRASH, Action.HANG, Action.FLAP)


@named_fields
@frozen
class Event:
    """At second `at`, `action` happens to `server`.

    What happens to a `dependency` happens to that of `server`, or, without one, to that of all servers. A
    "switch" happens to no server: it names an `algorithm`, with its `options`; all else of the policy stays.
    """

    at: float = field(validator=number(0))
    action: Action = field(converter=as_action)
    server: str = ""
    value: float | None = None
    dependency: str = ""
    algorithm: str = ""
    options: Mapping[str, Any] = field(factory=dict, hash=False)

    def __attrs_post_init__(self) -> None:
        if fault := _switch_fault(self):
            raise ValueError(fault)
        if self.action in DEPENDENCY_STATES:
            if not self.dependency:
                raise ValueError(f"dependency is missing: {self.action.value!r} needs its name")
        elif self.dependency:
            raise ValueError(f"dependency is {self.dependency!r}: {self.action.value!r} takes none")
        if self.action not in _VALUE:
            if self.value is not None:
                raise ValueError(f"value is {shown(self.value)}: {self.action.value!r} takes none")
            return
        fits, meaning = _VALUE[self.action]
        if not isinstance(self.value, int | float) or isinstance(self.value, bool) or not fits(self.value):
            raise ValueError(f"value is {shown(self.value)}: {self.action.value!r} needs {meaning}")


def _switch_fault(event: Event) -> str:
    """Return what is wrong with the algorithm of an event; empty if nothing is."""
    if event.action is not Action.SWITCH:
        given = "algorithm" if event.algorithm else "options" if event.options else ""
        return f"{given} is {getattr(event, given)!r}: {event.action.value!r} takes none" if given else ""
    try:
        make_balancer(event.algorithm, **event.options)
    except ValueError as error:
        return f"algorithm: {error}"
    return ""


# -- membership of the pool ----------------------------------------------------------------------

# What only happens to a server in the pool. A server outside may crash, recover and be slow all the same.
_OF_MEMBERS = (Action.REMOVE, Action.SET_WEIGHT, Action.DRAIN, Action.UNDRAIN)


def joining(events: Iterable[Event]) -> frozenset[str]:
    """Return the servers that are not in the pool at first: those added before they are ever removed."""
    first: dict[str, Action] = {}
    for event in sorted(events, key=lambda event: event.at):
        if event.action in (Action.ADD, Action.REMOVE):
            first.setdefault(event.server, event.action)
    return frozenset(server for server, action in first.items() if action is Action.ADD)


def order_fault(events: Sequence[Event]) -> str:
    """Return which of the events cannot happen when its time comes, and why; empty if all can."""
    outside = set(joining(events))
    for i, event in sorted(enumerate(events), key=lambda numbered: numbered[1].at):
        where = f"events[{i}].action is {event.action.value!r}"
        if event.action is Action.ADD:
            if event.server not in outside:
                return f"{where}, but {event.server!r} is in the pool at {event.at:g} s: remove it before"
            outside.remove(event.server)
        elif event.action in _OF_MEMBERS:
            if event.server in outside:
                return f"{where}, but {event.server!r} is not in the pool at {event.at:g} s: add it first"
            if event.action is Action.REMOVE:
                outside.add(event.server)
    return ""


def without_flaps(events: Iterable[Event], duration: float) -> Iterator[Event]:
    """Yield the events, each "flap" as the crashes and recoveries within `duration` that it consists of.

    It ends with the next event that crashes, hangs or recovers the server."""
    events = list(events)
    for i, event in enumerate(events):
        if event.action is not Action.FLAP:
            yield event
            continue
        ends = (Action.RECOVER, *OUTAGES)
        later = (e.at for e in events[i + 1 :] if e.server == event.server and e.action in ends)
        end = min(later, default=duration)
        yield from flaps(event, end)


def flaps(event: Event, end: float) -> Iterator[Event]:
    """Yield the crashes and recoveries of a "flap" before `end`."""
    assert event.value
    number, at = 0, event.at
    while at < end:
        yield Event(at, Action.RECOVER if number % 2 else Action.CRASH, event.server)
        number += 1
        at = event.at + number * event.value


# -- random failures -------------------------------------------------------------------------------


MAX_CRASHES = 100_000  # expected in a run; each is two events


def _names(what: str | Iterable[str]) -> tuple[str, ...]:
    return several(what)


@named_fields
@frozen
class Failures:
    """Random failures: each server runs for `mtbf` seconds on average until it crashes, and recovers `mttr`
    seconds later on average. Both times are exponential, and so independent of the past.

    A server is up for mtbf / (mtbf + mttr) of the time. (Mean time between failures, mean time to repair;
    here the first does not contain the second.)
    """

    mtbf: float = field(validator=number(0, above=True))
    mttr: float = field(validator=number(0, above=True))
    servers: tuple[str, ...] = field(default=(), converter=_names)  # which ones fail; empty: all

    def fault(self, names: Sequence[str], duration: float) -> str:
        """Return what is wrong with it in an experiment with these servers; empty if nothing is."""
        for i, name in enumerate(self.servers):
            if name not in names:
                return f"failures.servers[{i}] is {name!r}: use one of {', '.join(names)}"
        crashes = len(self.servers or names) * duration / (self.mtbf + self.mttr)
        if crashes > MAX_CRASHES:
            return f"failures.mtbf is {self.mtbf:g} s: about {crashes:.2g} crashes; use a longer one"
        return ""

    def events(self, server: str, duration: float, seed: int) -> Iterator[Event]:
        """Yield the crashes of a server within `duration`, each with its recovery, in order of time.

        The same for each policy and each engine, and whatever happens to other servers."""
        rng = random.Random(f"{seed}/failures/{server}")
        now = rng.expovariate(1 / self.mtbf)
        while now < duration:
            yield Event(now, Action.CRASH, server)
            now += rng.expovariate(1 / self.mttr)
            yield Event(now, Action.RECOVER, server)
            now += rng.expovariate(1 / self.mtbf)
