"""A stored response: its age, its freshness, and whether it answers a request."""

from __future__ import annotations

from collections.abc import Sized
from typing import Generic, TypeVar

from lbkit.core.cache.fields import (
    Fields,
    Request,
    Response,
    format_date,
    members,
    parse_date,
    seconds,
)
from lbkit.core.cache.rules import CacheRules, about_all, kept_fields, lifetime

B = TypeVar("B", bound=Sized)  # a body: bytes; in the simulator anything with a length

# Bytes that an entry, and each of its fields, take besides the text: objects and places in tables, rounded
# up. A test compares the sum with what Python allocates.
OVERHEAD = 1_500
FIELD = 300

Variant = tuple[tuple[str, str | None], ...]  # the fields that Vary names, with their values in a request


def variant(request: Request, vary: frozenset[str]) -> Variant:
    """Return the values that select among the responses of a URI, normalised (RFC 9111, 4.1)."""
    if not vary and not request.partition:
        return ()
    values = tuple((name, _normal(request.fields.get(name))) for name in sorted(vary))
    return (("", request.partition), *values) if request.partition else values


def _normal(value: str | None) -> str | None:
    return None if value is None else ",".join(part.strip(" \t") for part in value.split(","))


def _size(stored: Stored[B]) -> int:
    """Return the bytes that an entry takes."""
    text = len(stored.uri) + 2 * stored.response.fields.size  # as fields, and as the owner sends them
    text += sum(len(name) + len(value or "") for name, value in stored.variant)
    text += sum(len(name) + len(argument) for name, argument in stored.control.items())
    places = len(stored.response.fields.pairs) + len(stored.variant) + len(stored.control)
    return OVERHEAD + FIELD * places + text + len(stored.body)


class Stored(Generic[B]):
    """A response in the cache. Times are in seconds since 1970; it is not changed, but replaced."""

    __slots__ = (
        "body",
        "control",
        "date",
        "initial_age",
        "lifetime",
        "memo",
        "received",
        "response",
        "size",
        "uri",
        "variant",
        "vary",
    )

    def __init__(
        self,
        request: Request,
        response: Response,
        body: B,
        requested: float,
        received: float,
        rules: CacheRules,
    ) -> None:
        fields = kept_fields(response.fields)
        received = max(received, requested)
        date = parse_date(fields.get("date"))
        if date is None:  # RFC 9110, 6.6.1: a recipient with a clock adds what is missing
            date = received
            fields = fields.without(("date",)).and_also(("date", format_date(received)))
        # RFC 9111, 4.2.3. Of the two estimates the larger counts: clocks may differ, and caches on the way
        # may not say Age.
        apparent = max(0.0, received - date)
        said_age = (seconds(fields.get("age")) or 0) + (received - requested)
        self.initial_age = max(apparent, said_age)
        self.received = received
        self.date = date
        self.response = Response(response.status, fields.without(("age",)))
        self.control = fields.control
        self.lifetime = lifetime(self.response, date, rules)
        self.body = body
        self.memo: bytes = b""  # the owner's: the head as it sends it
        self.uri = request.uri
        self.vary = members(fields.get("vary"))
        self.variant = variant(request, self.vary)
        self.size = _size(self)

    def age(self, now: float) -> float:
        """Return its age in seconds; never below the one it came with, though the clock jumps back."""
        return self.initial_age + max(0.0, now - self.received)

    def fresh_for(self, now: float) -> float:
        """Return for how many more seconds it is fresh; negative: for how long it has been stale."""
        return self.lifetime - self.age(now)

    def fresh(self, now: float) -> bool:
        return self.fresh_for(now) > 0

    @property
    def may_be_stale(self) -> bool:
        """Whether it may ever be served stale (RFC 9111, 4.2.4). `s-maxage` forbids it (5.2.2.10)."""
        forbid = ("must-revalidate", "proxy-revalidate", "s-maxage")
        return not self.must_validate and self.control.keys().isdisjoint(forbid)

    @property
    def must_validate(self) -> bool:
        """Whether each use needs a validation: `no-cache` for the whole response (RFC 9111, 5.2.2.4)."""
        return about_all(self.control, "no-cache")

    def fields(self, now: float) -> Fields:
        """Return the fields of an answer from the cache, with its Age."""
        return self.response.fields.and_also(("age", str(int(self.age(now)))))
