"""Disturbances of a simulated server that is up: it hangs, loses requests, or answers with errors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from lbkit.health_page import FAILED, OK
from lbkit.sim.requests import Requests
from lbkit.workload import chosen, client_name, needs, path_name


class Chaos:
    """The disturbances of one server. It is false while there are none."""

    __slots__ = ("failing", "held", "hung", "hung_at", "losing", "lost", "needed", "requests", "states")

    def __init__(self, requests: Requests, dependencies: Mapping[str, float]) -> None:
        self.requests = requests
        self.needed = dependencies  # dependency -> share of the paths that need it
        self.states = dict.fromkeys(dependencies, OK)
        self.hung = False
        self.hung_at = 0.0
        self.held: list[
            int
        ] = []  # rows that arrived while it hangs: the kernel has accepted their connections
        self.losing = 0.0  # share of requests that are lost
        self.lost: list[int] = []  # rows without an answer, with their connections open
        self.failing = 0.0  # share of clients that get errors

    def __bool__(self) -> bool:
        """Whether any disturbance is active."""
        return self.hung or self.losing > 0 or self.failing > 0 or FAILED in self.states.values()

    def takes(self, row: int) -> bool:
        """Return whether an arriving request is held or lost."""
        if self.hung:
            self.held.append(row)
            return True
        # The top of the range, as requests with luck below the error rate fail and are not lost.
        if self.losing and self.requests.luck[row] >= 1 - self.losing:
            self.lost.append(row)
            return True
        return False

    def fails(self, row: int) -> bool:
        """Return whether a request gets an error."""
        requests = self.requests
        if self.failing and chosen(client_name(requests.client[row]), self.failing):
            return True
        path = path_name(requests.path[row])
        return any(
            state == FAILED and needs(path, name, self.needed[name]) for name, state in self.states.items()
        )

    def crash(self) -> list[int]:
        """End all disturbances; return the rows held or lost: their connections close."""
        rows = self.held + self.lost
        self.calm()
        self.held, self.lost = [], []
        return rows

    def calm(self) -> Iterable[int]:
        """End all disturbances but failed dependencies; return the rows held, which continue."""
        held, self.held = self.held, []
        self.hung, self.losing, self.failing = False, 0.0, 0.0
        return held
