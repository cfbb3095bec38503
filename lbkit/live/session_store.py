"""The sessions of an application: a server keeps them in its own memory, or in a Redis with the others."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from hashlib import sha256
from typing import Any, Protocol

from lbkit.net.shared_store.store import connection

WANTED = b"x-lbkit-session"  # a request's field: the name of the cookie, and "any" if every value is taken
VISITS = b"x-lbkit-visits"  # an answer's field: the requests of the session that the store knows of
SIZE = 10_000  # sessions that a server remembers
IDLE = 3600  # seconds after which Redis forgets an unused session


class SessionStore(Protocol):
    """Where servers keep sessions. The state of a session is the number of its requests."""

    async def visit(self, session: str) -> int:
        """Count a request and return the number so far; 0 for a session that is not known."""

    async def begin(self, session: str) -> None:
        """Remember a new session, with its first request."""

    async def close(self) -> None:
        """End its connections, if it has any. Safe to repeat."""


class MemoryStore:
    """Sessions in the memory of one process, which end with it; beyond `size` the longest unused one goes."""

    def __init__(self, size: int = SIZE) -> None:
        self.size = size
        self._visits: OrderedDict[str, int] = OrderedDict()  # unused for longest first

    async def visit(self, session: str) -> int:
        if session not in self._visits:
            return 0
        self._visits[session] += 1
        self._visits.move_to_end(session)
        return self._visits[session]

    async def begin(self, session: str) -> None:
        self._visits[session] = 1
        if len(self._visits) > self.size:
            self._visits.popitem(last=False)

    async def close(self) -> None:
        pass


class RedisStore:
    """Sessions in Redis: every server that has its address knows them, and they survive each server.

    Keys are hashes of sessions' names, which are passwords of a kind. Raises ModuleNotFoundError without
    redis-py; `visit` and `begin` raise OSError while Redis does not answer."""

    def __init__(self, url: str) -> None:
        self._redis = connection(url)

    async def visit(self, session: str) -> int:
        known = await self._ask("EXPIRE", session, IDLE)
        return int(await self._ask("INCR", session)) if known else 0

    async def begin(self, session: str) -> None:
        await self._ask("SETEX", session, IDLE, 1)

    async def close(self) -> None:
        await self._redis.aclose()

    async def _ask(self, command: str, session: str, *arguments: int) -> Any:
        from redis.exceptions import RedisError

        key = f"lbkit:state:{sha256(session.encode()).hexdigest()}"
        try:
            return await self._redis.execute_command(command, key, *arguments)  # type: ignore[no-untyped-call]
        except RedisError as error:
            raise OSError(f"the session store does not answer: {error}") from None


def session_store(url: str) -> SessionStore:
    """Return the store at an address; without one, the memory of this process."""
    return RedisStore(url) if url else MemoryStore()


async def session_fields(store: SessionStore, wanted: bytes, cookies: bytes) -> list[tuple[bytes, bytes]]:
    """Return the fields of an answer: the requests of the session so far, and a cookie if it is new.

    A value that the store does not know begins a new session: only values made by a server are taken. With
    "any" they are taken as they come, and nothing is stored: the balancer has put its own in their place."""
    name, _, which = wanted.decode("latin-1").partition(" ")
    pairs = (pair.strip().partition("=") for pair in cookies.decode("latin-1").split(";"))
    value = next((value for key, _, value in pairs if key == name), "")
    if value and which == "any":
        return []
    if value and (visits := await store.visit(value)):
        return [(VISITS, b"%d" % visits)]
    new = secrets.token_hex(8)
    await store.begin(new)
    cookie = f"{name}={new}; Path=/; HttpOnly".encode("latin-1")
    return [(b"set-cookie", cookie), (VISITS, b"1")]
