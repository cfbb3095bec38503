"""An exchange between a client, a backend and a filter that do what they like, in any order."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from lbkit import Backend, Pool, make_balancer
from lbkit.core import Lease
from lbkit.core.attempts import AttemptPolicy, Failure, Repeat
from lbkit.core.key import key_of
from lbkit.core.retry import AttemptTimeouts, Fallback, Hedge, Retry, RetryBudgetRules
from lbkit.net.exchange import Exchange
from lbkit.net.filters.base import Filter, hooks
from lbkit.net.messages import CHUNKED, HOLD, Answer, RequestHead, ResponseHead
from lbkit.net.peer import Peer
from lbkit.net.service import Service, Step
from lbkit.net.settings import Timeouts


class FakeTransport:
    def is_closing(self) -> bool:
        return False


class FakeConnection:
    """A backend's connection; checks that it is used as one."""

    def __init__(self, may_leave_out: bool = False) -> None:
        self.may_leave_out = may_leave_out
        self.transport = FakeTransport()
        self.body = 0  # bytes
        self.receiver: Any = None
        self.sends = 0
        self.state = "new"  # then waiting, answering, over

    def send(self, receiver: Any, head: RequestHead, body: bytes, end: bool) -> None:
        assert self.state == "new"
        self.sends += 1
        self.receiver, self.state, self.sent_all = receiver, "waiting", end
        self.body = len(body)

    def send_body(self, data: bytes, end: bool) -> None:
        assert self.state in ("waiting", "answering")
        assert not self.sent_all
        self.sent_all = end
        self.body += len(data)

    def read(self, wanted: bool) -> None:
        assert self.state in ("waiting", "answering")

    def close(self) -> None:
        self.state, self.receiver = "over", None


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
        self.steps: dict[Lease, list[Step]] = {}

    def _tell(self, what: str) -> None:
        self.told.append(what)
        if self.raises == what:
            raise RuntimeError(what)

    def on_request(self, exchange: Any, now: float) -> Any:
        self._tell("on_request")
        return self.verdict

    def on_attempt(self, exchange: Any, step: Step, lease: Lease, detail: Any, now: float) -> None:
        assert "on_end" not in self.told
        self.steps.setdefault(lease, []).append(step)

    def on_response(self, exchange: Any, head: ResponseHead) -> Answer | None:
        self._tell("on_response")
        return Answer(502, "replaced") if self.replaces and not head.own else None

    def on_origin_done(self, exchange: Any, ok: bool | None, now: float) -> None:
        self._tell("on_origin_done")

    def on_end(self, exchange: Any, now: float) -> None:
        self._tell("on_end")


class World:
    """An exchange with all that is around it."""

    def __init__(
        self, spy: Spy, retries: int, method: bytes, length: int, idle: bool, rules: Retry | None
    ) -> None:
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
            lambda client, origin, backend, data, on_end: self.relays.append(on_end),
            AttemptPolicy(retries, rules),
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
        self.body = 0  # bytes sent by the client

    # -- as what connects, and what hears of loads
    def idle_one(self, backend: Backend, peer=None) -> FakeConnection | None:
        return self._new() if self.idle else None

    async def connect(self, backend: Backend, peer=None) -> FakeConnection:
        await asyncio.sleep(0)
        return self._new()

    def _new(self) -> FakeConnection:
        self.connections.append(FakeConnection(may_leave_out=len(self.connections) % 2 == 0))
        return self.connections[-1]

    def picked(self, backend: Backend, now: float) -> None: ...
    def answered(self, backend: Backend, head: ResponseHead, now: float) -> None: ...

    # -- events
    def happens(self, event: Happening) -> None:
        kind, flag, failure, status, which = event
        exchange, client = self.exchange, self.client
        under_way = [c for c in self.connections if c.state in ("waiting", "answering")]
        origin = under_way[which % len(under_way)] if under_way else FakeConnection()
        receiver, working = origin.receiver, bool(under_way)
        match kind:
            case "body" if not self.complete and not client.over:
                self.complete = flag
                self.body += 1
                exchange.body(b"x", flag)
                for connection in self.connections:
                    if self.never_sent:  # which cannot be, once a body has begun: it would be sent in part
                        break
                    if connection.state in ("waiting", "answering") and connection.receiver is exchange:
                        assert connection.body == self.body, "a piece of the body is missing"
            case "answer" if working and origin.state == "waiting":
                origin.state = "over" if flag else "answering"
                receiver.answer(ResponseHead(status, b"", -1), b"x", flag)
            case "data" if working and origin.state == "answering":
                origin.state = "over" if flag else "answering"
                receiver.data(b"x", flag)
            case "switched" if working and origin.state == "waiting" and receiver is exchange:
                origin.state = "over"
                exchange.switched(ResponseHead(101, b"", 0), FakeTransport(), b"")  # type: ignore[arg-type]
            case "interim" if working and origin.state == "waiting":
                receiver.interim(ResponseHead(103, b"", 0))
            case "lost" if working:
                origin.state = "over"
                self.never_sent |= failure.repeat in (Repeat.ALWAYS, Repeat.IF_WHOLE)
                receiver.lost(failure, flag)
            case "origin_ready" if working:
                receiver.origin_ready(flag)
            case "client_ready" if not client.over:
                client.writable = flag
                exchange.client_ready(flag)
            case "expired" if not client.over:
                exchange.expired(self.now)
            case "cut" if exchange.lease and not client.over and not self.relays:
                exchange.cut(exchange.lease.backend)
            case "refuse" if not client.over and not self.complete:
                exchange.refuse(413, "too much")
            case "proceed":
                if self.held and not client.over and "on_end" not in self.spy.told:
                    self.held = False
                    exchange.proceed(self.now)

    held = False
    never_sent = False  # a backend is said not to have had the request, though it was sent
    spy: Spy


