"""One request to the admin interface: what a client connection drives, as an Exchange is in the proxy."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Protocol

from lbkit.core import Backend
from lbkit.net.admin.access import Access, Denied
from lbkit.net.answers import own_answer
from lbkit.net.messages import Answer, Client, RequestHead

BODY = 1 << 20  # bytes of a request's body at most: a configuration
TIMEOUT = 60.0  # seconds for a whole call; a reload starts processes

_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = (
    f"Content-Security-Policy: {_CSP}\r\n"
    "X-Content-Type-Options: nosniff\r\n"
    "Referrer-Policy: no-referrer\r\n"
    "Cross-Origin-Resource-Policy: same-origin\r\n"
    "Cache-Control: no-store\r\n"
).encode()


class Answering(Protocol):
    """What a call needs of the Api."""

    def answer(
        self, method: str, target: str, content_type: str, body: bytes, accept: str
    ) -> Awaitable[Answer]: ...
    def refused(self, status: int, why: str) -> Answer: ...


class Call:
    """Collects the body, checks the access, and writes the answer of the API."""

    def __init__(
        self, api: Answering, access: Access, request: RequestHead, client: Client, now: float
    ) -> None:
        self.deadline = now + TIMEOUT
        self._api = api
        self._access = access
        self._request = request
        self._client = client
        self._body = bytearray()
        self._complete = request.length == 0
        self._task: asyncio.Task[None] | None = None
        self._over = False

    # -- called by the connection --------------------------------------------------------------

    def begin(self, now: float) -> None:
        try:
            self._access.check(self._request)  # before any of the body is waited for
        except Denied as denied:
            self._respond(self._api.refused(denied.status, str(denied)))
            return
        if self._complete:
            self._serve()

    def body(self, data: bytes, end: bool) -> None:
        if self._over:
            return
        self._body += data
        if end:
            self._complete = True
            self._serve()

    def refuse(self, status: int, why: str) -> None:
        self._respond(self._api.refused(status, why))

    def expired(self, now: float) -> None:
        self._over = True
        self._client.abort()

    def client_gone(self) -> None:
        self._over = True  # an order that has begun is carried out to its end

    def delivered(self) -> None: ...
    def client_ready(self, ready: bool) -> None: ...
    def cut(self, backend: Backend) -> None: ...

    # -- the answer ----------------------------------------------------------------------------

    def _serve(self) -> None:
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._answer())

    async def _answer(self) -> None:
        request = self._request
        try:
            self._access.check(request)  # a body that came with the head came before `begin`
            method, target = request.method.decode("latin-1"), request.target.decode("latin-1")
            kind, accept = (request.field(name).decode("latin-1") for name in (b"content-type", b"accept"))
            self._respond(await self._api.answer(method, target, kind, bytes(self._body), accept))
        except Denied as denied:
            self._respond(self._api.refused(denied.status, str(denied)))

    def _respond(self, answer: Answer) -> None:
        if self._over:
            return
        self._over = True
        head, body = own_answer(answer._replace(fields=answer.fields + HEADERS))
        self._client.respond(head, b"" if self._request.method == b"HEAD" else body, True)
