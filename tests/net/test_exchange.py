"""An exchange between a client, a backend and a filter that do what they like, in any order."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from lbkit import Backend, Pool, make_balancer
from lbkit.core.attempts import AttemptPolicy, Failure
from lbkit.core.key import key_of
from lbkit.net.exchange import Exchange
from lbkit.net.filters.base import Filter, hooks
from lbkit.net.messages import CHUNKED, HOLD, Answer, RequestHead, ResponseHead
from lbkit.net.peer import Peer
from lbkit.net.service import Service
from lbkit.net.settings import Timeouts


class FakeTransport:
    def is_closing(self) -> bool:
        return False


class FakeConnection:
    """A backend's connection; checks that it is used as one."""

    def __init__(self) -> None:
        self.transport = FakeTransport()
        self.receiver: Exchange | None = None
        self.state = "new"  # then waiting, answering, over

    def send(self, receiver: Exchange, head: RequestHead, body: bytes, end: bool) -> None:
        assert self.state == "new"
        self.receiver, self.state, self.sent_all = receiver, "waiting", end

    def send_body(self, data: bytes, end: bool) -> None:
        assert self.state in ("waiting", "answering")
        assert not self.sent_all
        self.sent_all = end

    def read(self, wanted: bool) -> None:
        assert self.state in ("waiting", "answering")

    def close(self) -> None:
        self.state = "over"


class FakeClient:
    """Checks that it gets one whole answer or an abort, and nothing after that."""

    exchange: Exchange

    def __init__(self) -> None:
        self.writable = True
        self.heads: list[ResponseHead] = []
        self.over = ""

    def respond(self, head: ResponseHead, data: bytes, end: bool) -> None:
        assert not self.over
        assert not self.heads
        self.heads.append(head)
        self._sent(end)

    def send(self, data: bytes, end: bool) -> None:
        assert not self.over
        assert self.heads
        self._sent(end)

    def _sent(self, end: bool) -> None:
        if end:
            self.over = "answered"
            self.exchange.delivered()

    def interim(self, head: ResponseHead) -> None:
        assert not self.over
        assert not self.heads

    def abort(self) -> None:
        assert not self.over
        self.over = "aborted"

    def upgrade(self, head: ResponseHead) -> Any:
        assert not self.over
        self.over = "upgraded"
        return FakeTransport(), b""

    def read_body(self, wanted: bool) -> None:
        pass

    def ready(self, ready: bool) -> None:
        pass


class Spy(Filter):
    """Lets pass, holds, answers or raises, and counts how often it is told of an end."""

    name = "spy"

    def __init__(self, verdict: Any, replaces: bool, raises: str) -> None:
        self.verdict, self.replaces, self.raises = verdict, replaces, raises
        self.told: list[str] = []

    def _tell(self, what: str) -> None:
        self.told.append(what)
        if self.raises == what:
            raise RuntimeError(what)

    def on_request(self, exchange: Any, now: float) -> Any:
        self._tell("on_request")
        return self.verdict

    def on_response(self, exchange: Any, head: ResponseHead) -> Answer | None:
        self._tell("on_response")
        return Answer(502, "replaced") if self.replaces and not head.own else None

    def on_origin_done(self, exchange: Any, ok: bool | None, now: float) -> None:
        self._tell("on_origin_done")

    def on_end(self, exchange: Any, now: float) -> None:
        self._tell("on_end")


