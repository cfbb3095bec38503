"""The traffic of an experiment: when requests arrive, from which clients, for which paths."""

from __future__ import annotations

from collections.abc import Iterable

import attrs
from attrs import field, frozen

from lbkit.arrivals import LONGEST, Arrivals, Burst, Closed, Poisson, Sessions, Trace
from lbkit.checks import flag, number, one_of, several, whole, word
from lbkit.core.options import named_fields
from lbkit.core.text import shown
from lbkit.mix import RequestKind, mix_fault
from lbkit.patience import Patience

HTTP1, HTTP2 = "1.1", "2"
MOST_REQUESTS = 100_000_000  # in one run: more would not fit into memory


def _kinds(what: RequestKind | Iterable[RequestKind]) -> tuple[RequestKind, ...]:
    return several(what)


def _bursts(what: Burst | Iterable[Burst]) -> tuple[Burst, ...]:
    return several(what)


@named_fields
@frozen
class Traffic:
    """The requests: arrivals, clients and paths. Popularity follows Zipf: the k-th has weight 1/k^skew."""

    arrivals: Arrivals = field(factory=Poisson, validator=one_of(Arrivals))
    # Seconds in which requests arrive.
    duration: float = field(default=30.0, validator=number(0, LONGEST, above=True))
    warmup: float = field(default=0.0, validator=number(0))  # first seconds, left out of the statistics
    clients: int = field(default=100, validator=whole(1, 1_000_000))
    client_skew: float = field(default=0.0, validator=number(0))
    paths: int = field(default=1000, validator=whole(1, 1_000_000))
    path_skew: float = field(default=0.0, validator=number(0))
    # How long clients wait, and whether they try again; None: they wait for ever.
    patience: Patience | None = field(default=None, validator=attrs.validators.optional(one_of(Patience)))
    # Kinds of requests, for rules of `routing`; by default all are GET /item/N.
    mix: tuple[RequestKind, ...] = field(default=(), converter=_kinds)
    # "2": each client has one connection for everything, as browsers do. "1.1": one pool of connections for
    # all clients, each with one request at a time, unless `layer4` says otherwise.
    http: str = field(default=HTTP1, validator=word((HTTP1, HTTP2)))
    reuse: bool = field(default=True, validator=flag)  # whether a connection carries several requests
    bursts: tuple[Burst, ...] = field(default=(), converter=_bursts)  # requests besides; in an open loop only

    def __attrs_post_init__(self) -> None:
        if fault := mix_fault(self.mix):
            raise ValueError(fault)
        if fault := self._burst_fault():
            raise ValueError(fault)
        if self.http == HTTP2 and not self.reuse:
            raise ValueError("reuse is false: with http='2' each client has one connection; use http='1.1'")
        if isinstance(self.arrivals, Trace):
            for name, numbers in (("clients", self.arrivals.clients), ("paths", self.arrivals.paths)):
                if numbers and max(numbers) >= getattr(self, name):
                    raise ValueError(
                        f"{name} is {getattr(self, name)}: the trace has number {max(numbers)}, so use more"
                    )
        elif not isinstance(self.arrivals, Closed) and self.arrivals.peak * self.duration > MOST_REQUESTS:
            raise ValueError(
                f"duration is {self.duration:g} s: with up to {self.arrivals.peak:g} requests a second that "
                f"is more than {MOST_REQUESTS:,d} requests, so use less"
            )
        if self.warmup >= self.duration:
            raise ValueError(
                f"warmup is {self.warmup:g} s: nothing is left of {self.duration:g} s, so use less"
            )

    def _burst_fault(self) -> str:
        """Return which burst cannot be; empty if all can."""
        for i, burst in enumerate(self.bursts):
            if not isinstance(burst, Burst):
                return f"bursts[{i}] is {shown(burst)}: use a Burst"
            if isinstance(self.arrivals, Closed | Sessions):
                return f"bursts: {self.arrivals.kind} traffic has clients that wait; use Poisson, say"
            if burst.client >= self.clients:
                return f"bursts[{i}].client is {burst.client}: there are {self.clients} clients, from 0 on"
        return ""
