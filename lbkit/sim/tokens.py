"""The session tokens of simulated clients."""

from __future__ import annotations

from lbkit.core import AnyPool
from lbkit.core.sticky import Sticky
from lbkit.sim.requests import Requests
from lbkit.workload import client_name


class Tokens:
    """The token of each session; without sessions in the traffic, of each client."""

    def __init__(self, rules: Sticky, pool: AnyPool, requests: Requests) -> None:
        self.rules = rules
        self.pool = pool
        self.requests = requests
        self._tokens: dict[int, str] = {}

    def of(self, row: int) -> str:
        """Return the token that a request carries; empty for the first one."""
        if self.rules.how == "source":
            return client_name(self.requests.client[row])
        return self._tokens.get(self.holder(row), "")

    def holder(self, row: int) -> int:
        """Return the number of the session, or of the client."""
        sessions = self.requests.session
        return self.requests.client[row] if sessions is None else sessions[row]

    def answered(self, row: int, now: float) -> None:
        """Record the backend that answered a request, if one did."""
        if self.requests.backend[row] < 0:
            return
        holder, token = self.holder(row), self.of(row)
        if self.rules.how == "learn" and not token:
            token = self._tokens[holder] = f"session {holder}"  # the server's own cookie
        if new := self.pool.keep(self.requests.lease[row], token, now):
            self._tokens[holder] = new
