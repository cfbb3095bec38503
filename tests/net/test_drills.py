"""Backends that close and die, malicious clients: no GET fails, and other clients do not wait.

What takes time is compared with what takes more of the same, or has a bound ten times what it needs."""

from __future__ import annotations

import asyncio
import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress

import pytest
from in_memory import MemoryLoop, Wire
from scripted import GET, TIMEOUT, Client, Connection, Script, ask, echo, pool_of, proxied

from lbkit.net import Limits, Proxy, Timeouts

pytestmark = pytest.mark.live

# -- reused connections ----------------------------------------------------------------------------------


def path_of(head: bytes) -> bytes:
    return head.split(b" ")[1]


def ok(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def closes_at_once(connection: Connection) -> None:
    """One answer a connection, and no word that it is the last."""
    connection.send(ok(path_of(connection.head())))


def closes_after_2_ms(connection: Connection) -> None:
    """As above, but the next request may be on its way, and is met by a reset."""
    closes_at_once(connection)
    time.sleep(0.002)


def closes_when_idle(connection: Connection) -> None:
    """A keep-alive of 0.3 s."""
    while True:
        head = connection.head()
        if not head:
            return
        connection.send(ok(path_of(head)))
        if not select.select([connection.sock], [], [], 0.3)[0]:
            return


def closes_after_100(connection: Connection) -> None:
    for _ in range(100):
        head = connection.head()
        if not head:
            return
        connection.send(ok(path_of(head)))


class Results:
    """What GETs came to, from many threads."""

    def __init__(self) -> None:
        self.failed: list[object] = []
        self.answered = 0
        self.lock = threading.Lock()

    def get(self, client: Client, path: bytes) -> None:
        try:
            client.send(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % path)
            status, _, body = client.answer()
            good, what = (status, body) == (200, path), f"{path!r}: {status} {body!r}"
        except OSError as error:
            good, what = False, f"{path!r}: {error!r}"
        with self.lock:
            if good:
                self.answered += 1
            else:
                self.failed.append(what)


def in_threads(count: int, work: Callable[[int], None]) -> None:
    threads = [threading.Thread(target=work, args=(i,), daemon=True) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()


def drill(proxy: Proxy, each: int, clients: int, pause: Callable[[int], float] | None = None) -> Results:
    """Send `each` GETs on each of several connections at once."""
    results = Results()

    def load(number: int) -> None:
        with Client(proxy) as client:
            for i in range(each):
                results.get(client, b"/%d/%d" % (number, i))
                if pause:
                    time.sleep(pause(i))

    in_threads(clients, load)
    return results


@pytest.mark.parametrize(
    "script",
    [closes_at_once, closes_after_2_ms, closes_when_idle, closes_after_100],
    ids=lambda s: s.__name__,
)
@pytest.mark.parametrize(("clients", "each"), [(1, 400), (8, 120)], ids=["in turn", "at once"])
def test_no_get_fails_on_a_connection_that_the_backend_closes(
    script: Script, clients: int, each: int
) -> None:
    with proxied(script) as proxy:
        results = drill(proxy, each, clients)
    assert results.failed == []
    assert results.answered == clients * each


def test_no_get_fails_when_it_meets_the_end_of_keep_alive() -> None:
    """Requests about 0.3 s apart, against a keep-alive of 0.3 s: some meet the close on its way."""
    with proxied(closes_when_idle) as proxy:
        results = drill(proxy, 9, 16, pause=lambda i: 0.3 + (i - 4) * 0.0005)
    assert results.failed == []
    assert results.answered == 9 * 16


def post(path: bytes) -> bytes:
    return b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" % path


@pytest.mark.parametrize("closing", ["after the head", "after the body", "with a reset"])
def test_a_post_on_a_kept_connection_that_closes_unanswered_is_not_sent_twice(closing: str) -> None:
    seen: list[bytes] = []

    def script(connection: Connection) -> None:
        connection.send(ok(path_of(connection.head())))
        head = connection.head()
        if head:
            if head.startswith(b"POST "):
                seen.append(path_of(head))
            if closing != "after the head":
                connection.body(head)
            if closing == "with a reset":
                connection.reset()

    with proxied(script, script, retries=2) as proxy, Client(proxy) as client:
        for i in range(20):
            for _ in range(2):  # a kept connection to each
                assert ask(proxy)[0] == 200
            client.send(post(b"/%d" % i))
            assert client.answer()[0] in (200, 502)  # 200: the connection was a new one
    assert max(Counter(seen).values()) == 1
    assert len(seen) >= 10


@pytest.mark.parametrize("script", [closes_at_once, closes_after_2_ms], ids=lambda s: s.__name__)
def test_posts_are_never_sent_twice_whatever_the_backend_does(script: Script) -> None:
    seen: list[bytes] = []

    def notes(connection: Connection) -> None:
        head = connection.head()
        connection.body(head)
        seen.append(path_of(head))
        connection.send(ok(path_of(head)))
        if script is closes_after_2_ms:
            time.sleep(0.002)

    statuses: Counter[int] = Counter()

    def load(number: int) -> None:
        with Client(proxy) as client:
            for i in range(40):
                client.send(post(b"/%d/%d" % (number, i)))
                statuses[client.answer()[0]] += 1

    with proxied(notes, notes, retries=2) as proxy:
        in_threads(4, load)
    assert set(statuses) <= {200, 502}
    assert statuses[200] > 0
    assert max(Counter(seen).values()) == 1


# -- killed backends -----------------------------------------------------------------------------------

SERVER = """
import socketserver, sys, time
class Handler(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True
    def handle(self):
        while line := self.rfile.readline():
            path = line.split(b" ")[1]
            while self.rfile.readline() not in (b"\\r\\n", b""):
                pass
            time.sleep(0.002)
            head = b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(path)
            self.connection.sendall(head + path)
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True
    request_queue_size = 128
    def handle_error(self, *who):
        pass
server = Server(("127.0.0.1", int(sys.argv[1])), Handler)
print("listening", flush=True)
server.serve_forever()
"""


class Process:
    """A backend in a process of its own, on a port that stays its own."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.start()

    def start(self) -> None:
        """Returns when it listens."""
        command = [sys.executable, "-I", "-S", "-c", SERVER, str(self.port)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self.process.stdout
        assert self.process.stdout.readline() == b"listening\n"

    def kill(self) -> None:
        """By its id, with SIGKILL."""
        self.process.kill()
        self.process.wait(TIMEOUT)
        if self.process.stdout:
            self.process.stdout.close()


def quiet_ports(count: int) -> list[int]:
    """Return free ports outside the range of clients, so that they stay free while a backend is dead."""
    found: list[int] = []
    for port in range(18_000 + os.getpid() % 97 * 100, 32_000):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            found.append(port)
        if len(found) == count:
            return found
    raise AssertionError("no ports")


@contextmanager
def processes(count: int) -> Iterator[list[Process]]:
    running: list[Process] = []
    try:
        for port in quiet_ports(count):
            running.append(Process(port))
        yield running
    finally:
        for process in running:
            process.kill()


@pytest.mark.skipif(sys.platform == "win32", reason="platform: no SIGKILL on Windows")
def test_no_get_fails_while_one_of_three_backends_is_killed_again_and_again() -> None:
    results, over = Results(), threading.Event()
    with processes(3) as backends, Proxy(pool_of(*(b.port for b in backends)), retries=2) as proxy:

        def load(number: int) -> None:
            with Client(proxy) as client:
                i = 0
                while not over.is_set():
                    results.get(client, b"/%d/%d" % (number, i))
                    i += 1
                    if results.failed:
                        return

        def kills() -> None:
            try:
                for i in range(6):
                    over.wait(0.4)
                    backends[i % 3].kill()
                    over.wait(0.4)
                    backends[i % 3].start()
                over.wait(0.4)
            finally:
                over.set()

        killer = threading.Thread(target=kills)
        killer.start()
        try:
            in_threads(12, load)
        finally:
            killer.join(60)
        assert results.failed == []
        assert results.answered > 500
        assert proxy.call(lambda: [b.in_flight for b in proxy.pool.backends]) == [0, 0, 0]


# -- hostile clients ----------------------------------------------------------------------------------


def send_while_it_takes(client: Client, pieces: Iterable[bytes]) -> int:
    """How many bytes went out before the proxy hung up."""
    sent = 0
    with suppress(OSError):
        for piece in pieces:
            client.send(piece)
            sent += len(piece)
    return sent


def end_of(client: Client) -> int:
    """The status of its answer when the connection has ended; 0 if it ended without, -1 if it did not end."""
    got = b""
    client.sock.settimeout(5)
    try:
        got = client.rest()
    except TimeoutError:
        return -1
    except ConnectionResetError:
        pass
    return int(got[9:12]) if got else 0


@pytest.mark.parametrize("size", [256 << 10, 4 << 20], ids=["256 kB", "4 MB"])
def test_empty_lines_do_not_delay_other_clients(size: int) -> None:
    # Beyond the limit of a head they are refused at once, without waiting for a deadline.
    with proxied(echo, timeouts=Timeouts(head=60)) as proxy, Client(proxy) as hostile:
        before = proxy.cpu()
        flood = threading.Thread(
            target=send_while_it_takes, args=(hostile, [b"\r\n" * (size // 2)]), daemon=True
        )
        flood.start()
        for _ in range(10):
            start = time.monotonic()
            assert ask(proxy)[0] == 200
            assert time.monotonic() - start < TIMEOUT / 4
        flood.join(TIMEOUT)
        assert not flood.is_alive()
        assert end_of(hostile) in (0, 400, 431)
        assert proxy.cpu() - before < 1


@pytest.mark.parametrize("drip", [b"\r\n", b"\r", b"x"], ids=["empty lines", "CR and LF", "a name"])
def test_a_head_sent_byte_by_byte_does_not_extend_its_deadline(drip: bytes) -> None:
    drops: Iterator[bytes] = iter(lambda: drip, None)
    first = b""
    if drip == b"\r":
        drops = (drop for _ in range(10_000) for drop in (b"\r", b"\n"))
    elif drip == b"x":
        first = b"GET / HTTP/1.1\r\nHost: a\r\nX"
    with proxied(echo, timeouts=Timeouts(head=0.5)) as proxy, Client(proxy) as hostile:
        start = time.monotonic()
        if first:
            hostile.send(first)
        for drop in drops:
            if select.select([hostile.sock], [], [], 0.1)[0] or time.monotonic() - start > 5:
                break
            with suppress(OSError):
                hostile.send(drop)
        assert time.monotonic() - start < 4
        assert end_of(hostile) in (0, 408)


def test_a_slow_head_behind_a_request_has_a_deadline_too() -> None:
    with proxied(echo, timeouts=Timeouts(head=0.5, idle=30)) as proxy, Client(proxy) as hostile:
        hostile.send(GET)
        assert hostile.answer()[0] == 200
        start = time.monotonic()
        while time.monotonic() - start < 5:
            if select.select([hostile.sock], [], [], 0.1)[0]:
                break
            with suppress(OSError):
                hostile.send(b"x")
        assert time.monotonic() - start < 4


# The deadline for a whole request, however steadily it drips.
WHOLE_BODY = {"total": 0.7}


def test_a_body_sent_byte_by_byte_has_a_total_deadline() -> None:
    with proxied(echo, timeouts=Timeouts(read=5, **WHOLE_BODY)) as proxy, Client(proxy) as hostile:
        hostile.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n")
        start = time.monotonic()
        while time.monotonic() - start < 6:
            if select.select([hostile.sock], [], [], 0.1)[0]:
                break
            with suppress(OSError):
                hostile.send(b"x")
        assert time.monotonic() - start < 4
        assert end_of(hostile) in (0, 408)


def test_a_client_that_never_reads_is_dropped_and_delays_no_other() -> None:
    gone = threading.Event()

    def endless(connection: Connection) -> None:
        head = connection.head()
        if path_of(head) != b"/endless":
            connection.send(ok(b""))
            return
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (1 << 40))
        try:
            while True:
                connection.send(bytes(1 << 16))
        except OSError:
            gone.set()

    with proxied(endless, timeouts=Timeouts(read=0.5)) as proxy, Client(proxy) as hostile:
        hostile.send(b"GET /endless HTTP/1.1\r\nHost: a\r\n\r\n")
        for _ in range(10):
            start = time.monotonic()
            assert ask(proxy)[0] == 200
            assert time.monotonic() - start < TIMEOUT / 4
        assert gone.wait(TIMEOUT)


def test_a_client_that_sends_requests_and_never_reads_is_cut_off() -> None:
    """Its answers wait in the proxy: no more of its requests are taken than fit."""
    served = 0

    def big(connection: Connection) -> None:
        nonlocal served
        while connection.head():
            served += 1
            connection.send(ok(bytes(1 << 18)))

    with proxied(big, timeouts=Timeouts(read=0.5)) as proxy, Client(proxy) as hostile:
        hostile.sock.settimeout(0.5)
        send_while_it_takes(hostile, [GET * 1000])
        for _ in range(3):
            assert ask(proxy)[0] == 200
        assert end_of_unread(hostile)
    assert served < 500


def end_of_unread(client: Client) -> bool:
    """Return whether the proxy closes the connection of a client that does not read, found out by sending."""
    end = time.monotonic() + TIMEOUT
    while time.monotonic() < end:
        try:
            client.sock.send(b"\r\n")
        except TimeoutError:
            pass
        except OSError:
            return True
        select.select([], [], [], 0.05)
    return False


POST_CHUNKS = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
ENDLESS: dict[str, tuple[bytes, bytes]] = {
    "a chunk extension": (POST_CHUNKS + b"1;", b"x"),
    "a last extension": (POST_CHUNKS + b"0;", b"x"),
    "trailers": (POST_CHUNKS + b"0\r\n", b"X: y\r\n"),
    "one trailer": (POST_CHUNKS + b"0\r\nX: ", b"y"),
    "a chunk size": (POST_CHUNKS, b"0"),
    "a request line": (b"GET /", b"x"),
    "a field": (b"GET / HTTP/1.1\r\nHost: a\r\nX: ", b"y"),
    "fields": (b"GET / HTTP/1.1\r\nHost: a\r\n", b"X: y\r\n"),
    "spaces": (b"", b" "),
}


@pytest.mark.parametrize("what", ENDLESS)
def test_endless_input_is_cut_off(what: str) -> None:
    first, more = ENDLESS[what]
    piece = more * (65_536 // len(more))
    with proxied(echo) as proxy, Client(proxy) as hostile:
        before = proxy.cpu()
        hostile.send(first)
        sent = send_while_it_takes(hostile, [piece] * 512)
        assert sent < len(piece) * 512 or end_of(hostile) in (0, 400, 413, 431)
        assert ask(proxy)[0] == 200
        assert proxy.cpu() - before < 2


@pytest.mark.parametrize(
    ("first", "more"),
    [
        (b"HTTP/1.1 200 OK\r\nX: ", b"y"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"x"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"0"),
    ],
    ids=["a field", "a chunk extension", "trailers", "a chunk size"],
)
def test_an_endless_answer_is_cut_off(first: bytes, more: bytes) -> None:
    cut = threading.Event()
    piece = more * (65_536 // len(more))

    def endless(connection: Connection) -> None:
        connection.head()
        try:
            connection.send(first)
            for _ in range(512):
                connection.send(piece)
        except OSError:
            cut.set()

    with proxied(endless, retries=0) as proxy, Client(proxy) as client:
        client.send(GET)
        assert cut.wait(5)
        with suppress(ConnectionError):
            assert client.answer()[0] == 502


# -- the same work, more of it: in memory, where nothing but the proxy takes time -------------------------


class Sink:
    """A far end that counts what it gets, and lets a test answer."""

    def __init__(self, answer: Callable[[Wire, bytes], None] | None = None) -> None:
        self.wire: Wire | None = None
        self.pieces: list[bytes] = []
        self.answer = answer

    def received(self, data: bytes) -> None:
        self.pieces.append(data)
        if self.answer and self.wire:
            self.answer(self.wire, data)

    def ended(self, reset: bool) -> None:
        pass

    @property
    def got(self) -> bytes:
        return b"".join(self.pieces)


def run_in_memory(
    pieces: list[bytes],
    answer: Callable[[Wire, bytes], None] | None = None,
    limits: Limits | None = None,
    batch: int = 256,
) -> tuple[bytes, float]:
    """What the client gets for these pieces, and the processor time it took. `batch`: so many pieces come
    before the proxy can turn to anything else, such as a connection to a backend."""

    async def body() -> tuple[bytes, float]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, MemoryLoop)

        def accept(wire: Wire) -> None:
            backend = Sink(answer)
            backend.wire, wire.end = wire, backend

        loop.accept = accept
        proxy = Proxy(pool_of(9), limits=limits or Limits())
        ready = asyncio.Event()
        serving = loop.create_task(proxy.serve(on_ready=ready.set))
        await ready.wait()
        client = Sink()
        wire = loop.connect(client)
        start = time.thread_time()
        for number, piece in enumerate(pieces, 1):
            wire.feed(piece)
            if number % batch == 0:
                await loop.settle()
        await loop.settle()
        seconds = time.thread_time() - start
        proxy.shut(0.0)
        await serving
        return client.got, seconds

    with asyncio.Runner(loop_factory=MemoryLoop) as runner:
        return runner.run(body())


def singly(data: bytes) -> list[bytes]:
    return [data[i : i + 1] for i in range(len(data))]


def long_head(size: int) -> list[bytes]:
    fields = b"X: %b\r\n" % (b"y" * 995)
    return singly(b"GET / HTTP/1.1\r\nHost: a\r\n" + fields * (size // 1000) + b"\r\n")


def long_value(size: int) -> list[bytes]:
    return singly(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * size + b"\r\n\r\n")


def empty_lines(size: int) -> list[bytes]:
    return singly(b"\r\n" * (size // 2) + GET)


def body_by_length(size: int) -> list[bytes]:
    return singly(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size)


def one_chunk(size: int) -> list[bytes]:
    return singly(POST_CHUNKS + b"%x\r\n%b\r\n0\r\n\r\n" % (size, b"x" * size))


def many_chunks(size: int) -> list[bytes]:
    return singly(POST_CHUNKS + b"1\r\nx\r\n" * (size // 6) + b"0\r\n\r\n")


def many_chunks_at_once(size: int) -> list[bytes]:
    return [POST_CHUNKS + b"1\r\nx\r\n" * (size // 2) + b"0\r\n\r\n"]


def many_requests_at_once(size: int) -> list[bytes]:
    return [GET * (size // 64)]


def many_posts_at_once(size: int) -> list[bytes]:
    return [(POST_CHUNKS + b"1\r\nx\r\n0\r\n\r\n") * (size // 64)]


@pytest.mark.parametrize(
    "work",
    [
        *(long_head, long_value, empty_lines, body_by_length, one_chunk, many_chunks, many_chunks_at_once),
        *(many_requests_at_once, many_posts_at_once),
    ],
    ids=lambda work: work.__name__,
)
def test_four_times_the_bytes_take_about_four_times_as_long(work: Callable[[int], list[bytes]]) -> None:
    """Twice as often would be bad luck; what grows with the square takes sixteen times as long."""
    limits = Limits(head=1 << 20, fields=10_000)

    def answer(wire: Wire, data: bytes) -> None:
        if data.endswith(b"\r\n\r\n"):  # a head without a body, or the last chunk
            wire.feed(ok(b""))

    def seconds(size: int) -> float:
        return min(run_in_memory(work(size), answer, limits)[1] for _ in range(3))

    seconds(1 << 12)
    small, large = seconds(1 << 15), seconds(1 << 17)
    assert large < 9 * small + 0.05


def test_a_body_in_single_bytes_while_its_connection_is_made() -> None:
    def seconds(size: int) -> float:
        return min(run_in_memory(body_by_length(size), batch=size * 2)[1] for _ in range(3))

    small, large = seconds(1 << 12), seconds(1 << 14)
    assert large < 9 * small + 0.05


def test_ten_thousand_requests_in_one_piece() -> None:
    def answer(wire: Wire, data: bytes) -> None:
        for line in data.split(b"\r\n"):
            if line.startswith(b"GET "):
                wire.feed(ok(line.split(b" ")[1]))

    requests = b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % i for i in range(10_000))
    got, seconds = run_in_memory([requests], answer)
    bodies = [part.partition(b"\r\n\r\n")[2] for part in got.split(b"HTTP/1.1 200 OK")[1:]]
    assert bodies == [b"/%d" % i for i in range(10_000)]
    assert seconds < 20


@pytest.mark.parametrize("count", [500, 5_000, 50_000])
def test_thousands_of_interim_answers_in_one_piece(count: int) -> None:
    def answer(wire: Wire, data: bytes) -> None:
        wire.feed(b"HTTP/1.1 103 Early Hints\r\n\r\n" * count + ok(b"done"))

    got, seconds = run_in_memory([GET], answer)
    assert got.count(b"HTTP/1.1 103 ") == count
    assert got.endswith(b"\r\n\r\ndone")
    assert seconds < 10
