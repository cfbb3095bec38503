"""The cache among clients and backends that do what they like, in any order."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from lbkit import Backend, Pool, make_balancer
from lbkit.caching import Caching
from lbkit.core.attempts import Failure
from lbkit.core.cache import CacheRules, FlightRules
from lbkit.net import Proxy
from lbkit.net.filters.cache import CacheFilter
from lbkit.net.http1.head import read_request, read_response
from lbkit.net.messages import ResponseHead
from lbkit.net.peer import Peer

PATIENCE = 5.0
REQUESTS = [
    b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /a HTTP/1.1\r\nHost: a\r\nX-Language: de\r\n\r\n",
    b"GET /b HTTP/1.1\r\nHost: a\r\n\r\n",
    b"HEAD /a HTTP/1.1\r\nHost: a\r\n\r\n",
    b"DELETE /a HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /a HTTP/1.1\r\nHost: a\r\nCache-Control: no-cache\r\n\r\n",
    b"GET /a HTTP/1.1\r\nHost: a\r\nRange: bytes=0-1\r\n\r\n",
    b'GET /a HTTP/1.1\r\nHost: a\r\nIf-None-Match: "1"\r\n\r\n',
    b"GET /a HTTP/1.1\r\nHost: a\r\nCache-Control: only-if-cached\r\n\r\n",
]
ANSWERS = [
    b"HTTP/1.1 200 OK\r\nCache-Control: max-age=10\r\n",
    b'HTTP/1.1 200 OK\r\nCache-Control: max-age=10, stale-while-revalidate=20\r\nETag: "1"\r\n',
    b"HTTP/1.1 200 OK\r\nCache-Control: max-age=10, stale-if-error=50\r\n",
    b"HTTP/1.1 200 OK\r\nCache-Control: max-age=10\r\nVary: X-Language\r\n",
    b"HTTP/1.1 200 OK\r\nCache-Control: private\r\n",
    b'HTTP/1.1 304 Not Modified\r\nCache-Control: max-age=10\r\nETag: "1"\r\n',
    b"HTTP/1.1 503 Oh\r\n",
]


class Transport:
    def is_closing(self) -> bool:
        return False


class Connection:
    """A backend's connection, which serves one request."""

    transport = Transport()

    def __init__(self) -> None:
        self.receiver: Any = None
        self.began = False
        self.head_only = False

    def send(self, receiver: Any, head: Any, body: bytes, end: bool) -> None:
        self.receiver, self.head_only = receiver, head.method == b"HEAD"

    def read(self, wanted: bool) -> None: ...

    def close(self) -> None:
        self.receiver = None


class Client:
    """Checks that it gets one whole answer, or an abort; it may leave."""

    writable = True

    def __init__(self) -> None:
        self.exchange: Any = None
        self.over = ""
        self.status = 0

    def respond(self, head: ResponseHead, data: bytes, end: bool) -> None:
        if self.over != "gone":
            assert not self.over
            assert not self.status
            self.status = head.status
            self.send(data, end)

    def send(self, data: bytes, end: bool) -> None:
        if self.over != "gone" and end:
            assert not self.over
            self.over = "answered"
            self.exchange.delivered()

    def abort(self) -> None:
        assert not self.over
        self.over = "aborted"

    def ready(self, ready: bool) -> None: ...
    def interim(self, head: ResponseHead) -> None: ...
    def read_body(self, wanted: bool) -> None: ...


