"""A web application firewall: rules about requests, with scores; from a threshold on, a request is refused.

Two kinds of rules: *limits* refuse by themselves (a network, a method, a size), *signatures* of attacks add
up to an anomaly score, as in the OWASP Core Rule Set, so that one doubtful word does no harm.

Text is compared as the application will read it, after decoding, and decoding is where filters are evaded:
`%252e` is `%2e`, is `.`. So it is repeated until nothing changes, and doing it more than once scores.

A firewall of signatures is a second line: it stops what is known and loud, and what it has not seen passes.
It does not replace bound parameters in SQL, and escaping in HTML.
"""

from __future__ import annotations

import itertools
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any, NamedTuple, Protocol
from urllib.parse import unquote_to_bytes

from lbkit.core.signatures import SIGNATURES, Where

Network = IPv4Network | IPv6Network

LONGEST = 16_384  # characters of one text that are compared; a longer one scores
ROUNDS = 4  # of decoding
EXCERPT = 60  # characters
SHORTEST = 3  # characters that any signature needs

# Limits and what is seen while decoding; the signatures have ids from 1000 on.
LIMITS = {
    101: ("network", 403, "a client in a network that is denied"),
    102: ("method", 405, "a method that is not allowed"),
    103: ("size", 414, "a target that is too long"),
    104: ("size", 400, "too many arguments"),
    105: ("size", 413, "a body that is too long"),
}
SEEN = {
    201: ("evasion", 2, "encoded twice; also in links inside of links"),
    202: ("evasion", 5, "a NUL character, at which C ends a text (CWE-158)"),
    203: ("evasion", 5, "UTF-8 in too many bytes: %c0%af for / (CWE-176)"),
    204: ("evasion", 3, "encoded dots in a path, which need no encoding"),
    205: ("evasion", 5, "more text than is compared"),
    206: ("bot", 2, "no User-Agent"),
}
KNOWN = frozenset((*LIMITS, *SEEN, *(signature.id for signature in SIGNATURES)))

# Fields with secrets: compared, but never shown.
SECRET_FIELDS = frozenset(
    b"authorization cookie proxy-authorization x-api-key x-auth-token x-csrf-token".split()
)
# Not compared: credentials, which look like anything, and what the proxy has checked or written itself.
SKIPPED_FIELDS = frozenset(
    b"authorization connection content-length expect forwarded host proxy-authorization via x-forwarded-for"
    b" x-forwarded-host x-forwarded-proto".split()
)
_SECRET = re.compile(r"pass|pwd|secret|token|auth|session|key|card|cvv|iban|pin\b")  # in names of arguments


class Finding(NamedTuple):
    """A rule that a request breaks."""

    id: int
    attack: str
    score: int  # 0: of a limit, which refuses by itself
    part: str  # of the request: "path", "argument q", "field referer"
    excerpt: str = ""  # what matched, cut; "[hidden]" if it may be a secret


class Verdict(NamedTuple):
    """What the firewall makes of a request. `status`: of the answer that refuses it, 0 to let it pass."""

    status: int
    score: int
    findings: tuple[Finding, ...]


PASS = Verdict(0, 0, ())


class Inspected(Protocol):
    """The parts of a request that are looked at."""

    client: str
    method: bytes
    target: bytes
    length: int  # of the body; below 0: unknown

    def fields(self) -> Iterable[tuple[bytes, bytes]]:
        """Return the header fields: names in lower case, and values."""


class Plain(NamedTuple):
    """A text as an application reads it, and the ids in SEEN of what that took."""

    text: str
    seen: tuple[int, ...] = ()


