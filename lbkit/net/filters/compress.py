"""Compression of answers in the coding that the client prefers: gzip, brotli or zstd.

**BREACH** (Gluck, Harris, Prado: BREACH, reviving the CRIME attack, 2013): compression leaks over TLS. If an
answer contains both a secret, such as a CSRF token, and text from the request, an attacker who can make a
browser send requests, and sees only the sizes of the answers, finds the secret letter by letter: a right
guess is a repetition, and compresses better. No proxy can tell which answers those are. The application can:
it masks its tokens anew in each answer, sets SameSite on its cookies, or forbids the transformation of such
answers with `Cache-Control: no-transform`.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterable
from fnmatch import translate
from typing import Any, NamedTuple, Protocol

import attrs
from attrs import field, frozen

from lbkit.checks import whole, word
from lbkit.core.content_coding import IDENTITY, choose
from lbkit.core.options import named_fields
from lbkit.core.text import unknown
from lbkit.needs import why_not
from lbkit.net.filters.base import Filter, WrappedSink
from lbkit.net.http1.head import without_fields
from lbkit.net.messages import CHUNKED, ExchangeView, ResponseHead

EFFORTS = ("fast", "balanced", "best")


class Encoder(Protocol):
    def piece(self, data: bytes) -> bytes:
        """Return what lets the client decode all of the content so far."""

    def last(self, data: bytes) -> bytes:
        """Return the rest of the coded content."""


class Gzip:
    def __init__(self, level: int) -> None:
        self._deflate = zlib.compressobj(level, zlib.DEFLATED, 16 + zlib.MAX_WBITS)  # 16: gzip's frame

    def piece(self, data: bytes) -> bytes:
        return self._deflate.compress(data) + self._deflate.flush(zlib.Z_SYNC_FLUSH)

    def last(self, data: bytes) -> bytes:
        return self._deflate.compress(data) + self._deflate.flush()


class Brotli:
    def __init__(self, level: int) -> None:
        import brotli

        self._brotli = brotli.Compressor(quality=level)

    def piece(self, data: bytes) -> bytes:
        coded: bytes = self._brotli.process(data) + self._brotli.flush()
        return coded

    def last(self, data: bytes) -> bytes:
        coded: bytes = self._brotli.process(data) + self._brotli.finish()
        return coded


class Zstd:
    def __init__(self, level: int) -> None:
        import zstandard

        self._block = zstandard.COMPRESSOBJ_FLUSH_BLOCK
        self._zstd = zstandard.ZstdCompressor(level=level).compressobj()

    def piece(self, data: bytes) -> bytes:
        return self._zstd.compress(data) + self._zstd.flush(self._block)

    def last(self, data: bytes) -> bytes:
        return self._zstd.compress(data) + self._zstd.flush()


class Coding(NamedTuple):
    make: Callable[[int], Encoder]
    levels: tuple[int, int, int]  # of each of EFFORTS
    needs: str = ""  # a feature of `lbkit.needs`


# By their names in Accept-Encoding. The levels of zstd keep to windows of 8 MiB, as RFC 9659 requires.
CODINGS = {
    "gzip": Coding(Gzip, (1, 6, 9)),
    "br": Coding(Brotli, (1, 5, 7), "brotli"),
    "zstd": Coding(Zstd, (1, 3, 9), "zstd"),
}
# What is compressed already, such as image/png, would only cost time.
TYPES = (
    *("text/*", "application/json", "application/javascript", "application/xml", "application/wasm"),
    *("application/*+json", "application/*+xml", "image/svg+xml", "font/ttf", "font/otf"),
)
WITHOUT_CODING = frozenset((204, 206, 304))  # no content; or a part, whose place is counted in plain bytes
# Fields about the content as the backend has sent it. Ranges of it are no ranges of the coded content.
STALE = frozenset(b"content-length accept-ranges content-md5 digest content-digest repr-digest".split())
_ETAG = re.compile(rb'(\r\n(?i:etag):[ \t]*)(")')  # a strong one
_TYPE = re.compile(r"[\w!#$&^.*+-]+/[\w!#$&^.*+-]+")


def _texts(what: Iterable[str]) -> Any:
    return tuple(what) if isinstance(what, Iterable) and not isinstance(what, str) else what


@named_fields
@frozen
class Compression:
    """Which answers are compressed, and how.

    `codings`: those offered, the preferred one first; "br" and "zstd" need packages. `minimum`: bytes of the
    shortest content that is worth it (an unknown length counts as long). `types`: of contents, with * for any
    letters. `effort`: "fast", "balanced" or "best", which takes several times as long for a few percent.
    """

    codings: tuple[str, ...] = field(default=("gzip",), converter=_texts)
    minimum: int = field(default=1024, validator=whole(0))
    types: tuple[str, ...] = field(default=TYPES, converter=_texts)
    effort: str = field(default="balanced", validator=word(EFFORTS))

    @codings.validator
    def _known(self, attribute: attrs.Attribute[Any], value: Any) -> None:
        if not isinstance(value, tuple) or not value or not all(isinstance(name, str) for name in value):
            raise ValueError(f'codings is {value!r}: use a list such as ["br", "gzip"]')
        faults = []
        for name in value:
            if name not in CODINGS:
                faults.append(f"codings: {unknown(name, CODINGS, 'coding')}")
            elif (needs := CODINGS[name].needs) and (reason := why_not(needs)):
                faults.append(f"codings has {name!r}: {reason}")
        if faults:
            raise ValueError("\n".join(faults))

    @types.validator
    def _media_types(self, attribute: attrs.Attribute[Any], value: Any) -> None:
        if not isinstance(value, tuple):
            raise ValueError(f'types is {value!r}: use a list such as ["text/*"]')
        for one in value:
            if not isinstance(one, str) or not _TYPE.fullmatch(one):
                raise ValueError(f"types has {one!r}: use types of content, such as text/html or text/*")


class CompressFilter(Filter):
    """Compresses answers, unless they are coded already or must not be transformed. (RFC 9110, 7.7 and 8.4.)

    A strong ETag becomes weak: it promised the same bytes. So the client's If-None-Match still works, which
    compares weakly, and its If-Match and If-Range do not, as they must not.
    """

    name = "compress"

    def __init__(self, rules: Compression) -> None:
        self.rules = rules
        self.types = re.compile("|".join(map(translate, rules.types)) or r"(?!)", re.IGNORECASE)
        effort = EFFORTS.index(rules.effort)
        self.codings = {name: (CODINGS[name].make, CODINGS[name].levels[effort]) for name in rules.codings}

    def on_response(self, exchange: ExchangeView, head: ResponseHead) -> None:
        request = exchange.request
        if head.status == 304:
            _match_etag(request.data, head)
        if head.status in WITHOUT_CODING or head.field(b"content-encoding"):
            return
        if any("no-transform" in _directives(data) for data in (request.data, head.data)):
            return
        choice = choose(_values(request.data, b"accept-encoding"), self.rules.codings)
        length = head.field(b"content-length")
        if length == b"0" or not (choice.required or self._is_worth_it(head, length)):
            return
        _add_vary(head)  # also where it stays as it is: another client would get another answer
        if choice.coding == IDENTITY:
            return
        head.data = _ETAG.sub(rb"\1W/\2", without_fields(head.data, STALE))
        head.data += b"Content-Encoding: %b\r\n" % choice.coding.encode()
        if request.method == b"HEAD":  # the fields of a GET, except the length, which is not known (9.3.2)
            head.length = 0
            return
        head.length = CHUNKED
        make, level = self.codings[choice.coding]
        CodingSink(exchange, make(level))

    def _is_worth_it(self, head: ResponseHead, length: bytes) -> bool:
        media_type = head.field(b"content-type").partition(b";")[0].strip().decode("latin-1")
        return (not length or int(length) >= self.rules.minimum) and self.types.match(media_type) is not None


class CodingSink(WrappedSink):
    """Codes a body as it passes, without holding anything back.

    Each piece is flushed, so that the client can read it: it may be an event, and the next one hours away.
    For pieces as large as reads of a socket, this costs a few bytes each."""

    def __init__(self, exchange: ExchangeView, encoder: Encoder) -> None:
        super().__init__(exchange)
        self.encoder = encoder

    def respond(self, head: ResponseHead, data: bytes, end: bool) -> None:
        coded = self._coded(data, end)
        if end:  # the whole answer: its length is known after all
            head.length = len(coded)
            head.data += b"Content-Length: %d\r\n" % len(coded)
        self.next.respond(head, coded, end)

    def send(self, data: bytes, end: bool) -> None:
        self.next.send(self._coded(data, end), end)

    def _coded(self, data: bytes, end: bool) -> bytes:
        if end:
            return self.encoder.last(data)
        return self.encoder.piece(data) if data else b""


def _values(head: bytes, name: bytes) -> str:
    """Return the values of all fields of this name as one list. (RFC 9110, 5.3.)"""
    return b",".join(re.findall(rb"\r\n(?i:%b):([^\r\n]*)" % name, head)).decode("latin-1")


def _directives(head: bytes) -> list[str]:
    return [text.strip().lower() for text in _values(head, b"cache-control").split(",")]


def _add_vary(head: ResponseHead) -> None:
    names = [name.strip().lower() for name in _values(head.data, b"vary").split(",")]
    if "accept-encoding" not in names and "*" not in names:
        head.data += b"Vary: Accept-Encoding\r\n"


def _match_etag(request: bytes, head: ResponseHead) -> None:
    """Give a 304 the weak ETag if that is what the client has: a cache looks for it. (RFC 9111, 4.3.4.)"""
    tag = head.field(b"etag")
    if tag.startswith(b'"') and "W/" + tag.decode("latin-1") in _values(request, b"if-none-match"):
        head.data = _ETAG.sub(rb"\1W/\2", head.data)
        _add_vary(head)
