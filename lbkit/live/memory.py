"""The sessions of an application, in the memory of its server: they end with the process."""

from __future__ import annotations

import secrets
from collections import OrderedDict

WANTED = b"x-lbkit-session"  # a request's field: the name of the cookie, and "any" if every value is taken


class SessionMemory:
    """Sets a cookie for each client with a session that it does not know, for at most `size` of them."""

    def __init__(self, size: int = 10_000) -> None:
        self.size = size
        self._known: OrderedDict[str, None] = OrderedDict()  # unused for longest first

    def fields(self, wanted: bytes, cookies: bytes) -> list[tuple[bytes, bytes]]:
        """Return the fields of an answer: a cookie, if a session begins."""
        name, _, which = wanted.decode("latin-1").partition(" ")
        pairs = (pair.strip().partition("=") for pair in cookies.decode("latin-1").split(";"))
        value = next((value for key, _, value in pairs if key == name), "")
        if value in self._known:
            self._known.move_to_end(value)
            return []
        if value and which == "any":
            return []
        new = secrets.token_hex(8)
        self._known[new] = None
        if len(self._known) > self.size:
            self._known.popitem(last=False)
        return [(b"set-cookie", f"{name}={new}; Path=/; HttpOnly".encode("latin-1"))]
