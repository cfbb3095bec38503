"""The rules for fields of HTTP/2 and HTTP/3 messages, which become lines of HTTP/1.1 heads here.

These delimit fields by their length, HTTP/1.1 by line ends. So a value with a line end in it would become
two fields on the other side, or a second message: smuggling by downgrade. Whatever breaks the rules of RFC
9113, 8.1 to 8.3, which are those of RFC 9114, 4.1 to 4.3, is refused here; the head that is written is then
read by the same function as one that came by HTTP/1.1, which has all the other rules.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from lbkit.net.http1.grammar import may_trail

Field = tuple[bytes, bytes]

_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]+\Z")  # a token without upper case (8.2)
_VALUE = re.compile(rb"(?:[!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?)?\Z")
# Fields of HTTP/1.1's connections (8.2.2).
_CONNECTION = frozenset(b"connection keep-alive proxy-connection transfer-encoding upgrade".split())


class Malformed(Exception):
    """Raised for a message that breaks the rules; its stream is reset."""


def read_fields(
    fields: Iterable[Field], known: frozenset[bytes]
) -> tuple[dict[bytes, bytes], dict[bytes, bytes], list[Field]]:
    """Return the pseudo-header fields, those that may occur once, and the others. Raises Malformed.

    `known`: the pseudo-header fields that there may be."""
    pseudo: dict[bytes, bytes] = {}
    single: dict[bytes, bytes] = {}
    others: list[Field] = []
    cookies: list[bytes] = []
    began = False
    for name, value in fields:
        if not _VALUE.match(value):
            raise Malformed("a field's value has a character that it must not have")
        if name.startswith(b":"):
            if began or name in pseudo or name not in known:
                raise Malformed("pseudo-header fields")
            pseudo[name] = value
            continue
        began = True
        if not _NAME.match(name):
            raise Malformed("a field's name has a character that it must not have")
        if name in _CONNECTION:
            raise Malformed("a field of HTTP/1.1's connections")
        if name == b"cookie":
            cookies.append(value)  # may be split, for compression (8.2.3)
        elif name == b"te":
            if value.lower() != b"trailers":
                raise Malformed("TE with another value than trailers")
        elif name in (b"host", b"content-length"):
            if single.setdefault(name, value) != value:
                raise Malformed(f"two values of {name.decode()}")
        else:
            others.append((name, value))
    if cookies:
        others.append((b"cookie", b"; ".join(cookies)))
    return pseudo, single, others


def read_trailers(fields: Iterable[Field]) -> bytes:
    """Return the fields that may come after a body, each with its CRLF. Raises Malformed."""
    _, _, others = read_fields(fields, frozenset())
    return b"".join([b"%b: %b\r\n" % field for field in others if may_trail(field[0])])


def split_lines(lines: Iterable[bytes]) -> list[Field]:
    """Return the fields in lines of HTTP/1.1."""
    fields: list[Field] = []
    for line in lines:
        name, found, value = line.partition(b":")
        if found:
            fields.append((name.lower(), value.strip(b" \t")))
    return fields
