"""Compression: what comes out is what went in, at once, and only where both sides may have it."""

from __future__ import annotations

import gzip
import threading
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import Client, Connection, answers, ask, field, proxied, unchunked

from lbkit.compression import EFFORTS, Compression
from lbkit.net.config import ConfigError, ProxyConfig
from lbkit.net.filters.bandwidth import Bandwidth
from lbkit.net.filters.compress import ENCODERS, CodingSink

brotli = pytest.importorskip("brotli")
zstandard = pytest.importorskip("zstandard")

ALL = Compression(codings=("br", "zstd", "gzip"), minimum=20)
TEXT = b"the quick brown fox jumps over the lazy dog. " * 40


def gunzip() -> Callable[[bytes], bytes]:
    return zlib.decompressobj(16 + zlib.MAX_WBITS).decompress


DECODERS: dict[str, Callable[[], Callable[[bytes], bytes]]] = {
    "gzip": gunzip,
    "br": lambda: brotli.Decompressor().process,
    "zstd": lambda: zstandard.ZstdDecompressor().decompressobj().decompress,
}


def get(accept: str | None = "gzip", *lines: str, method: str = "GET", version: str = "1.1") -> bytes:
    fields = ["Host: a", *([] if accept is None else [f"Accept-Encoding: {accept}"]), *lines]
    return "\r\n".join([f"{method} / HTTP/{version}", *fields, "", ""]).encode()


def answer(*lines: str, status: str = "200 OK", body: bytes = TEXT, media: str = "text/plain") -> bytes:
    fields = [f"Content-Type: {media}", f"Content-Length: {len(body)}", *lines]
    return "\r\n".join([f"HTTP/1.1 {status}", *fields, "", ""]).encode() + body


# -- the laws of the body --------------------------------------------------------------------------


class Taken:
    """An exchange and its client: keeps what a sink passes on."""

    def __init__(self) -> None:
        self.client = self.sink = self
        self.pieces: list[bytes] = []

    def send(self, data: bytes, end: bool) -> None:
        self.pieces.append(data)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(sorted(ENCODERS)),
    st.sampled_from(EFFORTS),
    st.lists(st.binary(max_size=300) | st.integers(1, 5).map(lambda n: TEXT * n), max_size=8),
    st.binary(max_size=50),
)
def test_every_piece_can_be_decoded_when_it_arrives(
    coding: str, effort: str, pieces: list[bytes], last: bytes
) -> None:
    """However the content is cut: the client has all of it so far after each piece, and nothing else."""
    taken = Taken()
    level = Compression(codings=(coding,), effort=effort).level(coding)
    sink = CodingSink(taken, ENCODERS[coding](level))  # type: ignore[arg-type]
    decode = DECODERS[coding]()
    for piece in pieces:
        sink.send(piece, False)
        assert decode(taken.pieces[-1]) == piece
    sink.send(last, True)
    assert decode(taken.pieces[-1]) == last


# -- on sockets --------------------------------------------------------------------------------------


@pytest.mark.parametrize("coding", ENCODERS)
def test_an_answer_in_one_piece_keeps_a_length(coding: str) -> None:
    with proxied(answers(answer()), compression=ALL) as proxy:
        status, head, body = ask(proxy, get(coding))
    assert status == 200
    assert field(head, "Content-Encoding") == [coding]
    assert field(head, "Content-Length") == [str(len(body))]
    assert field(head, "Vary") == ["Accept-Encoding"]
    assert len(body) < len(TEXT) / 4
    assert DECODERS[coding]()(body) == TEXT


def test_an_event_is_not_held_back() -> None:
    seen = threading.Event()

    def events(connection: Connection) -> None:
        connection.head()
        connection.send(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"7\r\ndata: 1\r\n"
        )
        assert seen.wait(20)
        connection.send(b"7\r\ndata: 2\r\n0\r\n\r\n")

    with proxied(events, compression=ALL) as proxy, Client(proxy) as client:
        client.send(get("gzip"))
        stream = Connection(client.sock)
        head = stream.head()
        assert field(head.decode("latin-1").encode(), "Transfer-Encoding") == ["chunked"]
        decode = gunzip()
        text = b""
        while text != b"data: 1":  # comes before the backend has said any more
            size = int(stream.until(b"\r\n"), 16)
            text += decode(stream.exactly(size + 2)[:-2])
        seen.set()
        rest = unchunked(stream.until(b"\r\n0\r\n\r\n"))
        assert decode(rest) == b"data: 2"


