"""Session affinity: remembers the backend of each session, in a cookie or in a table."""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import OrderedDict
from collections.abc import Iterable
from functools import lru_cache
from hashlib import sha256
from math import inf
from struct import Struct
from typing import NamedTuple

_TIMES = Struct(">dd")  # when the session began and when it was last seen, in seconds
_ID, _SIGNATURE = 8, 16  # bytes
LENGTH = 54  # characters of a value
CHECKED = 4096  # values that are remembered: about 1 MB


class Session(NamedTuple):
    """A session's backend, from a cookie or a table."""

    backend: str
    began: float  # seconds, as `now`
    seen: float


class SessionCookies:
    """Cookie values that identify a session's backend, which clients can neither read nor forge.

    A value holds a keyed hash of the backend's name, two times, and a signature of both (HMAC-SHA-256, cut
    to 128 bits). Clients cannot find out which backend it means, compare cookies of two installations, or
    make a valid one. No table is needed: any proxy with the secret can read it.

    `idle` and `life`: seconds after which a session expires, since its last request and since its first.
    (HAProxy: `cookie ... maxidle maxlife`; Caddy: an HMAC of the address.)
    """

    def __init__(self, secret: bytes, backends: Iterable[str], idle: float = inf, life: float = inf) -> None:
        """Raises ValueError if the secret is too short, or a time is not above 0."""
        if len(secret) < 16:
            raise ValueError(f"secret has {len(secret)} bytes: use at least 16, drawn at random")
        for name, value in (("idle", idle), ("life", life)):
            if not value > 0:
                raise ValueError(f"{name} is {value}: use seconds above 0")
        self._key = hmac.digest(secret, b"lbkit session cookie", sha256)
        self.idle, self.life = idle, life
        # A client sends its value again and again: a signature is checked once while the value is remembered.
        self._checked = lru_cache(CHECKED)(self._content)
        self._names: dict[bytes, str] = {}
        for name in backends:
            self.add(name)

    def add(self, backend: str) -> None:
        self._names[self._id(backend)] = backend

    def remove(self, backend: str) -> None:
        self._names.pop(self._id(backend), None)

    def encode(self, backend: str, began: float, now: float) -> str:
        """Return the cookie value for a session on `backend`."""
        content = self._id(backend) + _TIMES.pack(began, now)
        return urlsafe_b64encode(content + self._sign(content)).decode().rstrip("=")

    def decode(self, value: str, now: float) -> Session | None:
        """Return the session in a value; None if it is forged, expired, or on a backend that has left."""
        content = self._checked(value) if len(value) == LENGTH else None
        if content is None:
            return None
        began, seen = _TIMES.unpack(content[_ID:])
        backend = self._names.get(content[:_ID])
        if backend is None or now - seen > self.idle or now - began > self.life:
            return None
        return Session(backend, began, seen)

    def _content(self, value: str) -> bytes | None:
        """Return what a value holds; None if it is forged."""
        try:
            data = urlsafe_b64decode(value + "=" * (-len(value) % 4))
        except ValueError:
            return None
        content, signature = data[:-_SIGNATURE], data[-_SIGNATURE:]
        genuine = len(content) == _ID + _TIMES.size and hmac.compare_digest(signature, self._sign(content))
        return content if genuine else None

    def _id(self, backend: str) -> bytes:
        return hmac.digest(self._key, b"backend " + backend.encode(), sha256)[:_ID]

    def _sign(self, content: bytes) -> bytes:
        return hmac.digest(self._key, b"value " + content, sha256)[:_SIGNATURE]


class StickTable:
    """The backend of each key, for at most `size` keys; the least recently used key is evicted first.

    `idle`, `life`: seconds after which an entry expires, since its last use and since it was made.
    (HAProxy `stick-table size expire`; nginx `sticky learn zone timeout`.)
    """

    def __init__(self, size: int = 100_000, idle: float = 1800.0, life: float = inf) -> None:
        """Raises ValueError if the size or a time is not above 0."""
        if size < 1:
            raise ValueError(f"size is {size}: use at least 1")
        for name, value in (("idle", idle), ("life", life)):
            if not value > 0:
                raise ValueError(f"{name} is {value}: use seconds above 0")
        self.size, self.idle, self.life = size, idle, life
        self._entries: OrderedDict[str, Session] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: str, now: float) -> str | None:
        """Return the backend of a key, or None; this counts as a use of the key."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if now - entry.seen > self.idle or now - entry.began > self.life:
            del self._entries[key]
            return None
        self._entries[key] = entry._replace(seen=now)
        self._entries.move_to_end(key)
        return entry.backend

    def put(self, key: str, backend: str, now: float) -> None:
        """Set the backend of a key; an existing entry keeps the time when it was made."""
        began = self._entries[key].began if self.get(key, now) else now
        self._entries[key] = Session(backend, began, now)
        self._entries.move_to_end(key)
        while len(self._entries) > self.size:
            self._entries.popitem(last=False)

    def drop(self, key: str) -> None:
        """Remove the entry of a key, if there is one."""
        self._entries.pop(key, None)

    def forget(self, backend: str) -> int:
        """Remove the entries of a backend; return their number."""
        gone = [key for key, entry in self._entries.items() if entry.backend == backend]
        for key in gone:
            del self._entries[key]
        return len(gone)
