"""The patience of clients, as data: their timeout, retries and when they give up."""

from __future__ import annotations

import random
from typing import NamedTuple

import attrs
from attrs import field, frozen

from lbkit.checks import number, one_of, whole
from lbkit.core.options import named_fields
from lbkit.core.retry import Backoff

__all__ = ["Backoff", "Patience", "Wasted", "luck_of"]


@named_fields
@frozen
class Patience:
    """Clients that time out, retry and give up.

    A client closes its connection after waiting `timeout` seconds for an answer. After that, or after a bad
    answer (a server error, 429, a broken connection), it retries up to `retries` times, each time after a
    pause of `backoff`, or at once without one. It gives up `gives_up` seconds after its first try. A server
    may continue with a request after its client has left (see `Server.cancels`).
    """

    timeout: float = field(default=1.0, validator=number(0, 1e7, above=True))
    retries: int = field(default=0, validator=whole(0, 1000))
    backoff: Backoff | None = field(default=None, validator=attrs.validators.optional(one_of(Backoff)))
    gives_up: float | None = field(
        default=None, validator=attrs.validators.optional(number(0, 1e7, above=True))
    )

    def deadline(self, first: float, now: float) -> float:
        """Return when a client that sends a request now will leave; `first`: the time of its first try."""
        end = now + self.timeout
        return end if self.gives_up is None else min(end, first + self.gives_up)

    def next_try(self, first: float, now: float, tried: int, rng: random.Random) -> float | None:
        """Return when a client retries after `tried` failed tries; None if it gives up."""
        if tried > self.retries:
            return None
        again = now + (self.backoff.pause(tried - 1, rng) if self.backoff else 0.0)
        return again if self.gives_up is None or again < first + self.gives_up else None


def luck_of(luck: float, tried: int) -> float:
    """Return the luck of a request's next try after `tried` tries; the same on all engines."""
    return random.Random(f"{luck}/{tried}").random()


class Wasted(NamedTuple):
    """Work of `service` seconds, begun at second `start`, for a client that has left.

    `answered`: the work was completed, and its answer dropped; otherwise it was cancelled."""

    backend: str
    start: float
    service: float
    answered: bool = True

    @property
    def end(self) -> float:
        return self.start + self.service
