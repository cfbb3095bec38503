"""What can be changed while a live experiment runs, by its events and by hand."""

from __future__ import annotations

import threading
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from lbkit.arrivals import Sessions
from lbkit.core.options import number, whole
from lbkit.events import DEPENDENCY_STATES
from lbkit.experiment import Action, Event, Experiment, Policy, Server
from lbkit.history import By, Change, Deed
from lbkit.live.fleet import Fleet
from lbkit.live.front import Front

MOST_BY_HAND = 2000  # requests of a session
_BY: ContextVar[By] = ContextVar("by", default=By.HAND)  # whose changes these are, in this thread


@contextmanager
def changes_by(by: By) -> Iterator[None]:
    """Changes within are noted as those of an experiment's events, or of its deploy."""
    token = _BY.set(by)
    try:
        yield
    finally:
        _BY.reset(token)


class Controls:
    """The changes that a session offers. Each is noted in `history`."""

    def __init__(self, experiment: Experiment, front: Front, fleet: Fleet) -> None:
        self.experiment = experiment
        self.policy = experiment.policy.algorithm
        self.history: list[Change] = []  # changes since the start, by events and by hand
        self._front, self._fleet = front, fleet
        self._stopping = threading.Event()
        self._sent = 0  # requests, by hand
        self._starts: list[str] = []  # the start times of recovered servers

    @property
    @abstractmethod
    def elapsed(self) -> float:
        """The seconds since time 0; negative before it."""

    @abstractmethod
    def _send(self, client: int, requests: int, rate: float) -> None:
        """Have Locust send requests. Raises ValueError when the traffic is over."""

    def carry_out(self, event: Event) -> None:
        """Have an event of the experiment happen now."""
        with changes_by(By.PLAN):
            HAPPENS[event.action](self, event)

    def switch(self, policy: str | Policy) -> None:
        """Switch to another algorithm, with its default options, or to another policy.

        Raises ValueError for an unknown algorithm, and PeerError for one that the program does not have;
        nothing changes then."""
        if isinstance(policy, str):
            policy = Policy(policy, retries=self.experiment.policy.retries)
        self._front.switch(policy)
        self.policy = policy.algorithm
        self._changed(Action.SWITCH)

    def crash(self, name: str) -> None:
        at = self.elapsed  # it is down from now on, and a busy machine may take a while to say so
        self._fleet.crash(name)
        self._changed(Action.CRASH, name, at=at)

    def recover(self, name: str) -> None:
        """Start a server; return when it serves: after its `boot`, or later if its process starts slowly."""
        began = time.monotonic()
        boot = self._fleet.check(name).boot
        if not self._fleet.alive()[name]:
            self._stopping.wait(max(0.0, boot - self._fleet.start_times[name]))
            if self._stopping.is_set():
                return
            self._fleet.recover(name, began + boot)
            took = time.monotonic() - began
            self._starts.append(f"{name} {took:.2f} s after the event (boot {boot:g} s)")
        else:
            self._fleet.recover(name)
        self._changed(Action.RECOVER, name)

    def replace(self, server: Server) -> None:
        """Replace a server with `server`; return when that serves, at the earliest after its `boot`."""
        boot = self._fleet.check(server.name).boot
        began = time.monotonic()
        self._fleet.replace(server)
        self._stopping.wait(max(0.0, began + boot - time.monotonic()))
        self._changed(Deed.REPLACE, server.name)

    def take_out(self, name: str) -> None:
        self._front.take_out(name)
        self._changed(Deed.TAKE_OUT, name)

    def hang(self, name: str) -> None:
        self._fleet.hang(name)
        self._changed(Action.HANG, name)

    def lose(self, name: str, share: float) -> None:
        self._fleet.disturb(name, lose=share)
        self._changed(Action.LOSE, name, share)

    def fail(self, name: str, share: float) -> None:
        self._fleet.disturb(name, fail=share)
        self._changed(Action.FAIL, name, share)

    def delay(self, name: str, seconds: float) -> None:
        self._fleet.slow_network(name, seconds)
        self._changed(Action.DELAY, name, seconds)

    def set_dependency(self, dependency: str, state: str, name: str = "") -> None:
        """Set a dependency to ok, degraded or failed, for one server or by default all that have it."""
        for server in [name] if name else self._fleet.servers:
            self._fleet.set_dependency(server, dependency, state)
        self._changed(_MAKES[state], name, dependency=dependency)

    def slow(self, name: str, factor: float) -> None:
        self._fleet.slow(name, factor)
        self._changed(Action.SLOW, name, factor)

    def add(self, name: str, weight: float | None = None) -> None:
        """Add a server to the pool, by default with its own weight."""
        self._above(name).add(name, weight)
        self._changed(Action.ADD, name, weight)

    def remove(self, name: str) -> None:
        self._above(name).remove(name)
        self._changed(Action.REMOVE, name)

    def set_weight(self, name: str, weight: float) -> None:
        self._above(name).set_weight(name, weight)
        self._changed(Action.SET_WEIGHT, name, weight)

    def drain(self, name: str) -> None:
        self._above(name).drain(name)
        self._changed(Action.DRAIN, name)

    def undrain(self, name: str) -> None:
        self._above(name).undrain(name)
        self._changed(Action.UNDRAIN, name)

    def send(self, client: int, requests: int = 1, rate: float = 20.0) -> None:
        """Have a client send requests besides all others, `rate` a second.

        Raises ValueError for a client that the experiment does not have, when the traffic is over or of
        sessions, and beyond MOST_BY_HAND requests."""
        traffic = self.experiment.traffic
        whole(0, client=client)
        whole(1, requests=requests)
        number(0, above=True, rate=rate)
        if client >= traffic.clients:
            raise ValueError(f"client is {client}: use one from 0 to {traffic.clients - 1}")
        if isinstance(traffic.arrivals, Sessions):
            raise ValueError("this traffic is of sessions: requests by hand belong to none")
        if self._sent + requests > MOST_BY_HAND:
            raise ValueError(f"{self._sent} requests were sent by hand: {MOST_BY_HAND} are the most")
        self._send(client, requests, rate)
        self._sent += requests
        self._changed(Deed.SEND, str(client), requests)

    def _above(self, name: str) -> Any:
        """Return the balancer that a server, or a tier, is behind."""
        return self._fleet.front_of(name) or self._front

    def _changed(
        self,
        action: Action | Deed,
        server: str = "",
        value: float | None = None,
        dependency: str = "",
        at: float | None = None,
    ) -> None:
        """Write a change down, which took effect `at` that time, or now."""
        when = self.elapsed if at is None else at
        change = Change(when, action, server, value, dependency, self.policy, _BY.get())
        self.history.append(change)


