"""Crowds of clients that are idle, slow, or never read, and backends that never answer.

Meanwhile others are served, and afterwards the proxy has as many descriptors as before, and after a second
crowd no more memory than after the first. The proxy is a process of its own, so that only its own count.
"""

from __future__ import annotations

import select
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil
import pytest
from scripted import GET, TIMEOUT, Client, Connection, Scripted, ask
from served import Server, wait_until

from lbkit.net import descriptors

if sys.platform == "win32":
    pytest.skip("platform: one process on Windows", allow_module_level=True)
import resource

pytestmark = pytest.mark.live

MANY = 10_000
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
GROWTH = 8_000_000  # bytes that a second crowd may add: a leak of a connection's objects would be more
ENDLESS = b"GET /endless HTTP/1.1\r\nHost: a\r\n\r\n"
NEVER = b"GET /never HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n"


def backend(connection: Connection) -> None:
    """Answers at once, but for two paths: one has no end, the other no answer."""
    while head := connection.head():
        if head.startswith(b"GET /never "):
            connection.sock.settimeout(60)
            connection.sock.recv(1)
            return
        if head.startswith(b"GET /endless "):
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (1 << 40))
            connection.sock.settimeout(60)
            while True:
                connection.send(bytes(1 << 14))
        connection.body(head)
        connection.send(OK)


class Watched:
    """A proxy that runs, and what its worker has of the system."""

    def __init__(self, server: Server) -> None:
        self.server = server
        (pid,) = server.workers()
        self.worker = psutil.Process(pid)

    def descriptors(self) -> int:
        return self.worker.num_fds()

    def memory(self) -> int:
        return int(self.worker.memory_info().rss)

    def serves_others(self, count: int = 10) -> None:
        for _ in range(count):
            assert ask(self.server)[::2] == (200, b"ok")

    def settles_at(self, most: int) -> None:
        """Wait until it has so few descriptors."""
        wait_until(lambda: self.descriptors() <= most)


@contextmanager
def watched(tmp_path: Path, **options: str) -> Iterator[Watched]:
    with Scripted(backend) as behind, Server(tmp_path / "proxy.toml", behind.port, **options) as server:
        proxy = Watched(server)
        proxy.serves_others()
        yield proxy


def twice(proxy: Watched, crowd: Callable[[], object]) -> None:
    """A crowd comes and leaves, two times: nothing of it is left, and the second needs no more memory."""
    before = proxy.descriptors() + 5  # kept connections to the backend
    crowd()
    proxy.settles_at(before)
    memory = proxy.memory()
    crowd()
    proxy.settles_at(before)
    assert proxy.memory() - memory < GROWTH
    proxy.serves_others()


# -- idle connections ----------------------------------------------------------------------------------


def test_ten_thousand_idle_connections(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = descriptors.UNLIMITED if hard == resource.RLIM_INFINITY else hard
    count = min(MANY, (most - descriptors.SPARE) // 2 - 100)  # the proxy counts two for each client
    descriptors.raise_limit(count + 500)
    if count < MANY:
        with capsys.disabled():
            print(f"\n{count} instead of {MANY} connections: the hard limit of descriptors is {hard}")

    sizes = [count, count // 2]

    def crowd() -> None:
        size, memory = sizes.pop(0), proxy.memory()
        with ExitStack() as stack:
            for _ in range(size):
                client = stack.enter_context(socket.create_connection((Server.host, proxy.server.port)))
                client.sendall(GET)
                client.settimeout(TIMEOUT)
                assert client.recv(1000).endswith(b"ok")
            assert proxy.descriptors() >= size
            assert (proxy.memory() - memory) / size < 20_000  # bytes for each
            proxy.serves_others()

    try:
        # On a slow machine the first ones would be idle for a minute before the last has come.
        with watched(tmp_path, limits="{ connections = 20000 }", timeouts="{ idle = 600.0 }") as proxy:
            twice(proxy, crowd)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# -- hostile ones --------------------------------------------------------------------------------------


def drip(sockets: list[socket.socket], drops: bytes, ended: threading.Event) -> None:
    """Send something to each, again and again, until the proxy has closed all of them."""
    left = set(sockets)
    while left and not ended.wait(0.1):
        closed = select.select(left, [], [], 0)[0]  # or answered: 408
        left.difference_update(closed)
        for one in left:
            with suppress(OSError):
                one.send(drops)


HOSTILE = {
    "slow heads": (b"GET / HTTP/1.1\r\nHost: a\r\nX: ", b"x"),
    "slow bodies": (POST, b"x"),
    "slow chunks": (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    "nothing at all": (b"", b""),
    "a backend that never answers": (NEVER, b""),
    "clients that never read": (ENDLESS, b""),
}


def test_a_hostile_crowd_is_ended_while_others_are_served(tmp_path: Path) -> None:
    def crowd() -> None:
        peak, ended = proxy.memory(), threading.Event()
        with ExitStack() as stack:
            dripping = []
            for first, drops in HOSTILE.values():
                sockets = []
                for _ in range(20 if first == ENDLESS else 50):
                    one = stack.enter_context(socket.create_connection((Server.host, proxy.server.port)))
                    one.sendall(first)
                    sockets.append(one)
                if drops:
                    dripping.append(threading.Thread(target=drip, args=(sockets, drops, ended), daemon=True))
                    dripping[-1].start()
            deadline = time.monotonic() + TIMEOUT
            while proxy.descriptors() > usual and time.monotonic() < deadline:
                proxy.serves_others(1)
                peaks.append(proxy.memory() - peak)
                time.sleep(0.05)
            assert proxy.descriptors() <= usual, "they are still there"
            ended.set()
            for thread in dripping:
                thread.join(TIMEOUT)

    peaks: list[int] = []
    timeouts = "{ head = 0.6, body = 0.3, read = 2.0, idle = 0.5 }"
    limits = "{ connections = 2000, body_rate = 1000.0 }"
    with watched(tmp_path, timeouts=timeouts, limits=limits) as proxy:
        usual = proxy.descriptors() + 5
        twice(proxy, crowd)
    assert max(peaks) < 60_000_000  # of the endless answers, no more than buffers are kept


def test_when_descriptors_run_out_those_who_are_there_go_on(tmp_path: Path) -> None:
    """Others wait, with asyncio, or are closed at once: libuv keeps a descriptor to accept and close them."""
    if not hasattr(resource, "prlimit"):
        pytest.skip("platform: the limits of another process cannot be set here")
    with watched(tmp_path) as proxy, ExitStack() as stack:
        there = [stack.enter_context(Client(proxy.server)) for _ in range(5)]
        for client in there:
            client.send(GET)
            assert client.answer()[0] == 200
        before, pid = proxy.descriptors(), proxy.worker.pid
        limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (before + 2, limits[1]))
        late = [stack.enter_context(Client(proxy.server)) for _ in range(20)]
        used = sum(proxy.worker.cpu_times()[:2])
        for _ in range(10):
            for client in there:
                client.send(GET)
                assert client.answer()[0] == 200
            time.sleep(0.05)
        assert sum(proxy.worker.cpu_times()[:2]) - used < 0.4  # it does not spin
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
        for client in late:
            with suppress(ConnectionError):
                client.send(GET)
                assert client.answer()[0] == 200
        proxy.serves_others()
        stack.close()
        proxy.settles_at(before)
        proxy.serves_others()
        assert len(proxy.server.said) < 20, proxy.server.said