class Firewall:
    """Decides about requests. `off`: ids of rules that are not used, for an application that they disturb."""

    def __init__(
        self,
        threshold: int = 5,
        allow: Sequence[Network] = (),
        deny: Sequence[Network] = (),
        methods: Sequence[str] = (),
        max_target: int = 4096,
        max_arguments: int = 200,
        max_body: int | None = None,
        off: Iterable[int] = (),
    ) -> None:
        """`allow`: networks that are not looked at. `methods`: those allowed; empty: any. Sizes in bytes."""
        self.threshold = threshold
        self.allow, self.deny = tuple(allow), tuple(deny)
        self.methods = frozenset(method.encode() for method in methods)
        self.max_target, self.max_arguments, self.max_body = max_target, max_arguments, max_body
        self.off = frozenset(off)
        used = [signature for signature in SIGNATURES if signature.id not in self.off]
        self.signatures = {where: [s for s in used if where in s.where] for where in Where}

    def inspect(self, request: Inspected, body: bytes = b"", content_type: bytes = b"") -> Verdict:
        """Return the verdict about a request, and about as much of its body as is given. Never raises."""
        if _is_in(request.client, self.allow):
            return PASS
        arguments = request.target.partition(b"?")[2]
        if refusal := self._limit(request, arguments):
            return refusal
        found: dict[int, Finding] = {}  # each rule counts once
        for where, part, secret, raw in self._texts(request, arguments, body, content_type):
            for finding in self._compare(where, part, secret, raw):
                found.setdefault(finding.id, finding)
        score = sum(finding.score for finding in found.values())
        return Verdict(403 if score >= self.threshold else 0, score, tuple(found.values()))

    def _limit(self, request: Inspected, arguments: bytes) -> Verdict | None:
        """Return the refusal by the first limit that the request exceeds."""
        exceeded = {
            101: _is_in(request.client, self.deny),
            102: bool(self.methods) and request.method not in self.methods,
            103: len(request.target) > self.max_target,
            104: arguments.count(b"&") >= self.max_arguments,
            105: self.max_body is not None and request.length > self.max_body,
        }
        for number, (attack, status, _) in LIMITS.items():
            if exceeded[number] and number not in self.off:
                return Verdict(status, 0, (Finding(number, attack, 0, attack),))
        return None

    def _texts(
        self, request: Inspected, arguments: bytes, body: bytes, content_type: bytes
    ) -> Iterator[tuple[Where, str, bool, bytes]]:
        """Yield each text of a request: where and in which part it is, whether it is a secret."""
        yield Where.PATH, "path", False, request.target.partition(b"?")[0]
        yield from _pairs(arguments, self.max_arguments)
        agent = False
        for name, value in request.fields():
            if name == b"user-agent":
                agent = True
                yield Where.AGENT, "field user-agent", False, value
            elif name not in SKIPPED_FIELDS:
                secret = name in SECRET_FIELDS
                part = f"field {name.decode('latin-1')[:EXCERPT]}"
                for piece in value.split(b";", self.max_arguments) if name == b"cookie" else (value,):
                    yield Where.FIELD, part, secret, piece
                if name == b"referer":  # a URL, in which + is a space
                    for _, _, hidden, text in _pairs(value.partition(b"?")[2], self.max_arguments):
                        yield Where.FIELD, part, hidden, text.replace(b"+", b" ")
        if not agent:
            yield Where.AGENT, "no user-agent", False, b""
        if body:
            for where, part, secret, text in _body(body, content_type, self.max_arguments):
                yield where, part, secret, text[:LONGEST]

    def _compare(self, where: Where, part: str, secret: bool, raw: bytes) -> Iterator[Finding]:
        if where is Where.AGENT and not raw:
            yield from self._seen((206,), part)
        if len(raw) < SHORTEST or raw.isalnum():  # nothing matches a word or a number
            return
        text, seen = plain(raw, where)
        yield from self._seen(seen, part)
        for signature in self.signatures[where]:
            if match := signature.pattern.search(text):
                excerpt = "[hidden]" if secret else match[0][:EXCERPT]
                yield Finding(signature.id, signature.attack, signature.score, part, excerpt)

    def _seen(self, numbers: Iterable[int], part: str) -> Iterator[Finding]:
        for number in numbers:
            if number not in self.off:
                attack, score, _ = SEEN[number]
                yield Finding(number, attack, score, part)


# -- the text as the application reads it -----------------------------------------------------------

_OVERLONG = re.compile(rb"[\xc0\xc1][\x80-\xbf]|\xe0[\x80-\x9f][\x80-\xbf]|\xf0\x80[\x80-\xbf]{2}")
_UNICODE = re.compile(rb"%u([0-9a-f]{4})", re.IGNORECASE)  # IIS
_ENCODED_DOT = re.compile(rb"%(?:25){0,3}2e", re.IGNORECASE)
_SPACES = re.compile(r"[\s\x00-\x1f\x7f\u200b-\u200f\ufeff]+")


def plain(raw: bytes, where: Where = Where.ARGUMENT) -> Plain:
    """Return a text decoded until nothing changes, in lower case, without SQL comments, gaps one space."""
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


# -- the parts of a request ----------------------------------------------------------------------


def _is_in(client: str, networks: Sequence[Network]) -> bool:
    if not networks:
        return False
    try:
        address = ip_address(client)
    except ValueError:
        return False
    return any(address.version == network.version and address in network for network in networks)


def _pairs(form: bytes, most: int) -> Iterator[tuple[Where, str, bool, bytes]]:
    """Yield the names and values of a query or a form; beyond `most`, all that is left as one text."""
    for pair in form.split(b"&", most) if form else ():
        name, _, value = pair.partition(b"=")
        known = unquote_to_bytes(name).decode("latin-1").lower()
        yield Where.ARGUMENT, "name of an argument", False, name
        yield Where.ARGUMENT, f"argument {known[:EXCERPT]}", bool(_SECRET.search(known)), value


_TEXTUAL = re.compile(rb"\Atext/|\Aapplication/(?!grpc).*(?:json|xml|form)|\Amultipart/form|\Aimage/svg")


def is_text(content_type: bytes) -> bool:
    """Return whether a body of this type is looked at: forms, JSON, XML, texts, and what has no type."""
    kind = content_type.partition(b";")[0].strip().lower()
    return not kind or _TEXTUAL.search(kind) is not None


def _body(body: bytes, content_type: bytes, most: int) -> Iterator[tuple[Where, str, bool, bytes]]:
    """Yield the texts in a body: of a form or of JSON, else all of it as one; nothing of what is no text.

    Long texts are usual there, so they are cut and do not score."""
    if not is_text(content_type):
        return
    kind = content_type.partition(b";")[0].strip().lower()
    if kind == b"application/x-www-form-urlencoded":
        yield from _pairs(body, most)
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
            yield Where.ARGUMENT, f"argument {name[:EXCERPT]}", bool(_SECRET.search(name)), text
        else:
            rest.append(text)
    if rest:
        yield Where.ARGUMENT, "body", True, b" ".join(rest)
