"""A table of sessions that several proxies share, in Redis."""

from __future__ import annotations

import asyncio
from hashlib import sha256
from time import monotonic

from lbkit.core.health.breaker import Breaker, BreakerRules
from lbkit.net.shared_store.store import SharedStore, connection


class SharedSessions:
    """The backend of each session, for one event loop. Redis forgets what was unused for `idle` seconds.

    Keys are hashes: a session's name is a password of a kind, which no other store should have. Raises
    ModuleNotFoundError without redis-py."""

    def __init__(self, store: SharedStore, idle: float, name: str) -> None:
        """`name`: of the cookie, as there may be several tables in one Redis."""
        self.store = store
        self._idle = max(1, round(idle * 1000))
        self._prefix = f"{store.prefix}:session:{name}:"
        self._redis = connection(store.url)
        self._breaker = Breaker(
            BreakerRules(failure_rate=0, consecutive=store.failures, open_for=store.cooldown)
        )
        self._writes: set[asyncio.Task[None]] = set()
        self.fault = ""  # why Redis did not answer last time

    async def get(self, token: str) -> str | None:
        """Return the backend of a session, and count it as used; None if there is none.

        Raises OSError if Redis does not answer in time, or is left alone after failures."""
        found = await self._ask("GETEX", self._key(token), "PX", self._idle)
        return found.decode() if isinstance(found, bytes) else None

    def put(self, token: str, backend: str) -> None:
        """Remember the backend of a session. Nothing waits for it; without Redis it is lost."""
        write = asyncio.get_running_loop().create_task(self._put(token, backend))
        self._writes.add(write)
        write.add_done_callback(self._writes.discard)

    async def _put(self, token: str, backend: str) -> None:
        try:
            await self._ask("SET", self._key(token), backend, "PX", self._idle)
        except OSError as error:
            self.fault = str(error)

    async def _ask(self, *command: object) -> object:
        """Return Redis's answer. Raises OSError."""
        from redis.exceptions import RedisError

        began = monotonic()
        if not self._breaker.allows(began):
            raise OSError(f"Redis is left alone for {self.store.cooldown:g} s: {self.fault}")
        self._breaker.started(began)
        ok: bool | None = None  # also if the client leaves: that says nothing about Redis
        try:
            async with asyncio.timeout(self.store.timeout):
                said: object = await self._redis.execute_command(*command)  # type: ignore[no-untyped-call]
            ok = True
            return said
        except (RedisError, OSError) as error:  # also TimeoutError
            ok = False
            self.fault = str(error) or f"no answer in {self.store.timeout:g} s"
            raise OSError(self.fault) from None
        finally:
            now = monotonic()
            self._breaker.ended(began, ok, now - began, now)

    def _key(self, token: str) -> str:
        return self._prefix + sha256(token.encode()).hexdigest()

    async def close(self) -> None:
        """Wait for what is being written. Safe to repeat."""
        await asyncio.gather(*self._writes)
        await self._redis.aclose()
