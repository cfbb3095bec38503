"""Streams that try to smuggle a request: to hide `/smuggled` from one of two servers that read it in turn.

Each is what one client sends. `AFTER` comes behind it, which ends the connection if it is read as a request.
Many are refused, some are harmless for a proxy that passes on only what it has understood: the laws are in
test_smuggling.py, the same for all. Single heads, and what must become of each, are in tests/net/corpus.
"""

from __future__ import annotations

HIDDEN = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
AFTER = b"GET /after HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
TE = b"Transfer-Encoding: chunked"


def post(*lines: bytes, body: bytes = b"", version: bytes = b"1.1") -> bytes:
    return b"\r\n".join([b"POST /outer HTTP/" + version, b"Host: a", *lines, b"", body])


def length(body: bytes) -> bytes:
    return b"Content-Length: %d" % len(body)


def chunk(body: bytes, extension: bytes = b"", end: bytes = b"0\r\n\r\n") -> bytes:
    return b"%x%b\r\n%b\r\n%b" % (len(body), extension, body, end)


# Ways to write Transfer-Encoding that some servers take for it, and others do not.
CODINGS = {
    "plain": TE,
    "in capitals": b"TRANSFER-ENCODING: CHUNKED",
    "mixed": b"tRANSFER-eNCODING: cHUNKED",
    "a space before the colon": b"Transfer-Encoding : chunked",
    "a tab before the colon": b"Transfer-Encoding\t: chunked",
    "a tab behind the colon": b"Transfer-Encoding:\tchunked",
    "no space": b"Transfer-Encoding:chunked",
    "spaces at its end": b"Transfer-Encoding: chunked \t ",
    "a vertical tab before it": b"Transfer-Encoding: \x0bchunked",
    "a vertical tab behind it": b"Transfer-Encoding: chunked\x0b",
    "a form feed": b"Transfer-Encoding: chunked\x0c",
    "a NUL behind it": b"Transfer-Encoding: chunked\0",
    "a NUL in the name": b"Transfer-Encoding\0: chunked",
    "a no-break space": b"Transfer-Encoding: \xa0chunked",
    "a byte order mark": b"\xef\xbb\xbfTransfer-Encoding: chunked",
    "another word": b"Transfer-Encoding: xchunked",
    "half a word": b"Transfer-Encoding: chunk",
    "quotes": b'Transfer-Encoding: "chunked"',
    "apostrophes": b"Transfer-Encoding: 'chunked'",
    "a parameter": b"Transfer-Encoding: chunked;q=1",
    "a comma behind": b"Transfer-Encoding: chunked,",
    "a comma before": b"Transfer-Encoding: ,chunked",
    "identity behind": b"Transfer-Encoding: chunked, identity",
    "identity before": b"Transfer-Encoding: identity, chunked",
    "identity alone": b"Transfer-Encoding: identity",
    "gzip before": b"Transfer-Encoding: gzip, chunked",
    "twice in one": b"Transfer-Encoding: chunked, chunked",
    "nothing": b"Transfer-Encoding:",
    "twice": TE + b"\r\n" + TE,
    "once more with another": TE + b"\r\nTransfer-Encoding: cow",
    "after another": b"Transfer-Encoding: cow\r\n" + TE,
    "once more with identity": TE + b"\r\nTransfer-Encoding: identity",
    "a fold": b"Transfer-Encoding:\r\n chunked",
    "a fold with a tab": b"Transfer-Encoding:\r\n\tchunked",
    "a fold of something else": b"X: y\r\n " + TE,
    "a fold behind": TE + b"\r\n , identity",
    "behind a bare LF": b"X: y\n" + TE,
    "behind a bare CR": b"X: y\r" + TE,
    "ended by a bare LF": TE + b"\nX: y",
    "ended by a bare CR": TE + b"\rX: y",
    "behind two CR": b"X: y\r\r\n" + TE,
    "an underscore": b"Transfer_Encoding: chunked",
    "a minus of Unicode": "Transfer‐Encoding: chunked".encode(),
    "a space within the name": b"Transfer Encoding: chunked",
    "in a value": b"X: Transfer-Encoding: chunked",
    "a colon first": b":Transfer-Encoding: chunked",
    "two colons": b"Transfer-Encoding:: chunked",
    "an equals sign": b"Transfer-Encoding= chunked",
    "a name that is longer": b"X-Transfer-Encoding: chunked",
    "the name of mail": b"Content-Transfer-Encoding: chunked",
    "named by Connection": TE + b"\r\nConnection: Transfer-Encoding",
    "as a field and as TE": TE + b"\r\nTE: trailers, chunked",
}

