"""Backends' answers, and what their clients must get. RFC 9110 and 9112 decide."""

from __future__ import annotations

from net.corpus.cases import (
    BAD_GATEWAY,
    HEAD_REQUEST,
    LAST_REQUEST,
    OLD_KEPT,
    OLD_REQUEST,
    POST_REQUEST,
    REFUSED,
    UPGRADE_REQUEST,
    Answer,
    Answers,
)

table = Answers()
passes, refuses, cuts = table.passes, table.refuses, table.cuts

OK = b" HTTP/1.1 200 OK\n"
CHUNKED = b"-Transfer-Encoding: chunked\n+Transfer-Encoding: chunked"
ABC = b"3\r\nabc\r\n0\r\n\r\n"
POISON = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"


def answer(*fields: bytes, body: bytes = b"", line: bytes = b"HTTP/1.1 200 OK") -> bytes:
    return b"\r\n".join([line, *fields, b"", body])


# -- status and reason ---------------------------------------------------------------------------------

for status in (
    *(200, 201, 202, 203, 206, 207, 226, 299, 300, 301, 302, 303, 307, 308, 400, 401, 403, 404, 405, 407),
    *(
        408,
        409,
        411,
        413,
        418,
        421,
        425,
        429,
        431,
        451,
        499,
        500,
        501,
        503,
        504,
        505,
        511,
        520,
        599,
        600,
        999,
    ),
):
    passes(f"status {status}", b" HTTP/1.1 %d X\n Content-Length: 3" % status, raw=b"abc")
for what, line in {
    "no reason": b" HTTP/1.1 200 ",
    "a reason of words": b" HTTP/1.1 200 All  is well",
    "a reason with a tab": b" HTTP/1.1 200 a\tb",
    "a reason in Latin-1": b" HTTP/1.1 404 Pas trouv\xe9",
    "a reason of digits": b" HTTP/1.1 200 404",
    "a reason like a field": b" HTTP/1.1 200 X: y",
    "neither reason nor space": b"-HTTP/1.1 200\n+HTTP/1.1 200 ",
    "HTTP/1.0": b"-HTTP/1.0 200 OK\n+HTTP/1.1 200 OK",
}.items():
    passes(f"a status line with {what}", line + b"\n Content-Length: 3", raw=b"abc")
for what, line in {
    "status 000": b"HTTP/1.1 000 X",
    "status 001": b"HTTP/1.1 001 X",
    "status 099": b"HTTP/1.1 099 X",
    "status 010": b"HTTP/1.1 010 X",
    "status 20": b"HTTP/1.1 20 OK",
    "status 2": b"HTTP/1.1 2 OK",
    "status 2000": b"HTTP/1.1 2000 OK",
    "status 0200": b"HTTP/1.1 0200 OK",
    "status +20": b"HTTP/1.1 +20 OK",
    "status -20": b"HTTP/1.1 -20 OK",
    "status 2_0": b"HTTP/1.1 2_0 OK",
    "status 20x": b"HTTP/1.1 20x OK",
    "status 2.0": b"HTTP/1.1 2.0 OK",
    "an Arabic status": "HTTP/1.1 ٢٠٠ OK".encode(),
    "no status": b"HTTP/1.1 OK",
    "no status, no reason": b"HTTP/1.1",
    "two spaces": b"HTTP/1.1  200 OK",
    "a tab": b"HTTP/1.1\t200 OK",
    "a tab behind the status": b"HTTP/1.1 200\tOK",
    "a NUL in the reason": b"HTTP/1.1 200 O\0K",
    "a bare CR in the reason": b"HTTP/1.1 200 O\rK",
    "a bare LF in the reason": b"HTTP/1.1 200 O\nK: x",
    "a control byte in the reason": b"HTTP/1.1 200 O\x01K",
    "a version in small letters": b"http/1.1 200 OK",
    "version 2.0": b"HTTP/2.0 200 OK",
    "version 2": b"HTTP/2 200 OK",
    "version 0.9": b"HTTP/0.9 200 OK",
    "version 1": b"HTTP/1 200 OK",
    "version 1.10": b"HTTP/1.10 200 OK",
    "version 3.0": b"HTTP/3.0 200 OK",
    "another protocol": b"ICY 200 OK",
    "RTSP": b"RTSP/1.0 200 OK",
    "a space first": b" HTTP/1.1 200 OK",
    "an LF first": b"\nHTTP/1.1 200 OK",
    "a NUL first": b"\0HTTP/1.1 200 OK",
    "a byte order mark": b"\xef\xbb\xbfHTTP/1.1 200 OK",
    "HTML": b"<html>",
    "a request": b"GET / HTTP/1.1",
    "TLS": b"\x15\x03\x01\0\x02\x02\x50",
    "CR CR LF at its end": b"HTTP/1.1 200 OK\r",
}.items():
    refuses(f"a status line with {what}", answer(b"Content-Length: 3", body=b"abc", line=line))

