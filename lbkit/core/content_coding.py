"""Content codings: which one a client's Accept-Encoding asks for (RFC 9110, 12.5.3), and the way back."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

IDENTITY = "identity"
_ELEMENT = re.compile(  # a coding or "*", and its weight: at most three digits after the point (12.4.2)
    r"[ \t]*([!#$%&'*+.^_`|~0-9a-z-]+)[ \t]*(?:;[ \t]*q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)[ \t]*)?\Z"
)
_ALIASES = {"x-gzip": "gzip", "x-compress": "compress"}  # 8.4.1


class Choice(NamedTuple):
    coding: str  # or "identity": as it is
    required: bool = False  # the client refuses the answer as it is


def weights(accept: str) -> dict[str, float]:
    """Return the weight of each coding in an Accept-Encoding; elements that are not valid are left out."""
    found: dict[str, float] = {}
    for element in accept.lower().split(","):
        if match := _ELEMENT.match(element):
            coding = _ALIASES.get(match[1], match[1])
            found[coding] = max(found.get(coding, 0.0), float(match[2] or 1))
    return found


def choose(accept: str, offered: Sequence[str]) -> Choice:
    """Return the coding with the highest weight; `offered` has the server's preference first, for ties.

    Without a mention, identity is acceptable but the last choice: a client lists the codings it wants.
    If nothing is acceptable, it is identity: an answer that has been made is better than a 406.
    """
    given = weights(accept)
    identity = _weight_of_identity(given)
    best, coding = 0.0, IDENTITY
    for name in offered:
        weight = given.get(name, given.get("*", 0.0))
        if weight > best:
            best, coding = weight, name
    if identity is not None and identity > best:
        return Choice(IDENTITY)
    return Choice(coding, identity == 0 and coding != IDENTITY)


def _weight_of_identity(given: Mapping[str, float]) -> float | None:
    """Return the weight of identity; None if it is acceptable without a mention, 0 also for *;q=0."""
    if IDENTITY in given:
        return given[IDENTITY]
    return 0.0 if given.get("*") == 0 else None


# The codings that `decode` knows, and the formats of each, as `zlib` numbers them. Old clients send
# deflate without zlib's header (8.4.1.2).
DECODED = {"gzip": (31,), "deflate": (15, -15)}


def decode(data: bytes, coding: str, longest: int) -> bytes | None:
    """Return the beginning of what was coded, `longest` bytes at most, or None if it cannot be decoded.

    `data` may be cut off at its end. A small body may decode to a huge one; hence the limit."""
    coding = coding.strip().lower()
    coding = _ALIASES.get(coding, coding)
    if coding in ("", IDENTITY):
        return data[:longest]
    for bits in DECODED.get(coding, ()):
        try:
            return _inflate(data, bits, longest)
        except zlib.error:
            continue
    return None


def _inflate(data: bytes, bits: int, longest: int) -> bytes:
    found = b""
    while data and len(found) < longest:
        reader = zlib.decompressobj(bits)
        found += reader.decompress(data, longest - len(found))
        if not reader.eof:
            break
        data = reader.unused_data  # gzip may have several members
    return found