# What happens, and how: a flag, how an attempt fails, the status of an answer, to which connection.
Happening = tuple[str, bool, Failure, int, int]


def events(kinds: list[str], least: int = 0) -> st.SearchStrategy[list[Happening]]:
    one = st.tuples(
        st.sampled_from(kinds),
        st.booleans(),
        st.sampled_from(Failure),
        st.sampled_from([200, 200, 503]),
        st.integers(0, 2),
    )
    return st.lists(one, min_size=least, max_size=25)


EVENTS = [
    "body",
    "cut",
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
    events=events(EVENTS),
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
    events: list[Happening],
) -> None:
    """Whatever happens in whatever order: one answer or an abort, every lease back, every hook told once."""
    spy = Spy(verdict, replaces, raises)
    run(spy, retries, method, length, idle, early, None, events)


# Times that are over at the next tick.
RULES = st.builds(
    Retry,
    hedge=st.sampled_from([Hedge(1e-9), Hedge(1e-9, 2), None]),
    timeouts=st.sampled_from([None, None, AttemptTimeouts(first_byte=1e-9)]),
    budget=st.sampled_from([None, None, RetryBudgetRules(0.5, 10.0, 0.0)]),
    statuses=st.sampled_from([(), (503,)]),
    fallback=st.none() | st.just(Fallback()),
    buffer=st.sampled_from([0, 1, 65536]),
)


@settings(max_examples=500, deadline=None)
@given(
    rules=RULES,
    retries=st.integers(0, 2),
    method=st.sampled_from([b"GET", b"GET", b"PUT", b"POST"]),
    length=st.sampled_from([0, 0, 5]),
    idle=st.booleans(),
    events=events(["tick", "tick", "tick", "answer", "answer", "lost", "data", "body"], 4),
)
def test_one_way_out_with_rules_for_attempts(
    rules: Retry, retries: int, method: bytes, length: int, idle: bool, events: list[Happening]
) -> None:
    """The same with hedges and timeouts; no POST is sent twice, and no budget is exceeded."""
    tick = ("tick", False, Failure.RESET, 0, 0)
    run(Spy(None, False, ""), retries, method, length, idle, False, rules, [tick, *events])


def run(
    spy: Spy,
    retries: int,
    method: bytes,
    length: int,
    idle: bool,
    early: bool,
    rules: Retry | None,
    events: list[Happening],
) -> None:
    """Play the events, and check the laws."""

    async def play() -> None:
        world = World(spy, retries, method, length, idle, rules)
        world.spy, world.held = spy, spy.verdict is HOLD and spy.raises != "on_request"
        if early and length:
            world.happens(("body", False, Failure.RESET, 0, 0))
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
        assert len(spy.steps) == sum(b.picks for b in world.pool.backends)
        for steps in spy.steps.values():
            assert (steps[0], steps[-1]) == (Step.PICKED, Step.RELEASED)
            assert steps.count(Step.PICKED) == steps.count(Step.RELEASED) == 1
            assert steps.count(Step.HEADED) <= steps.count(Step.SENDS)
        assert sum(s.count(Step.SENDS) for s in spy.steps.values()) == sum(c.sends for c in world.connections)
        most = 1 + retries + (rules.hedge.max_copies if rules and rules.hedge and method == b"GET" else 0)
        assert sum(b.picks for b in world.pool.backends) <= most
        assert len(world.connections) <= 2 * most
        if method == b"POST" and not world.never_sent:
            assert sum(c.sends for c in world.connections) <= 1
        if rules and rules.budget:  # half a retry for a request: none
            assert sum(b.picks for b in world.pool.backends) <= 1
        assert bool(world.faults) == (spy.raises in spy.told)

    asyncio.run(play())
