"""Sticky sessions on the wire: reads the session's token from a request, and sets it in the answer.

The pool decides which backend a token means (lbkit/core/sticky.py).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import replace
from hashlib import blake2b
from time import monotonic
from urllib.parse import quote

from lbkit.core import Lease, PoolSet
from lbkit.core.backend import DEFAULT_POOL
from lbkit.core.sticky import Sticky
from lbkit.net.filters.base import Filter
from lbkit.net.messages import HOLD, Answer, ExchangeView, Hold, RequestHead, ResponseHead
from lbkit.net.shared_store import SharedSessions

MARK = b"~"  # between our prefix and the application's value, as in HAProxy
MAX_TOKEN = 1024  # bytes; a longer one is not from the balancer or an application

_COOKIES = re.compile(rb"\r\n(cookie:)([^\r\n]*)", re.IGNORECASE)
_LOCATION = re.compile(rb"\r\n(location:[ \t]*/(?!/)[^\r\n#]*)", re.IGNORECASE)  # a path on this site


class Carrier:
    """Carries tokens in messages: `take` reads one from a request, `give` puts one into an answer."""

    def __init__(self, rules: Sticky) -> None:
        self.rules = rules
        self.name = rules.cookie.encode()
        self.set_cookie = re.compile(
            rb"(\r\n(?i:set-cookie):[ \t]*%b[ \t]*=[ \t]*)([^;\r\n]*)" % re.escape(self.name)
        )

    def take(self, request: RequestHead) -> str:
        raise NotImplementedError

    def give(self, token: str, lease: Lease, head: ResponseHead, now: float) -> str | None:
        """Add the token to an answer; return that of a session that begins in the table, if there is one."""
        raise NotImplementedError


class Insert(Carrier):
    """A cookie of the proxy's own, which backends neither see nor set (HAProxy: insert indirect nocache)."""

    def __init__(self, rules: Sticky) -> None:
        super().__init__(rules)
        words = ["Path=/"]
        words += ["Secure"] if rules.secure else []
        words += ["HttpOnly"] if rules.http_only else []
        words += [f"SameSite={rules.same_site}"] if rules.same_site else []
        self.attributes = "; ".join(words).encode()
        self.of_backend = re.compile(self.set_cookie.pattern + rb"[^\r\n]*")

    def take(self, request: RequestHead) -> str:
        return edit_cookie(request, self.name, lambda value: None)

    def give(self, token: str, lease: Lease, head: ResponseHead, now: float) -> None:
        if self.name in head.data:  # one that would replace ours, and end the session
            head.data = self.of_backend.sub(b"", head.data)
        if new := lease.keep(token, now):
            # A shared cache would give the cookie to other clients.
            head.data += b"Set-Cookie: %b=%b; %b\r\nCache-Control: private\r\n" % (
                self.name,
                new.encode(),
                self.attributes,
            )


class Rewrite(Carrier):
    """Replaces the value of a cookie that the backend sets."""

    def take(self, request: RequestHead) -> str:
        return edit_cookie(request, self.name, lambda value: value)

    def give(self, token: str, lease: Lease, head: ResponseHead, now: float) -> None:
        if self.set_cookie.search(head.data):
            new = (lease.keep(token, now) or token).encode()
            head.data = self.set_cookie.sub(lambda found: found[1] + new, head.data)


class Prefix(Carrier):
    """Puts a prefix before the value of a cookie that the backend sets, and removes it from requests."""

    def take(self, request: RequestHead) -> str:
        prefixes: list[bytes] = []

        def without(value: bytes) -> bytes:
            prefix, mark, rest = value.partition(MARK)
            prefixes.append(prefix if mark else b"")
            return rest if mark else value

        edit_cookie(request, self.name, without)
        return _token(prefixes[0]) if prefixes else ""

    def give(self, token: str, lease: Lease, head: ResponseHead, now: float) -> None:
        if self.set_cookie.search(head.data):
            new = (lease.keep(token, now) or token).encode()
            head.data = self.set_cookie.sub(lambda found: found[1] + new + MARK + found[2], head.data)


class Learn(Carrier):
    """Leaves the application's cookie as it is; a table remembers which backend set it."""

    def take(self, request: RequestHead) -> str:
        return edit_cookie(request, self.name, lambda value: value)

    def give(self, token: str, lease: Lease, head: ResponseHead, now: float) -> str | None:
        found = self.set_cookie.search(head.data)
        if found and (new := _token(found[2].strip())):
            lease.keep(new, now)
            return new
        if token:
            lease.keep(token, now, begin=False)
        return None


class Source(Carrier):
    """Takes the client's address as the token."""

    def take(self, request: RequestHead) -> str:
        return request.client

    def give(self, token: str, lease: Lease, head: ResponseHead, now: float) -> str | None:
        lease.keep(token, now)
        return token


class Route(Carrier):
    """A query parameter, for clients that keep no cookies.

    It is added to redirects on this site. A new value is also in X-Lbkit-Route, for applications that build
    URLs themselves. Backends do not see it."""

    def __init__(self, rules: Sticky) -> None:
        super().__init__(rules)
        self.parameter = re.compile(rb"([?&])%b=([^&]*)(&?)" % re.escape(quote(rules.cookie).encode()))

    def take(self, request: RequestHead) -> str:
        found = self.parameter.search(request.target)
        if found is None:
            return ""
        before, after = request.target[: found.start()], request.target[found.end() :]
        target = before + (found[1] if found[3] else b"") + after
        line = len(request.method) + 1
        request.data = request.data[:line] + target + request.data[line + len(request.target) :]
        request.target = target
        return _token(found[2])

    def give(self, token: str, lease: Lease, head: ResponseHead, now: float) -> None:
        new = lease.keep(token, now)
        if new:
            head.data += b"X-Lbkit-Route: %b\r\n" % new.encode()
        value = (new or token).encode()

        def routed(found: re.Match[bytes]) -> bytes:
            joint = b"&" if b"?" in found[1] else b"?"
            return b"\r\n%b%b%b=%b" % (found[1].rstrip(), joint, quote(self.rules.cookie).encode(), value)

        head.data = _LOCATION.sub(routed, head.data, count=1)


