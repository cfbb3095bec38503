"""Deploys of real servers: a thread takes the steps that are due."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from attrs import evolve

from lbkit.core.deploy import Deployment, begin
from lbkit.core.judge import Counts
from lbkit.core.rollout import RollingDeploy
from lbkit.core.state_change import StateChange
from lbkit.experiment import Server
from lbkit.history import By
from lbkit.live.controls import changes_by
from lbkit.live.fleet import Fleet
from lbkit.live.front import Front
from lbkit.live.load import Row
from lbkit.result import good

INTERVAL = 0.05  # seconds between calls of `advance`


class Steered(Protocol):
    """The changes that a session makes to its servers, and records in its history."""

    def add(self, name: str, weight: float | None = None) -> None: ...
    def set_weight(self, name: str, weight: float) -> None: ...
    def drain(self, name: str) -> None: ...
    def undrain(self, name: str) -> None: ...
    def take_out(self, name: str) -> None: ...
    def replace(self, server: Server) -> None: ...


class Deploy:
    """Carries out the deploy of a session."""

    def __init__(
        self,
        rules: Deployment,
        weights: Mapping[str, float],
        session: Steered,
        fleet: Fleet,
        front: Front,
        since: Callable[[int], Sequence[Row]],
        elapsed: Callable[[], float],
        stopping: threading.Event,
    ) -> None:
        """`since` returns the finished requests from number n on, `elapsed` the seconds since time 0."""
        self.rules = rules
        self.weights = weights
        self.session = session
        self.fleet = fleet
        self.front = front
        self.faults: list[str] = []
        self.changes: list[StateChange] = []
        self.state = ""  # of the deploy, once it has begun
        self._servers = dict(fleet.servers)
        self._since, self._elapsed, self._stopping = since, elapsed, stopping
        self._seen = 0  # rows counted so far
        self._counts: dict[str, Counts] = {}
        self._thread = threading.Thread(target=self._run, name="lbkit-deploy", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def join(self) -> None:
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join()

    def _run(self) -> None:
        with changes_by(By.DEPLOY):
            self._deploy()

    def _deploy(self) -> None:
        if self._stopping.wait(max(0.0, self.rules.at - self._elapsed())):
            return
        rollout = begin(self.rules, self.weights, self, self.changes.append)
        try:
            while not rollout.over:
                rollout.advance(self._elapsed())
                self.state = rollout.state.value
                if self._stopping.wait(INTERVAL):
                    return
        except Exception as error:  # becomes a fault of the result; the run continues
            self.faults.append(f"the deploy failed at {self._elapsed():.2f} s: {error}")

    # -- as a Managed fleet ---------------------------------------------------------------------

    def add(self, name: str, weight: float) -> None:
        self.session.add(name, weight)

    def set_weight(self, name: str, weight: float) -> None:
        self.session.set_weight(name, weight)

    def drain(self, name: str) -> None:
        self.session.drain(name)

    def drained(self, name: str) -> bool:
        return self.front.drained(name)

    def replace(self, name: str, new: bool) -> None:
        assert isinstance(self.rules, RollingDeploy)
        server = self._servers[name]
        if new:
            failing = server.error_rate if self.rules.error_rate is None else self.rules.error_rate
            server = evolve(server, speed=server.speed * self.rules.speed, error_rate=failing)
        if self.rules.drain:
            self.session.take_out(name)
        self.session.replace(server)

    def serves(self, name: str) -> bool:
        return self.fleet.alive()[name] and self.front.state()[name].get("healthy", True)

    def undrain(self, name: str) -> None:
        self.session.undrain(name)

    def counts(self) -> dict[str, Counts]:
        rows = self._since(self._seen)
        for _, _, _, name, _, _, status, *_ in rows:
            if name:
                self._counts[name] = self._counts.get(name, Counts()) + Counts(1, int(not good(status)))
        self._seen += len(rows)
        return dict(self._counts)
