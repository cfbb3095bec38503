"""Coverage-guided fuzzing of everything that reads bytes of strangers, with atheris (libFuzzer).

    python tests/fuzz/harness.py -max_total_time=600 FOLDER

FOLDER keeps what was found to reach new code; `seeds` writes a beginning there. The first byte of an input
chooses the reader. A reader may refuse with its own error only, and pieces must be read as the whole is.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["lbkit.net", "lbkit.core"]):
    from httptools import HttpRequestParser, HttpResponseParser

    from lbkit.core.content_coding import decode
    from lbkit.core.firewall import Firewall
    from lbkit.net.http1.body import Chunked
    from lbkit.net.http1.head import HeadReader, read_request, read_response
    from lbkit.net.l4.proxy_protocol import Header, Malformed, read
    from lbkit.net.l4.sni import ClientHello, HelloReader, NoHello
    from lbkit.net.messages import CHUNKED, Reject, RequestHead
    from lbkit.net.modsecurity import read_line
    from lbkit.net.peer import Peer

END = b"\r\n\r\n"
REQUESTS, RESPONSES = HeadReader(HttpRequestParser, 400), HeadReader(HttpResponseParser, 502)
FIREWALL = Firewall()


def first_head(data: bytes) -> bytes:
    whole = data + END
    return whole[: whole.find(END) + len(END)]


def request_head(data: bytes) -> None:
    head = first_head(data)
    try:
        REQUESTS.check(head)
        request = read_request(head, Peer("192.0.2.1"), 100)
    except Reject:
        return
    assert request.data.endswith(b"\r\n")
    assert END not in request.data  # one head, whatever came
    assert request.length >= 0 or request.length == CHUNKED
    FIREWALL.inspect(request)


def response_head(data: bytes) -> None:
    head = first_head(data)
    try:
        RESPONSES.check(head)
        answer = read_response(head, False)
    except Reject:
        return
    assert END not in answer.data


def chunked(data: bytes) -> None:
    def content(pieces: list[bytes]) -> bytes | None:
        reader, found = Chunked(), b""
        try:
            for piece in pieces:
                if not reader.done:
                    found += reader.feed(piece)
        except Reject:
            return None
        return found if reader.done else b""

    assert content([data]) == content([data[i : i + 1] for i in range(len(data))])


def proxy_header(data: bytes) -> None:
    found = read(data)
    assert found is None or isinstance(found, Malformed | tuple | Header)


def client_hello(data: bytes) -> None:
    whole, pieces = HelloReader(), HelloReader()
    found = whole.feed(data)
    assert found is None or isinstance(found, ClientHello | NoHello)
    for i in range(len(data)):
        last = pieces.feed(data[i : i + 1])
    if data:
        assert isinstance(found, NoHello) or last == found


def firewall(data: bytes) -> None:
    target, _, body = data.partition(b"\n")
    request = RequestHead(b"POST", b"/?" + target, b"POST / HTTP/1.1\r\n", Peer("192.0.2.1"), "192.0.2.1")
    for kind in (b"application/json", b"application/x-www-form-urlencoded"):
        FIREWALL.inspect(request, body, kind)
    for coding in ("gzip", "deflate"):
        assert len(decode(body, coding, 1000) or b"") <= 1000
    read_line(data.decode("utf-8", "replace"))


READERS: tuple[Callable[[bytes], None], ...] = (
    request_head,
    response_head,
    chunked,
    proxy_header,
    client_hello,
    firewall,
)


def one_input(data: bytes) -> None:
    if data:
        READERS[data[0] % len(READERS)](data[1:])


def seeds(folder: Path) -> None:
    """Write inputs to begin with: one that each reader takes."""
    for i, data in enumerate(
        (
            b"POST http://b/x?y HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.7\r\nVia: 1.0 b\r\n"
            b"Connection: upgrade, x\r\nUpgrade: websocket\r\nX: y\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\nDate: x\r\n\r\n",
            b"5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n",
            b"PROXY TCP4 192.0.2.1 192.0.2.2 1234 80\r\n",
            bytes.fromhex("1603010035010000310303")
            + bytes(32)
            + bytes.fromhex("00000213010100000600000002000000"),
            b'q=%253cscript%3e1\'+union/**/select\n{"a": ["<script>", {"$ne": 1}]}',
        )
    ):
        (folder / f"seed{i}").write_bytes(bytes([i]) + data)


if __name__ == "__main__":
    folders = [Path(argument) for argument in sys.argv[1:] if not argument.startswith("-")]
    for folder in folders[:1]:
        folder.mkdir(exist_ok=True)
        seeds(folder)
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