CARRIERS: dict[str, type[Carrier]] = {
    "insert": Insert,
    "rewrite": Rewrite,
    "prefix": Prefix,
    "learn": Learn,
    "source": Source,
    "route": Route,
}


class StickyFilter(Filter):
    """Sends the requests of a session to one backend.

    With a shared table, each request waits for the table's entry, which is copied to the pool's own table. If
    the shared table does not answer, the pool's own is used (unless on_failure is "closed")."""

    name = "sticky"

    def __init__(self, rules: Sticky, shared: SharedSessions | None = None) -> None:
        self.rules = rules
        self.carrier = CARRIERS[rules.how](rules)
        self._of_pools: dict[str, Carrier] = {}  # by pool, where each has a cookie of its own
        self.shared = shared

    def _carrier(self, exchange: ExchangeView) -> Carrier:
        """Return the carrier of the pool that rules of content switching have chosen.

        A client has a session in each pool, so each has a cookie of its own; else a session in one pool would
        end with the first request to another. Tables, and cookies of applications, are apart already."""
        if self.rules.how != "insert" or not isinstance(self.pool, PoolSet):
            return self.carrier
        if not self._of_pools:
            self._of_pools = {name: self._own(name) for name, _ in self.pool.items()}
        return self._of_pools[exchange.route.pool if exchange.route else DEFAULT_POOL]

    def _own(self, pool: str) -> Carrier:
        if pool == DEFAULT_POOL:
            return self.carrier
        # A hash: a pool may have any name, and clients need not know it.
        digest = blake2b(pool.encode(), digest_size=4).hexdigest()
        return Insert(replace(self.rules, name=f"{self.rules.cookie[:55]}-{digest}"))

    def on_request(self, exchange: ExchangeView, now: float) -> Hold | None:
        carrier = self._carrier(exchange)
        exchange.token = carrier.take(exchange.request)
        for other in self._of_pools.values():
            if other is not carrier:
                other.take(exchange.request)  # backends do not see those of the other pools either
        if self.shared is None or not exchange.token:
            return None
        visit = _Visit()
        visit.task = asyncio.get_running_loop().create_task(self._look_up(exchange, visit, self.shared))
        exchange.state[self.index] = visit
        return HOLD

    async def _look_up(self, exchange: ExchangeView, visit: _Visit, shared: SharedSessions) -> None:
        try:
            visit.found = await shared.get(exchange.token)
        except OSError:
            if shared.store.on_failure == "closed":
                exchange.answer_with(Answer(503, "sessions cannot be looked up now"))
                return
        else:
            for pool in self.pool.pools:
                if pool.affinity is not None:
                    known = visit.found if visit.found in pool else None
                    pool.affinity.take_over(exchange.token, known, monotonic())
        exchange.proceed(monotonic())

    def on_response(self, exchange: ExchangeView, head: ResponseHead) -> None:
        if exchange.lease is None or head.own:
            return
        lease, now = exchange.lease, monotonic()
        begun = self._carrier(exchange).give(exchange.token, lease, head, now)
        if self.shared is None:
            return
        visit: _Visit | None = exchange.state[self.index]
        token = begun or exchange.token
        known = visit.found if visit and token == exchange.token else None
        if (begun or known) and known != lease.backend.name:
            self.shared.put(token, lease.backend.name)

    def on_end(self, exchange: ExchangeView, now: float) -> None:
        visit: _Visit | None = exchange.state[self.index]
        if visit and visit.task:
            visit.task.cancel()

    async def close(self) -> None:
        if self.shared:
            await self.shared.close()


class _Visit:
    """The filter's state of an exchange with a shared table."""

    __slots__ = ("found", "task")

    def __init__(self) -> None:
        self.found: str | None = None  # the session's backend in the shared table
        self.task: asyncio.Task[None] | None = None  # looks it up


def edit_cookie(request: RequestHead, name: bytes, edit: Callable[[bytes], bytes | None]) -> str:
    """Edit a cookie of a request, and return its first value as a token; other cookies stay as they are.

    `edit` gets each value and returns the one for the backend, or None to remove the cookie."""
    if name not in request.data:
        return ""
    values: list[bytes] = []

    def edited(line: re.Match[bytes]) -> bytes:
        kept = []
        for pair in line[2].split(b";"):
            found, mark, value = pair.strip(b" \t").partition(b"=")
            if mark and found == name:
                values.append(value)
                new = edit(value)
                pair = b" %b=%b" % (name, new) if new is not None else b""
            if pair.strip(b" \t"):
                kept.append(pair)
        return b"\r\n%b %b" % (line[1], b";".join(kept).lstrip(b" \t")) if kept else b""

    data = _COOKIES.sub(edited, request.data)
    if values:
        request.data = data
    return _token(values[0]) if values else ""


def _token(value: bytes) -> str:
    return value.decode("latin-1") if len(value) <= MAX_TOKEN else ""