_MAKES = {state: action for action, state in DEPENDENCY_STATES.items()}

HAPPENS: dict[Action, Callable[[Controls, Event], object]] = {
    Action.CRASH: lambda session, e: session.crash(e.server),
    Action.RECOVER: lambda session, e: session.recover(e.server),
    Action.SLOW: lambda session, e: session.slow(e.server, e.value or 1.0),
    Action.ADD: lambda session, e: session.add(e.server),
    Action.REMOVE: lambda session, e: session.remove(e.server),
    Action.SET_WEIGHT: lambda session, e: session.set_weight(e.server, e.value or 0.0),
    Action.DRAIN: lambda session, e: session.drain(e.server),
    Action.UNDRAIN: lambda session, e: session.undrain(e.server),
    Action.SWITCH: lambda session, e: session.switch(session.experiment.policy.using(e.algorithm, e.options)),
    Action.HANG: lambda session, e: session.hang(e.server),
    Action.LOSE: lambda session, e: session.lose(e.server, e.value or 0.0),
    Action.FAIL: lambda session, e: session.fail(e.server, e.value or 0.0),
    Action.DELAY: lambda session, e: session.delay(e.server, e.value or 0.0),
    **dict.fromkeys(
        DEPENDENCY_STATES,
        lambda session, e: session.set_dependency(e.dependency, DEPENDENCY_STATES[e.action], e.server),
    ),
}