class World:
    """A proxy with a cache, without sockets."""

    def __init__(self, coalesce: bool) -> None:
        rules = Caching(
            coalesce=coalesce,
            flights=FlightRules(patience=PATIENCE, max_followers=2),
            rules=CacheRules(max_bytes=8000, max_entry=3000),
        )
        pool = Pool([Backend("b1", host="a"), Backend("b2", host="a")], make_balancer("round_robin"))
        self.proxy = proxy = Proxy(pool, cache=rules)
        proxy.service.connections = self  # type: ignore[assignment]
        self.now = 0.0
        proxy.service.now = lambda: self.now
        made = proxy.filters["cache"]
        assert isinstance(made, CacheFilter)
        self.cache = made
        made.clock = lambda: 1e9 + self.now
        self.peer = Peer("127.0.0.1")
        self.connections: list[Connection] = []
        self.clients: list[Client] = []

    def idle_one(self, *_: Any) -> Connection:
        self.connections.append(Connection())
        return self.connections[-1]

    def happens(self, kind: str, which: int, flag: bool) -> None:
        working = [c for c in self.connections if c.receiver]
        waiting = [c for c in self.clients if not c.over]
        match kind:
            case "request":
                client = Client()
                head = read_request(REQUESTS[which % len(REQUESTS)], self.peer, 100)
                client.exchange = self.proxy.listener.handle(head, client, self.now)  # type: ignore[arg-type]
                self.clients.append(client)
                client.exchange.begin(self.now)
            case "answer" if working:
                self.answer(working[which % len(working)], ANSWERS[which % len(ANSWERS)], flag)
            case "lost" if working:
                connection = working[which % len(working)]
                receiver, connection.receiver = connection.receiver, None
                receiver.lost(Failure.RESET if flag else Failure.REFUSED, False)
            case "gone" if waiting:
                client = waiting[which % len(waiting)]
                client.over = "gone"
                client.exchange.client_gone()
            case "expired" if waiting:
                waiting[which % len(waiting)].exchange.expired(self.now)
            case "wait":
                self.now += (1.0, 8.0, 30.0)[which % 3]
                self.overdue()
            case "purge":
                self.cache.purge("http://a/a" if flag else None)

    def overdue(self) -> None:
        if self.cache._timer:
            self.cache._timer.cancel()
            self.cache._look()
            if self.cache._timer:
                self.cache._timer.cancel()

    def answer(self, connection: Connection, head: bytes, whole: bool) -> None:
        receiver = connection.receiver
        if connection.began:
            connection.receiver = None if whole else receiver
            receiver.data(b"x" * 500, whole)
            return
        made = read_response(head + b"Transfer-Encoding: chunked\r\n\r\n", connection.head_only)
        end = whole or made.length == 0
        connection.began = True
        connection.receiver = None if end else receiver
        receiver.answer(made, b"" if made.length == 0 else b"x" * 500, end)


KINDS = ["request"] * 4 + ["answer"] * 4 + ["lost", "gone", "gone", "expired", "wait", "purge"]


@settings(max_examples=200, deadline=None)
@given(
    st.booleans(),
    st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 100), st.booleans()), max_size=40),
)
def test_every_client_gets_one_answer_and_nothing_is_left(
    coalesce: bool, events: list[tuple[str, int, bool]]
) -> None:
    asyncio.run(play(World(coalesce), events))


async def play(world: World, events: list[tuple[str, int, bool]]) -> None:
    world.cache._now = lambda: world.now  # type: ignore[method-assign]
    for event in events:
        world.happens(*event)
        await asyncio.sleep(0)
        entries = world.cache.cache.entries
        assert entries.size <= 8000
        assert 0 <= world.cache.arriving <= 8000
    for _ in range(1000):  # all backends answer now, and those that wait have waited long enough
        working = [c for c in world.connections if c.receiver]
        if not working and all(client.over for client in world.clients):
            break
        for connection in working:
            if connection.receiver:
                world.answer(connection, ANSWERS[0], True)
        world.now += PATIENCE
        world.overdue()
        await asyncio.sleep(0)
    assert all(client.over for client in world.clients)
    assert not any(backend.in_flight for backend in world.proxy.pool.all_backends())
    assert not world.proxy.listener.open
    assert not world.cache._following
    assert len(world.cache.flights) == 0
    assert world.cache.arriving == 0
