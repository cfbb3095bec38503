"""Clients that keep cookies, and backends that say which one they are."""

from __future__ import annotations

from typing import Protocol

from scripted import Connection, Script, ask, field


class Door(Protocol):
    """A proxy, or another program, that a client connects to."""

    host: str
    port: int


def named(name: str, fields: str = "") -> Script:
    """Answers with its name and, as the body, the request that it saw."""

    def script(connection: Connection) -> None:
        while head := connection.head():
            answer = f"HTTP/1.1 200 OK\r\nX-Name: {name}\r\n{fields}Content-Length: {len(head)}\r\n\r\n"
            connection.send(answer.encode() + head)

    return script


class Browser:
    """Keeps cookies, by name, and shows what came and what the backend saw."""

    def __init__(self, proxy: Door, cookies: dict[str, str] | None = None) -> None:
        self.proxy = proxy
        self.cookies = dict(cookies or {})
        self.status = 0
        self.head = self.seen = b""

    def get(self, target: str = "/") -> str:
        """Return the name of the backend that answered."""
        line = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        cookie = f"Cookie: {line}\r\n" if line else ""
        request = f"GET {target} HTTP/1.1\r\nHost: a\r\n{cookie}\r\n".encode()
        self.status, self.head, self.seen = ask(self.proxy, request)
        for text in self.set_cookies:
            name, _, value = text.partition(";")[0].partition("=")
            self.cookies[name] = value
        return "".join(field(self.head, "X-Name"))

    @property
    def set_cookies(self) -> list[str]:
        return field(self.head, "Set-Cookie")
