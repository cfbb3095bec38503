"""Maglev hashing: a lookup table that backends fill in turns."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from mypy_extensions import mypyc_attr

from lbkit.core.backend import Backend
from lbkit.core.balance.base import Balancer, Why
from lbkit.core.hashing import hash64, place64
from lbkit.core.options import whole

MAX_SLOTS = 5_000_011  # as in Envoy


@mypyc_attr(allow_interpreted_subclasses=True)
class Maglev(Balancer):
    """A table of `slots` that backends fill in turns, each in its own order; a pick is one lookup.

    Shares are equal within 1 % with a hundred slots or more for each backend. When a backend leaves, the
    table is filled again, and slightly more keys move than its own. `slots` must be a prime. (Eisenbud et
    al., NSDI 2016; 65537 as in Envoy and Katran.)
    """

    keyed = True
    keyed_by = "path"

    def __init__(self, slots: int = 65537) -> None:
        whole(2, MAX_SLOTS, slots=slots)
        if any(slots % d == 0 for d in range(2, int(slots**0.5) + 1)):
            raise ValueError(f"slots is {slots}: use a prime number, such as 65537")
        self.slots = slots
        self._table: list[Backend] = []
        self._built_from: tuple[tuple[Backend, float], ...] = ()

    def rebuild(self, backends: Sequence[Backend]) -> None:
        # By name, so that every proxy fills the same table, whatever the order of its backends.
        built_from = tuple((b, b.weight) for b in sorted(backends, key=lambda b: b.name))
        if built_from != self._built_from:
            self._built_from = built_from
            self._table = self._fill() if built_from else []

    def _fill(self) -> list[Backend]:
        slots = self.slots
        heaviest = max(weight for _, weight in self._built_from)
        # The next slot to try and the step to the one after: together an order of all slots.
        places = [
            [place64(b.name) % slots, place64(b.name + "/skip") % (slots - 1) + 1]
            for b, _ in self._built_from
        ]
        saved = [0.0] * len(places)
        table: list[Backend | None] = [None] * slots
        left = slots
        while left:
            for i, (backend, weight) in enumerate(self._built_from):
                # The heaviest has a turn in every round, the others in some rounds, by weight.
                saved[i] += weight / heaviest
                if saved[i] < 1 - 1e-9 or not left:
                    continue
                saved[i] -= 1
                at, skip = places[i]
                while table[at] is not None:
                    at = (at + skip) % slots
                table[at] = backend
                places[i][0] = (at + skip) % slots
                left -= 1
        return [backend for backend in table if backend]

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        return self._table[hash64(key) % self.slots]

    def explain(self, backends: Sequence[Backend], key: str, now: float) -> Why:
        slot = hash64(key) % self.slots
        return Why(f"the owner of the slot of {key!r}", place=slot, places=self.slots)

    def table(self) -> list[str]:
        """Return the name of each slot's backend."""
        return [b.name for b in self._table]

    def pick_except(
        self, backends: Sequence[Backend], exclude: Collection[Backend], key: str, now: float
    ) -> Backend:
        start = hash64(key)
        for k in range(self.slots):
            backend = self._table[(start + k) % self.slots]
            if backend not in exclude:
                return backend
        # The only backend left may have so little weight that it has no slot at all.
        return next(b for b in backends if b not in exclude)
