"""The backend's half of an exchange: pick one, connect, send the request, try again when that fails."""

from __future__ import annotations

import asyncio
import errno
from math import inf
from typing import Any

from mypy_extensions import mypyc_attr

from lbkit.core import Backend, Lease, NoBackend
from lbkit.core.attempts import BLAMELESS, IDEMPOTENT, Again, Attempts, Failure, GiveUp
from lbkit.core.routing import Route
from lbkit.net.messages import Answer, Client, RequestHead, Sink
from lbkit.net.service import Connection, OnBody, Service, Step
from lbkit.net.timekeeper import Timekeeper

# Bytes of a request's body that are held while there is no connection to send them on. As many are held as
# long as they may have to be sent again, unless the policy says otherwise (`Retry.buffer`).
MAX_HELD = 64 * 1024


@mypyc_attr(allow_interpreted_subclasses=True)
class Forwarding:
    """Holds a lease while a backend works on the request. The subclass Exchange answers the client."""

    __slots__ = (
        "_body_began",
        "_body_wanted",
        "_complete",
        "_connection",
        "_done",
        "_held",
        "_next_hook",
        "_on_body",
        "_origin_over",
        "_plan",
        "_started",
        "_suspended",
        "_task",
        "_timekeeper",
        "attempts",
        "began",
        "client",
        "connected",
        "deadline",
        "headed",
        "lease",
        "pool",
        "request",
        "route",
        "service",
        "sink",
        "state",
        "status",
        "token",
    )

    def __init__(self, service: Service, request: RequestHead, client: Client, now: float) -> None:
        # Fields of both halves, as a request pays for each call.
        self.service = service
        self.request = request
        self.client = client
        self.sink: Sink = client
        self.state: list[Any] = [None] * service.filters if service.filters else []
        self.status = 0
        self.token = ""  # of its session
        self.began = now
        self.connected = 0.0
        self.headed = 0.0
        self.deadline = now + service.first_wait
        self.attempts = 0
        self.pool = service.pool  # a filter may choose another
        self.route: Route | None = None  # by the rules of content switching
        self.lease: Lease | None = None
        self._complete = request.length == 0  # the request has been received to its end
        self._body_began = False  # the client sends it, or has been told to
        self._body_wanted = True  # more of it can be taken
        # Its body, while it may have to be sent (again).
        self._held: list[bytes] | None = None if self._complete else []
        self._plan: Attempts | None = None  # made at the first failure
        self._timekeeper: Timekeeper | None = None  # where the policy has rules for attempts
        self._connection: Connection | None = None
        self._task: asyncio.Task[None] | asyncio.TimerHandle | None = None  # connecting, or backing off
        self._started = False  # the client has the beginning of an answer
        self._origin_over = False  # nothing more comes from a backend
        self._done = False
        self._next_hook = 0  # of the filters
        self._on_body: OnBody | None = None  # of a filter that holds it until the body is here
        self._suspended = False  # a filter makes it wait

    def answer_with(self, answer: Answer, ok: bool | None = False) -> None:
        """Answer in place of a backend; `ok`: the outcome for the backend that has the request."""
        raise NotImplementedError

    def _cut_off(self) -> None:
        """End an answer that has started and cannot be completed."""
        raise NotImplementedError

    def _start(self, now: float) -> None:
        """Pick a backend and send, or answer with an error."""
        service = self.service
        plan = self._plan
        if self._timekeeper is not None and not self._timekeeper.starts(now):
            return
        try:
            key = service.key(self.request)
            tried = plan.tried if plan else ()
            self.lease = lease = self.pool.acquire(key, now, tried, service.explain, self.token)
        except NoBackend:
            # All have been tried: answer with the last failure. There is none to try: 503.
            self.answer_with(self._own_answer(plan.status if plan else 503))
            return
        except Exception:
            service.fault("picking a backend failed")
            self.answer_with(Answer(500, f"the algorithm {self.pool.balancer.name} failed"))
            return
        self.attempts += 1
        backend = lease.backend
        if self.pool.wants_reports:
            service.reports.picked(backend, now)
        if service.on_attempt:
            service.attempt(self, Step.PICKED, lease, False)
        connection = service.connections.idle_one(backend, self.request.peer)
        if connection is None:
            self._connect(backend)
        else:
            self._send(connection)

    def _send(self, connection: Connection) -> None:
        """Send the request, and its body as far as it has arrived."""
        self._connection = connection
        service = self.service
        if service.on_attempt and self.lease:
            service.attempt(self, Step.SENDS, self.lease)
        body = b"".join(self._held) if self._held else b""
        if self._timekeeper is not None:
            self._timekeeper.sends(service.now())
        self._body_wanted = True  # unless the connection says otherwise at once
        connection.send(self, self.request, body, self._complete)  # type: ignore[arg-type] # an Exchange is one
        if not self.client.writable:
            self.read_origin(False)  # it has not read the previous answer yet
        if self._held is not None:
            again = connection.may_leave_out or self.request.method in IDEMPOTENT
            if not again or len(body) > self._keep_at_most():
                self._held = None  # it will not be sent again
            if self._body_wanted:
                self._read_body(True)

    def _connect(self, backend: Backend) -> None:
        self._task = asyncio.get_running_loop().create_task(self._connected(backend))

    async def _connected(self, backend: Backend) -> None:
        """Connect, then send. The task is cancelled when the exchange ends."""
        try:
            connection = await self.service.connections.connect(backend, self.request.peer)
        except TimeoutError:
            self._task = None
            self._failed(Failure.CONNECT_TIMEOUT, False)
        except OSError as error:
            self._task = None
            if error.errno in (errno.EMFILE, errno.ENFILE):
                # The proxy is out of descriptors, so the backend is not blamed.
                self.service.fault("out of file descriptors: raise ulimit -n, or lower limits.connections")
                self.answer_with(Answer(503), None)
            else:
                self._failed(Failure.REFUSED, False)
        else:
            self._task = None
            self.connected = self.service.now()
            if self.service.on_attempt and self.lease:
                self.service.attempt(self, Step.CONNECTED, self.lease)
            if connection.transport.is_closing():
                self._failed(Failure.CLOSED_UNANSWERED, False)
            else:
                self._send(connection)

    def lost(self, failure: Failure, kept: bool) -> None:
        """Handle a connection that was closed, or that carried something other than an answer."""
        self._connection = None
        self._failed(failure, kept)

    def _failed(self, failure: Failure, kept: bool) -> None:
        """Do what the plan says after a failed attempt."""
        if self._started:
            self._cut_off()
            return
        if self.service.on_attempt and self.lease:
            self.service.attempt(self, Step.FAILED, self.lease, failure)
        if self._timekeeper is not None:
            if self._timekeeper.replaces(failure):
                return
            self._timekeeper.failed()
        self._go_on(self._next_step(failure, kept), None if failure in BLAMELESS else False)

    def _attempts_so_far(self) -> Attempts:
        """Return the failed attempts: the plan of what follows."""
        if self._plan is None:
            keeper = self._timekeeper
            until = keeper.until if keeper else inf
            self._plan = Attempts(self.service.attempts, False, until, self.pool.has_other)
        return self._plan

    def _next_step(self, failure: Failure, kept: bool) -> Again | GiveUp:
        assert self.lease
        plan = self._attempts_so_far()
        plan.whole = self.request.length == 0 or self._held is not None
        plan.safe = plan.whole and self.request.method in IDEMPOTENT
        return plan.after(failure, self.lease.backend, kept, self.service.now())

    def _go_on(self, step: Again | GiveUp, ok: bool | None = False) -> None:
        """Carry out a step. `ok`: the outcome for the backend that has failed."""
        now = self.service.now()
        if not isinstance(step, Again):
            self._release(ok, now)
            self.answer_with(self._own_answer(step.status))
            return
        self.touch()
        if step.backend is None:
            self._release(ok, now)
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
            if self._timekeeper is not None:
                self._timekeeper.renews()
            self._connect(backend)

    def _own_answer(self, status: int) -> Answer:
        """Return what the client gets when no attempt is left."""
        return Answer(status) if self._timekeeper is None else self._timekeeper.own_answer(status)

    # -- the request's body --------------------------------------------------------------------

    def body(self, data: bytes, end: bool) -> None:
        """Take a piece of the request's body."""
        self._complete = end
        self._body_began = True
        if self._origin_over:
            return
        self.touch()
        connection = self._connection
        if end and self._timekeeper is not None:
            self._timekeeper.completed()
        if self._held is not None:
            self._held.append(data)
            held = self._held_size()
            if connection is None:
                if held > MAX_HELD:
                    self._read_body(False)
            elif held > self._keep_at_most():
                self._held = None  # too much to be sent again
        if connection:
            connection.send_body(data, end)

    def _keep_at_most(self) -> int:
        """Return how many bytes of the body are kept to be sent again."""
        return MAX_HELD if self._timekeeper is None else self._timekeeper.rules.buffer

    def _held_size(self) -> int:
        assert self._held is not None
        if len(self._held) > 32:  # pieces of a byte each must not make this slow
            self._held[:] = [b"".join(self._held)]
        return sum(map(len, self._held))

    def origin_ready(self, ready: bool) -> None:
        """Called when the backend can take more of the body, or no more for now."""
        self.touch()
        if not self._origin_over:
            self._read_body(ready)

    def _read_body(self, wanted: bool) -> None:
        self._body_wanted = wanted
        self.client.read_body(wanted)

    @property
    def _client_owes_body(self) -> bool:
        """Whether the next step is the client's: not while it is held back, or waits to be told to go on."""
        if self._complete or not self._body_wanted:
            return False
        return self._body_began or not self.request.field(b"expect")

    # -- back-pressure, time, and the end --------------------------------------------------------

    def read_origin(self, wanted: bool) -> None:
        """Start or stop reading the backend's answer: back-pressure."""
        if self._connection:
            self._connection.read(wanted)

    def touch(self) -> None:
        """Restart the `read` timeout after progress; the `total` timeout runs on."""
        if not self._suspended:
            timeouts = self.service.timeouts
            self.deadline = min(self.service.now() + timeouts.read, self.began + timeouts.total)

    def suspend(self) -> None:
        """Stop the `read` timeout while a filter holds the exchange; the `total` timeout runs on."""
        self._suspended = True
        self.deadline = self.began + self.service.timeouts.total

    def resume(self) -> None:
        self._suspended = False
        self.touch()

    def _origin_done(self, ok: bool | None, now: float) -> None:
        """Nothing more comes from a backend. `ok`: the outcome for the backend."""
        self._origin_over = True
        self._held = None
        if self._timekeeper is not None:
            self._timekeeper.end()
        task, self._task = self._task, None
        if task:
            task.cancel()
        connection, self._connection = self._connection, None
        if connection:
            connection.close()  # in the middle of an answer: of no use to others
        self._release(ok, now)
        for hook in self.service.on_origin_done:
            try:
                hook(self, ok, now)  # type: ignore[arg-type] # an Exchange is one
            except Exception:  # a learner's code may raise anything
                self.service.fault(f"{hook.__self__.name} failed")  # type: ignore[attr-defined]

    def _release(self, ok: bool | None, now: float) -> None:
        lease = self.lease
        if lease is not None:
            if self.service.on_attempt and not lease.released:
                self.service.attempt(self, Step.RELEASED, lease, ok)
            try:
                lease.release(ok, now)  # takes effect once
            except Exception:
                self.service.fault("releasing a backend failed")

    @property
    def backend(self) -> Backend | None:
        """The backend that was picked last."""
        return self.lease.backend if self.lease else None
