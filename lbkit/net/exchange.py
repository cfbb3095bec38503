"""One request and its answer: filters, attempts, and every way it can end.

    request   receiving -> complete
    answer    waiting -> started -> done

The request's state decides which attempts may be repeated, the answer's what an ending means to the client:
before the answer has started, the client gets a short error answer; after that, the connection is cut, so
that a truncated answer does not look complete. All endings go through `_end`.
"""

from __future__ import annotations

import asyncio
from typing import ClassVar

from mypy_extensions import mypyc_attr

from lbkit.core import Backend
from lbkit.core.attempts import Failure
from lbkit.core.routing.paths import normal_path
from lbkit.net.answers import own_answer
from lbkit.net.forwarding import Forwarding
from lbkit.net.messages import Answer, Hold, Named, Reject, ResponseHead
from lbkit.net.service import OnBody, Step
from lbkit.net.timekeeper import Timekeeper


@mypyc_attr(allow_interpreted_subclasses=True)
class Exchange(Forwarding):
    """The client's half of an exchange: filters, the answer, and the end."""

    __slots__ = ()
    keeper: ClassVar[type[Timekeeper]] = Timekeeper  # where the policy has rules for attempts

    # -- filters on the way in -----------------------------------------------------------------

    def begin(self, now: float) -> None:
        """Pass the request through the filters, and send it to a backend."""
        service = self.service
        if service.attempts.rules is not None:
            try:
                self._timekeeper = self.keeper(self, service.attempts, service.attempts.rules)
            except Reject as error:
                self.answer_with(Answer(error.status, error.why))
                return
        if service.pool.wants_reports and normal_path(self.request.target) == service.private != "/":
            self.answer_with(Answer(404))
        elif service.on_request:
            self.proceed(now)
        else:
            self._start(now)

    def proceed(self, now: float) -> None:
        """Go on with the filters that have not seen the request yet."""
        hooks = self.service.on_request
        while self._next_hook < len(hooks):
            hook = hooks[self._next_hook]
            self._next_hook += 1
            try:
                verdict = hook(self, now)
                if verdict is not None and not isinstance(verdict, (Answer, Hold)):
                    raise TypeError(f"on_request returned {verdict!r}: return None, an Answer or HOLD")
            except Exception:  # a learner's code may do anything
                self.failed(hook.__self__)  # type: ignore[attr-defined]
                return
            if isinstance(verdict, Hold):
                if verdict.on_body is None:
                    self.suspend()
                else:
                    self._await_body(verdict.on_body)
                return
            if verdict is not None:
                self.answer_with(verdict)
                return
        self.resume()
        self._start(now)

    def _await_body(self, on_body: OnBody) -> None:
        """Hold the request until its body is here, or as much of it as is held."""
        self._on_body = on_body
        if not self._body_began and self.request.field(b"expect"):
            self.interim(ResponseHead(100, b"HTTP/1.1 100 Continue\r\n", 0))  # else it would not come
        self._show_body()

    def body(self, data: bytes, end: bool) -> None:
        for hook in self.service.on_request_body:
            try:
                hook(self, data, end)
            except Exception:
                self.service.fault(f"{hook.__self__.name} failed")  # type: ignore[attr-defined]
        super().body(data, end)
        if self._on_body is not None:
            self._show_body()

    def _show_body(self) -> None:
        if self._origin_over or not (self._complete or not self._body_wanted):
            return
        on_body, self._on_body = self._on_body, None
        assert on_body is not None
        try:
            on_body(self, b"".join(self._held or ()), self.service.now())
        except Exception:  # a learner's code may do anything
            self.failed(on_body.__self__)  # type: ignore[attr-defined]

    def failed(self, filter: Named) -> None:
        """Report a filter that has raised, and answer 500."""
        self.service.fault(f"{filter.name} failed")
        self.answer_with(Answer(500))

    # -- the answer ----------------------------------------------------------------------------

    def interim(self, head: ResponseHead) -> None:
        self._body_began = True  # after 100 the client may send it
        self.client.interim(head)

    def answer(self, head: ResponseHead, data: bytes, end: bool) -> None:
        """Pass on the head of the backend's answer, with the first piece of the body."""
        service = self.service
        self.status = head.status
        if end:
            self._connection = None  # it may already serve another request
        self.headed = now = service.now()
        if service.pool.wants_reports and self.lease:
            service.reports.answered(self.lease.backend, head, now)
        if service.on_attempt and self.lease:
            service.attempt(self, Step.HEADED, self.lease, head.status)
        if self._timekeeper is not None and not self._timekeeper.takes(head):
            return
        self._held = None
        if service.on_response and self._replaced(head, head.status < 500):
            return
        self._started = True
        if end:
            self._origin_done(head.status < 500, now)
            self.sink.respond(head, data, True)
        else:
            self.deadline = min(now + service.timeouts.read, self.began + service.timeouts.total)
            self.sink.respond(head, data, False)

    def data(self, data: bytes, end: bool) -> None:
        """Pass on another piece of the backend's answer."""
        if end:
            self._connection = None
            self._origin_done(self.status < 500, self.service.now())
            self.sink.send(data, True)
        else:
            self.touch()
            self.sink.send(data, False)

    def delivered(self) -> None:
        """End the exchange: the client's side has the whole answer."""
        self._end(None, self.service.now())

    def _replaced(self, head: ResponseHead, ok: bool | None) -> bool:
        """Pass the head to the filters; return whether one of them has replaced the answer.

        The proxy's own answers are only replaced by complete ones. `ok`: as in `answer_with`."""
        for hook in self.service.on_response:
            try:
                answer = hook(self, head)
                if answer is not None and not isinstance(answer, Answer):
                    raise TypeError(f"on_response returned {answer!r}: return None or an Answer")
            except Exception:  # a learner's code may do anything
                if head.own:
                    self.service.fault(f"{hook.__self__.name} failed")  # type: ignore[attr-defined]
                    continue
                self.failed(hook.__self__)  # type: ignore[attr-defined]
                return True
            if answer is not None and not (head.own and answer.head is None):
                self.sink = self.client
                self.answer_with(answer, ok)
                return True
        return False

    def answer_with(self, answer: Answer, ok: bool | None = False) -> None:
        """Send a short answer in place of a backend's, or cut off an answer that has started.

        `ok`: the outcome for the backend that has the request now, if there is one."""
        if self._started:
            self._cut_off()
            return
        head, body = own_answer(answer)
        self.status = head.status
        if self.service.on_response and self._replaced(head, ok):
            return
        self._started = True
        self._origin_done(ok, self.service.now())
        self.sink.respond(head, b"" if self.request.method == b"HEAD" else body, True)

    def refuse(self, status: int, why: str) -> None:
        """Answer a request that cannot be read to its end; the backend is not blamed."""
        self.answer_with(Answer(status, why), None)

    def _cut_off(self) -> None:
        if not self._done:
            self._end(False, self.service.now())
            self.client.abort()

    # -- back-pressure and time -------------------------------------------------------------------

    def client_ready(self, ready: bool) -> None:
        self.touch()
        if self.sink is self.client:
            self.read_origin(ready)
        else:
            self.sink.ready(ready)

    def expired(self, now: float) -> None:
        """Handle a timeout: of the client, of the request's body, or of the backend."""
        if self._done:
            return
        if self._started or not self.client.writable:
            self._cut_off()
        elif self._client_owes_body:
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
        """End the exchange, unless a filter needs the answer; the backend is not blamed."""
        if self._done or not (self.service.on_client_gone and self._adopted()):
            self._end(None, self.service.now())

    def _adopted(self) -> bool:
        for hook in self.service.on_client_gone:
            try:
                if hook(self):
                    return True
            except Exception:  # a learner's code may do anything
                self.service.fault(f"{hook.__self__.name} failed")  # type: ignore[attr-defined]
        return False

    def cut(self, backend: Backend) -> None:
        """End the attempt on a backend when its drain timeout is over: it counts as failed, and may be
        repeated."""
        if self._timekeeper is not None:
            self._timekeeper.cut(backend)
        lease = self.lease
        if self._origin_over or lease is None or lease.released or lease.backend is not backend:
            return
        task, self._task = self._task, None
        if task:
            task.cancel()
        if self._connection:
            self._connection.close()
        self.lost(Failure.CLOSED_UNANSWERED, False)

    def switched(self, head: ResponseHead, transport: asyncio.Transport, data: bytes) -> None:
        """Join the two connections after an upgrade; the lease lasts as long as the tunnel."""
        self._connection = None
        self.status = head.status
        self._started = True
        if self.service.on_attempt and self.lease:
            self.service.attempt(self, Step.HEADED, self.lease, head.status)
        if self._timekeeper is not None:
            self._timekeeper.end()
        client, early = self.client.upgrade(head)
        if early:
            transport.write(early)
        if data:
            client.write(data)
        self.service.join(client, transport, self.backend, data, self._relayed)

    def _relayed(self, relay: object) -> None:
        """End the exchange; the duration of a tunnel does not count as latency."""
        self._end(None, self.service.now())

    def _end(self, ok: bool | None, now: float) -> None:
        """End the exchange, once. `ok` as in `_origin_done`, if the backend is not done yet."""
        if self._done:
            return
        self._done = True
        if not self._origin_over:
            self._origin_done(ok, now)
        for hook in self.service.on_end:
            try:
                hook(self, now)
            except Exception:
                self.service.fault(f"{hook.__self__.name} failed")  # type: ignore[attr-defined]
