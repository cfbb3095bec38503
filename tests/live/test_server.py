"""Servers of our own: started, killed, started again, and stopped when starting fails."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest
from needs import need_feature

need_feature("live")

from lbkit import EngineError
from lbkit.live.program import listens
from lbkit.live.server import Server

pytestmark = pytest.mark.live

LISTENS = (
    "import socket, sys, time; s = socket.create_server(('127.0.0.1', int(sys.argv[1]))); time.sleep(60)"
)


class Python(Server):
    program = "redis-server"  # only for messages: the command is Python

    def __init__(self, script: str) -> None:
        super().__init__()
        self.script = script

    def command(self) -> list[str]:
        return [sys.executable, "-c", self.script, str(self.port)]

    @property
    def room(self) -> Path:
        return Path(self._room.name)


def test_a_killed_server_comes_back_on_its_port_with_its_files() -> None:
    with Python(LISTENS) as server:
        port, pid = server.port, server.pid
        (server.room / "kept").touch()
        server.kill()
        assert not listens(port)
        with pytest.raises(EngineError, match="redis-server does not run"):
            server.kill()
        server.start()
        assert (server.port, server.pid != pid) == (port, True)
        assert (server.room / "kept").exists()
    assert not listens(port)
    assert not server.room.exists()


def test_a_server_that_does_not_start_says_why_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lbkit.live.server.ATTEMPTS", 1)
    server = Python("raise SystemExit('no memory')")
    with pytest.raises(EngineError, match="redis-server did not start: no memory"):
        server.__enter__()
    assert not server.room.exists()
    assert server.port == 0


def test_a_server_interrupted_while_it_starts_leaves_nothing() -> None:
    class Interrupted(Python):
        def answers(self) -> bool:
            raise KeyboardInterrupt

    server = Interrupted(LISTENS)
    with pytest.raises(KeyboardInterrupt):
        server.__enter__()
    assert not server.room.exists()
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", server.port), 1)
