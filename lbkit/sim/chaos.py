"""What goes wrong at a simulated server that is up: it hangs, loses requests, or answers with errors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from lbkit.health_page import FAILED, OK
from lbkit.sim.requests import Requests
from lbkit.workload import chosen, client_name, needs, path_name


class Chaos:
    """The disturbances of one server. While there is none, its server does not ask."""

    __slots__ = ("failing", "held", "hung", "hung_at", "losing", "lost", "needed", "requests", "states")

    def __init__(self, requests: Requests, dependencies: Mapping[str, float]) -> None:
        self.requests = requests
        self.needed = dependencies  # name -> share of the paths that need it
        self.states = dict.fromkeys(dependencies, OK)
        self.hung = False
        self.hung_at = 0.0
        self.held: list[int] = []  # rows that came since it hangs: the system has accepted their connections
        self.losing = 0.0  # share of the requests
        self.lost: list[int] = []  # rows that never get an answer; their connections are open
        self.failing = 0.0  # share of the clients

    def __bool__(self) -> bool:
        """Whether a request may fare otherwise than usual."""
        return self.hung or self.losing > 0 or self.failing > 0 or FAILED in self.states.values()

    def takes(self, row: int) -> bool:
        """Return whether a request that arrives stays without an answer, for now or for good."""
        if self.hung:
            self.held.append(row)
            return True
        # The top of the range: what is below an error rate fails, and is not lost.
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
        """Return the rows that were held or lost: their connections close. What was wrong ends."""
        rows = self.held + self.lost
        self.calm()
        self.held, self.lost = [], []
        return rows

    def calm(self) -> Iterable[int]:
        """End all but failed dependencies; return the rows that were held: they go on."""
        held, self.held = self.held, []
        self.hung, self.losing, self.failing = False, 0.0, 0.0
        return held
