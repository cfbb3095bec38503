"""The corpus of tests/net/corpus, against a real Proxy: in memory in every kind of pieces, and on sockets.

Of a request the tests look at what the backend received, byte for byte, how many requests it saw, and
which client got which answer. After each case come another request on its connection, and another client.
"""

from __future__ import annotations

import asyncio
import random
import re
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
from in_memory import Far, MemoryLoop, Wire
from net.corpus.cases import Answer, Case, Request, forwarded_head, host_first, request
from net.corpus.requests import REQUESTS
from net.corpus.responses import ANSWERS
from net.corpus.wire import Message, NotClean, Requests, take_answer, values
from scripted import Client, Connection, pool_of, proxied

from lbkit.net import Limits, Proxy

AFTER = request(b" GET /after HTTP/1.1\n Host: a")
OTHER = request(b" GET /other HTTP/1.1\n Host: a")
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
PATIENCE = 0.3  # seconds to wait for what should have happened at once


def whole(data: bytes, name: str) -> Iterator[bytes]:
    yield data


def in_random_pieces(data: bytes, name: str) -> Iterator[bytes]:
    rng = random.Random(name)
    cuts = sorted(rng.randrange(len(data) + 1) for _ in range(rng.randint(1, 5)))
    for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
        if start < end:
            yield data[start:end]


def in_other_pieces(data: bytes, name: str) -> Iterator[bytes]:
    return in_random_pieces(data, name + "again")


def in_bytes(data: bytes, name: str) -> Iterator[bytes]:
    for i in range(len(data)):
        yield data[i : i + 1]


Cutting = Callable[[bytes, str], Iterator[bytes]]
CUTTINGS: tuple[Cutting, ...] = (whole, in_random_pieces, in_other_pieces, in_bytes)


def answer_to(message: Message, number: int) -> bytes:
    """An ordinary answer that says what it answers."""
    body = b"%d %b" % (number, message.first_line.rpartition(b" ")[0])
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
    return head if message.head.startswith(b"HEAD ") else head + body


# -- what must have happened ---------------------------------------------------------------------------


def check_request(case: Case, seen: list[Message], got: bytes, end: str, address: bytes) -> None:
    """`seen`: by the backend, from this client. `got`: by the client, whose connection is `end`."""
    due = list(case.requests)
    refused = bool(case.refused)
    if case.either:
        refused = not seen
        due = [] if refused else due
    if case.keep and not refused:
        due.append(AFTER)
    assert [m.first_line for m in seen] == [r.kept[0] for r in due]
    for message, expected in zip(seen, due, strict=True):
        check_forwarded(message, expected, address, case.trusted)
    for number, expected in enumerate(due):
        status, body, got = take(got, expected.method)
        assert (status, body) == (
            200,
            b"" if expected.method == b"HEAD" else b"%d %b" % (number, expected.kept[0].rpartition(b" ")[0]),
        )
    if refused:
        taken = take_answer(got, b"", False)
        assert taken, f"no answer, but {got!r}"
        assert int(taken[0].head[9:12]) in case.refused
        assert values(taken[0].head, b"Connection") == [b"close"]
        got = taken[1]
    assert got == b""
    assert end == ("open" if case.keep and not refused else "closed")


def check_forwarded(message: Message, expected: Request, address: bytes, trusted: bool) -> None:
    actual, head = message.head, forwarded_head(expected, address, trusted)
    if any(line.lower().startswith(b"host:") and line not in expected.sent for line in expected.kept):
        actual, head = host_first(actual), host_first(head)
    assert actual == head
    assert message.body == expected.content
    assert message.chunked == expected.chunked


def take(got: bytes, method: bytes) -> tuple[int, bytes, bytes]:
    taken = take_answer(got, method, False)
    assert taken, f"no answer, but {got!r}"
    return int(taken[0].head[9:12]), taken[0].body, taken[1]


def check_answer(case: Answer, got: bytes, end: str) -> None:
    if case.cut:
        if end == "open" and case.then == "keep":
            # Nothing had gone out yet when the fault was seen.
            status, _, rest = take(got, case.method)
            assert (status, rest) == (502, b"")
            return
        assert end == "reset"
        taken = take_answer(got, case.method, False)
        assert taken is None, f"looks whole: {got!r}"
        return
    for head in case.heads[:-1]:
        taken = take_answer(got, case.method, False)
        assert taken, f"no answer, but {got!r}"
        assert taken[0].head == head
        got = taken[1]
    last = case.heads[-1]
    taken = take_answer(got, case.method, end == "closed")
    assert taken, f"no whole answer, but {got!r}"
    message, rest = taken
    dated = bool(values(last, b"Date"))
    if message.head[9:10] != b"1":
        assert len(values(message.head, b"Date")) == 1
    assert (message.head if dated else without_date(message.head)) == last
    if case.tunnel:
        assert rest == case.content
    else:
        assert message.body == (b"" if case.method == b"HEAD" else case.content)
        assert rest == b""
    assert end == case.end


