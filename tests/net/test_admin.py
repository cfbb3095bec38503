"""The admin's socket."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from lbkit.net.admin import Admin, Order, States


async def states(order: Order) -> States:
    return {}


async def start_and_stop(path: Path) -> None:
    admin = Admin(str(path), states)
    await admin.start()
    admin.stop()


def test_the_socket_of_a_killed_proxy_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    asyncio.run(start_and_stop(path))
    assert not path.exists()


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
            asyncio.run(start_and_stop(path))
        assert path.is_socket()
