"""Join the idle queue: idle servers wait in a queue for the next request."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence

from mypy_extensions import mypyc_attr

from lbkit.core.backend import Backend
from lbkit.core.balance.base import Balancer, Why, restoring


@mypyc_attr(allow_interpreted_subclasses=True)
class JoinIdleQueue(Balancer):
    """The backend that has been idle longest; a random one when none is idle.

    Idle backends wait in a queue, and a pick takes the first: it compares nothing. As good as a full scan
    while some backend is idle, no better than random choice when none is.

    Of several balancers, each has a queue of its own, and a server that becomes idle reports to one of them
    at random: it joins that queue (JIQ-Random). A balancer with an empty queue picks at random even if
    servers wait elsewhere, and one that got a request from another balancer meanwhile keeps its place.
    (Lu et al., Performance Evaluation 68, 2011.)
    """

    wants_idle = True

    def __init__(self) -> None:
        # In the order in which they became idle. A plain dict skips its gaps to find the first entry.
        self._idle: OrderedDict[Backend, None] = OrderedDict()
        self._members: frozenset[Backend] = frozenset()
        self._report: Callable[[Backend], object] | None = None  # set if there are several balancers

    def rebuild(self, backends: Sequence[Backend]) -> None:
        self._members = frozenset(backends)
        waiting = [b for b in self._idle if b in self._members]
        idle = [] if self._report else [b for b in backends if not b.in_flight]
        self._idle = OrderedDict.fromkeys([*waiting, *idle])

    def start_at(self, backends: Sequence[Backend], place: float) -> None:
        for backend in list(self._idle)[: int(place * len(self._idle))]:
            self._idle.move_to_end(backend)

    def share_idle(self, report: Callable[[Backend], object]) -> None:
        self._report = report
        self._idle.clear()

    def on_idle(self, backend: Backend) -> None:
        if backend in self._members:
            self._idle[backend] = None

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        idle = self._idle_among(backends)
        if not idle:
            return backends[int(self.rng.random() * len(backends))]
        backend = next(iter(idle))
        del self._idle[backend]
        return backend

    def _idle_among(self, backends: Sequence[Backend]) -> Collection[Backend]:
        """Return the idle backends that may be picked: fewer in a retry."""
        return self._idle if len(backends) == len(self._members) else [b for b in self._idle if b in backends]

    def resumed(self, backend: Backend, now: float) -> None:
        self._idle.pop(backend, None)

    def done(self, backend: Backend, latency: float, ok: bool | None, now: float) -> None:
        if not backend.in_flight:
            (self._report or self.on_idle)(backend)

    def explain(self, backends: Sequence[Backend], key: str, now: float) -> Why:
        idle = self._idle_among(backends)
        if idle:
            return Why(
                "the first in the queue of idle backends", {b.name: i for i, b in enumerate(idle)}, "lowest"
            )
        with restoring(self.rng):
            n = len(backends)
            return Why("none is idle: drawn at random", place=int(self.rng.random() * n), places=n)
