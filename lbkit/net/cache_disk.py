"""A cache on disk behind the ones in memory: it is larger, survives a restart, and all workers share it."""

from __future__ import annotations

from lbkit.core.cache import CacheRules, Request, Stored
from lbkit.core.cache.entry import Variant
from lbkit.core.cache.store import Store
from lbkit.net.cache_database import Disk, digest_of, variant_digest


class StoreOnDisk(Store[bytes]):
    """A store in memory with a disk behind it: what is evicted here stays there."""

    def __init__(self, rules: CacheRules, disk: Disk) -> None:
        super().__init__(rules)
        self.disk = disk
        self._uris: dict[bytes, str] = {}  # of what is here, by their digests

    def _follow(self) -> None:
        """Forget what other workers have removed."""
        for digest, which in self.disk.lost():
            if digest is None:
                self._uris.clear()
                super().clear()
            elif uri := self._uris.get(digest):
                for here in [here for here in self._by_uri[uri] if variant_digest(here) == which]:
                    self._drop(uri, here)

    def _keep(self, stored: Stored[bytes]) -> None:
        super().put(stored)
        self._uris[digest_of(stored.uri)] = stored.uri

    def _drop(self, uri: str, which: Variant) -> bool:
        there = super()._drop(uri, which)
        if there and uri not in self._by_uri:
            del self._uris[digest_of(uri)]
        return there

    def select(self, request: Request) -> Stored[bytes] | None:
        self._follow()
        found = super().select(request)
        if found is None:
            for stored in self.disk.read(request, self._rules):
                if self.has_room(stored):
                    self._keep(stored)
            found = super().select(request)
        return found

    def holds(self, stored: Stored[bytes]) -> bool:
        self._follow()
        return super().holds(stored)

    def used(self, stored: Stored[bytes]) -> None:
        super().used(stored)
        self.disk.note(stored)

    def put(self, stored: Stored[bytes]) -> None:
        self._follow()
        self._keep(stored)
        self.disk.write(stored, self._rules.max_variants)

    def remove(self, uri: str, which: Variant) -> bool:
        self._follow()
        there = self.disk.delete(uri, which) > 0
        return self._drop(uri, which) or there

    def remove_uri(self, uri: str) -> int:
        self._follow()
        here = sum(self._drop(uri, which) for which in list(self._by_uri.get(uri, ())))
        there = self.disk.delete(uri)
        # What is here is there, too. Another worker that removes it at the same time counts it once only.
        return here if self.disk.failing else there

    def clear(self) -> int:
        """Forget all; return the number of responses on the disk, as all that is here is there, too."""
        super().clear()
        self._uris.clear()
        return self.disk.clear()
