"""A shared HTTP cache as decisions (RFC 9111): what to answer from it, what to ask the origin, what to keep.

The owner carries out what `lookup` decides: it serves `stored`, or sends `to_origin(...)` and gives the
response to `store`, `freshen` or `changed`.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, Generic, NamedTuple
from urllib.parse import urljoin, urlsplit

from lbkit.core.cache.entry import B, Stored, variant
from lbkit.core.cache.fields import Directives, Request, Response
from lbkit.core.cache.flights import Landing
from lbkit.core.cache.rules import SAFE, CacheRules, why_not_stored
from lbkit.core.cache.store import Store
from lbkit.core.cache.validation import confirms, merged

# Responses that stand for an error of the origin (RFC 5861, 4).
ERRORS = frozenset((500, 502, 503, 504))


class Verdict(Enum):
    HIT = "hit"  # serve it
    STALE = "stale"  # serve it, and validate it behind the client's back
    VALIDATE = "validate"  # ask the origin whether it still holds
    MISS = "miss"  # fetch it
    BYPASS = "bypass"  # forward the request: not a matter of caches
    UNAVAILABLE = "unavailable"  # only-if-cached, and it is not: answer 504


class Forward(Enum):
    """Why a request goes to the origin (RFC 9211, 2.2)."""

    METHOD = "method"
    URI_MISS = "uri-miss"
    VARY_MISS = "vary-miss"
    REQUEST = "request"  # the client asked for it
    STALE = "stale"


class Lookup(NamedTuple, Generic[B]):
    """A decision on one request."""

    verdict: Verdict
    stored: Stored[B] | None = None
    forward: Forward | None = None
    ttl: float = 0.0  # seconds for which `stored` is fresh; negative: stale since

    @property
    def served(self) -> bool:
        """Whether the client gets the stored response at once."""
        return self.verdict in (Verdict.HIT, Verdict.STALE)

    @property
    def shareable(self) -> bool:
        """Whether requests with the same `flight_key` may wait for one response of the origin."""
        return self.verdict in (Verdict.MISS, Verdict.VALIDATE, Verdict.STALE) and (
            self.forward is not Forward.REQUEST
        )


class Cache(Generic[B]):
    """A shared cache in memory of at most `rules.max_bytes`. `now` is in seconds since 1970."""

    def __init__(self, rules: CacheRules | None = None, entries: Store[B] | None = None) -> None:
        """`entries`: an empty store with the same rules, if it is to be one of another kind."""
        self.rules = rules or CacheRules()
        self.entries: Store[B] = Store(self.rules) if entries is None else entries

    # -- requests ------------------------------------------------------------------------------------

    def lookup(self, request: Request, now: float) -> Lookup[B]:
        """Return what to do with a request."""
        if request.method not in ("GET", "HEAD"):
            return Lookup(Verdict.BYPASS, forward=Forward.METHOD)
        asked = request.fields.control
        stored = self.entries.select(request)
        if stored is None:
            forward = Forward.VARY_MISS if request.uri in self.entries else Forward.URI_MISS
            found: Lookup[B] = Lookup(Verdict.MISS, forward=forward)
        else:
            ttl = stored.fresh_for(now)
            verdict, why = self._judge(stored, self._wishes(request, asked), stored.age(now), ttl)
            found = Lookup(verdict, stored, why, ttl)
            if found.served:
                self.entries.used(stored)
        if "only-if-cached" in asked and not found.served:
            return found._replace(verdict=Verdict.UNAVAILABLE)
        return found

    def _wishes(self, request: Request, asked: Directives) -> Directives:
        """Return the client's directives about freshness, as far as they count."""
        if not self.rules.obey_clients:
            return Directives()
        if (
            "cache-control" not in request.fields
            and "no-cache" in (request.fields.get("pragma") or "").lower()
        ):
            return Directives({"no-cache": ""})
        return asked

    def _judge(
        self, stored: Stored[B], asked: Directives, age: float, ttl: float
    ) -> tuple[Verdict, Forward | None]:
        """Decide on a stored response that fits a request. `ttl`: seconds for which it is fresh."""
        max_age, min_fresh = asked.seconds("max-age"), asked.seconds("min-fresh")
        if "no-cache" in asked or (max_age is not None and age > max_age):
            return Verdict.VALIDATE, Forward.REQUEST
        if stored.must_validate:
            return Verdict.VALIDATE, Forward.STALE
        if ttl > 0:
            if min_fresh is not None and ttl < min_fresh:
                return Verdict.VALIDATE, Forward.REQUEST
            return Verdict.HIT, None
        if stored.may_be_stale and min_fresh is None:
            if "max-stale" in asked and (not asked["max-stale"] or -ttl <= (asked.seconds("max-stale") or 0)):
                return Verdict.HIT, None
            # With max-age, a client does not want what is stale (RFC 9111, 5.2.1.1).
            if max_age is None and -ttl < self.stale_while_revalidate(stored):
                return Verdict.STALE, Forward.STALE
        return Verdict.VALIDATE, Forward.STALE

    def stale_while_revalidate(self, stored: Stored[Any]) -> float:
        """Return for how many seconds a stale response is served while it is fetched again."""
        return self._allowance(stored, "stale-while-revalidate", self.rules.stale_while_revalidate)

    @staticmethod
    def _allowance(stored: Stored[Any], directive: str, default: float) -> float:
        """Return for how many seconds a stale response may still be served."""
        said = stored.control.seconds(directive)
        return default if said is None else said

    def serves_on_error(self, request: Request, stored: Stored[B], now: float) -> bool:
        """Return whether a stored response stands in for an error: one of ERRORS, or no answer at all."""
        if stored.fresh(now) and not stored.must_validate:
            return True  # the client wished for a fresher one; this is better than an error
        allowed = self._allowance(stored, "stale-if-error", self.rules.stale_if_error)
        asked = request.fields.control.seconds("stale-if-error") if self.rules.obey_clients else None
        return stored.may_be_stale and -stored.fresh_for(now) < max(allowed, asked or 0)

    def flight_key(self, request: Request) -> tuple[object, ...]:
        """Return the key of requests that are likely to get the same response, for `Flights`.

        Keep it until the flight lands: it changes with what is stored. HEAD brings no body, and Authorization
        rarely a response for others. The fields that Vary names are known only if responses with this URI are
        stored."""
        private = "authorization" in request.fields
        return request.method, request.uri, private, variant(request, self.entries.varies(request.uri))

    # -- responses ---------------------------------------------------------------------------------------

    def store(
        self,
        request: Request,
        response: Response,
        body: B,
        requested: float,
        now: float,
        old: Stored[B] | None = None,
    ) -> tuple[Stored[B] | None, str]:
        """Keep a complete response if that is allowed; return it, or why not.

        `requested`: when the request was sent; `now`: when the response came; `old`: what the request was to
        validate. It is forgotten if what came instead is for no cache."""
        if old and self.entries.holds(old) and 200 <= response.status < 300:
            anyone = Request("GET", old.uri)  # not this client, whose Authorization or no-store is its own
            if why_not_stored(anyone, response, self.rules):
                self.entries.remove(old.uri, old.variant)
        if why := self.why_not(request, response, requested, now):
            return None, why
        stored = Stored(request, response, body, requested, now, self.rules)
        if not self.entries.has_room(stored):
            return None, f"its {stored.size} bytes are more than an entry may have"
        self.entries.put(stored)
        return stored, ""

    def why_not(self, request: Request, response: Response, requested: float, now: float) -> str:
        """Return why `store` would not keep a response, whatever its body; "" if it may."""
        if why := why_not_stored(request, response, self.rules):
            return why
        if not self._reusable(Stored(request, response, (), requested, now, self.rules)):
            return "it is stale at once, and nothing can validate it"
        return ""

    def _reusable(self, stored: Stored[Any]) -> bool:
        """Return whether it can ever be of use: fresh, validated, or served stale."""
        fields, rules = stored.response.fields, self.rules
        return (
            stored.lifetime > stored.initial_age
            or "etag" in fields
            or "last-modified" in fields
            or self.stale_while_revalidate(stored) > 0
            or self._allowance(stored, "stale-if-error", rules.stale_if_error) > 0
        )

    def freshen(
        self, request: Request, stored: Stored[B], response: Response, requested: float, now: float
    ) -> Stored[B] | None:
        """Update a stored response after a 304 and return it, to be served. None: the 304 is about another
        response, so the request has to be sent again, without conditions."""
        # Not put back if it was purged or replaced meanwhile: the 304 may be older than that.
        held = self.entries.holds(stored)
        if held:
            self.entries.remove(stored.uri, stored.variant)
        if not confirms(response, stored):
            return None
        request = request._replace(method="GET", uri=stored.uri)
        head = merged(stored, response)
        fresh = Stored(request, head, stored.body, requested, now, self.rules)
        if held and not why_not_stored(request, head, self.rules) and self.entries.has_room(fresh):
            self.entries.put(fresh)
        return fresh

    def landing(self, status: int, stored: Stored[B] | None, now: float) -> Landing:
        """Return how a flight ends: by the origin's `status` (0: no answer), and what was stored of it."""
        if stored is not None and stored.fresh(now) and not stored.must_validate:
            return Landing.SHARED
        return Landing.FAILED if status in ERRORS or not status else Landing.UNSHARED

    def changed(self, request: Request, response: Response) -> int:
        """Remove the responses that a successful unsafe request invalidates; return their number (RFC 9111,
        4.4)."""
        if request.method in SAFE or not 200 <= response.status < 400:
            return 0
        named = (response.fields.get("location"), response.fields.get("content-location"))
        uris = {request.uri} | {uri for name in named if name and (uri := _same_origin(request.uri, name))}
        return sum(self.purge(uri) for uri in uris)

    def purge(self, uri: str) -> int:
        """Forget the responses with a URI; return their number."""
        return self.entries.remove_uri(uri)

    def clear(self) -> int:
        """Forget all; return the number."""
        return self.entries.clear()


def _same_origin(base: str, reference: str) -> str | None:
    """Return the URI that a reference means; None for one of another origin, which has no say in this."""
    try:
        uri = urljoin(base, reference)
        ours, its = urlsplit(base), urlsplit(uri)
    except ValueError:
        return None
    return uri if (ours.scheme, ours.netloc.lower()) == (its.scheme, its.netloc.lower()) else None
