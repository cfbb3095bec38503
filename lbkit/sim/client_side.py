"""What a request passes before the balancer picks a backend: TLS, firewall, routing, limits and the gate."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from mypy_extensions import mypyc_attr

from lbkit.core import Backend
from lbkit.experiment import Experiment
from lbkit.sim.engine import Engine
from lbkit.sim.entrance import HOLD, PASS, Entrance
from lbkit.sim.guard import Guard
from lbkit.sim.requests import Requests
from lbkit.sim.routes import Routes
from lbkit.sim.server_side import ServerSide


@mypyc_attr(allow_interpreted_subclasses=True)
class ClientSide(ServerSide):
    """The way of a request from its client to the balancer; a base of the simulation."""

    entrances: ClassVar[type[Entrance]] = Entrance

    def __init__(self, experiment: Experiment, engine: Engine, requests: Requests) -> None:
        super().__init__(experiment, engine, requests)
        self.routes = Routes(experiment, requests, self.pool) if experiment.routing else None
        self.firewall = Guard(experiment, requests) if experiment.firewall else None
        # Whether the entrance may hold or refuse requests.
        self.limited = bool(experiment.limits or experiment.admission or experiment.cache)
        self.entrance = self.entrances(experiment, engine, requests)
        self.admitting = False

    def dispatch(self, row: int, tried: tuple[Backend, ...] = ()) -> None:
        """Pick a backend and send the request there; `tried` are not to be picked again."""
        raise NotImplementedError

    def reply(self, row: int, status: int) -> None:
        """Answer a request by the balancer itself."""
        raise NotImplementedError

    def shake_hands(self, row: int) -> None:
        """A client sends a request where there is TLS."""
        if self.entrance.connect(row) == PASS:
            self.secured(row)

    def secured(self, row: int) -> None:
        """The connection of a request is there."""
        go_on = self.look  # mypyc loses the call of what a property returns, as in self.look(row)
        go_on(row)

    @property
    def look(self) -> Callable[[int], object]:
        """What takes a request on to the firewall, if there is one."""
        return self.guard if self.firewall else self.switch_or_accept

    def guard(self, row: int) -> None:
        """A request arrives where there is a firewall."""
        assert self.firewall
        self.reject_or(row, self.firewall.decide(row), self.switch_or_accept)

    @property
    def switch_or_accept(self) -> Callable[[int], object]:
        """What takes a request on to the rules of content switching, if there are any."""
        return self.switch if self.routes else self.accept

    @property
    def accept(self) -> Callable[[int], object]:
        """What takes a request on to the limits, if there are any, and to a backend."""
        return self.arrive if self.limited else self.dispatch

    def switch(self, row: int) -> None:
        """A request arrives where rules choose the pool, or the answer."""
        assert self.routes
        self.reject_or(row, self.routes.decide(row), self.accept)

    def reject_or(self, row: int, status: int, then: Callable[[int], object]) -> None:
        """Reject a request with `status`; without one, `then` takes it on."""
        if status:
            self.reject(row, status)
        else:
            then(row)

    def arrive(self, row: int) -> None:
        """A request arrives where there are limits or admission."""
        verdict = self.entrance.limit(row)
        if verdict == PASS:
            self.enter(row)
        elif verdict != HOLD:
            self.reject(row, verdict)

    def enter(self, row: int) -> None:
        """A request arrives at the gate, if there is one."""
        if self.entrance.enter(row) == PASS:
            self.dispatch(row)
            return
        self.admit()
        self.entrance.time_limit(row)

    def admit(self, _: int = 0) -> None:
        """Carry out all decisions that the gate makes now."""
        if self.admitting:
            return  # a request that was admitted has ended at once: the loop below goes on
        self.admitting = True
        while decision := self.entrance.next():
            row, verdict = decision
            if verdict == PASS:
                self.dispatch(row)
            else:
                self.reject(row, verdict)
        self.admitting = False

    def expire(self, row: int) -> None:
        """A request has waited at the gate for the longest time allowed."""
        if (status := self.entrance.expire(row)) is not None:
            self.reject(row, status)

    def reject(self, row: int, status: int) -> None:
        """Answer a request that never reaches the balancer."""
        self.requests.attempts[row] = 0
        self.reply(row, status)
