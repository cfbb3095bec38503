"""A learner's sticky cookie inside the kit's pool, for experiments with a real proxy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from lbkit.core import Pool
from lbkit.core.sticky import Affinity, Sticky


class Cookie(Protocol):
    """What a learner writes. `now` is wall-clock time, so that all proxies mean the same by it."""

    def read(self, token: str, servers: Mapping[str, str], now: float) -> str | None: ...

    def answer(self, token: str, server: str, now: float) -> str | None: ...


def own_cookie(pool: Pool, cookie: Cookie) -> None:
    """Have a pool, of a policy with `Sticky()`, find its sessions by a learner's cookie."""
    pool.affinity = _Own(pool, cookie)


class _Own(Affinity):
    """The pool's own check, that a server is available, stays in place behind the learner's."""

    def __init__(self, pool: Pool, cookie: Cookie) -> None:
        super().__init__(Sticky(drain=False), bytes(16))
        self._pool = pool
        self._cookie = cookie

    def add(self, backend: str) -> None:
        pass

    def remove(self, backend: str) -> None:
        pass

    def find(self, token: str, now: float) -> str | None:
        return self._cookie.read(token, self._states(), now + self.epoch)

    def keep(self, token: str, backend: str, now: float, begin: bool = True) -> str:
        return self._cookie.answer(token, backend, now + self.epoch) or ""

    def _states(self) -> dict[str, str]:
        eligible = set(self._pool.eligible)
        return {
            backend.name: "up" if backend in eligible else "draining" if backend.healthy else "down"
            for backend in self._pool.backends
        }
