"""A hedge: another copy of a request that has no answer yet, on a connection of its own."""

from __future__ import annotations

import asyncio
import errno
from math import inf
from typing import Protocol

from lbkit.core import AnyPool, Backend, Lease
from lbkit.core.attempts import RENEWED, Again, Attempts, Failure, GiveUp
from lbkit.core.retry import AttemptTimeouts, Retry
from lbkit.net import deadline
from lbkit.net.messages import Answer, RequestHead, ResponseHead
from lbkit.net.service import Connection, Service, Step


class Attempting(Protocol):
    """The parts of an exchange that the Timekeeper and its copies use."""

    service: Service
    request: RequestHead
    began: float
    attempts: int
    pool: AnyPool
    token: str  # of its session
    lease: Lease | None
    _connection: Connection | None
    _task: asyncio.Task[None] | asyncio.TimerHandle | None
    _complete: bool
    _plan: Attempts | None

    def _attempts_so_far(self) -> Attempts: ...
    def _next_step(self, failure: Failure, kept: bool) -> Again | GiveUp: ...
    def _go_on(self, step: Again | GiveUp) -> None: ...
    def _failed(self, failure: Failure, kept: bool) -> None: ...
    def _release(self, ok: bool | None, now: float) -> None: ...
    def _send(self, connection: Connection) -> None: ...
    def answer(self, head: ResponseHead, data: bytes, end: bool) -> None: ...
    def answer_with(self, answer: Answer, ok: bool | None = False) -> None: ...
    def touch(self) -> None: ...


class Owner(Protocol):
    """The Timekeeper that owns a copy."""

    exchange: Attempting
    rules: Retry
    timeouts: AttemptTimeouts
    until: float
    copies: list[Copy]

    def won(self, winner: Copy, answered: bool) -> None: ...
    def takes_over(self, elapsed: float) -> None: ...


class Copy:
    """One hedge. It reports to its owner until it becomes the exchange's own attempt, or is cancelled."""

    __slots__ = ("_first", "_task", "_timer", "connection", "lease", "owner", "since")

    def __init__(self, owner: Owner, lease: Lease, now: float) -> None:
        self.owner = owner
        self.lease = lease
        self.since = now
        self.connection: Connection | None = None
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._first = False  # it has become the exchange's own attempt

    @property
    def _backend(self) -> Backend:
        return self.lease.backend

    def _tell(self, step: Step, detail: object = None) -> None:
        exchange = self.owner.exchange
        if exchange.service.on_attempt:
            exchange.service.attempt(exchange, step, self.lease, detail)

    def start(self) -> None:
        limit = self.owner.timeouts.until_answer
        if limit < inf:
            self._timer = asyncio.get_running_loop().call_later(
                limit, self.lost, Failure.ATTEMPT_TIMEOUT, False
            )
        exchange = self.owner.exchange
        if connection := exchange.service.connections.idle_one(self._backend, exchange.request.peer):
            self._send(connection)
        else:
            self._connect()

    def _connect(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._connected())
        if self._first:
            self.owner.exchange._task = self._task

    async def _connected(self) -> None:
        """Connect and send. The task is cancelled when the result is no longer needed."""
        exchange = self.owner.exchange
        failure = None
        try:
            connection = await exchange.service.connections.connect(self._backend, exchange.request.peer)
        except TimeoutError:
            failure = Failure.CONNECT_TIMEOUT
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE) and not self._first:
                self._task = None
                self._give_up(None)  # the proxy's fault, not the backend's
                return
            failure = Failure.REFUSED
        else:
            self._tell(Step.CONNECTED)
            if connection.transport.is_closing():
                failure = Failure.CLOSED_UNANSWERED
        self._task = None
        if self._first:
            exchange._task = None
            if failure:
                exchange._failed(failure, False)
            else:
                exchange._send(connection)
        elif failure:
            self.lost(failure, False)
        else:
            self._send(connection)

    def _send(self, connection: Connection) -> None:
        exchange = self.owner.exchange
        self.connection = connection
        until = self.owner.until
        request = exchange.request
        if until < inf:
            request.data = deadline.stamped(request.data, max(0.0, until - exchange.service.now()))
        self._tell(Step.SENDS)
        connection.send(self, request, b"", True)

    def becomes_first(self) -> None:
        """Make this copy the exchange's own attempt."""
        owner, exchange = self.owner, self.owner.exchange
        self._stop_timer()
        self._first = True
        exchange.lease = self.lease
        exchange._connection = self.connection
        exchange._task = self._task
        if self.connection:
            self.connection.receiver = exchange  # type: ignore[assignment] # an Exchange is one
        owner.takes_over(exchange.service.now() - self.since)
        exchange.touch()

    def cancel(self) -> None:
        """Drop the copy; this does not count against its backend."""
        self._stop_timer()
        if self._task:
            self._task.cancel()
        if self.connection:
            self.connection.close()
        self._release(None)

    def _give_up(self, ok: bool | None) -> None:
        self.owner.copies.remove(self)
        self._stop_timer()
        self._release(ok)

    def _stop_timer(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _release(self, ok: bool | None) -> None:
        service = self.owner.exchange.service
        if not self.lease.released:
            self._tell(Step.RELEASED, ok)
        try:
            self.lease.release(ok, service.now())
        except Exception:
            service.fault("releasing a backend failed")

    # -- called by its connection ------------------------------------------------------------------

    def interim(self, head: ResponseHead) -> None:
        """Ignored: the client gets interim answers of the exchange's own attempt only."""

    def switched(self, head: ResponseHead, transport: asyncio.Transport, data: bytes) -> None:
        """An error of the backend: upgrades are never hedged, so none was requested."""
        transport.abort()
        self.lost(Failure.MALFORMED, False)

    def answer(self, head: ResponseHead, data: bytes, end: bool) -> None:
        if head.status in self.owner.rules.statuses:
            self._tell(Step.HEADED, head.status)
            if end:
                self.connection = None  # it is idle again, or serves another request
            self.lost(Failure.STATUS, False)
            return
        self.owner.won(self, end)
        self.owner.exchange.answer(head, data, end)

    def data(self, data: bytes, end: bool) -> None:
        raise AssertionError("with its answer a copy has become the exchange's own attempt")

    def lost(self, failure: Failure, kept: bool) -> None:
        """Called when the copy fails; the first attempt continues and decides what follows."""
        if self._task:
            self._task.cancel()
            self._task = None
        if failure is not Failure.STATUS:
            self._tell(Step.FAILED, failure)
        connection, self.connection = self.connection, None
        if connection:
            connection.close()
        if kept and failure in RENEWED:
            self._connect()  # the backend had closed an idle connection: try again on a new one
            return
        exchange = self.owner.exchange
        exchange._attempts_so_far().failed(failure, self._backend, exchange.service.now())
        self._give_up(False)

    def origin_ready(self, ready: bool) -> None:
        """Ignored: a hedged request has no body."""