# Those that no server reads as Transfer-Encoding. (Some applications read an underscore as a hyphen; such a
# field is dropped.)
NO_CODING = {"an underscore", "in a value", "a name that is longer", "the name of mail"}

PAYLOADS: dict[str, bytes] = {}
for what, line in CODINGS.items():
    end = b"0\r\n\r\n" + HIDDEN
    whole = chunk(HIDDEN)
    size = b"Content-Length: %d" % (whole.index(b"\r\n") + 2)
    PAYLOADS |= {
        f"CL.TE, {what}": post(length(end), line, body=end),
        f"TE.CL, {what}": post(line, size, body=whole),
        f"TE alone, {what}": post(line, body=end),
        f"TE with chunks, {what}": post(line, body=whole),
        f"HTTP/1.0, {what}": post(line, length(end), b"Connection: keep-alive", body=end, version=b"1.0"),
    }

for what, lines in {
    "two lengths": b"Content-Length: 0\r\n" + length(HIDDEN),
    "two lengths, the other way": length(HIDDEN) + b"\r\nContent-Length: 0",
    "twice the same": length(HIDDEN) + b"\r\n" + length(HIDDEN),
    "a list": b"Content-Length: 0, %d" % len(HIDDEN),
    "a list of the same": b"Content-Length: %d, %d" % (len(HIDDEN), len(HIDDEN)),
    "a plus": b"Content-Length: +%d" % len(HIDDEN),
    "a minus": b"Content-Length: -%d" % len(HIDDEN),
    "minus zero": b"Content-Length: -0",
    "zeros before": b"Content-Length: 000%d" % len(HIDDEN),
    "hexadecimal": b"Content-Length: 0x%x" % len(HIDDEN),
    "a fraction": b"Content-Length: %d.0" % len(HIDDEN),
    "an exponent": b"Content-Length: 3e1",
    "a space within": b"Content-Length: 3 5",
    "underscores": b"Content-Length: 3_5",
    "digits of Unicode": "Content-Length: ３５".encode(),
    "a NUL": b"Content-Length: %d\0" % len(HIDDEN),
    "letters behind": b"Content-Length: %dabc" % len(HIDDEN),
    "nothing": b"Content-Length:",
    "a space before the colon": b"Content-Length : %d" % len(HIDDEN),
    "a fold": b"Content-Length:\r\n %d" % len(HIDDEN),
    "a bare LF before": b"X: y\n" + length(HIDDEN),
    "a bare CR before": b"X: y\r" + length(HIDDEN),
    "a twin": b"Content_Length: %d" % len(HIDDEN),
    "more than 64 bits": b"Content-Length: %d" % (2**64 + len(HIDDEN)),
    "more than 32 bits": b"Content-Length: %d" % (2**32 + len(HIDDEN)),
    "zero": b"Content-Length: 0",
    "right": length(HIDDEN),
    "one too small": b"Content-Length: %d" % (len(HIDDEN) - 1),
    "one too large": b"Content-Length: %d" % (len(HIDDEN) + 1),
    "named by Connection": length(HIDDEN) + b"\r\nConnection: Content-Length",
}.items():
    for method in (b"POST", b"GET", b"HEAD", b"DELETE", b"OPTIONS"):
        head = method + b" /outer HTTP/1.1\r\nHost: a\r\n" + lines + b"\r\n\r\n"
        PAYLOADS[f"CL {method.decode()}, {what}"] = head + HIDDEN