def without_date(head: bytes) -> bytes:
    return re.sub(rb"\r\nDate: [^\r\n]*", b"", head)


# -- in memory -----------------------------------------------------------------------------------------


class FarBackend:
    """A backend's end of one connection."""

    def __init__(self, wire: Wire, backends: FarBackends) -> None:
        self.wire = wire
        self.backends = backends
        self.requests = Requests()
        self.tunnel: bytes | None = None  # what came after a switch
        self.end = "open"

    def received(self, data: bytes) -> None:
        if self.tunnel is not None:
            self.tunnel += data
            return
        for message in self.requests.feed(data):
            self.backends.arrived(self, message)

    def ended(self, reset: bool) -> None:
        self.end = "reset" if reset else "closed"


class FarBackends:
    """Answers all but `case` at once; leaves that to the test."""

    def __init__(self, loop: MemoryLoop) -> None:
        self.connections: list[FarBackend] = []
        self.seen: list[Message] = []
        self.waiting: list[FarBackend] = []
        loop.accept = self.accept

    def accept(self, wire: Wire) -> None:
        wire.end = backend = FarBackend(wire, self)
        self.connections.append(backend)

    def arrived(self, backend: FarBackend, message: Message) -> None:
        self.seen.append(message)
        if b" /case " in message.first_line:
            self.waiting.append(backend)
        else:
            backend.wire.feed(answer_to(message, len(self.seen) - 1))


class Bench:
    """A Proxy in memory, and what a test does with it."""

    def __init__(self, loop: MemoryLoop, proxy: Proxy) -> None:
        self.loop = loop
        self.proxy = proxy
        self.backends = FarBackends(loop)

    async def until(self, condition: Callable[[], object]) -> None:
        """Mostly true at once; a timer of the proxy's may come first."""
        end = self.loop.time() + PATIENCE
        await self.loop.settle()
        while not condition() and self.loop.time() < end:
            await asyncio.sleep(0.01)
            await self.loop.settle()

    async def ask_other(self) -> None:
        """Another client gets its own answer."""
        other, number = Far(), len(self.backends.seen)
        self.loop.connect(other).feed(OTHER.data)
        await self.until(lambda: other.got)
        status, body, rest = take(other.got, b"GET")
        assert (status, body, rest, other.end) == (200, b"%d GET /other" % number, b"", "open")
        check_forwarded(self.backends.seen[-1], OTHER, b"", False)


def in_memory(case: Callable[[Bench], Coroutine[Any, Any, None]], **options: Any) -> None:
    """Run `case` on a fresh proxy. All leases are back at the end."""

    async def body() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, MemoryLoop)
        pool = pool_of(9)
        proxy = Proxy(pool, **options)
        faults: list[dict[str, Any]] = []
        loop.set_exception_handler(lambda _, context: faults.append(context))
        ready = asyncio.Event()
        serving = loop.create_task(proxy.serve(on_ready=ready.set))
        await ready.wait()
        try:
            await case(Bench(loop, proxy))
        finally:
            proxy.shut(0.0)
            await serving
        await loop.settle()
        assert faults == []
        assert [b.in_flight for b in pool.backends] == [0]

    with asyncio.Runner(loop_factory=MemoryLoop) as runner:
        runner.run(body())


def options_of(case: Case) -> dict[str, Any]:
    options: dict[str, Any] = {"trusted": ("127.0.0.1/32",) if case.trusted else ()}
    if case.limits:
        options["limits"] = Limits(**dict(case.limits))
    return options


def stream_of(case: Case) -> bytes:
    return case.data + (AFTER.data if case.keep else SMUGGLED)


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_split_in_every_way(name: str) -> None:
    case = REQUESTS[name]
    for cutting in CUTTINGS:

        async def run(bench: Bench, cutting: Cutting = cutting) -> None:
            client = Far()
            wire = bench.loop.connect(client)
            for piece in cutting(stream_of(case), name):
                wire.feed(piece)
                await bench.loop.settle()
            answers = len(case.requests) + 1
            await bench.until(lambda: client.got.count(b"HTTP/1.1 ") >= answers or client.end != "open")
            check_request(case, list(bench.backends.seen), client.got, client.end, b"127.0.0.1:8080")
            for backend in bench.backends.connections:
                if backend.requests.rest:
                    assert case.begun, f"the backend has also got {backend.requests.rest!r}"
                    assert backend.end != "open"
            if not case.trusted:
                await bench.ask_other()

        try:
            in_memory(run, **options_of(case))
        except AssertionError as error:
            error.add_note(f"sent {cutting.__name__}: {stream_of(case)[:1000]!r}")
            raise


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_split_in_every_way(name: str) -> None:
    case = ANSWERS[name]
    for cutting in CUTTINGS:

        async def run(bench: Bench, cutting: Cutting = cutting) -> None:
            client = Far()
            wire = bench.loop.connect(client)
            wire.feed(case.request)
            await bench.until(lambda: bench.backends.waiting)
            while bench.backends.waiting:  # again, if the proxy tries again
                await answer(bench, bench.backends.waiting.pop(0), case, cutting)
            await bench.until(lambda: bench.backends.waiting or client.got or client.end != "open")
            check_answer(case, client.got, client.end)
            if case.tunnel:
                wire.feed(b"\x81\x02yo")
                await bench.loop.settle()
                assert bench.backends.connections[-1].tunnel == b"\x81\x02yo"
            elif client.end == "open":
                client.got, number = b"", len(bench.backends.seen)
                wire.feed(AFTER.data)
                await bench.until(lambda: client.got)
                status, body, rest = take(client.got, b"GET")
                assert (status, body, rest) == (200, b"%d GET /after" % number, b"")
            await bench.ask_other()

        try:
            in_memory(run)
        except AssertionError as error:
            error.add_note(f"answered {cutting.__name__}: {case.data[:1000]!r}")
            raise


