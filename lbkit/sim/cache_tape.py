"""A tape of a cache: what it found for each request, and which answers it kept, from when to when."""

from __future__ import annotations

from collections.abc import Callable

from lbkit.core.cache import Cache, Request, Stored, Verdict
from lbkit.core.cache.store import Store
from lbkit.recorded import CacheLookup, Kept

USUAL = "http://experiment"  # before the paths of requests that name no host


class RecordingStore(Store[range]):
    """The table of a cache, which also records in `kept` what was in it."""

    def __init__(self, cache: Cache[range], clock: Callable[[], float]) -> None:
        super().__init__(cache.rules)
        self.kept: list[Kept] = []
        self._cache = cache
        self._clock = clock
        self._number: dict[int, int] = {}  # index in `kept`, by the identity of what is stored now
        self._why = "removed"

    def put(self, stored: Stored[range]) -> None:
        now, self._why = self._clock(), "replaced"
        super().put(stored)
        self._why = "removed"
        fresh = now + stored.fresh_for(now)
        usable = fresh + (self._cache.stale_while_revalidate(stored) if stored.may_be_stale else 0.0)
        self._number[id(stored)] = len(self.kept)
        self.kept.append(Kept(now, named(stored.uri), stored.size, fresh, usable))

    def _evict(self, key: tuple[str, tuple[tuple[str, str | None], ...]]) -> None:
        before, self._why = self._why, "evicted"
        super()._evict(key)
        self._why = before

    def _drop(self, uri: str, which: tuple[tuple[str, str | None], ...]) -> bool:
        stored = self._by_use.get((uri, which))
        if stored is not None:
            number = self._number.pop(id(stored))
            self.kept[number] = self.kept[number]._replace(gone=self._clock(), why=self._why)
        return super()._drop(uri, which)


def named(uri: str) -> str:
    return uri.removeprefix(USUAL)


def looked_up(at: float, row: int, request: Request, verdict: Verdict, follows: bool) -> CacheLookup:
    return CacheLookup(at, row, named(request.uri), verdict.value, follows)
