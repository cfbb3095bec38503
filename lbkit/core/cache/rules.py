"""What a shared cache may store, and for how long it is fresh (RFC 9111, sections 3 and 4.2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from lbkit.core.cache.fields import Directives, Fields, Request, Response, members, parse_date
from lbkit.core.options import named_fields, number, whole

MIB = 2**20

# Status codes that may be stored without explicit freshness (RFC 9110, 15.1). 206 is missing: parts are not
# stored.
HEURISTIC = frozenset((200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501))
# Those with caching requirements that this cache knows, for `must-understand`.
UNDERSTOOD = HEURISTIC | {302, 303, 307, 400, 401, 403, 500, 502, 503, 504}
SAFE = frozenset(("GET", "HEAD", "OPTIONS", "TRACE"))
HOP_BY_HOP = frozenset(
    (
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authentication-info",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    )
)
# Fields that the cache decides by. A directive that forbids to store one of them forbids the response.
DECIDING = frozenset(("age", "cache-control", "date", "expires", "last-modified", "vary"))


@named_fields
@dataclass(frozen=True, slots=True)
class CacheRules:
    """The limits of a cache, and its choices where RFC 9111 leaves one. Raises ValueError.

    Without explicit freshness, a response is fresh for `heuristic` times its time since Last-Modified, at
    most `max_heuristic` seconds. `stale_while_revalidate` and `stale_if_error` are seconds, for responses
    without such a directive. `obey_clients`: requests may ask for fresher responses than the cache has (as
    nginx and Varnish do not let them). `cookies`: responses with Set-Cookie may be stored; without it, only
    if private="Set-Cookie" lets the cache drop the cookie.
    """

    max_bytes: int = 64 * MIB  # heads, bodies and what their objects take
    max_entry: int = MIB  # bytes of one response; never more than max_bytes
    max_variants: int = 16  # responses with one URI
    heuristic: float = 0.1
    max_heuristic: float = 86_400.0
    stale_while_revalidate: float = 0.0
    stale_if_error: float = 0.0
    obey_clients: bool = True
    cookies: bool = False

    def __post_init__(self) -> None:
        whole(1, max_bytes=self.max_bytes, max_entry=self.max_entry, max_variants=self.max_variants)
        number(0, 1, heuristic=self.heuristic)
        number(
            0,
            max_heuristic=self.max_heuristic,
            stale_while_revalidate=self.stale_while_revalidate,
            stale_if_error=self.stale_if_error,
        )


def about_all(said: Directives, directive: str) -> bool:
    """Return whether `private` or `no-cache` is there for the whole response, not for fields it names."""
    if directive not in said:
        return False
    names = said.names(directive)
    return not names or not names.isdisjoint(DECIDING)


class _Case(NamedTuple):
    """A request and its response, as the table of refusals sees them."""

    request: Request
    response: Response
    asked: Directives
    said: Directives
    rules: CacheRules

    def explicit(self) -> bool:
        """Return whether the response says that it may be stored, or for how long it is fresh."""
        said = self.said
        return (
            "public" in said or "s-maxage" in said or "max-age" in said or "expires" in self.response.fields
        )


def _has_body(fields: Fields) -> bool:
    return "transfer-encoding" in fields or (fields.get("content-length") or "0").strip("0") != ""


# A response is stored if no line applies. RFC 9111: section 3, but for the last three lines.
REFUSALS: tuple[tuple[str, Callable[[_Case], bool]], ...] = (
    ("the method is not GET", lambda c: c.request.method != "GET"),
    ("the response is interim", lambda c: c.response.status < 200),
    ("the response is a part, or a 304", lambda c: c.response.status in (206, 304)),
    (
        "must-understand, and the status is not understood",
        lambda c: "must-understand" in c.said and c.response.status not in UNDERSTOOD,
    ),
    ("the client says no-store", lambda c: "no-store" in c.asked),
    ("the response says no-store", lambda c: "no-store" in c.said and "must-understand" not in c.said),
    ("the response is private", lambda c: about_all(c.said, "private")),
    (  # 3.5
        "the request has Authorization, and the response does not say public, s-maxage or must-revalidate",
        lambda c: (
            "authorization" in c.request.fields
            and c.said.keys().isdisjoint(("public", "s-maxage", "must-revalidate"))
        ),
    ),
    (
        "nothing says that it may be stored",
        lambda c: c.response.status not in HEURISTIC and not c.explicit(),
    ),
    # It may depend on the body, which is not a part of the key.
    ("the request has a body", lambda c: _has_body(c.request.fields)),
    # 4.1: it would never match a request.
    ("Vary is *", lambda c: "*" in members(c.response.fields.get("vary"))),
    # 7.3: a cookie of one client must not reach another; servers forget to say `private`.
    (
        "the response sets a cookie",
        lambda c: not c.rules.cookies and "set-cookie" in kept_fields(c.response.fields),
    ),
)


def why_not_stored(request: Request, response: Response, rules: CacheRules) -> str:
    """Return why a shared cache must not, or does not, store a response; "" if it may."""
    case = _Case(request, response, request.fields.control, response.fields.control, rules)
    return next((why for why, applies in REFUSALS if applies(case)), "")


def kept_fields(fields: Fields) -> Fields:
    """Return the fields of a response that may be stored (RFC 9111, 3.1)."""
    said = fields.control
    named = members(fields.get("connection")) | said.names("private") | said.names("no-cache")
    return fields.without(HOP_BY_HOP | (named - DECIDING))


def lifetime(response: Response, date: float, rules: CacheRules) -> float:
    """Return for how many seconds of its age a response is fresh. `date`: when it was made."""
    said, fields = response.fields.control, response.fields
    for directive in ("s-maxage", "max-age"):
        if (explicit := said.seconds(directive)) is not None:
            return explicit
    if (expires := fields.get("expires")) is not None:
        until = parse_date(expires)
        return 0.0 if until is None else max(0.0, until - date)  # no date, such as 0: expired
    modified = parse_date(fields.get("last-modified"))
    if modified is None or not (response.status in HEURISTIC or "public" in said):
        return 0.0
    return min(max(0.0, date - modified) * rules.heuristic, rules.max_heuristic)
