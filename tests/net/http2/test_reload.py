"""A reload of `lbkit proxy` while clients of HTTP/2 are connected."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest
from needs import need_feature

need_feature("http2")

from h2.errors import ErrorCodes
from http2_client import OK, Http2Client, get
from scripted import TIMEOUT, Connection, Scripted
from served import Server

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(not hasattr(socket, "SO_REUSEPORT"), reason="platform: one process on Windows"),
]


def test_a_reload_lets_requests_end_and_moves_clients_to_the_new_workers(tmp_path: Path) -> None:
    arrived, release = threading.Event(), threading.Event()

    def script(connection: Connection) -> None:
        while head := connection.head():
            if b"/slow" in head:
                arrived.set()
                assert release.wait(TIMEOUT)
            connection.send(OK)

    with (
        Scripted(script) as backend,
        Server(tmp_path / "a.toml", backend.port, http2="{}") as server,
        Http2Client(server) as client,
    ):
        assert client.ask(get()).body == b"ok"
        slow = client.request(get(b"/slow"))
        assert arrived.wait(TIMEOUT)
        server.hang_up()
        server.wait_for("reloaded")
        client.until(lambda: len(client.goaways) == 2)
        assert client.goaways == [(2**31 - 1, ErrorCodes.NO_ERROR), (slow, ErrorCodes.NO_ERROR)]
        with Http2Client(server) as other:
            assert other.ask(get()).body == b"ok"
        release.set()
        assert client.answer(slow).body == b"ok"
        client.ended()


def test_a_reload_under_load_loses_nothing(tmp_path: Path) -> None:
    """Who opens a new connection when it is told to has an answer to each request."""
    lost: list[object] = []
    served = 0

    def load() -> None:
        nonlocal served
        while not done.is_set():
            with Http2Client(server) as client:
                while not (done.is_set() or client.goaways):
                    answer = client.ask(get())
                    if answer.reset == ErrorCodes.REFUSED_STREAM:
                        break  # it may be sent again
                    if answer.body != b"ok":
                        lost.append(answer.__dict__)
                    served += 1

    def script(connection: Connection) -> None:
        while connection.head():
            connection.send(OK)

    done = threading.Event()
    with (
        Scripted(script) as backend,
        Server(tmp_path / "a.toml", backend.port, http2="{}", workers=2) as server,
    ):
        clients = [threading.Thread(target=load) for _ in range(4)]
        for client in clients:
            client.start()
        server.hang_up()
        server.wait_for("reloaded")
        done.set()
        for client in clients:
            client.join(TIMEOUT)
    assert not lost
    assert served
