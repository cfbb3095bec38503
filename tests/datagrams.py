"""A UDP server and its clients, on real sockets."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from scripted import TIMEOUT


@contextmanager
def server(name: str, mute: bool = False) -> Iterator[int]:
    """Answers each datagram with its name and the datagram; its port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]

        def answer() -> None:
            while True:
                data, client = sock.recvfrom(65536)
                if data == b"end":
                    return
                if not mute:
                    sock.sendto(name.encode() + data, client)

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield port
        finally:
            with client() as last:
                last.sendto(b"end", ("127.0.0.1", port))
            thread.join(TIMEOUT)


def client() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.settimeout(TIMEOUT)
    return sock
