"""What all exchanges of a proxy share, and what they expect of the parts around them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import Enum
from typing import Any, Protocol

from mypy_extensions import mypyc_attr

from lbkit.core import AnyPool, Backend, Lease
from lbkit.core.attempts import AttemptPolicy
from lbkit.core.key import Key
from lbkit.net.alarms import AlarmsByLength
from lbkit.net.messages import ExchangeView, Receiver, RequestHead, ResponseHead
from lbkit.net.peer import Peer
from lbkit.net.settings import Timeouts

# What hooks return is checked by those who call them, as learners write filters: hence Any.
OnRequest = Callable[[ExchangeView, float], Any]  # Answer | Hold | None
OnRequestBody = Callable[[ExchangeView, bytes, bool], object]
OnBody = Callable[[ExchangeView, bytes, float], object]
OnAttempt = Callable[[ExchangeView, "Step", Lease, Any, float], object]
OnResponse = Callable[[ExchangeView, ResponseHead], Any]  # Answer | None
OnOriginDone = Callable[[ExchangeView, "bool | None", float], object]
OnClientGone = Callable[[ExchangeView], Any]  # bool
OnEnd = Callable[[ExchangeView, float], object]


class Step(Enum):
    """What happens to an attempt at a backend, with its detail."""

    PICKED = "picked"  # whether it is a hedge
    CONNECTED = "connected"  # on a new connection; None
    SENDS = "sends"  # the request is about to be sent, perhaps again; None
    HEADED = "headed"  # the head of an answer has come; its status
    FAILED = "failed"  # the Failure; another connection to the same backend may follow
    RELEASED = "released"  # the end: the outcome for the backend, None if unknown


class Connection(Protocol):
    """A connection to a backend."""

    transport: asyncio.Transport
    receiver: Receiver | None
    may_leave_out: bool  # the backend may say that it has not acted on a request, which then is sent again

    def send(self, receiver: Receiver, head: RequestHead, body: bytes, end: bool) -> None: ...
    def send_body(self, data: bytes, end: bool) -> None: ...
    def read(self, wanted: bool) -> None: ...
    def close(self) -> None: ...


class Connector(Protocol):
    """Where connections come from."""

    def idle_one(self, backend: Backend, peer: Peer | None = None) -> Connection | None: ...
    async def connect(self, backend: Backend, peer: Peer | None = None) -> Connection: ...


class Reporting(Protocol):
    """Receives backends' load reports, for algorithms that want them."""

    def picked(self, backend: Backend, now: float) -> None: ...
    def answered(self, backend: Backend, head: ResponseHead, now: float) -> None: ...


class Joiner(Protocol):
    def __call__(
        self,
        client: asyncio.Transport,
        origin: asyncio.Transport,
        backend: Backend | None,
        data: bytes,
        on_end: Callable[[Any], object],
    ) -> object: ...


@mypyc_attr(allow_interpreted_subclasses=True)  # other compiled classes cannot be copied: see unattended.py
class Service:
    """What all exchanges of a proxy share. Hooks are bound once, so a feature that is not configured costs
    no more than an empty tuple."""

    on_request: tuple[OnRequest, ...] = ()
    on_request_body: tuple[OnRequestBody, ...] = ()
    on_attempt: tuple[OnAttempt, ...] = ()
    on_response: tuple[OnResponse, ...] = ()
    on_origin_done: tuple[OnOriginDone, ...] = ()
    on_client_gone: tuple[OnClientGone, ...] = ()
    on_end: tuple[OnEnd, ...] = ()
    filters = 0  # places in `exchange.state`

    def __init__(
        self,
        pool: AnyPool,
        key: Key,
        connections: Connector,
        reports: Reporting,
        join: Joiner,
        attempts: AttemptPolicy,
        timeouts: Timeouts,
        fault: Callable[[str], object],
        explain: bool = False,
        private: str = "",
    ) -> None:
        """`fault` is called within an exception's handler, with what failed.

        `private`: the path at which backends are probed, in its normal spelling; while they are, clients get
        404 there, unless it is /."""
        self.pool = pool
        self.key = key
        self.connections = connections
        self.reports = reports
        self.join = join
        self.attempts = attempts
        self.timeouts = timeouts
        self.first_wait = min(timeouts.read, timeouts.total)  # seconds
        self.fault = fault
        self.explain = explain
        self.private = private
        # Once the loop runs: its clock, and its timers.
        self.now: Callable[[], float] = lambda: 0.0
        self.alarms = AlarmsByLength()

    def attempt(self, exchange: Any, step: Step, lease: Lease, detail: Any = None) -> None:
        """Call the hooks of attempts; where there are none, callers do not come here."""
        now = self.now()
        for hook in self.on_attempt:
            try:
                hook(exchange, step, lease, detail, now)
            except Exception:  # a learner's code may do anything
                self.fault(f"{hook.__self__.name} failed")  # type: ignore[attr-defined]