class World:
    """An exchange with all that is around it."""

    def __init__(self, spy: Spy, retries: int, method: bytes, length: int, idle: bool) -> None:
        self.pool = Pool([Backend(f"b{i}") for i in range(3)], make_balancer("round_robin"))
        self.connections: list[FakeConnection] = []
        self.idle = idle
        self.faults: list[str] = []
        self.relays: list[Any] = []
        self.now = 0.0
        service = Service(
            self.pool,
            key_of("client"),
            self,
            self,
            lambda client, origin, on_end: self.relays.append(on_end),
            AttemptPolicy(retries),
            Timeouts(),
            self.faults.append,
        )
        service.now = lambda: self.now
        service.filters = 1
        for name, methods in hooks([spy]).items():
            setattr(service, name, methods)
        self.client = FakeClient()
        request = RequestHead(method, b"/", b"", Peer("127.0.0.1"), "127.0.0.1", length=length)
        self.exchange = self.client.exchange = Exchange(service, request, self.client, 0.0)
        self.complete = length == 0

    # -- as what connects, and what hears of loads
    def idle_one(self, backend: Backend) -> FakeConnection | None:
        return self._new() if self.idle else None

    async def connect(self, backend: Backend) -> FakeConnection:
        await asyncio.sleep(0)
        return self._new()

    def _new(self) -> FakeConnection:
        self.connections.append(FakeConnection())
        return self.connections[-1]

    def picked(self, backend: Backend, now: float) -> None: ...
    def answered(self, backend: Backend, head: ResponseHead, now: float) -> None: ...

    # -- events
    def happens(self, event: tuple[str, bool, Failure]) -> None:
        kind, flag, failure = event
        exchange, client = self.exchange, self.client
        origin = self.connections[-1] if self.connections else FakeConnection()
        working = origin.receiver is exchange and origin.state in ("waiting", "answering")
        match kind:
            case "body" if not self.complete and not client.over:
                self.complete = flag
                exchange.body(b"x", flag)
            case "answer" if working and origin.state == "waiting":
                origin.state = "over" if flag else "answering"
                exchange.answer(ResponseHead(200, b"", -1), b"x", flag)
            case "data" if working and origin.state == "answering":
                origin.state = "over" if flag else "answering"
                exchange.data(b"x", flag)
            case "switched" if working and origin.state == "waiting":
                origin.state = "over"
                exchange.switched(ResponseHead(101, b"", 0), FakeTransport(), b"")  # type: ignore[arg-type]
            case "interim" if working and origin.state == "waiting":
                exchange.interim(ResponseHead(103, b"", 0))
            case "lost" if working:
                origin.state = "over"
                exchange.lost(failure, flag)
            case "origin_ready" if working:
                exchange.origin_ready(flag)
            case "client_ready" if not client.over:
                client.writable = flag
                exchange.client_ready(flag)
            case "expired" if not client.over:
                exchange.expired(self.now)
            case "refuse" if not client.over and not self.complete:
                exchange.refuse(413, "too much")
            case "proceed":
                if self.held and not client.over and "on_end" not in self.spy.told:
                    self.held = False
                    exchange.proceed(self.now)

    held = False
    spy: Spy


EVENTS = [
    "body",
    "answer",
    "data",
    "switched",
    "interim",
    "lost",
    "origin_ready",
    "client_ready",
    "expired",
    "refuse",
    "proceed",
    "tick",
]


@settings(max_examples=500, deadline=None)
@given(
    verdict=st.sampled_from([None, None, None, HOLD, Answer(429)]),
    replaces=st.booleans(),
    raises=st.sampled_from(["", "", "", "on_request", "on_response", "on_origin_done", "on_end"]),
    retries=st.integers(0, 2),
    method=st.sampled_from([b"GET", b"PUT", b"POST"]),
    length=st.sampled_from([0, 5, CHUNKED]),
    idle=st.booleans(),
    early=st.booleans(),
    events=st.lists(st.tuples(st.sampled_from(EVENTS), st.booleans(), st.sampled_from(Failure)), max_size=25),
)
def test_every_exchange_ends_exactly_once(
    verdict: Any,
    replaces: bool,
    raises: str,
    retries: int,
    method: bytes,
    length: int,
    idle: bool,
    early: bool,
    events: list[tuple[str, bool, Failure]],
) -> None:
    """Whatever happens in whatever order: one answer or an abort, every lease back, every hook told once."""

    async def play() -> None:
        spy = Spy(verdict, replaces, raises)
        world = World(spy, retries, method, length, idle)
        world.spy, world.held = spy, verdict is HOLD and raises != "on_request"
        if early and length:
            world.happens(("body", False, Failure.RESET))
        world.exchange.begin(0.0)
        for event in events:
            world.now += 1.0
            if event[0] == "tick":
                for _ in range(3):
                    await asyncio.sleep(0)
            else:
                world.happens(event)
        if world.relays:
            world.relays[0](None)
        elif world.client.over != "answered":
            world.exchange.client_gone()
        await asyncio.sleep(0)
        assert [b.in_flight for b in world.pool.backends] == [0, 0, 0]
        assert spy.told.count("on_end") == spy.told.count("on_origin_done") == 1
        assert spy.told.index("on_origin_done") < spy.told.index("on_end")
        assert all(c.state in ("over", "new") for c in world.connections)
        assert sum(b.picks for b in world.pool.backends) <= 1 + retries
        assert len(world.connections) <= 2 * (1 + retries)
        assert bool(world.faults) == (raises in spy.told)

    asyncio.run(play())
