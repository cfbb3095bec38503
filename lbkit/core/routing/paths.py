"""The path of a request in one spelling, so that no other spelling of it gets past a rule.

/admin, /%61dmin, //admin, /./admin and /x/../admin are one page to most servers. Rules that compared the
bytes of a target would have to list them all; here there is only /admin. (RFC 3986, 5.2.4 and 6.2.2; nginx:
$uri.)
"""

from __future__ import annotations

import re
from urllib.parse import quote_from_bytes, unquote_to_bytes

_PLAIN = re.compile(rb"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*/?\Z")  # nothing to decode and no dot segments
_SAFE = "/!$&'()*+,;=:@~"  # besides letters, digits and -._ what a path may contain (RFC 3986, 3.3)

# What servers read in different ways, and so what an attacker would try.
_DOUBTS = {
    re.compile(rb"%(?![0-9A-Fa-f]{2})"): "a % that does not begin an escape",
    re.compile(
        rb"(?i)%2f|%5c|\\"
    ): "an escaped slash or a backslash, which only some servers take for a slash",
    re.compile(rb"(?i)%25[0-9a-f]{2}"): "an escape that is escaped itself, which some servers decode twice",
    re.compile(rb"(?i)%[01][0-9a-f]|%7f"): "a control character",
    re.compile(rb"//"): "an empty segment, which only some servers merge",
    re.compile(rb"(?i)/(?:\.|%2e){1,2}(?:[;/]|%2f|%3b|\Z)"): "a dot segment",
}


def normal_path(target: bytes) -> str:
    """Return the path of a target: percent-decoded once, without empty and dot segments, from / on.

    A slash at the end stays. A .. above the root stays at the root. Bytes that are not UTF-8 become lone
    surrogates, so different paths stay different; `encoded_path` is the way back."""
    raw = target.partition(b"?")[0]
    if _PLAIN.match(raw):
        return raw.decode() or "/"
    segments: list[bytes] = []
    name = b""
    for segment in unquote_to_bytes(raw).split(b"/"):
        name = segment.partition(b";")[0]
        name = name if name in (b".", b"..") else segment  # servlet containers read ..;x as ..
        if name == b"..":
            del segments[-1:]
        elif name not in (b"", b"."):
            segments.append(segment)
    path = b"/" + b"/".join(segments)
    if segments and name in (b"", b".", b".."):
        path += b"/"  # they all name a directory
    return path.decode("utf-8", "surrogateescape")


def encoded_path(path: str) -> str:
    """Return a path as it stands in a target: ASCII, with escapes for what could end a line or the path."""
    return quote_from_bytes(path.encode("utf-8", "surrogateescape"), _SAFE)


def doubtful(target: bytes) -> str:
    """Return what about the path servers may read in different ways; an empty text if there is nothing."""
    raw = target.partition(b"?")[0]
    if _PLAIN.match(raw):
        return ""
    return next((why for pattern, why in _DOUBTS.items() if pattern.search(raw)), "")


def below(path: str, top: str) -> str | None:
    """Return what follows `top` in a path that is `top` or below it, else None. /apis is not below /api."""
    stem = top.rstrip("/")
    if path == stem or path.startswith(stem + "/"):
        return path[len(stem) :]
    return None