for what, body in {
    "an extension": chunk(HIDDEN, b";a=b"),
    "an extension in quotes": chunk(HIDDEN, b';a="b;c"'),
    "an extension with a quoted end": chunk(HIDDEN, b';a="\r\n'),
    "an extension with a bare LF": chunk(HIDDEN, b";a\nb"),
    "an extension with a bare CR": chunk(HIDDEN, b";a\rb"),
    "an empty extension": chunk(HIDDEN, b";"),
    "a space behind the size": chunk(HIDDEN, b" "),
    "a tab behind the size": chunk(HIDDEN, b"\t"),
    "a NUL behind the size": chunk(HIDDEN, b"\0"),
    "a comma behind the size": chunk(HIDDEN, b",0"),
    "a space before the size": b" " + chunk(HIDDEN),
    "a plus": b"+" + chunk(HIDDEN),
    "a minus": b"-" + chunk(HIDDEN),
    "0x": b"0x" + chunk(HIDDEN),
    "an underscore": b"2_3\r\n" + HIDDEN + b"\r\n0\r\n\r\n",
    "zeros before": b"000000" + chunk(HIDDEN),
    "a size of 65 bits": b"1%016x\r\n" % len(HIDDEN) + HIDDEN + b"\r\n0\r\n\r\n",
    "a size of 33 bits": b"1%08x\r\n" % len(HIDDEN) + HIDDEN + b"\r\n0\r\n\r\n",
    "sizes in bare LF": chunk(HIDDEN).replace(b"\r\n", b"\n", 1),
    "a size in bare CR": chunk(HIDDEN).replace(b"\r\n", b"\r", 1),
    "no end of line behind the data": b"%x\r\n%b0\r\n\r\n" % (len(HIDDEN), HIDDEN),
    "a bare LF behind the data": b"%x\r\n%b\n0\r\n\r\n" % (len(HIDDEN), HIDDEN),
    "two bytes in place of CR LF": b"%x\r\n%bXX0\r\n\r\n" % (len(HIDDEN), HIDDEN),
    "a last chunk in LF": b"0\n\n" + HIDDEN,
    "a last chunk in CR": b"0\r\r" + HIDDEN,
    "a last chunk with one line": b"0\r\n" + HIDDEN,
    "a last chunk of zeros": b"0000\r\n\r\n" + HIDDEN,
    "a last chunk with an extension": b"0;x\r\n\r\n" + HIDDEN,
    "a trailer": chunk(b"x", end=b"0\r\nX: y\r\n\r\n") + HIDDEN,
    "a trailer that frames": chunk(b"x", end=b"0\r\nContent-Length: 35\r\n\r\n") + HIDDEN,
    "a trailer that codes": chunk(b"x", end=b"0\r\nTransfer-Encoding: chunked\r\n\r\n") + HIDDEN,
    "a trailer with a fold": chunk(b"x", end=b"0\r\nX: y\r\n z\r\n\r\n") + HIDDEN,
    "a trailer in LF": chunk(b"x", end=b"0\r\nX: y\n\r\n") + HIDDEN,
    "a trailer that is a request": chunk(b"x", end=b"0\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"),
    "a trailer with a NUL": chunk(b"x", end=b"0\r\nX\0: y\r\n\r\n") + HIDDEN,
    "an empty chunk in the middle": b"0\r\n\r\n" + chunk(HIDDEN),
    "no size": b"\r\n" + HIDDEN,
    "letters that are no digits": b"xyz\r\n" + HIDDEN,
    "nothing behind it": b"0\r\n\r\n",
    "a request at once": HIDDEN,
}.items():
    PAYLOADS[f"chunks with {what}"] = post(TE, body=body)