# -- bodies --------------------------------------------------------------------------------------------

passes("a body by length", OK + b" Content-Length: 3\n X: y", raw=b"abc")
passes("a length of 0", OK + b" Content-Length: 0")
passes("a length with zeros", OK + b" Content-Length: 003", raw=b"abc")
passes("a length with spaces", OK + b" content-length: \t3 ", raw=b"abc")
passes(
    "a length for a client that closes",
    OK + b" Content-Length: 3\n+Connection: close",
    raw=b"abc",
    request=LAST_REQUEST,
    end="closed",
)
passes("a length for a POST", OK + b" Content-Length: 3", raw=b"abc", request=POST_REQUEST)
passes("a length, then close", OK + b" Content-Length: 3", raw=b"abc", then="close")
passes("a length, then reset", OK + b" Content-Length: 3", raw=b"abc", then="reset")
passes(
    "a length and Connection: close", OK + b" Content-Length: 3\n-Connection: close", raw=b"abc", then="close"
)
passes("a body of every byte", OK + b" Content-Length: 256", raw=bytes(range(256)))
passes("a body like an answer", OK + b" Content-Length: %d" % len(POISON), raw=POISON)
passes(
    "a length for HTTP/1.0",
    OK + b" Content-Length: 3\n+Connection: close",
    raw=b"abc",
    request=OLD_REQUEST,
    end="closed",
)
passes(
    "a length for HTTP/1.0, kept alive",
    OK + b" Content-Length: 3\n+Connection: keep-alive",
    raw=b"abc",
    request=OLD_KEPT,
)
passes(
    "a length of HTTP/1.0",
    b"-HTTP/1.0 200 OK\n+HTTP/1.1 200 OK\n Content-Length: 3",
    raw=b"abc",
    then="close",
)
passes(
    "a length of HTTP/1.0, kept alive",
    b"-HTTP/1.0 200 OK\n+HTTP/1.1 200 OK\n Content-Length: 3\n-Connection: keep-alive",
    raw=b"abc",
)
passes("a body until close", OK + b" X: y\n+Transfer-Encoding: chunked", raw=b"abc", then="close")
passes("an empty body until close", OK + b" X: y\n+Transfer-Encoding: chunked", then="close")
passes(
    "a body like an answer until close", OK + b" X: y\n+Transfer-Encoding: chunked", raw=POISON, then="close"
)
passes("a body like chunks until close", OK + b" X: y\n+Transfer-Encoding: chunked", raw=ABC, then="close")
passes(
    "a body until close of HTTP/1.0",
    b"-HTTP/1.0 200 OK\n+HTTP/1.1 200 OK\n X: y\n+Transfer-Encoding: chunked",
    raw=b"abc",
    then="close",
)
passes(
    "a body until close for HTTP/1.0",
    OK + b" X: y\n+Connection: close",
    raw=b"abc",
    then="close",
    request=OLD_REQUEST,
    end="closed",
)
passes(
    "a body until close for HTTP/1.0, kept alive",
    OK + b" X: y\n+Connection: close",
    raw=b"abc",
    then="close",
    request=OLD_KEPT,
    end="closed",
)
passes("Content-Encoding: chunked", OK + b" Content-Encoding: chunked\n Content-Length: 3", raw=b"abc")
passes("Transfer_Encoding beside a length", OK + b" Transfer_Encoding: x\n Content-Length: 3", raw=b"abc")

