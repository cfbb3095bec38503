"""A person's browser, as far as sessions go: it keeps cookies, and speaks WebSocket."""

from __future__ import annotations

import base64
import http.client
import os
import socket
from http.cookies import SimpleCookie
from typing import BinaryIO, NamedTuple, Self
from urllib.parse import urlsplit

COOKIE = "session"  # the one in which the fleet's servers keep their sessions
TEXT, CLOSE, FINAL, MASKED = 0x1, 0x8, 0x80, 0x80  # of a frame (RFC 6455, section 5.2)
SHORT = 125  # bytes of the longest message with a length of one byte


class Visit(NamedTuple):
    """What came of a request."""

    status: int
    server: str  # that answered; "" if none says so
    visits: int  # requests of the session that the server knows of, with this one; 0 if it does not say
    set_cookies: list[str]


class Browser:
    """Sends requests to one site and keeps its cookies, which a person can change.

    `cookies`: those it begins with. `address`: what it is said to come from, in X-Forwarded-For; a proxy
    believes that only of addresses that it trusts."""

    def __init__(self, url: str, cookies: dict[str, str] | None = None, address: str = "") -> None:
        parts = urlsplit(url)
        self.host, self.port = parts.hostname or "127.0.0.1", parts.port or 80
        self.cookies = dict(cookies or {})
        self.address = address

    def get(self, path: str = "/") -> Visit:
        """Send a GET on a connection of its own. Raises OSError."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=10)
        try:
            connection.request("GET", path, headers=self._fields())
            answer = connection.getresponse()
            answer.read()
        finally:
            connection.close()
        set_cookies = answer.headers.get_all("Set-Cookie") or []
        for line in set_cookies:
            self.cookies |= {name: morsel.value for name, morsel in SimpleCookie(line).items()}
        visits = int(answer.headers["X-Lbkit-Visits"] or 0)
        return Visit(answer.status, answer.headers["X-Backend"] or "", visits, set_cookies)

    def websocket(self, path: str = "/") -> WebSocket:
        """Open a WebSocket. Raises OSError."""
        return WebSocket(self.host, self.port, path, self._fields())

    def _fields(self) -> dict[str, str]:
        fields = {"X-Lbkit-Session": COOKIE}
        if self.cookies:
            fields["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        if self.address:
            fields["X-Forwarded-For"] = self.address
        return fields


class WebSocket:
    """The client's side of a WebSocket, for short messages (RFC 6455); a context manager."""

    def __init__(self, host: str, port: int, path: str, fields: dict[str, str]) -> None:
        """Raises OSError."""
        fields = fields | {
            "Host": f"{host}:{port}",
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
        }
        head = f"GET {path} HTTP/1.1\r\n" + "".join(f"{name}: {text}\r\n" for name, text in fields.items())
        self._socket = socket.create_connection((host, port), timeout=10)
        self._read: BinaryIO = self._socket.makefile("rb")
        self._socket.sendall(head.encode() + b"\r\n")
        status = self._read.readline()
        if b" 101 " not in status:
            self.close()
            raise ConnectionError(f"no WebSocket: {status.decode(errors='replace').strip() or 'no answer'}")
        while self._read.readline() not in (b"\r\n", b""):
            pass

    def ask(self, text: str) -> str:
        """Send a message and return the one that comes back. Raises ValueError if it is too long, OSError."""
        data = text.encode()
        if len(data) > SHORT:
            raise ValueError(f"the message has {len(data)} bytes: use at most {SHORT}")
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(data))
        self._socket.sendall(bytes((FINAL | TEXT, MASKED | len(data))) + mask + masked)
        head = self._read.read(2)
        if len(head) == 2 and head[0] == FINAL | CLOSE and 2 <= head[1] <= SHORT:
            status = int.from_bytes(self._read.read(head[1])[:2], "big")
            raise ConnectionError(f"the WebSocket has been closed with status {status}")
        if len(head) < 2 or head[0] != FINAL | TEXT or head[1] > SHORT:
            raise ConnectionError("the WebSocket has ended")
        return self._read.read(head[1]).decode()

    def close(self) -> None:
        """Close the connection, without a close frame. Safe to repeat."""
        self._read.close()
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
