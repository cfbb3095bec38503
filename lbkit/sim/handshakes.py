"""New connections of clients, and the TLS handshakes that the balancer makes with them, in virtual time.

The balancer has one processor, where handshakes wait for each other; requests on open connections do not wait
for them, as the balancer takes no time for requests here.
"""

from __future__ import annotations

from lbkit.experiment import Experiment
from lbkit.tls import Tls


class Handshakes:
    """When each request has a connection to go on. Only for experiments with TLS."""

    def __init__(self, experiment: Experiment, tls: Tls) -> None:
        self.tls = tls
        traffic = experiment.traffic
        self.shared = traffic.http == "2"  # each client has one connection for everything
        self.reuse = traffic.reuse
        self.full = self.resumed = 0
        self._free_at = 0.0  # when the balancer has made all handshakes that clients have asked for
        self._idle = 0  # open connections without a request
        self._ready: dict[int, float] = {}  # client -> when its connection is there
        self._first_done = 0.0  # when there is a session to resume
        self._carried: set[int] = set()  # rows on a connection that can carry the next request

    def ready(self, row: int, client: int, now: float) -> float:
        """Return when the request has a connection: now, or after a handshake."""
        if self.shared:
            at = self._ready.get(client)
            if at is None:
                at = self._ready[client] = self._shake(now, resumes=False)
            return max(now, at)
        if self.reuse:
            self._carried.add(row)
        if self._idle:
            self._idle -= 1
            return now
        return self._shake(now, resumes=self.full > 0 and now >= self._first_done)

    def _shake(self, now: float, resumes: bool) -> float:
        resumes = resumes and self.tls.resumption
        self.resumed += resumes
        self.full += not resumes
        began = max(now, self._free_at)
        self._free_at = began + (self.tls.resumed if resumes else self.tls.handshake)
        if self.full == 1 and not resumes:
            self._first_done = self._free_at
        return self._free_at

    def done(self, row: int) -> None:
        """A request has its answer, and its connection may carry another."""
        if row in self._carried:
            self._carried.discard(row)
            self._idle += 1

    def lost(self, row: int) -> None:
        """The client of a request has closed its connection."""
        self._carried.discard(row)

    def facts(self) -> dict[str, int]:
        return {"handshakes": self.full + self.resumed, "handshakes_resumed": self.resumed}
