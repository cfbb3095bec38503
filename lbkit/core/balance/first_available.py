"""First available: fill one server before the next."""

from __future__ import annotations

from collections.abc import Sequence

from mypy_extensions import mypyc_attr

from lbkit.core.backend import Backend
from lbkit.core.balance.base import Balancer, Why
from lbkit.core.options import whole


@mypyc_attr(allow_interpreted_subclasses=True)
class FirstAvailable(Balancer):
    """The first in the list that has fewer than `limit` requests in flight; the last one takes the rest.

    Fills servers one by one, so that the others can be switched off. Weights scale the limit.
    (HAProxy, `balance first` with maxconn.)
    """

    def __init__(self, limit: int = 10) -> None:
        whole(1, limit=limit)
        self.limit = limit

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        limit = self.limit
        for backend in backends:
            if backend.in_flight < limit * backend.weight:
                return backend
        return backends[-1]

    def explain(self, backends: Sequence[Backend], key: str, now: float) -> Why:
        room = {b.name: self.limit * b.weight - b.in_flight for b in backends}
        return Why("the first with room", room)
