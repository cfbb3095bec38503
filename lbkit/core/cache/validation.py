"""Validation (RFC 9111, 4.3): conditions for the origin, conditions of clients, and what a 304 changes."""

from __future__ import annotations

from lbkit.core.cache.entry import B, Stored
from lbkit.core.cache.fields import Fields, Request, Response, opaque, parse_date, tags
from lbkit.core.cache.rules import kept_fields

# A cache that fetches for itself removes these from a request: a 304 or a part could not be stored.
CONDITIONS = frozenset(
    ("if-match", "if-modified-since", "if-none-match", "if-range", "if-unmodified-since", "range")
)
# What a stored body depends on; a 304 does not change it (RFC 9111, 3.2).
OF_THE_BODY = frozenset(("content-encoding", "content-length", "content-range", "content-type"))
# The fields of a 304 (RFC 9110, 15.4.5).
OF_A_304 = frozenset(("age", "cache-control", "content-location", "date", "etag", "expires", "vary"))


def conditions(stored: Stored[B]) -> tuple[tuple[str, str], ...]:
    """Return the fields that ask the origin whether a stored response holds; () if it has no validator."""
    fields = stored.response.fields
    pairs = (("if-none-match", fields.get("etag")), ("if-modified-since", fields.get("last-modified")))
    return tuple((name, value) for name, value in pairs if value)


def to_origin(request: Request, stored: Stored[B] | None = None) -> Request:
    """Return the request that fetches a whole response, or validates the stored one."""
    extra = conditions(stored) if stored else ()
    return request._replace(fields=request.fields.without(CONDITIONS).and_also(*extra))


def not_modified(request: Request, stored: Stored[B]) -> bool:
    """Return whether the client has this response already, so that a 304 is the answer (RFC 9111, 4.3.2)."""
    if stored.response.status != 200:
        return False
    fields = stored.response.fields
    wanted = request.fields.get("if-none-match")
    if wanted is not None:  # then If-Modified-Since does not count
        tag = fields.get("etag")
        return wanted == "*" or (tag is not None and opaque(tag) in tags(wanted))
    since = parse_date(request.fields.get("if-modified-since"))
    if since is None:
        return False
    modified = parse_date(fields.get("last-modified"))
    return (stored.date if modified is None else modified) <= since


def of_a_304(fields: Fields) -> Fields:
    """Return the fields of a 304 for a response with these."""
    kept = OF_A_304 if "etag" in fields else OF_A_304 | {"last-modified"}
    return Fields(pair for pair in fields if pair[0] in kept)


def confirms(response: Response, stored: Stored[B]) -> bool:
    """Return whether a 304 is about this stored response: a tag or a date that differs means another one."""
    if response.status != 304:
        return False
    for name in ("etag", "last-modified"):
        new, old = response.fields.get(name), stored.response.fields.get(name)
        if new is not None and old is not None:
            return opaque(new) == opaque(old)
    return True


def merged(stored: Stored[B], response: Response) -> Response:
    """Return the stored head with the fields of a 304 in place of its own (RFC 9111, 3.2)."""
    new = kept_fields(response.fields).without(OF_THE_BODY)
    replaced = {name for name, _ in new} | {"age"}
    if "date" not in new:  # its old date would make it look as old as before
        replaced.add("date")
    return Response(stored.response.status, stored.response.fields.without(replaced).and_also(*new))
