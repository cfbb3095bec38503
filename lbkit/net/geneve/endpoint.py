"""A gateway endpoint: where a network's packets enter the gateway and come back."""

from __future__ import annotations

import socket
from typing import Self

from lbkit.core.options import number
from lbkit.net.address import split_address


class Endpoint:
    """Sends packets to a gateway and receives those that passed. A context manager.

    In AWS it is the target of a route; here it is a socket."""

    def __init__(self, gateway: str, timeout: float = 1.0) -> None:
        """`gateway`: host:port; `timeout`: seconds that `receive` waits. Raises ValueError, OSError."""
        number(0, above=True, timeout=timeout)
        host, port = split_address(gateway, "gateway")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._sock = socket.socket(family, socket.SOCK_DGRAM)
        self._sock.connect((host, port))
        self._sock.settimeout(timeout)

    def send(self, packet: bytes) -> None:
        self._sock.send(packet)

    def receive(self) -> bytes | None:
        """Return the next packet that comes back, or None if none does in time."""
        try:
            return self._sock.recv(65_535)
        except (TimeoutError, ConnectionRefusedError):
            return None

    def through(self, packet: bytes) -> bytes | None:
        """Send a packet; return it if it passed, or an appliance's answer, or None if it was dropped."""
        self.send(packet)
        return self.receive()

    def close(self) -> None:
        self._sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