for what, raw, content in (
    ("none", b"0\r\n\r\n", b""),
    ("one", ABC, b"abc"),
    ("three", b"1\r\na\r\n2\r\nbc\r\n3\r\ndef\r\n0\r\n\r\n", b"abcdef"),
    ("with an extension", b'3;a="b;c"\r\nabc\r\n0;d\r\n\r\n', b"abc"),
    ("with leading zeros", b"0000003\r\nabc\r\n000\r\n\r\n", b"abc"),
    ("with a size in capitals", b"A\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
    ("with a trailer", b"3\r\nabc\r\n0\r\nX: y\r\n\r\n", b"abc"),
    ("with a trailer for a cookie", b"3\r\nabc\r\n0\r\nSet-Cookie: evil=1\r\n\r\n", b"abc"),
    ("that look like an answer", b"%x\r\n%b\r\n0\r\n\r\n" % (len(POISON), POISON), POISON),
    ("that look like chunks", b"d\r\n" + ABC + b"\r\n0\r\n\r\n", ABC),
):
    passes(f"chunks {what}", OK + CHUNKED, raw=raw, content=content)
passes("chunks, then close", OK + CHUNKED, raw=ABC, content=b"abc", then="close")
passes(
    "chunks for a client that closes",
    OK + CHUNKED + b"\n+Connection: close",
    raw=ABC,
    content=b"abc",
    request=LAST_REQUEST,
    end="closed",
)
passes(
    "chunks for HTTP/1.0",
    OK + b"-Transfer-Encoding: chunked\n+Connection: close",
    raw=ABC,
    content=b"abc",
    request=OLD_REQUEST,
    end="closed",
)
passes(
    "chunks for HTTP/1.0, kept alive",
    OK + b"-Transfer-Encoding: chunked\n+Connection: close",
    raw=ABC,
    content=b"abc",
    request=OLD_KEPT,
    end="closed",
)
passes(
    "chunks in capitals",
    OK + b"-TRANSFER-ENCODING:CHUNKED\n X: y\n+Transfer-Encoding: chunked",
    raw=ABC,
    content=b"abc",
)
passes(
    "chunks and a Trailer field",
    OK + b"-Trailer: X\n" + CHUNKED,
    raw=b"1\r\na\r\n0\r\nX: y\r\n\r\n",
    content=b"a",
)

# No body, whatever the head says (RFC 9112, 6.3).
for what, line, fields in (
    ("204", b"204 No Content", b""),
    ("204 with a length of 0", b"204 No Content", b"-Content-Length: 0"),
    ("204 with a length", b"204 No Content", b"-Content-Length: 5"),
    ("204 with chunks", b"204 No Content", b"-Transfer-Encoding: chunked"),
    ("304", b"304 Not Modified", b""),
    ("304 with a length", b"304 Not Modified", b" Content-Length: 5"),
    ("304 with chunks", b"304 Not Modified", b"-Transfer-Encoding: chunked"),
):
    difference = b"\n".join(filter(None, [b" HTTP/1.1 " + line, fields, b" ETag: x"]))
    passes(f"status {what}", difference)
    passes(f"status {what}, and more unasked", difference, behind=POISON)
    passes(f"status {what}, for HTTP/1.0", difference + b"\n+Connection: keep-alive", request=OLD_KEPT)
for what, fields in (
    ("a length", b" Content-Length: 999"),
    ("a length of 0", b" Content-Length: 0"),
    ("chunks", b"-Transfer-Encoding: chunked"),
    ("nothing", b" X: y"),
):
    passes(f"HEAD answered with {what}", OK + fields, request=HEAD_REQUEST)
passes("HEAD answered with a body", OK + b" Content-Length: 6", behind=b"poison", request=HEAD_REQUEST)
passes("HEAD answered with two answers", OK + b" Content-Length: 0", behind=POISON, request=HEAD_REQUEST)
passes("HEAD answered 404", b" HTTP/1.1 404 Not Found\n Content-Length: 9", request=HEAD_REQUEST)
passes("205 with a length of 0", b" HTTP/1.1 205 Reset Content\n Content-Length: 0")

# Bytes after an answer were not asked for: no client gets them.
passes("two answers by length", OK + b" Content-Length: 3", raw=b"abc", behind=POISON)
passes("two empty answers", OK + b" Content-Length: 0", behind=POISON)
passes("two answers in chunks", OK + CHUNKED, raw=ABC, content=b"abc", behind=POISON)
passes("a body longer than its length", OK + b" Content-Length: 3", raw=b"abc", behind=b"def")
passes("a line end behind the body", OK + b" Content-Length: 3", raw=b"abc", behind=b"\r\n")
passes("a line end behind the chunks", OK + CHUNKED, raw=ABC, content=b"abc", behind=b"\r\n")
passes(
    "an interim answer behind the answer",
    OK + b" Content-Length: 0",
    behind=b"HTTP/1.1 103 Early Hints\r\n\r\n",
)
passes("a hundred answers", OK + b" Content-Length: 0", behind=POISON * 100)

# -- fields --------------------------------------------------------------------------------------------

for what, line in {
    "no space behind the colon": b"X:y",
    "tabs and spaces": b"X: \t y \t",
    "no value": b"X:",
    "raw bytes": b"X: \xe4\xff",
    "a tab within": b"X: a\tb",
    "every letter of a token": b"!#$%&'*+-.^_`|~09azAZ: y",
    "an underscore": b"api_key: y",
    "chunked in its value": b"X: Transfer-Encoding: chunked",
    "a name that starts like Connection": b"Connection-Id: 7",
    "a name that ends like Content-Length": b"X-Content-Length: 9",
    "a name that starts like Trailer": b"Trailers: x",
    "a name that starts like Date": b"Dated: x",
    "a long value": b"X: " + b"y" * 5000,
    "a date": b"Date: Sun, 06 Nov 1994 08:49:37 GMT",
    "a date in capitals": b"DATE: Sun, 06 Nov 1994 08:49:37 GMT",
    "Server": b"Server: s/1.0",
    "Via": b"Via: 1.1 theirs",
    "X-Forwarded-For": b"X-Forwarded-For: 1.2.3.4",
    "a location": b"Location: http://a/b#c",
}.items():
    passes(f"a field with {what}", OK + b" %b\n Content-Length: 3\n Z: z" % line, raw=b"abc")
passes(
    "the same field many times, in order",
    OK + b" Set-Cookie: a=1\n X: y\n set-cookie: b=2\n Content-Length: 0\n Set-Cookie: c=3",
)
BAD_FIELDS = {
    "a space before the colon": b"X : y",
    "a tab before the colon": b"X\t: y",
    "a space before the colon of a length": b"Content-Length : 3",
    "a space before the colon of a coding": b"Transfer-Encoding : chunked",
    "no colon": b"nonsense",
    "no name": b": y",
    "a space in its name": b"X Y: z",
    "a bracket in its name": b"X(Y): z",
    "a raw byte in its name": b"X\xe4: z",
    "a NUL in its name": b"X\0: z",
    "a NUL in its value": b"X: a\0b",
    "a bare CR": b"X: a\rb",
    "a bare CR at its end": b"X: a\r",
    "a bare CR first": b"\rX: a",
    "a bare LF": b"X: a\nY: b",
    "a split by LF": b"X: a\nSet-Cookie: evil=1",
    "a split by CR": b"X: a\rSet-Cookie: evil=1",
    "an end of head by LF": b"X: a\n\nHTTP/1.1 200 OK",
    "a control byte": b"X: a\x01b",
    "a DEL": b"X: a\x7f",
    "a fold": b"X: a\r\n b",
    "a fold by a tab": b"X: a\r\n\tb",
    "a folded length": b"Content-Length:\r\n 3",
    "a folded coding": b"Transfer-Encoding:\r\n chunked",
}
for what, line in BAD_FIELDS.items():
    length = [] if b"Content-Length" in line or b"Transfer" in line else [b"Content-Length: 3"]
    refuses(f"a field with {what}", answer(line, *length, body=b"abc"))
refuses("a fold before the first field", b"HTTP/1.1 200 OK\r\n X: y\r\nContent-Length: 3\r\n\r\nabc")
refuses("LF for line ends", b"HTTP/1.1 200 OK\nContent-Length: 3\n\nabc", then="close")
refuses("LF behind the status", b"HTTP/1.1 200 OK\nContent-Length: 3\r\n\r\nabc")
refuses("CR LF LF behind the head", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\nabc", then="close")
refuses("a head without an end, then close", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n", then="close")
refuses("a head without an end, then reset", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n", then="reset")
refuses("a status line only, then close", b"HTTP/1.1 200 OK", then="close")
refuses("a head over the limit", answer(b"X: " + b"y" * 40_000, b"Content-Length: 0"))

# -- framing -------------------------------------------------------------------------------------------

for value in (
    *(
        b"+3",
        b"-3",
        b"-0",
        b"0x3",
        b"3,3",
        b"3, 3",
        b"3 3",
        b"3;",
        b"3.0",
        b"3e0",
        b"",
        b" ",
        b"three",
        b"1_0",
    ),
    *(
        b"99999999999999999999",
        b"18446744073709551619",
        b"\xb2",
        b"3\0",
        b"\x0b3",
        b",3",
        b"3,",
        b'"3"',
        b"3h",
    ),
):
    refuses(f"length {value!r}", answer(b"Content-Length: " + value, body=b"abc"))
for value in (
    *(
        b"identity",
        b"gzip",
        b"gzip, chunked",
        b"chunked, gzip",
        b"chunked, chunked",
        b"xchunked",
        b"chunkedx",
    ),
    *(
        b'"chunked"',
        b"chunked;q=1",
        b"",
        b",chunked",
        b"chunked,",
        b"\x0bchunked",
        b"chun ked",
        b"chunked\0",
        b"cow",
    ),
):
    refuses(f"coding {value!r}", answer(b"Transfer-Encoding: " + value, body=ABC))
for what, lines in {
    "two lengths": [b"Content-Length: 3", b"Content-Length: 4"],
    "two equal lengths": [b"Content-Length: 3", b"Content-Length: 3"],
    "length 0 and another": [b"Content-Length: 0", b"Content-Length: 3"],
    "two equal lengths in different letters": [b"Content-Length: 3", b"CONTENT-LENGTH: 3"],
    "a length and chunks": [b"Content-Length: 3", b"Transfer-Encoding: chunked"],
    "chunks and a length": [b"Transfer-Encoding: chunked", b"Content-Length: 3"],
    "length 0 and chunks": [b"Content-Length: 0", b"Transfer-Encoding: chunked"],
    "chunked twice": [b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"],
    "chunked, then identity": [b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity"],
    "identity, then chunked": [b"Transfer-Encoding: identity", b"Transfer-Encoding: chunked"],
    "a length, chunks and Connection: Content-Length": [
        b"Content-Length: 3",
        b"Transfer-Encoding: chunked",
        b"Connection: Content-Length",
    ],
}.items():
    refuses(f"framing by {what}", answer(*lines, body=ABC))
refuses("chunks of HTTP/1.0", answer(b"Transfer-Encoding: chunked", body=ABC, line=b"HTTP/1.0 200 OK"))
refuses(
    "HEAD answered with two lengths", answer(b"Content-Length: 3", b"Content-Length: 4"), request=HEAD_REQUEST
)

# -- hop by hop ----------------------------------------------------------------------------------------

for line in (
    *(
        b"Connection: keep-alive",
        b"Connection: close",
        b"Keep-Alive: timeout=5",
        b"Proxy-Authenticate: Basic",
    ),
    *(b"Proxy-Authorization: x", b"Proxy-Connection: close", b"TE: trailers", b"Trailer: X", b"Upgrade: h2c"),
    *(b"HTTP2-Settings: x", b"CONNECTION: X", b"proxy-connection: keep-alive"),
):
    passes(f"hop by hop {line.decode()}", OK + b"-%b\n Content-Length: 3\n X-Y: z" % line, raw=b"abc")
for line in (
    *(b"Connection: X-Mine", b"connection: x-mine, close", b"Connection: ,X-Mine,", b"Connection: a, X-MINE"),
):
    passes(
        f"{line.decode()!r} drops X-Mine",
        OK + b"-%b\n-X-Mine: 1\n Content-Length: 3\n X-Mine-Too: 1" % line,
        raw=b"abc",
    )
passes(
    "options over two Connections",
    OK + b"-Connection: X-A\n-X-A: 1\n-Connection: X-B\n-X-B: 2\n Content-Length: 0",
)
for option in (b"Content-Length", b"content-length", b"close, Content-Length", b"X-A, Content-Length"):
    passes(
        f"Connection: {option.decode()}",
        OK + b" Content-Length: 3\n-Connection: %b\n-X-A: 1" % option
        if b"X-A" in option
        else OK + b" Content-Length: 3\n-Connection: %b" % option,
        raw=b"abc",
        then="close" if b"close" in option else "keep",
    )
for option in (b"Transfer-Encoding", b"transfer-encoding", b"X-A, Transfer-Encoding"):
    passes(
        f"Connection: {option.decode()}",
        OK + b"-Connection: %b\n" % option + CHUNKED,
        raw=ABC,
        content=b"abc",
    )
for line in (
    b"Set-Cookie: a=b",
    b"Content-Type: text/html",
    b"Cache-Control: no-store",
    b"Content-Encoding: gzip",
    b"ETag: x",
    b"Location: /",
    b"Vary: *",
):
    passes(
        f"Connection: {line.partition(b':')[0].decode()}",
        OK + b"-Connection: %b\n %b\n Content-Length: 3" % (line.partition(b":")[0], line),
        raw=b"abc",
    )
passes(
    "Connection: Date", OK + b"-Connection: Date\n Date: Sun, 06 Nov 1994 08:49:37 GMT\n Content-Length: 0"
)

# -- interim answers -----------------------------------------------------------------------------------

FINAL = OK + b" Content-Length: 2"
for status in (100, 102, 103, 110, 199):
    passes(f"interim {status}", b" HTTP/1.1 %d X\n Link: </a>" % status, FINAL, raw=b"ok")
    passes(
        f"interim {status} for HTTP/1.0",
        b"-HTTP/1.1 %d X\n-Link: </a>" % status,
        FINAL + b"\n+Connection: close",
        raw=b"ok",
        request=OLD_REQUEST,
        end="closed",
    )
passes(
    "two interim answers",
    b" HTTP/1.1 100 Continue",
    b" HTTP/1.1 103 Early Hints\n Link: </a>",
    FINAL,
    raw=b"ok",
)
passes("thirty interim answers", *[b" HTTP/1.1 103 Early Hints"] * 30, FINAL, raw=b"ok")
passes("an interim answer without reason", b"-HTTP/1.1 100\n+HTTP/1.1 100 ", FINAL, raw=b"ok")
passes(
    "an interim answer to HEAD",
    b" HTTP/1.1 103 Early Hints",
    OK + b" Content-Length: 9",
    request=HEAD_REQUEST,
)
passes("an interim answer to a POST", b" HTTP/1.1 100 Continue", FINAL, raw=b"ok", request=POST_REQUEST)
passes("an interim answer before chunks", b" HTTP/1.1 103 Early Hints", OK + CHUNKED, raw=ABC, content=b"abc")
passes("an interim answer before 304", b" HTTP/1.1 103 Early Hints", b" HTTP/1.1 304 Not Modified\n ETag: x")
passes("an interim answer with a length of 0", b" HTTP/1.1 103 X\n-Content-Length: 0", FINAL, raw=b"ok")
passes("an interim answer with a length", b" HTTP/1.1 103 X\n-Content-Length: 50", FINAL, raw=b"ok")
passes("an interim answer with chunks", b" HTTP/1.1 103 X\n-Transfer-Encoding: chunked", FINAL, raw=b"ok")
passes(
    "an interim answer with hop-by-hop fields",
    b" HTTP/1.1 103 X\n-Connection: X-A\n-X-A: 1\n-Keep-Alive: 5\n Link: x",
    FINAL,
    raw=b"ok",
)
passes("an interim answer with Connection: close", b" HTTP/1.1 103 X\n-Connection: close", FINAL, raw=b"ok")
refuses("an unasked 101", b"HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\npoison")
refuses(
    "an unasked 101 of a POST",
    b"HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n" + POISON,
    request=POST_REQUEST,
)
refuses("an unasked 101 to h2c", b"HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n" + POISON)
refuses(
    "an unasked 101 of HEAD",
    b"HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    request=HEAD_REQUEST,
)
SWITCH = (
    b" HTTP/1.1 101 Switching\n-Connection: Upgrade\n-Upgrade: websocket\n Sec-WebSocket-Accept: x\n"
    b"+Connection: upgrade\n+Upgrade: websocket"
)
passes("101 as asked", SWITCH, request=UPGRADE_REQUEST, tunnel=True)
passes("101 as asked, and early bytes", SWITCH, raw=b"\x81\x02hi", request=UPGRADE_REQUEST, tunnel=True)
passes("101 as asked, and bytes like an answer", SWITCH, raw=POISON, request=UPGRADE_REQUEST, tunnel=True)
passes("101 behind 103", b" HTTP/1.1 103 Early Hints", SWITCH, request=UPGRADE_REQUEST, tunnel=True)
passes("101 declined by 200", FINAL, raw=b"ok", request=UPGRADE_REQUEST)
passes(
    "101 declined by 426",
    b" HTTP/1.1 426 Upgrade Required\n-Upgrade: websocket\n-Connection: upgrade\n Content-Length: 2",
    raw=b"no",
    request=UPGRADE_REQUEST,
)
for what, line in {
    "a fold": b"X: a\r\n b",
    "a bare LF": b"X: a\nb: c",
    "a space before the colon": b"X : y",
    "a NUL": b"X: \0",
}.items():
    refuses(
        f"an interim answer with {what}", answer(line, line=b"HTTP/1.1 103 X") + answer(b"Content-Length: 0")
    )
refuses("status 099 before 200", answer(line=b"HTTP/1.1 099 X") + answer(b"Content-Length: 0"))

# -- cut short: it must not look whole -----------------------------------------------------------------

for what, request in (
    ("", b"GET /case HTTP/1.1\r\nHost: a\r\n\r\n"),
    (" for HTTP/1.0", OLD_REQUEST),
    (" for HTTP/1.0, kept alive", OLD_KEPT),
    (" for a client that closes", LAST_REQUEST),
    (" for a POST", POST_REQUEST),
):
    for then in ("close", "reset"):
        ending = f"{what}, then {then}"
        cuts(f"half a length{ending}", answer(b"Content-Length: 6", body=b"abc"), then=then, request=request)
        cuts(
            f"half the chunks{ending}",
            answer(b"Transfer-Encoding: chunked", body=b"3\r\nabc\r\n"),
            then=then,
            request=request,
        )
        cuts(
            f"half a chunk{ending}",
            answer(b"Transfer-Encoding: chunked", body=b"6\r\nabc"),
            then=then,
            request=request,
        )
    cuts(f"nothing of a length{what}", answer(b"Content-Length: 6"), request=request)
    cuts(
        f"chunks without their last line{what}",
        answer(b"Transfer-Encoding: chunked", body=ABC[:-2]),
        request=request,
    )
    cuts(f"a body until reset{what}", answer(b"X: y", body=b"abc"), then="reset", request=request)
for what, raw in {
    "no size": b"3\r\nabc\r\n\r\nabc\r\n0\r\n\r\n",
    "a size that is no number": b"3\r\nabc\r\nxyz\r\nabc\r\n0\r\n\r\n",
    "a signed size": b"3\r\nabc\r\n+3\r\nabc\r\n0\r\n\r\n",
    "0x": b"3\r\nabc\r\n0x3\r\nabc\r\n0\r\n\r\n",
    "an underscore": b"3\r\nabc\r\n0_3\r\nabc\r\n0\r\n\r\n",
    "a space before the size": b"3\r\nabc\r\n 3\r\nabc\r\n0\r\n\r\n",
    "a space behind the size": b"3\r\nabc\r\n3 \r\nabc\r\n0\r\n\r\n",
    "16 digits": b"3\r\nabc\r\n0000000000000003\r\nabc\r\n0\r\n\r\n",
    "17 digits": b"3\r\nabc\r\n10000000000000003\r\nabc\r\n0\r\n\r\n",
    "a bare LF": b"3\r\nabc\r\n3\nabc\r\n0\r\n\r\n",
    "a size too short": b"3\r\nabc\r\n2\r\nabc\r\n0\r\n\r\n",
    "a size too long": b"3\r\nabc\r\n4\r\nabc\r\n0\r\n\r\n",
    "LF behind the data": b"3\r\nabc\r\n3\r\nabc\n0\r\n\r\n",
    "an extension with LF": b"3\r\nabc\r\n3;a\nb\r\nabc\r\n0\r\n\r\n",
    "an extension with CR": b"3\r\nabc\r\n3;a\rb\r\nabc\r\n0\r\n\r\n",
    "a trailer without a colon": b"3\r\nabc\r\n0\r\nnonsense\r\n\r\n",
    "a trailer with LF": b"3\r\nabc\r\n0\r\nX: y\n\r\n",
    "an answer for a chunk": b"3\r\nabc\r\n" + POISON,
}.items():
    cuts(f"chunks with {what}", answer(b"Transfer-Encoding: chunked", body=raw), then="keep")

# Nothing at all: another try for a GET, an error for a POST.
refuses("nothing, then close", b"", then="close")
refuses("nothing, then reset", b"", then="reset")
refuses("nothing for a POST, then close", b"", then="close", request=POST_REQUEST)
table.add(
    Answer(
        "an interim answer, then close",
        b"HTTP/1.1 103 X\r\n\r\n",
        (b"HTTP/1.1 103 X\r\n\r\n", REFUSED),
        BAD_GATEWAY,
        then="close",
    )
)

ANSWERS = table.cases
