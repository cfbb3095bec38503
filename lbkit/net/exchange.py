"""One request and its answer: filters, attempts, and every way it can end.

    request   receiving -> complete
    answer    waiting -> started -> done

The request's state decides which attempts may be repeated, the answer's what an ending means to the client:
while it waits, it gets a short answer; once it has started, the connection is cut, so that half an answer
does not look whole; when it is done, there is nothing left to end. All endings go through `_end`.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable
from enum import IntEnum
from typing import Any, Protocol

from lbkit.core import Backend, Lease, NoBackend, Pool, Replicas
from lbkit.core.attempts import IDEMPOTENT, Again, AttemptPolicy, Attempts, Failure
from lbkit.core.key import Key
from lbkit.net.answers import own_answer
from lbkit.net.messages import Answer, Client, ExchangeView, Hold, Named, RequestHead, ResponseHead, Sink
from lbkit.net.settings import Timeouts

# Bytes of a request's body that are held: while there is no connection to send them on, and as long as they
# may have to be sent again.
MAX_HELD = 64 * 1024


OnRequest = Callable[[ExchangeView, float], "Answer | Hold | None"]
OnResponse = Callable[[ExchangeView, ResponseHead], "Answer | None"]
OnOriginDone = Callable[[ExchangeView, "bool | None", float], object]
OnEnd = Callable[[ExchangeView, float], object]


class Connection(Protocol):
    """A connection to a backend."""

    transport: asyncio.Transport

    def send(self, receiver: Exchange, head: RequestHead, body: bytes, end: bool) -> None: ...
    def send_body(self, data: bytes, end: bool) -> None: ...
    def read(self, wanted: bool) -> None: ...
    def close(self) -> None: ...


class Connector(Protocol):
    """Where connections come from."""

    def idle_one(self, backend: Backend) -> Connection | None: ...
    async def connect(self, backend: Backend) -> Connection: ...


class Reporting(Protocol):
    """What hears of backends' load, for algorithms that want reports."""

    def picked(self, backend: Backend, now: float) -> None: ...
    def answered(self, backend: Backend, head: ResponseHead, now: float) -> None: ...


class Joiner(Protocol):
    def __call__(
        self, client: asyncio.Transport, origin: asyncio.Transport, on_end: Callable[[Any], object]
    ) -> object: ...


class Service:
    """What all exchanges of a proxy share. Hooks are bound once: an empty tuple is what a feature costs
    that is not configured."""

    on_request: tuple[OnRequest, ...] = ()
    on_response: tuple[OnResponse, ...] = ()
    on_origin_done: tuple[OnOriginDone, ...] = ()
    on_end: tuple[OnEnd, ...] = ()
    filters = 0  # places in `exchange.state`

    def __init__(
        self,
        pool: Pool | Replicas,
        key: Key,
        connections: Connector,
        reports: Reporting,
        join: Joiner,
        attempts: AttemptPolicy,
        timeouts: Timeouts,
        fault: Callable[[str], object],
        explain: bool = False,
    ) -> None:
        """`fault` is told, within the exception's handler, what a learner's code failed at."""
        self.pool = pool
        self.key = key
        self.connections = connections
        self.reports = reports
        self.join = join
        self.attempts = attempts
        self.timeouts = timeouts
        self.fault = fault
        self.explain = explain
        self.now: Callable[[], float] = lambda: 0.0  # the loop's clock, once it runs


class State(IntEnum):
    """Of an answer."""

    WAITING = 0
    STARTED = 1
    DONE = 2


WAITING, STARTED, DONE = State


