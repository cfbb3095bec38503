"""The patience of clients, as data: how long they wait, whether they try again, and when they give up."""

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
    """How clients behave that do not wait for ever: they leave, try again, and give up.

    A client waits `timeout` seconds for an answer and then closes its connection. After that, and after a
    bad answer (a server error, 429, a broken connection), it sends the request again, up to `retries` times,
    each after a pause of `backoff`; without one, at once. `gives_up` seconds after it first sent the request
    it stops for good. A server may go on working on a request that its client has left (`Server.cancels`).
    """

    timeout: float = field(default=1.0, validator=number(0, 1e7, above=True))
    retries: int = field(default=0, validator=whole(0, 1000))
    backoff: Backoff | None = field(default=None, validator=attrs.validators.optional(one_of(Backoff)))
    gives_up: float | None = field(
        default=None, validator=attrs.validators.optional(number(0, 1e7, above=True))
    )

    def deadline(self, first: float, now: float) -> float:
        """Return when a client leaves that sends the request now; `first`: when it sent it first."""
        end = now + self.timeout
        return end if self.gives_up is None else min(end, first + self.gives_up)

    def next_try(self, first: float, now: float, tried: int, rng: random.Random) -> float | None:
        """Return when a client sends its request again after `tried` tries have failed; None: never."""
        if tried > self.retries:
            return None
        again = now + (self.backoff.pause(tried - 1, rng) if self.backoff else 0.0)
        return again if self.gives_up is None or again < first + self.gives_up else None


def luck_of(luck: float, tried: int) -> float:
    """Return the luck of a request's next try, after `tried` of them: the same on all engines."""
    return random.Random(f"{luck}/{tried}").random()


class Wasted(NamedTuple):
    """Work that a server began at second `start`, for `service` seconds, for a client that has left.

    `answered`: it was completed, and the answer went to nobody; else it was cancelled."""

    backend: str
    start: float
    service: float
    answered: bool = True

    @property
    def end(self) -> float:
        return self.start + self.service
