"""A text of a request as the application will read it: decoded until nothing changes.

Decoding is where filters are evaded: `%252e` is `%2e`, is `.`. So it is repeated, and what is only done to
evade a filter is reported.
"""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from lbkit.core.signatures import Where

LONGEST = 16_384  # characters of one text that are compared; a longer one scores
ROUNDS = 4  # of decoding

# What is seen while decoding: an id, the kind of attack, the score, the reason.
SEEN = {
    201: ("evasion", 2, "encoded twice; also in links inside of links"),
    202: ("evasion", 5, "a NUL character, at which C ends a text (CWE-158)"),
    203: ("evasion", 5, "UTF-8 in too many bytes: %c0%af for / (CWE-176)"),
    204: ("evasion", 3, "encoded dots in a path, which need no encoding"),
    205: ("evasion", 5, "more text than is compared"),
    206: ("bot", 2, "no User-Agent"),
}


class Plain(NamedTuple):
    """A text as an application reads it, and the ids in SEEN of what that took."""

    text: str
    seen: tuple[int, ...] = ()


_OVERLONG = re.compile(rb"[\xc0\xc1][\x80-\xbf]|\xe0[\x80-\x9f][\x80-\xbf]|\xf0\x80[\x80-\xbf]{2}")
_UNICODE = re.compile(rb"%u([0-9a-f]{4})", re.IGNORECASE)  # IIS
_ENCODED_DOT = re.compile(rb"%(?:25){0,3}2e", re.IGNORECASE)
_SPACES = re.compile(r"[\s\x00-\x1f\x7f\u200b-\u200f\ufeff]+")


def plain(raw: bytes, where: Where = Where.ARGUMENT) -> Plain:
    """Return a text decoded until nothing changes, in lower case, without SQL comments, gaps one space."""
    if raw.isascii() and len(raw) <= LONGEST and b"%" not in raw and b"/*" not in raw:
        text = (raw.replace(b"+", b" ") if where is Where.ARGUMENT else raw).decode("ascii")
        if text.isprintable() and "  " not in text:
            return Plain(text.strip().lower())  # as nearly all texts are: nothing to decode
    seen: list[int] = []
    if len(raw) > LONGEST:
        seen.append(205)
        raw = raw[:LONGEST]
    if where is Where.PATH and _ENCODED_DOT.search(raw):
        seen.append(204)
    data = raw.replace(b"+", b" ") if where is Where.ARGUMENT else raw
    for times in range(ROUNDS):
        decoded = unquote_to_bytes(_UNICODE.sub(_from_code, data)) if b"%" in data else data
        if decoded == data:
            break
        if times == 1:
            seen.append(201)
        data = decoded
    if b"\0" in data:
        seen.append(202)
    if _OVERLONG.search(data):
        seen.append(203)
        data = _OVERLONG.sub(_from_overlong, data)
    text = unicodedata.normalize("NFKC", data.decode("utf-8", "replace"))[:LONGEST]  # ＜ becomes <
    if "/*" in text:
        text = _without_comments(text)
    return Plain(_SPACES.sub(" ", text).strip().lower(), tuple(seen))


def _from_code(match: re.Match[bytes]) -> bytes:
    return chr(int(match[1], 16)).encode("utf-8", "replace")


def _from_overlong(match: re.Match[bytes]) -> bytes:
    """Return the character that a careless decoder makes of it."""
    code = 0
    for byte in match[0][1:]:
        code = code << 6 | (byte & 0x3F)
    code |= (match[0][0] & 0x1F) << 6 if len(match[0]) == 2 else 0
    return chr(code).encode()


def _without_comments(text: str) -> str:
    """Return a text with a space for each SQL comment, but with what MySQL carries out: /*!50000 select*/."""
    parts, at = [], 0
    while (begin := text.find("/*", at)) >= 0:
        end = text.find("*/", begin + 2)
        if end < 0:
            break
        parts.append(text[at:begin])
        parts.append(re.sub(r"\A!\d{0,6}", "", text[begin + 2 : end]) if text[begin + 2] == "!" else "")
        at = end + 2
    parts.append(text[at:])
    return " ".join(parts)
