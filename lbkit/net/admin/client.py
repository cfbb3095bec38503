"""The API from Python, over the Unix socket of a running proxy: what the commands of `lbkit` use."""

from __future__ import annotations

import http.client
import json
import socket
from typing import Any
from urllib.parse import quote

TIMEOUT = 60.0  # seconds


class AdminError(ValueError):
    """Raised for an order that cannot be carried out; the message has the reason."""


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=TIMEOUT)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def call(path: str, method: str, target: str, body: object = None) -> Any:
    """Return what the API at the Unix socket `path` answers. Raises AdminError, OSError."""
    connection = _Connection(path)
    try:
        text = None if body is None else json.dumps(body)
        connection.request(method, target, text, {"Content-Type": "application/json"} if text else {})
        answer = connection.getresponse()
        data = json.loads(answer.read())
    except (http.client.HTTPException, ValueError):
        raise AdminError("the proxy closed the connection without an answer") from None
    finally:
        connection.close()
    if answer.status != 200:
        raise AdminError(data["error"])
    return data


def backends(path: str) -> dict[str, Any]:
    """Return the backends of a running proxy by name."""
    return {row["name"]: row for row in call(path, "GET", "/api/backends")}


def set_intent(path: str, backend: str, intent: str) -> None:
    """Have a backend leave, or come back: ready, drain or out."""
    call(path, "PATCH", f"/api/backends/{quote(backend, safe='')}", {"intent": intent})