async def answer(bench: Bench, backend: FarBackend, case: Answer, cutting: Cutting) -> None:
    if case.tunnel:
        backend.tunnel = b""
    for piece in cutting(case.data, case.name):
        backend.wire.feed(piece)
        await bench.loop.settle()
    if case.then == "close":
        backend.wire.feed_end()
    elif case.then == "reset":
        backend.wire.reset()
    await bench.loop.settle()


# -- on sockets ------------------------------------------------------------------------------------------


class Backends:
    """Scripted backends that note what they see; `/case` is answered as told."""

    def __init__(self, case: Answer | None = None) -> None:
        self.case = case
        self.seen: list[Message] = []
        self.unclean: list[NotClean] = []
        self.lock = threading.Lock()

    def __call__(self, connection: Connection) -> None:
        requests = Requests()
        while data := connection.sock.recv(65536):
            try:
                messages = requests.feed(data)
            except NotClean as error:
                self.unclean.append(error)
                raise ConnectionError from error
            for message in messages:
                with self.lock:
                    number = len(self.seen)
                    self.seen.append(message)
                if self.case and b" /case " in message.first_line:
                    connection.send(self.case.data)
                    if self.case.then == "close":
                        return
                else:
                    connection.send(answer_to(message, number))


def ask_other(proxy: Proxy, backends: Backends) -> None:
    number = len(backends.seen)
    with Client(proxy) as other:
        other.send(OTHER.data)
        status, _, body = other.answer()
        assert (status, body) == (200, b"%d GET /other" % number)


def receive(client: Client, answers: list[tuple[bytes, bool]], ends: bool) -> str:
    """Read until `answers` (method, interim) are complete, or the connection ends if it `ends`."""
    client.sock.settimeout(1)
    try:
        while True:
            if not ends and complete(client.buffer, answers):
                return "open"
            data = client.sock.recv(65536)
            if not data:
                return "closed"
            client.buffer += data
    except ConnectionResetError:
        return "reset"
    except TimeoutError:
        return "open"


def complete(got: bytes, answers: list[tuple[bytes, bool]]) -> bool:
    for method, interim in answers:
        taken = take_answer(got, method, False)
        if taken is None:
            return False
        got = taken[1]
        if taken[0].head[9:10] == b"1" and not interim:
            return False
    return True


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_on_sockets(name: str) -> None:
    case = REQUESTS[name]
    backends = Backends()
    with proxied(backends, **options_of(case)) as proxy:
        with Client(proxy) as client:
            client.send(stream_of(case))
            due = [(r.method, False) for r in [*case.requests, AFTER]]
            ends = not case.keep
            if case.either:
                end = receive(client, due, False)
            else:
                end = receive(client, due, ends)
            address = b"%b:%d" % (proxy.host.encode(), proxy.port)
            assert not backends.unclean
            check_request(case, list(backends.seen), client.buffer, end, address)
        if not case.trusted:
            ask_other(proxy, backends)


@pytest.mark.parametrize("name", [name for name, case in ANSWERS.items() if case.then != "reset"])
def test_an_answer_on_sockets(name: str) -> None:
    case = ANSWERS[name]
    backends = Backends(case)
    with proxied(backends) as proxy:
        with Client(proxy) as client:
            client.send(case.request)
            # A fault that is seen before anything has gone out is answered, and the connection stays.
            answered = case.cut and case.then == "keep"
            due = [(case.method, head[9:10] == b"1") for head in case.heads] or [(case.method, False)]
            end = receive(client, due, case.end != "open" and not answered)
            if case.tunnel and end == "open":
                wanted = client.buffer.find(b"\r\n\r\n", client.buffer.find(b" 101 ")) + 4 + len(case.content)
                while len(client.buffer) < wanted:
                    client.buffer += client.sock.recv(65536)
            if not (case.cut and end == "reset"):  # what is reset may lose its beginning, too
                check_answer(case, client.buffer, end)
            if end == "open" and not case.tunnel:
                client.buffer, number = b"", len(backends.seen)
                client.send(AFTER.data)
                status, _, body = client.answer()
                assert (status, body) == (200, b"%d GET /after" % number)
        ask_other(proxy, backends)
