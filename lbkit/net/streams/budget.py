"""A limit on what a client may make the proxy do at no cost of its own."""

from __future__ import annotations

from lbkit.core.limit import TokenBucket


class Flood(Exception):
    """Raised when a client exceeds a limit: its connection is closed."""

    def __init__(self, why: str, code: int | None = None) -> None:
        """`code`: the protocol's error; by default the one that asks for less."""
        super().__init__(why)
        self.why = why
        self.code = code


class Budget:
    """So many at once, and as many again in each `per` seconds: a token bucket."""

    __slots__ = ("_bucket", "_state", "_what")

    def __init__(self, amount: int, per: float, what: str) -> None:
        self._bucket = TokenBucket(amount / per, amount)
        self._state: tuple[float, float] | None = None
        self._what = what

    def spend(self, now: float, cost: float = 1.0) -> None:
        """Raises Flood if not so much is left."""
        state = self._bucket.step(self._state, now, cost)
        if state is None:
            raise Flood(self._what)
        self._state = state