@pytest.mark.parametrize("size", [100_000, 3_000_000])
def test_a_long_answer_arrives_whole(size: int) -> None:
    content = bytes(range(256)) * (size // 256) + TEXT
    with proxied(answers(answer(body=content)), compression=ALL) as proxy:
        _, head, body = ask(proxy, get("gzip"))
    if field(head, "Transfer-Encoding"):
        body = unchunked(body)
    assert gzip.decompress(body) == content


def test_an_http_1_0_client_gets_it_until_the_end_of_the_connection() -> None:
    chunks = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n"
    script = answers(chunks % (len(TEXT), TEXT) + b"0\r\n\r\n")
    with proxied(script, compression=ALL) as proxy, Client(proxy) as client:
        client.send(get("gzip", version="1.0"))
        head, _, body = client.rest().partition(b"\r\n\r\n")
    assert b"Content-Encoding: gzip" in head
    assert gzip.decompress(body) == TEXT


# -- what stays as it is -------------------------------------------------------------------------------

PLAIN = {
    "no Accept-Encoding": (get(None), answer()),
    "gzip refused": (get("gzip;q=0"), answer()),
    "identity preferred": (get("gzip;q=0.5, identity"), answer()),
    "coded already": (get(), answer("Content-Encoding: br")),
    "coded already, in another case": (get(), answer("content-encoding: GZIP")),
    "no-transform from the backend": (get(), answer("Cache-Control: max-age=5, No-Transform")),
    "no-transform in a second field": (
        get(),
        answer("Cache-Control: private", "Cache-Control: no-transform"),
    ),
    "no-transform from the client": (get("gzip", "Cache-Control: no-transform"), answer()),
    "too short": (get(), answer(body=b"x" * 19)),
    "an image": (get(), answer(media="image/png")),
    "a part": (
        get("gzip", "Range: bytes=0-9"),
        answer("Content-Range: bytes 0-9/99", status="206 Partial Content"),
    ),
}


@pytest.mark.parametrize("case", PLAIN)
def test_it_stays_as_it_is(case: str) -> None:
    request, made = PLAIN[case]
    with proxied(answers(made), compression=ALL) as proxy:
        _, head, body = ask(proxy, request)
    assert body == made.partition(b"\r\n\r\n")[2]
    assert field(head, "Content-Length") == [str(len(body))]
    assert not field(head, "ETag")
    differs = case in ("no Accept-Encoding", "gzip refused", "identity preferred")
    assert field(head, "Vary") == (["Accept-Encoding"] if differs else [])


def test_a_client_that_refuses_identity_gets_a_short_text_compressed() -> None:
    with proxied(answers(answer(body=b"x")), compression=ALL) as proxy:
        _, head, body = ask(proxy, get("gzip, identity;q=0"))
    assert field(head, "Content-Encoding") == ["gzip"]
    assert gzip.decompress(body) == b"x"


@pytest.mark.parametrize(
    ("status", "lines"),
    [("204 No Content", ()), ("304 Not Modified", ()), ("200 OK", ("Content-Length: 0",))],
)
def test_an_answer_without_content_is_left_alone(status: str, lines: tuple[str, ...]) -> None:
    made = "\r\n".join([f"HTTP/1.1 {status}", 'ETag: "a"', "Content-Type: text/plain", *lines, "", ""])
    with proxied(answers(made.encode()), compression=ALL) as proxy, Client(proxy) as client:
        for _ in range(2):  # the connection goes on
            client.send(get("gzip, identity;q=0"))
            _, head, body = client.answer()
            assert body == b""
            assert field(head, "ETag") == ['"a"']
            assert not field(head, "Content-Encoding")


def test_a_head_has_the_fields_of_a_get_and_no_body() -> None:
    made = answer('ETag: "a"')
    with (
        proxied(answers(made.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"), compression=ALL) as proxy,
        Client(proxy) as client,
    ):
        for _ in range(2):
            client.send(get("gzip", method="HEAD"))
            _, head, _ = client.answer(head_only=True)
            assert field(head, "Content-Encoding") == ["gzip"]
            assert field(head, "ETag") == ['W/"a"']
            assert field(head, "Vary") == ["Accept-Encoding"]
            assert not field(head, "Content-Length")
            assert not field(head, "Transfer-Encoding")


def test_fields_about_the_plain_content_do_not_stay() -> None:
    lines = ['ETag: "a"', "Accept-Ranges: bytes", "Content-Digest: sha-256=:aa:", "Vary: Origin"]
    with proxied(answers(answer(*lines)), compression=ALL) as proxy:
        _, head, _ = ask(proxy, get())
    assert field(head, "ETag") == ['W/"a"']
    assert field(head, "Vary") == ["Origin", "Accept-Encoding"]
    assert not field(head, "Accept-Ranges")
    assert not field(head, "Content-Digest")


@pytest.mark.parametrize("vary", ["*", "accept-encoding", "Origin, Accept-Encoding"])
def test_vary_is_not_said_twice(vary: str) -> None:
    with proxied(answers(answer(f"Vary: {vary}", 'ETag: W/"a"')), compression=ALL) as proxy:
        _, head, _ = ask(proxy, get())
    assert field(head, "Vary") == [vary]
    assert field(head, "ETag") == ['W/"a"']


@pytest.mark.parametrize(("held", "etag"), [('W/"a"', 'W/"a"'), ('"a"', '"a"'), ('"b", W/"a"', 'W/"a"')])
def test_a_304_names_the_etag_that_the_client_holds(held: str, etag: str) -> None:
    with proxied(answers(b'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\n\r\n'), compression=ALL) as proxy:
        _, head, _ = ask(proxy, get("gzip", f"If-None-Match: {held}"))
    assert field(head, "ETag") == [etag]


def test_accept_encoding_in_several_fields_is_one_list() -> None:
    with proxied(answers(answer()), compression=ALL) as proxy:
        _, head, _ = ask(proxy, get("gzip;q=0.1", "Accept-Encoding: br;q=0.2"))
    assert field(head, "Content-Encoding") == ["br"]


def test_the_bandwidth_limit_and_the_log_count_what_is_sent(tmp_path: Path) -> None:
    """They are nearer to the client than the compression."""
    log = tmp_path / "log"
    slow = Bandwidth(rate=100, burst=400)  # the plain text would take 14 s
    options = {"compression": ALL, "bandwidth": [slow], "access_log": str(log)}
    with proxied(answers(answer()), **options) as proxy:
        began = time.monotonic()
        _, head, body = ask(proxy, get())
        assert time.monotonic() - began < 7
    assert gzip.decompress(unchunked(body) if field(head, "Transfer-Encoding") else body) == TEXT
    assert f'" 200 {len(body)} "' in log.read_text()


# -- the settings --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({"codings": ["gzp"]}, "unknown coding gzp; known are gzip, br, zstd; did you mean gzip?"),
        ({"codings": []}, r'use a list such as \["br", "gzip"\]'),
        ({"codings": "gzip"}, "codings"),
        ({"types": ["html"]}, "types has 'html': use types of content"),
        ({"minimum": -1}, "minimum is -1"),
        ({"effort": "high"}, "effort is 'high': use fast, balanced, best"),
        ({"level": 3}, "unknown"),
    ],
)
def test_a_wrong_setting_is_named(settings_: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ProxyConfig.from_dict({"backends": [{"address": "127.0.0.1:1"}], "compression": settings_})


def test_a_coding_without_its_package_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lbkit.needs.has_package", lambda name: name != "brotli")
    with pytest.raises(ValueError, match=r"codings has 'br': .*brotli.*\[compress\]"):
        Compression(codings=("br",))
