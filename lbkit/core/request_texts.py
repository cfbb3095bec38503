"""The texts in a request that a firewall compares, each with the name that it has there."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, Protocol
from urllib.parse import unquote_to_bytes

from lbkit.core.plain_text import LONGEST
from lbkit.core.signatures import Where

EXCERPT = 60  # characters of a name that are shown

# Fields with secrets: compared, but never shown.
SECRET_FIELDS = frozenset(
    b"authorization cookie proxy-authorization x-api-key x-auth-token x-csrf-token".split()
)
_SECRET = re.compile(r"pass|pwd|secret|token|auth|session|key|card|cvv|iban|pin\b")  # in names of arguments
# Not compared: credentials, which look like anything, and what the proxy has checked or written itself.
SKIPPED_FIELDS = frozenset(
    b"authorization connection content-length expect forwarded host proxy-authorization via x-forwarded-for"
    b" x-forwarded-host x-forwarded-proto".split()
)


class Inspected(Protocol):
    """The parts of a request that are looked at."""

    client: str
    method: bytes
    target: bytes
    length: int  # of the body; below 0: unknown

    def fields(self) -> Iterable[tuple[bytes, bytes]]:
        """Return the header fields: names in lower case, and values."""


def texts_of(
    request: Inspected, body: bytes, content_type: bytes, most: int
) -> Iterator[tuple[Where, str, bool, bytes]]:
    """Yield each text of a request: where and in which part it is, whether it is a secret."""
    yield Where.PATH, "path", False, request.target.partition(b"?")[0]
    yield from pairs(request.target.partition(b"?")[2], most)
    agent = False
    for name, value in request.fields():
        if name == b"user-agent":
            agent = True
            yield Where.AGENT, "field user-agent", False, value
        elif name not in SKIPPED_FIELDS:
            secret = name in SECRET_FIELDS
            part = f"field {name.decode('latin-1')[:EXCERPT]}"
            for piece in value.split(b";", most) if name == b"cookie" else (value,):
                yield Where.FIELD, part, secret, piece
            if name == b"referer":  # a URL, in which + is a space
                for _, _, hidden, text in pairs(value.partition(b"?")[2], most):
                    yield Where.FIELD, part, hidden, text.replace(b"+", b" ")
    if not agent:
        yield Where.AGENT, "no user-agent", False, b""
    if body:
        for where, part, secret, text in body_texts(body, content_type, most):
            yield where, part, secret, text[:LONGEST]


def is_secret(name: str) -> bool:
    """Return whether an argument of this name, in lower case, may be a secret."""
    return _SECRET.search(name) is not None


def pairs(form: bytes, most: int) -> Iterator[tuple[Where, str, bool, bytes]]:
    """Yield the names and values of a query or a form; beyond `most`, all that is left as one text."""
    for pair in form.split(b"&", most) if form else ():
        name, _, value = pair.partition(b"=")
        known = unquote_to_bytes(name).decode("latin-1").lower()
        yield Where.ARGUMENT, "name of an argument", False, name
        yield Where.ARGUMENT, f"argument {known[:EXCERPT]}", is_secret(known), value


_TEXTUAL = re.compile(rb"\Atext/|\Aapplication/(?!grpc).*(?:json|xml|form)|\Amultipart/form|\Aimage/svg")


def is_text(content_type: bytes) -> bool:
    """Return whether a body of this type is looked at: forms, JSON, XML, texts, and what has no type."""
    kind = content_type.partition(b";")[0].strip().lower()
    return not kind or _TEXTUAL.search(kind) is not None


def body_texts(body: bytes, content_type: bytes, most: int) -> Iterator[tuple[Where, str, bool, bytes]]:
    """Yield the texts in a body: of a form or of JSON, else all of it as one; nothing of what is no text.

    Long texts are usual there, so they are cut and do not score."""
    if not is_text(content_type):
        return
    kind = content_type.partition(b";")[0].strip().lower()
    if kind == b"application/x-www-form-urlencoded":
        yield from pairs(body, most)
        return
    if kind == b"application/json" or kind.endswith(b"+json"):
        try:
            yield from _strings(json.loads(body), most)
            return
        except (ValueError, RecursionError):
            pass  # cut off, or no JSON: the application may be less strict
    yield Where.ARGUMENT, "body", True, body


def _strings(value: Any, most: int) -> Iterator[tuple[Where, str, bool, bytes]]:
    """Yield the texts in JSON, and the names that look like operators; those beyond `most` as one text."""
    left: list[tuple[str, Any]] = [("body", value)]
    rest: list[bytes] = []
    for count in itertools.count():
        if not left:
            break
        name, item = left.pop()
        if isinstance(item, dict):
            left += [(str(key).lower(), inner) for key, inner in item.items()]
            item = " ".join(f"[{key}]" for key in item if key.startswith("$"))
        elif isinstance(item, list):
            left += [(name, inner) for inner in item]
        if not isinstance(item, str) or not item:
            continue
        text = item.encode("utf-8", "replace")
        if count < most:
            yield Where.ARGUMENT, f"argument {name[:EXCERPT]}", is_secret(name), text
        else:
            rest.append(text)
    if rest:
        yield Where.ARGUMENT, "body", True, b" ".join(rest)