class Exchange:
    """Holds a lease while a backend works for it; the lease is released on every way out."""

    __slots__ = (
        "_answer",
        "_complete",
        "_connection",
        "_held",
        "_next_hook",
        "_origin_over",
        "_plan",
        "_task",
        "attempts",
        "began",
        "client",
        "deadline",
        "lease",
        "request",
        "service",
        "sink",
        "state",
        "status",
    )

    def __init__(self, service: Service, request: RequestHead, client: Client, now: float) -> None:
        self.service = service
        self.request = request
        self.client = client
        self.sink: Sink = client
        self.began = now
        self.deadline = now + service.timeouts.read
        self.status = 0
        self.attempts = 0
        self.lease: Lease | None = None
        self.state: list[Any] = [None] * service.filters if service.filters else []
        self._answer = WAITING
        self._complete = request.length == 0  # the request has been received to its end
        self._held: list[bytes] | None = None  # its body, while it may have to be sent (again)
        self._next_hook = 0
        self._plan: Attempts | None = None  # made at the first failure
        self._connection: Connection | None = None
        self._origin_over = False  # nothing more comes from a backend
        self._task: asyncio.Task[None] | asyncio.TimerHandle | None = None  # connecting, or backing off
        if not self._complete:
            self._held = []

    # -- filters on the way in -----------------------------------------------------------------

    def begin(self, now: float) -> None:
        """Through the filters to a backend."""
        if self.service.on_request:
            self.proceed(now)
        else:
            self._start(now)

    def proceed(self, now: float) -> None:
        """Go on with the filters that have not seen it yet."""
        hooks = self.service.on_request
        while self._next_hook < len(hooks):
            hook = hooks[self._next_hook]
            self._next_hook += 1
            try:
                verdict = hook(self, now)
            except Exception:  # a learner's code may raise anything
                self.failed(hook.__self__)  # type: ignore[attr-defined]
                return
            if isinstance(verdict, Hold):
                self.deadline = float("inf")  # the filter's clock counts now
                return
            if verdict is not None:
                self.answer_with(verdict)
                return
        self.touch()
        self._start(now)

    def failed(self, filter: Named) -> None:
        """A filter has raised: it is reported, and the request gets a 500."""
        self.service.fault(f"{filter.name} failed")
        self.answer_with(Answer(500))

    # -- attempts ------------------------------------------------------------------------------

    def _start(self, now: float) -> None:
        """Pick a backend and send, or answer with an error."""
        service = self.service
        plan = self._plan
        try:
            key = service.key(self.request)
            self.lease = lease = service.pool.acquire(key, now, plan.tried if plan else (), service.explain)
        except NoBackend:
            # All tried: the last failure is the reason. None there: that is.
            self.answer_with(Answer(plan.status if plan else 503))
            return
        except Exception:  # a learner's algorithm may raise anything
            service.fault(f"algorithm {service.pool.balancer.name!r} failed")
            self.answer_with(Answer(500))
            return
        self.attempts += 1
        backend = lease.backend
        if service.pool.wants_reports:
            service.reports.picked(backend, now)
        connection = service.connections.idle_one(backend)
        if connection is None:
            self._connect(backend)
        else:
            self._send(connection)

    def _send(self, connection: Connection) -> None:
        """Send the request, and its body as far as it is there."""
        self._connection = connection
        body = b"".join(self._held) if self._held else b""
        connection.send(self, self.request, body, self._complete)
        if not self.client.writable:
            self.read_origin(False)  # it has not taken the answer before this one yet
        if self._held is not None:
            if self.request.method not in IDEMPOTENT:
                self._held = None  # it will not be sent again
            self.client.read_body(True)

    def _connect(self, backend: Backend) -> None:
        self._task = asyncio.get_running_loop().create_task(self._connected(backend))

    async def _connected(self, backend: Backend) -> None:
        """Cancelled when the exchange ends, so it goes on only if the exchange does."""
        try:
            connection = await self.service.connections.connect(backend)
        except TimeoutError:
            self._task = None
            self._failed(Failure.CONNECT_TIMEOUT, False)
        except OSError as error:
            self._task = None
            if error.errno in (errno.EMFILE, errno.ENFILE):
                # The proxy's own lack says nothing about the backend.
                self.service.fault("out of file descriptors: raise ulimit -n, or lower limits.connections")
                self.answer_with(Answer(503), None)
            else:
                self._failed(Failure.REFUSED, False)
        else:
            self._task = None
            if connection.transport.is_closing():
                self._failed(Failure.CLOSED_UNANSWERED, False)
            else:
                self._send(connection)

    def lost(self, failure: Failure, kept: bool) -> None:
        """The backend's connection went away, or what came on it was no answer."""
        self._connection = None
        self._failed(failure, kept)

    def _failed(self, failure: Failure, kept: bool) -> None:
        """An attempt has failed: what does the plan say?"""
        if self._answer is STARTED:
            self._cut_off()
            return
        assert self.lease
        backend = self.lease.backend
        if self._plan is None:
            self._plan = Attempts(self.service.attempts, False)
        self._plan.safe = self._repeatable()
        step = self._plan.after(failure, backend, kept)
        now = self.service.now()
        if not isinstance(step, Again):
            self._release(False, now)
            self.answer_with(Answer(step.status))
            return
        self.touch()
        if step.backend is None:
            self._release(False, now)
        if step.delay > 0:
            loop = asyncio.get_running_loop()
            self._task = loop.call_later(step.delay, self._again, step.backend)
        else:
            self._again(step.backend)

    def _again(self, backend: Backend | None) -> None:
        self._task = None
        if backend is None:
            self._start(self.service.now())
        else:
            self._connect(backend)

    def _repeatable(self) -> bool:
        """Whether it does no harm to send it once more, and all that was sent of it is still there."""
        if self.request.method not in IDEMPOTENT:
            return False
        return self.request.length == 0 or self._held is not None

    # -- the request's body --------------------------------------------------------------------

    def body(self, data: bytes, end: bool) -> None:
        """A piece of the request's body."""
        self._complete = end
        if self._answer is DONE:
            return
        self.touch()
        connection = self._connection
        if self._held is not None:
            self._held.append(data)
            held = self._held_size()
            if connection is None:
                if held > MAX_HELD:
                    self.client.read_body(False)
            elif held > MAX_HELD:
                self._held = None  # too much to be sent again
        if connection:
            connection.send_body(data, end)

    def _held_size(self) -> int:
        assert self._held is not None
        if len(self._held) > 32:  # pieces of a byte each must not make this slow
            self._held[:] = [b"".join(self._held)]
        return sum(map(len, self._held))

    def origin_ready(self, ready: bool) -> None:
        """The backend takes more of the body, or not now."""
        self.touch()
        if self._answer is not DONE:
            self.client.read_body(ready)

    # -- the answer ----------------------------------------------------------------------------

    def interim(self, head: ResponseHead) -> None:
        self.client.interim(head)

    def answer(self, head: ResponseHead, data: bytes, end: bool) -> None:
        """The backend's answer begins."""
        service = self.service
        self.status = head.status
        if end:
            self._connection = None  # it serves others already
        now = service.now()
        if service.pool.wants_reports and self.lease:
            service.reports.answered(self.lease.backend, head, now)
        self._held = None
        if service.on_response and self._replaced(head):
            return
        self._answer = STARTED
        if end:
            self._origin_done(head.status < 500, now)
            self.sink.respond(head, data, True)
            if self.sink is self.client:
                self._end(None, now)
        else:
            self.deadline = min(now + service.timeouts.read, self.began + service.timeouts.total)
            self.sink.respond(head, data, False)

    def data(self, data: bytes, end: bool) -> None:
        """More of the backend's answer."""
        if end:
            self._connection = None
            now = self.service.now()
            self._origin_done(self.status < 500, now)
            self.sink.send(data, True)
            if self.sink is self.client:
                self._end(None, now)
        else:
            self.touch()
            self.sink.send(data, False)

    def delivered(self) -> None:
        """A wrapped sink has passed on the end of the answer."""
        self._end(None, self.service.now())

    def _replaced(self, head: ResponseHead) -> bool:
        """Show the head to the filters. Whether one of them has answered in the backend's place."""
        for hook in self.service.on_response:
            try:
                answer = hook(self, head)
            except Exception:  # a learner's code may raise anything
                if head.own:
                    self.service.fault(f"{hook.__self__.name} failed")  # type: ignore[attr-defined]
                    continue
                self.failed(hook.__self__)  # type: ignore[attr-defined]
                return True
            if answer is not None and not head.own:
                self.sink = self.client
                self.answer_with(answer)
                return True
        return False

    def answer_with(self, answer: Answer, ok: bool | None = False) -> None:
        """No (whole) answer comes from a backend: send a short one, or cut off what had begun.

        `ok`: the outcome for the backend that has the request now, if one has."""
        if self._answer is not WAITING:
            self._cut_off()
            return
        head, body = own_answer(answer)
        self.status = answer.status
        if self.service.on_response:
            self._replaced(head)
        self._answer = STARTED
        now = self.service.now()
        self._origin_done(ok, now)
        self.sink.respond(head, b"" if self.request.method == b"HEAD" else body, True)
        if self.sink is self.client:
            self._end(None, now)

    def refuse(self, status: int, why: str) -> None:
        """The rest of the request cannot be read. That says nothing about the backend."""
        self.answer_with(Answer(status, why), None)

    def _cut_off(self) -> None:
        if self._answer is not DONE:
            self._end(False, self.service.now())
            self.client.abort()

    # -- back-pressure and time -------------------------------------------------------------------

    def client_ready(self, ready: bool) -> None:
        self.touch()
        if self.sink is self.client:
            self.read_origin(ready)
        else:
            self.sink.ready(ready)

    def read_origin(self, wanted: bool) -> None:
        """Whether more of the answer can be taken."""
        if self._connection:
            self._connection.read(wanted)

    def touch(self) -> None:
        """Something moved: the wait for progress starts again, but for the total."""
        timeouts = self.service.timeouts
        self.deadline = min(self.service.now() + timeouts.read, self.began + timeouts.total)

    def expired(self, now: float) -> None:
        """The deadline has passed. What was being waited for?"""
        if self._answer is DONE:
            return
        if self._answer is STARTED or not self.client.writable:
            self._cut_off()
        elif not self._complete:
            self.refuse(408, "the body stopped coming")
        else:
            if self._connection:
                self._connection.close()
            if self.lease:
                self.lost(Failure.TIMEOUT, False)
            else:
                self.answer_with(Answer(Failure.TIMEOUT.status))

    # -- endings -------------------------------------------------------------------------------

    def client_gone(self) -> None:
        """That says nothing about the backend."""
        self._end(None, self.service.now())

    def switched(self, head: ResponseHead, transport: asyncio.Transport, data: bytes) -> None:
        """Another protocol goes on: the two connections are joined, and the lease lasts as long."""
        self._connection = None
        self.status = head.status
        self._answer = STARTED
        client, early = self.client.upgrade(head)
        if early:
            transport.write(early)
        if data:
            client.write(data)
        self.service.join(client, transport, self._relayed)

    def _relayed(self, relay: object) -> None:
        """How long a tunnel is kept open says nothing about how fast the backend is."""
        self._end(None, self.service.now())

    def _origin_done(self, ok: bool | None, now: float) -> None:
        """Nothing more comes from a backend. `ok`: the outcome for the backend."""
        self._origin_over = True
        self._held = None
        task, self._task = self._task, None
        if task:
            task.cancel()
        connection, self._connection = self._connection, None
        if connection:
            connection.close()  # in the middle of an answer: of no use to others
        self._release(ok, now)
        for hook in self.service.on_origin_done:
            try:
                hook(self, ok, now)
            except Exception:  # a learner's code may raise anything
                self.service.fault(f"{hook.__self__.name} failed")  # type: ignore[attr-defined]

    def _end(self, ok: bool | None, now: float) -> None:
        """The one way out; `ok` as in `_origin_done`, for what ends before its backend is done."""
        if self._answer is DONE:
            return
        self._answer = DONE
        if not self._origin_over:
            self._origin_done(ok, now)
        for hook in self.service.on_end:
            try:
                hook(self, now)
            except Exception:
                self.service.fault(f"{hook.__self__.name} failed")  # type: ignore[attr-defined]

    def _release(self, ok: bool | None, now: float) -> None:
        if self.lease is not None:
            try:
                self.lease.release(ok, now)  # takes effect once
            except Exception:
                self.service.fault(f"algorithm {self.service.pool.balancer.name!r} failed in done()")

    @property
    def backend(self) -> Backend | None:
        """The backend that was picked last."""
        return self.lease.backend if self.lease else None