PAYLOADS |= {
    "a request behind Connection: close": post(b"Content-Length: 0", b"Connection: close") + HIDDEN,
    "a request behind HTTP/1.0": b"GET /outer HTTP/1.0\r\nHost: a\r\n\r\n" + HIDDEN,
    "a request behind HTTP/1.0 with keep-alive": (
        b"GET /outer HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n" + HIDDEN
    ),
    "HTTP/0.9": b"GET /smuggled\r\n\r\n",
    "HTTP/0.9 behind a request": post(b"Content-Length: 0") + b"GET /smuggled\r\n\r\n",
    "an expectation and a body": post(b"Expect: 100-continue", length(HIDDEN), body=HIDDEN),
    "an odd expectation and a body": post(b"Expect: x 100-continue", length(HIDDEN), body=HIDDEN),
    "two expectations": post(b"Expect: 100-continue", b"Expect: x", length(HIDDEN), body=HIDDEN),
    "GET with an expectation": (
        b"GET /outer HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n" + length(HIDDEN) + b"\r\n\r\n" + HIDDEN
    ),
    "a WebSocket that the backend does not know": (
        b"GET /outer HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n" + HIDDEN
    ),
    "a WebSocket with a body": post(
        b"Connection: Upgrade", b"Upgrade: websocket", length(HIDDEN), body=HIDDEN
    ),
    "an upgrade to h2c": (
        b"GET /outer HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
        b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + HIDDEN
    ),
    "prior knowledge of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + HIDDEN,
    "an absolute target with another host": b"GET http://b/outer HTTP/1.1\r\nHost: a\r\n\r\n" + HIDDEN,
    "an absolute target that looks like a request": (
        b"GET http://b/ HTTP/1.1\rGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
    ),
    "two Hosts": b"GET /outer HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n" + HIDDEN,
    "a Host behind a fold": b"GET /outer HTTP/1.1\r\nX: y\r\n Host: b\r\nHost: a\r\n\r\n" + HIDDEN,
    "a Host with a space before the colon": b"GET /outer HTTP/1.1\r\nHost: a\r\nHost : b\r\n\r\n" + HIDDEN,
    "a Host that is a request": b"GET /outer HTTP/1.1\r\nHost: a\nGET /smuggled HTTP/1.1\r\n\r\n",
    "a target with a bare LF": b"GET /outer HTTP/1.1\nHost: a\n\n" + HIDDEN,
    "a target with an encoded end of line": (
        b"GET /outer%20HTTP/1.1%0d%0aHost:%20a%0d%0a%0d%0aGET%20/smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
    ),
    "a field with an encoded end of line": (
        b"GET /outer HTTP/1.1\r\nHost: a\r\nX: y%0d%0a%0d%0aGET /smuggled\r\n\r\n"
    ),
    "a NUL in a field": b"GET /outer HTTP/1.1\r\nHost: a\r\nX: y\0\r\n\r\n" + HIDDEN,
    "a head that ends with LF LF": b"GET /outer HTTP/1.1\r\nHost: a\n\n" + HIDDEN,
    "a head that ends with CR CR": b"GET /outer HTTP/1.1\r\nHost: a\r\r" + HIDDEN,
    "a head that ends with LF CR LF": b"GET /outer HTTP/1.1\r\nHost: a\n\r\n" + HIDDEN,
    "no colon": b"GET /outer HTTP/1.1\r\nHost: a\r\nGET /smuggled HTTP/1.1\r\n\r\n",
    "spaces before the first field": b"GET /outer HTTP/1.1\r\n X: y\r\nHost: a\r\n\r\n" + HIDDEN,
    "empty lines between two": post(b"Content-Length: 0") + b"\r\n\r\n\r\n" + HIDDEN,
    "a CR between two": post(b"Content-Length: 0") + b"\r" + HIDDEN,
    "an LF between two": post(b"Content-Length: 0") + b"\n" + HIDDEN,
    "a method with a space before it": post(b"Content-Length: 0") + b" " + HIDDEN,
    "a method that is glued on": post(b"Content-Length: 1", body=b"X") + b"X" + HIDDEN,
    "Keep-Alive and a body that is not announced": (
        b"GET /outer HTTP/1.1\r\nHost: a\r\nKeep-Alive: max=1\r\n\r\nX=1" + HIDDEN
    ),
    "HEAD and a pipeline": b"HEAD /outer HTTP/1.1\r\nHost: a\r\n\r\n" + HIDDEN,
    "a 304 and a pipeline": b'GET /outer HTTP/1.1\r\nHost: a\r\nIf-None-Match: "*"\r\n\r\n' + HIDDEN,
    "CONNECT and a pipeline": b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n" + HIDDEN,
    "a large body and a pipeline": post(b"Content-Length: 200000", body=bytes(200_000)) + HIDDEN,
}
