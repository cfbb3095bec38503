"""The admin's Unix socket."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from lbkit.net.admin import remove_dead_socket


def test_the_socket_of_a_killed_proxy_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    remove_dead_socket(str(path))
    assert not path.exists()
    remove_dead_socket(str(path))


@pytest.mark.parametrize(
    ("kind", "why"), [(socket.SOCK_STREAM, "another proxy listens there"), (socket.SOCK_DGRAM, "rotocol")]
)
def test_a_socket_in_use_stays(tmp_path: Path, kind: socket.SocketKind, why: str) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX, kind) as other:
        other.bind(str(path))
        if kind is socket.SOCK_STREAM:
            other.listen()
        with pytest.raises(OSError, match=why):
            remove_dead_socket(str(path))
        assert path.is_socket()
