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
from collections.abc import Callable
from fnmatch import translate
from typing import Protocol

from lbkit.compression import Compression
from lbkit.core.content_coding import IDENTITY, choose
from lbkit.net.filters.base import Filter, WrappedSink
from lbkit.net.http1.head import without_fields
from lbkit.net.messages import CHUNKED, ExchangeView, ResponseHead


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


ENCODERS: dict[str, Callable[[int], Encoder]] = {"gzip": Gzip, "br": Brotli, "zstd": Zstd}
WITHOUT_CODING = frozenset((204, 206, 304))  # no content; or a part, whose place is counted in plain bytes
# Fields about the content as the backend has sent it. Ranges of it are no ranges of the coded content.
STALE = frozenset(b"content-length accept-ranges content-md5 digest content-digest repr-digest".split())
_ETAG = re.compile(rb'(\r\n(?i:etag):[ \t]*)(")')  # a strong one


class CompressFilter(Filter):
    """Compresses answers, unless they are coded already or must not be transformed. (RFC 9110, 7.7 and 8.4.)

    A strong ETag becomes weak: it promised the same bytes. So the client's If-None-Match still works, which
    compares weakly, and its If-Match and If-Range do not, as they must not.
    """

    name = "compress"

    def __init__(self, rules: Compression) -> None:
        self.rules = rules
        self.types = re.compile("|".join(map(translate, rules.types)) or r"(?!)", re.IGNORECASE)
        self.codings = {name: (ENCODERS[name], rules.level(name)) for name in rules.codings}

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
