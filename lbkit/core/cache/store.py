"""The table of stored responses: by URI and variant, bounded in bytes, the least recently used goes first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Generic

from lbkit.core.cache.entry import B, Stored, Variant, variant
from lbkit.core.cache.fields import Request
from lbkit.core.cache.rules import CacheRules


class Store(Generic[B]):
    """`size` never exceeds `max_bytes`, and a URI never has more than `max_variants` responses."""

    def __init__(self, rules: CacheRules) -> None:
        self._rules = rules
        self._by_uri: dict[str, dict[Variant, Stored[B]]] = {}  # variants: least recent first
        self._by_use: OrderedDict[tuple[str, Variant], Stored[B]] = OrderedDict()  # least recent first
        self.size = 0  # bytes
        self.evicted = 0  # responses that went for lack of room

    def select(self, request: Request) -> Stored[B] | None:
        """Return the most recent response with this URI that Vary lets answer the request."""
        stored = self._by_uri.get(request.uri)
        if stored is None:
            return None
        suitable = [s for s in stored.values() if s.variant == variant(request, s.vary)]
        if len(suitable) == 1:  # nearly always
            return suitable[0]
        return max(suitable, key=lambda s: (s.date, s.received), default=None)

    def used(self, stored: Stored[B]) -> None:
        """Note a use, for the order of eviction."""
        if self.holds(stored):
            self._by_use.move_to_end((stored.uri, stored.variant))
            variants = self._by_uri[stored.uri]
            variants[stored.variant] = variants.pop(stored.variant)

    def holds(self, stored: Stored[B]) -> bool:
        """Return whether it is still here, neither evicted nor replaced."""
        return self._by_use.get((stored.uri, stored.variant)) is stored

    def has_room(self, stored: Stored[B]) -> bool:
        return stored.size <= min(self._rules.max_entry, self._rules.max_bytes)

    def put(self, stored: Stored[B]) -> None:
        """Keep a response that `has_room`, in place of one with the same URI and variant."""
        key = (stored.uri, stored.variant)
        self._drop(*key)
        variants = self._by_uri.setdefault(stored.uri, {})
        if len(variants) >= self._rules.max_variants:
            self._evict((stored.uri, next(iter(variants))))
        while self.size + stored.size > self._rules.max_bytes:
            self._evict(next(iter(self._by_use)))
        self._by_uri.setdefault(stored.uri, {})[stored.variant] = stored  # an eviction may have removed it
        self._by_use[key] = stored
        self.size += stored.size

    def _evict(self, key: tuple[str, Variant]) -> None:
        self._drop(*key)
        self.evicted += 1

    def remove(self, uri: str, which: Variant) -> bool:
        """Forget one response; return whether it was there."""
        return self._drop(uri, which)

    def _drop(self, uri: str, which: Variant) -> bool:
        stored = self._by_use.pop((uri, which), None)
        if stored is None:
            return False
        variants = self._by_uri[uri]
        del variants[which]
        if not variants:
            del self._by_uri[uri]
        self.size -= stored.size
        return True

    def remove_uri(self, uri: str) -> int:
        """Forget all responses with a URI; return their number."""
        return sum(self.remove(uri, which) for which in list(self._by_uri.get(uri, ())))

    def clear(self) -> int:
        """Forget all; return their number."""
        count = len(self)
        self._by_uri.clear()
        self._by_use.clear()
        self.size = 0
        return count

    def varies(self, uri: str) -> frozenset[str]:
        """Return the fields that the responses with a URI vary by."""
        return frozenset().union(*(s.vary for s in self._by_uri.get(uri, {}).values()))

    def __contains__(self, uri: object) -> bool:
        return uri in self._by_uri

    def __iter__(self) -> Iterator[Stored[B]]:
        """The responses, the least recently used first."""
        return iter(self._by_use.values())

    def __len__(self) -> int:
        return len(self._by_use)
