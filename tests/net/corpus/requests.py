"""Requests, and what must become of them. RFC 9110 and 9112 decide; comments say where there is a choice."""

from __future__ import annotations

from net.corpus.cases import Table, request

table = Table()
passes, refuses, pipeline = table.passes, table.refuses, table.pipeline

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
REFUSED_METHOD = (400, 405, 501)


def get(*fields: bytes, target: bytes = b"/") -> bytes:
    """A request with these fields, as it is sent."""
    return b"\r\n".join([b"GET %b HTTP/1.1" % target, b"Host: a", *fields, b"", b""])


def post(*fields: bytes, body: bytes = b"") -> bytes:
    return b"\r\n".join([b"POST / HTTP/1.1", b"Host: a", *fields, b"", body])


# -- methods and targets -------------------------------------------------------------------------------

for method in (b"GET", b"HEAD", b"DELETE", b"OPTIONS", b"TRACE", b"POST", b"PUT", b"PATCH"):
    passes(f"method {method.decode()}", b" %b /x HTTP/1.1\n Host: a" % method)
for method in (b"POST", b"PUT", b"PATCH", b"DELETE", b"GET", b"OPTIONS"):
    passes(
        f"method {method.decode()} with a body",
        b" %b /x HTTP/1.1\n Host: a\n Content-Length: 3" % method,
        b"abc",
    )
# Any token is a method (RFC 9110, 9.1), but none needs to be known.
for method in (b"PROPFIND", b"FROBNICATE", b"get", b"M-SEARCH", b"GET!", b"PURGE", b"A" * 40):
    passes(f"method {method[:12].decode()}", b" %b / HTTP/1.1\n Host: a" % method, either=REFUSED_METHOD)
for what, method in {
    "with a bracket": b"G(T",
    "with a colon": b"GET:",
    "with a slash": b"GET/",
    "with a NUL": b"GE\0T",
    "with a control byte": b"GE\x01T",
    "with a raw byte": b"G\xc3\x89T",
    "in quotes": b'"GET"',
    "with a tab": b"GET\t",
    "with a bare CR before it": b"\rGET",
    "with a comma": b"GET,POST",
    "with a DEL": b"GET\x7f",
    "that is missing": b"",
}.items():
    refuses(f"a method {what}", method + b" / HTTP/1.1\r\nHost: a\r\n\r\n", 400, 501)
refuses("CONNECT to a host", b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", 400, 405, 501)
refuses("CONNECT to a path", b"CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n", 400, 405, 501)
refuses(
    "CONNECT with a body",
    b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nContent-Length: %d\r\n\r\n%b" % (len(SMUGGLED), SMUGGLED),
    *(400, 405, 501),
)
refuses("PRI", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, 505)

for target in (
    *(b"//", b"/a//b", b"/a/../b", b"/./", b"/%2e%2e/", b"/%00", b"/%0d%0aX:%20y", b"/?", b"/?a=b?c"),
    *(b"/a;b=c", b"/a:b@c", b"//evil.example/x", b"/http://b/", b"/*", b"/a,b", b"/~a_b-c.d!$&'()+="),
    *(b"/%", b"/%zz", b"/a|b", b'/"x"', b"/\\", b"/[x]", b"/{x}", b"/?q=[1]", b"/HTTP/1.1"),
):
    passes(f"target {target.decode()}", b" GET %b HTTP/1.1\n Host: a" % target)
passes("a target of 4000 bytes", b" GET /%b HTTP/1.1\n Host: a" % (b"x" * 4000))
for what, target in {
    "with a fragment": b"/a#b",
    "that is a fragment": b"#",
    "with a raw byte": b"/\xff",
    "in UTF-8": "/ä".encode(),
    "with a NUL": b"/a\0b",
    "with a control byte": b"/a\x01b",
    "with a DEL": b"/a\x7f",
    "with a tab": b"/a\tb",
    "with a vertical tab": b"/a\x0bb",
    "with a space": b"/a b",
    "with a bare CR": b"/a\rb",
    "with a bare LF": b"/a\nb",
    "with a space and a version": b"/a HTTP/1.1",
    "that is a word": b"x",
    "that is a question": b"?a",
    "that is a backslash": b"\\a",
    "that is a host": b"a.example",
    "that is a host and a port": b"a.example:80",
    "that is an asterisk": b"*",
    "that is an asterisk and more": b"*/x",
    "that is missing": b"",
    "that is two dots": b"../x",
    "that is escaped": b"%2fx",
}.items():
    refuses(f"a target {what}", get(target=target))
refuses("POST to an asterisk", b"POST * HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")

# Absolute form: its host counts, not the field's (RFC 9112, 3.2.2).
passes("OPTIONS *", b" OPTIONS * HTTP/1.1\n Host: a")
for what, url, host, target in (
    ("with a path", b"http://b/x?y", b"b", b"/x?y"),
    ("with a port", b"http://b:81/x", b"b:81", b"/x"),
    ("with nothing behind the host", b"http://b", b"b", b"/"),
    ("with a query at once", b"http://b?x", b"b", b"/?x"),
    ("in capitals", b"HTTP://B.EXAMPLE/X", b"B.EXAMPLE", b"/X"),
    ("with an address", b"http://[::1]:81/x", b"[::1]:81", b"/x"),
    ("with another URL in its path", b"http://b/http://c/", b"b", b"/http://c/"),
    ("with an @ in its path", b"http://b/c@d", b"b", b"/c@d"),
    ("with an @ in its query", b"http://b?c@d", b"b", b"/?c@d"),
    ("with two slashes", b"http://b//c", b"b", b"//c"),
):
    passes(
        f"a URL {what}",
        b"-GET %b HTTP/1.1\n+GET %b HTTP/1.1\n-Host: other\n+Host: %b\n X: y" % (url, target, host),
    )
passes("a URL and the same Host", b"-GET http://a/ HTTP/1.1\n+GET / HTTP/1.1\n-Host: a\n+Host: a")
passes("a URL and an empty Host", b"-GET http://b/ HTTP/1.1\n+GET / HTTP/1.1\n-Host:\n+Host: b")
passes(
    "a URL in HTTP/1.0 without Host",
    b"-GET http://b/ HTTP/1.0\n+GET / HTTP/1.1\n+Host: b\n X: y",
    keep=False,
)
# RFC 9112, 3.2.4: the last proxy must make an asterisk of it.
passes("OPTIONS of a whole server", b"-OPTIONS http://b HTTP/1.1\n+OPTIONS * HTTP/1.1\n-Host: b\n+Host: b")
passes(
    "OPTIONS of a server's root",
    b"-OPTIONS http://b/ HTTP/1.1\n+OPTIONS / HTTP/1.1\n-Host: b\n+Host: b",
)
for what, url in {
    "with a user": b"http://u@b/",
    "with a user and a password": b"http://u:p@b/",
    "with an empty user": b"http://@b/",
    "with two @": b"http://a@b@c/",
    "with a user like the Host": b"http://a:80@b/",
    "without a host": b"http:///x",
    "that ends too early": b"http://",
    "with a port only": b"http://:80/",
    "with a fragment": b"http://b/#c",
    "with a space": b"http://b/c d",
    "with a bad port": b"http://b:x/",
    "with a huge port": b"http://b:99999/",
    "with two ports": b"http://b:1:2/",
    "with a broken address": b"http://[::1/",
    "with letters for an address": b"http://[zz]/",
    "with one slash": b"http:/b/",
    "with no slash": b"http:b",
    "of FTP": b"ftp://b/",
    "of a file": b"file:///etc/passwd",
    "of a script": b"javascript:x",
    "with a backslash": b"http://b\\c/",
    "with a raw byte": b"http://\xe9/",
    "with a comma-separated list": b"http://b,http://c",
    "with a quote in its host": b'http://b"/',
}.items():
    refuses(f"a URL {what}", get(target=url), 400, 403, 421)
refuses("a URL but no Host", b"GET http://a/ HTTP/1.1\r\n\r\n")
refuses("a URL and two Hosts", b"GET http://a/ HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n")

# -- the request line ----------------------------------------------------------------------------------

for what, line in {
    "two spaces before the target": b"GET  / HTTP/1.1",
    "two spaces before the version": b"GET /  HTTP/1.1",
    "a space at its end": b"GET / HTTP/1.1 ",
    "a tab between its words": b"GET\t/ HTTP/1.1",
    "a tab before the version": b"GET /\tHTTP/1.1",
    "a space within the version": b"GET / HTTP /1.1",
    "a fourth word": b"GET / HTTP/1.1 x",
    "a version in small letters": b"GET / http/1.1",
    "a version with a letter behind it": b"GET / HTTP/1.1x",
    "a long version": b"GET / HTTP/1.10",
    "a version with a zero": b"GET / HTTP/01.1",
    "a version without a dot": b"GET / HTTP/11",
    "a version without a minor": b"GET / HTTP/1",
    "a version without numbers": b"GET / HTTP/",
    "a version with a sign": b"GET / HTTP/+1.1",
    "a version with a comma": b"GET / HTTP/1,1",
    "version 2.0": b"GET / HTTP/2.0",
    "version 0.9": b"GET / HTTP/0.9",
    "version 1.2": b"GET / HTTP/1.2",
    "version 3.1": b"GET / HTTP/3.1",
    "version 9.9": b"GET / HTTP/9.9",
    "no version": b"GET /",
    "no target": b"GET HTTP/1.1",
    "another protocol": b"GET / ICE/1.0",
    "RTSP": b"GET / RTSP/1.0",
    "a misspelt protocol": b"GET / HTTQ/1.1",
    "a CR too many": b"GET / HTTP/1.1\r",
    "a NUL at its end": b"GET / HTTP/1.1\0",
    "words that are missing": b"GET",
    "nothing but spaces": b"   ",
    "a form feed for a space": b"GET\x0c/ HTTP/1.1",
    "a no-break space": b"GET\xa0/ HTTP/1.1",
}.items():
    refuses(f"a request line with {what}", line + b"\r\nHost: a\r\n\r\n", 400, 501, 505)
refuses("a request line ended by LF", b"GET / HTTP/1.1\nHost: a\r\n\r\n")
refuses("a request line ended by CR", b"GET / HTTP/1.1\rHost: a\r\n\r\n")

# Empty lines before a request are forgiven (RFC 9112, 2.2), as CR LF and nothing else.
for count in (1, 2, 3, 50):
    passes(f"{count} empty lines first", b" GET / HTTP/1.1\n Host: a", before=b"\r\n" * count)
for what, first in {
    "LF": b"\n",
    "CR": b"\r",
    "two LF": b"\n\n",
    "CR CR LF": b"\r\r\n",
    "LF CR": b"\n\r",
    "a space": b" ",
    "a tab": b"\t",
    "NUL": b"\0",
    "an empty line and a space": b"\r\n ",
    "an empty line and LF": b"\r\n\n",
    "an empty line and NUL": b"\r\n\0",
    "a line with a space in it": b" \r\n",
    "a byte order mark": b"\xef\xbb\xbf",
    "a last chunk": b"0\r\n\r\n",
    "a colon": b":",
    "a DEL": b"\x7f",
}.items():
    refuses(f"{what} before a request", first + b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, 501)
refuses("empty lines beyond the limit", b"\r\n" * 400 + get(), 400, 431, limits=(("head", 512),))

# -- fields: what passes untouched ---------------------------------------------------------------------

for what, line in {
    "no space behind the colon": b"X:y",
    "tabs and spaces around the value": b"X: \t y \t ",
    "no value": b"X:",
    "a blank value": b"X:   ",
    "raw bytes": b"X: \xe4\xff\x80",
    "a tab within": b"X: a\tb",
    "every letter of a token": b"!#$%&'*+-.^_`|~09azAZ: y",
    "a name of digits": b"007: bond",
    "quotes and commas": b'X: "a, b", c; d="e\\"f"',
    "another field in its value": b"X: Content-Length: 5",
    "chunked in its value": b"X: Transfer-Encoding: chunked",
    "a colon first": b"X: :y",
    "underscores": b"api_key: secret",
    "an underscore only": b"_: y",
    "a long value": b"X: " + b"y" * 5000,
    "a long name": b"X" * 500 + b": y",
    "Expect": b"EXPECT: 100-Continue",
    "Content-Encoding: chunked": b"Content-Encoding: chunked",
    "Upgrade-Insecure-Requests": b"Upgrade-Insecure-Requests: 1",
    "a name that starts like Connection": b"Connection-Id: 7",
    "a name that ends like Connection": b"X-Connection: close",
    "a name that starts like TE": b"TEA: green",
    "a name that ends like TE": b"Date-TE: trailers",
    "a name that starts like Host": b"Host-Id: b",
    "a name that ends like Host": b"X-Host: b",
    "a name that starts like Content-Length": b"Content-Length-Hint: 5",
    "a name that ends like Content-Length": b"X-Content-Length: 5",
    "a name that starts like Transfer-Encoding": b"Transfer-Encoding-X: chunked",
    "a name that ends like Transfer-Encoding": b"X-Transfer-Encoding: chunked",
    "a name that starts like Via": b"Viaduct: y",
    "Trailers": b"Trailers: X",
    "a name that starts like Keep-Alive": b"Keep-Alive-X: y",
    "a name that starts like Forwarded": b"Forwarded-By: y",
    "Max-Forwards": b"Max-Forwards: 0",
    "Range": b"Range: bytes=0-1",
    "a percent sign": b"X: %0d%0aY: z",
    "curly quotes": "X: \u201cy\u201d".encode(),
    "Sec-WebSocket-Key": b"Sec-WebSocket-Key: abc==",
    "a single letter": b"a: b",
}.items():
    passes(f"a field with {what}", b" GET / HTTP/1.1\n Host: a\n %b\n Z: z" % line)
passes(
    "the same field many times, in order",
    b" GET / HTTP/1.1\n Cookie: a=1\n Accept: x\n Host: a\n Cookie: b=2\n accept: y\n COOKIE: c=3",
)
passes("Host last", b" GET / HTTP/1.1\n X: y\n Host: a")
passes("HOST", b" GET / HTTP/1.1\n HOST:a")

# -- fields: what is refused ---------------------------------------------------------------------------

for what, line in {
    "a space before the colon": b"X : y",
    "a tab before the colon": b"X\t: y",
    "no colon": b"nonsense",
    "no name": b": y",
    "nothing but a colon": b":",
    "a space in the name": b"X Y: z",
    "a bracket in the name": b"X(Y): z",
    "a square bracket in the name": b"X[0]: z",
    "a slash in the name": b"X/Y: z",
    "an @ in the name": b"X@Y: z",
    "a quote in the name": b'"X": z',
    "a comma in the name": b"X,Y: z",
    "a semicolon in the name": b"X;Y: z",
    "an equals sign in the name": b"X=Y: z",
    "a backslash in the name": b"X\\Y: z",
    "a brace in the name": b"{X}: z",
    "a raw byte in the name": b"X\xe4: z",
    "a NUL in the name": b"X\0: z",
    "a DEL in the name": b"X\x7f: z",
    "a control byte in the name": b"\x01X: z",
    "a NUL in the value": b"X: a\0b",
    "a NUL at the end of the value": b"X: a\0",
    "a NUL alone": b"X: \0",
    "a bare CR in the value": b"X: a\rb",
    "a bare CR at the end of the value": b"X: a\r",
    "a bare CR first": b"\rX: a",
    "a bare CR behind the colon": b"X:\ra",
    "a bare CR in the name": b"X\rY: a",
    "CR CR LF at its end": b"X: a\r",
    "a bare LF in the value": b"X: a\nb: c",
    "a bare LF in the name": b"X\nY: a",
    "a bare LF first": b"\nX: a",
    "a control byte in the value": b"X: a\x01b",
    "a form feed in the value": b"X: a\x0cb",
    "an escape in the value": b"X: \x1b[0m",
    "a DEL in the value": b"X: a\x7f",
    "a backspace in the value": b"X: a\x08",
    "a fold": b"X: a\r\n b",
    "a fold with a tab": b"X: a\r\n\tb",
    "a fold of nothing": b"X: a\r\n ",
    "a fold that looks like a field": b"X: a\r\n Content-Length: 5",
    "a folded Transfer-Encoding": b"Transfer-Encoding:\r\n chunked",
    "a folded Content-Length": b"Content-Length:\r\n 5",
    "a folded Connection": b"Connection:\r\n close",
    "a Transfer-Encoding behind LF": b"X: y\nTransfer-Encoding: chunked",
    "a Transfer-Encoding behind CR": b"X: y\rTransfer-Encoding: chunked",
    "a Content-Length behind LF": b"X: y\nContent-Length: 5",
    "an end of the head behind LF": b"X: y\n\r\nGET /smuggled HTTP/1.1",
    "an empty line made of LF": b"X: y\r\n\nGET /smuggled HTTP/1.1",
    "an empty line made of CR": b"X: y\r\n\r\r\nGET /smuggled HTTP/1.1",
}.items():
    if what != "CR CR LF at its end":
        refuses(f"a field with {what}", get(line))
refuses("a fold before the first field", b"GET / HTTP/1.1\r\n Host: a\r\n\r\n")
refuses("a fold behind the first line", b"GET / HTTP/1.1\r\n X: y\r\nHost: a\r\n\r\n")
refuses("a folded Host", b"GET / HTTP/1.1\r\nHost:\r\n a\r\n\r\n")
refuses("a head that ends with LF CR LF", b"GET / HTTP/1.1\r\nHost: a\n\r\n")
refuses("a head that ends with CR LF LF", b"GET / HTTP/1.1\r\nHost: a\r\n\n")
refuses("a head that ends with CR CR LF", b"GET / HTTP/1.1\r\nHost: a\r\n\r\r\n")
refuses("a head in LF, with a body like a request", b"POST / HTTP/1.1\nHost: a\nContent-Length: 5\n\nabcde")

for what, name in (("Host", b"Host"), ("X-Y", b"X-Y")):
    for byte, said in ((b" ", "a space"), (b"\t", "a tab"), (b"\0", "a NUL"), (b"\x0b", "a vertical tab")):
        refuses(f"{said} before the colon of {what}", b"GET / HTTP/1.1\r\n%b%b: a\r\n\r\n" % (name, byte))

# -- limits --------------------------------------------------------------------------------------------

passes(
    "a head as large as the limit", b" GET / HTTP/1.1\n Host: a\n X: " + b"y" * 480, limits=(("head", 512),)
)
refuses("a head one byte over the limit", get(b"X: " + b"y" * 481), 431, limits=(("head", 512),))
refuses("a head far over the limit", get(b"X: " + b"y" * 9000), 431, limits=(("head", 512),))
refuses("a target over the limit", get(target=b"/" + b"x" * 600), 414, 431, limits=(("head", 512),))
refuses("a method over the limit", b"G" * 600, 400, 431, 501, limits=(("head", 512),))
refuses(
    "a head without an end", b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 600, 431, limits=(("head", 512),)
)
passes(
    "as many fields as the limit",
    b" GET / HTTP/1.1\n Host: a" + b"\n X: y" * 9,
    limits=(("fields", 10),),
)
refuses("one field over the limit", get(*[b"X: y"] * 10), 431, limits=(("fields", 10),))
refuses("many fields over the limit", get(*[b"X: y"] * 500), 431, limits=(("fields", 10),))
refuses("many empty fields", get(*[b"a:"] * 101), 431)
refuses("a body over the limit", post(b"Content-Length: 11", body=b"x" * 11), 413, limits=(("body", 10),))
refuses(
    "chunks over the limit",
    CHUNKED + b"6\r\nabcdef\r\n6\r\nabcdef\r\n0\r\n\r\n",
    413,
    begun=True,
    limits=(("body", 10),),
)

# -- Host ----------------------------------------------------------------------------------------------

for host in (
    *(b"a:", b"a:80", b"a:65535", b"[::1]", b"[::1]:80", b"[2001:db8::1]:", b"1.2.3.4:8080", b"a."),
    *(b"A.EXAMPLE", b"xn--bcher-kva.example", b"a_b.example", b"a-b", b"%41", b"[::ffff:1.2.3.4]", b"a~b"),
):
    passes(f"Host {host.decode()}", b" GET / HTTP/1.1\n Host: %b" % host)
passes("an empty Host", b" GET / HTTP/1.1\n Host:")
passes("a Host with spaces around it", b" GET / HTTP/1.1\n Host: \t a.example \t ")
for host in (
    *(b"a:bc", b"a:99999", b"a:65536", b"a:1:2", b"a b", b"a/b", b"a@b", b"[::1", b"[zz]", b"::1", b"a:-1"),
    *(b"a:+80", b"a: 80", b"a :80", b"a?b", b"a#b", b"a\\b", b'"a"', b"<a>", b"[::1]x", b"[]", b"[::1]]"),
    *(
        b"a[b]",
        b"u:p@a",
        b"a:80/",
        b"http://a",
        b"a:8\x00",
        b"\xc3\xa4",
        b"a\tb",
        b"a:80:",
        b"[[::1]]",
        b"a:0x50",
    ),
    *(b"a, b", b"a:80,b", b"a^b", b"{a}", b"a|b", b"1.2.3.4:80:80", b"[1.2.3.4]", b"a\x7f", b"[::1]:x"),
):
    refuses(f"Host {host!r}", b"GET / HTTP/1.1\r\nHost: %b\r\n\r\n" % host)
for what, lines in {
    "no Host": [b"X: y"],
    "no Host but X-Forwarded-Host": [b"X-Forwarded-Host: a"],
    "two equal Hosts": [b"Host: a", b"Host: a"],
    "two Hosts in different letters": [b"Host: a", b"hOST: a"],
    "an empty Host and another": [b"Host:", b"Host: a"],
    "a Host and an empty one": [b"Host: a", b"Host:"],
    "two empty Hosts": [b"Host:", b"Host:"],
    "two Hosts far apart": [b"Host: a", b"X: y", b"Z: z", b"Host: b"],
    "three Hosts": [b"Host: a", b"Host: b", b"Host: c"],
    "a Host without a colon": [b"Host"],
    "a Host behind a space": [b"X: y", b" Host: a"],
}.items():
    refuses(what, b"\r\n".join([b"GET / HTTP/1.1", *lines, b"", b""]))

# -- HTTP/1.0 ------------------------------------------------------------------------------------------

OLD = b"-GET / HTTP/1.0\n+GET / HTTP/1.1\n"
passes("HTTP/1.0 without Host", OLD + b"+Host: {address}", keep=False)
passes("HTTP/1.0 without Host, with fields", OLD + b"+Host: {address}\n X: y\n Z: z", keep=False)
passes("HTTP/1.0 with Host", OLD + b" Host: a\n X: y", keep=False)
passes("HTTP/1.0 kept alive", OLD + b" Host: a\n-Connection: keep-alive")
passes("HTTP/1.0 kept alive in capitals", OLD + b" Host: a\n-Connection: Keep-Alive\n-Keep-Alive: timeout=5")
passes("HTTP/1.0 kept alive without Host", OLD + b"+Host: {address}\n-Connection: keep-alive")
passes("HTTP/1.0 that closes", OLD + b" Host: a\n-Connection: close", keep=False)
passes("HTTP/1.0 with a Via", OLD + b" Host: a\n-Via: 1.0 fred", keep=False)
passes(
    "HTTP/1.0 that asks for a WebSocket",
    OLD + b" Host: a\n-Connection: upgrade\n-Upgrade: websocket",
    keep=False,
)
passes(
    "HTTP/1.0 with a body",
    b"-POST / HTTP/1.0\n+POST / HTTP/1.1\n Host: a\n Content-Length: 3",
    b"abc",
    keep=False,
)
passes("HTTP/1.0 with HEAD", b"-HEAD / HTTP/1.0\n+HEAD / HTTP/1.1\n Host: a", keep=False)
refuses("HTTP/1.0 with two Hosts", b"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n")
refuses("HTTP/1.0 with a bad Host", b"GET / HTTP/1.0\r\nHost: a/b\r\n\r\n")
refuses("HTTP/1.0 with chunks", b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
refuses(
    "HTTP/1.0 with chunks, kept alive",
    b"POST / HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
)
refuses(
    "HTTP/1.0 with chunks and a length",
    b"POST / HTTP/1.0\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
)
refuses("HTTP/1.0 with identity", b"POST / HTTP/1.0\r\nTransfer-Encoding: identity\r\n\r\n", 400, 501)
refuses(
    "HTTP/1.0 with two lengths", b"POST / HTTP/1.0\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\nabcde"
)

# -- Content-Length ----------------------------------------------------------------------------------------

for value in (b"3", b"003", b"3 ", b"\t3\t", b"0000000000003"):
    passes(f"length {value!r}", b" POST / HTTP/1.1\n Host: a\n Content-Length:%b" % value, b"abc")
passes("length 0", b" POST / HTTP/1.1\n Host: a\n Content-Length: 0")
passes("length 0 of a GET", b" GET / HTTP/1.1\n Host: a\n Content-Length: 0")
passes("CONTENT-LENGTH", b" POST / HTTP/1.1\n Host: a\n CONTENT-LENGTH: 3", b"abc")
passes("POST without a length", b" POST / HTTP/1.1\n Host: a")
for value in (
    *(b"+5", b"-5", b"-0", b"0x5", b"5,5", b"5, 5", b"5 5", b"5;", b"5.0", b"5e0", b"0b101", b"0o5", b"1_0"),
    *(b"", b" ", b"five", b"5\x0b", b"\x0b5", b"5\0", b"99999999999999999999", b"18446744073709551621"),
    *(b"36893488147419103237", b"\xb2", b"\xd9\xa5", b",5", b"5,", b"5\t5", b"'5'", b'"5"', b"5\x0c", b"5h"),
    *(b"4294967301x", b"--5", b"(5)", b"5%", b"00000000000000000000000000000000000000005x"),
):
    refuses(f"length {value!r} of five", post(b"Content-Length: " + value, body=b"abcde"))
for what, lines in {
    "two lengths": [b"Content-Length: 5", b"Content-Length: 6"],
    "two equal lengths": [b"Content-Length: 5", b"Content-Length: 5"],
    "length 0 first": [b"Content-Length: 0", b"Content-Length: 5"],
    "length 0 last": [b"Content-Length: 5", b"Content-Length: 0"],
    "length 0 twice": [b"Content-Length: 0", b"Content-Length: 0"],
    "lengths in different letters": [b"Content-Length: 5", b"content-length: 5"],
    "lengths far apart": [b"Content-Length: 5", b"X: y", b"Content-Length: 0"],
    "an empty length and another": [b"Content-Length:", b"Content-Length: 5"],
    "a length and a list": [b"Content-Length: 5", b"Content-Length: 5, 5"],
    "a space before the colon of a length": [b"Content-Length : 5"],
    "a length without a colon": [b"Content-Length 5"],
    "a length behind a space": [b"X: y", b" Content-Length: 5"],
    "a length behind a NUL": [b"X: y", b"\0Content-Length: 5"],
    "a length with a no-break space": [b"Content-Length\xa0: 5"],
}.items():
    refuses(what, post(*lines, body=b"abcde"))
# CL.0: what looks like a request is a body, also of methods that rarely have one.
for method in (b"GET", b"POST", b"HEAD", b"OPTIONS", b"DELETE"):
    passes(
        f"a request within the body of {method.decode()}",
        b" %b / HTTP/1.1\n Host: a\n Content-Length: %d" % (method, len(SMUGGLED)),
        SMUGGLED,
    )
passes(
    "the beginning of a request as a body",
    b" POST / HTTP/1.1\n Host: a\n Content-Length: 21",
    b"GET /smuggled HTTP/1.",
)

# -- Transfer-Encoding -------------------------------------------------------------------------------------

for line in (
    *(b"Transfer-Encoding: chunked", b"transfer-encoding:chunked", b"TRANSFER-ENCODING: chunked"),
    *(b"Transfer-Encoding:\tchunked", b"Transfer-Encoding: chunked  ", b"Transfer-Encoding: Chunked"),
    b"Transfer-Encoding: CHUNKED",
):
    passes(
        f"coding {line.decode()!r}",
        b" POST / HTTP/1.1\n Host: a\n-%b" % line,
        b"3\r\nabc\r\n0\r\n\r\n",
        b"abc",
    )
for method in (b"GET", b"HEAD", b"DELETE", b"OPTIONS", b"PUT"):
    passes(
        f"chunks of {method.decode()}",
        b" %b / HTTP/1.1\n Host: a\n-Transfer-Encoding: chunked" % method,
        b"3\r\nabc\r\n0\r\n\r\n",
        b"abc",
    )
CODINGS = (
    *(b"identity", b"gzip", b"deflate", b"chunked, chunked", b"gzip, chunked", b"chunked, gzip", b"xchunked"),
    *(b"chunkedx", b'"chunked"', b"chunked;q=1", b"chunked;x", b"\x0bchunked", b"chunked\x0b", b"chun ked"),
    *(b"", b",chunked", b"chunked,", b"chunked, identity", b"identity, chunked", b"cow", b"chunked\0"),
    *(b"chunked chunked", b"\x00chunked", b"'chunked'", b"x, chunked", b"chunked;", b"chunk", b"\xa0chunked"),
    *(b"chunked, cow", b"trailers", b"=chunked", b"chunked\x7f", b"\xef\xbb\xbfchunked"),
)
for value in CODINGS:
    refuses(f"coding {value!r}", post(b"Transfer-Encoding: " + value, body=b"0\r\n\r\n" + SMUGGLED), 400, 501)
for what, lines in {
    "two equal codings": [b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"],
    "chunked, then identity": [b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity"],
    "identity, then chunked": [b"Transfer-Encoding: identity", b"Transfer-Encoding: chunked"],
    "chunked, then cow": [b"Transfer-Encoding: chunked", b"Transfer-encoding: cow"],
    "cow, then chunked": [b"transfer-Encoding: cow", b"Transfer-Encoding: chunked"],
    "chunked, then nothing": [b"Transfer-Encoding: chunked", b"Transfer-Encoding:"],
    "a space before the colon of a coding": [b"Transfer-Encoding : chunked"],
    "a tab before the colon of a coding": [b"Transfer-Encoding\t: chunked"],
    "a space for the hyphen of a coding": [b"Transfer Encoding: chunked"],
    "a coding behind a space": [b"X: y", b" Transfer-Encoding: chunked"],
    "a coding behind a tab": [b"X: y", b"\tTransfer-Encoding: chunked"],
    "a coding behind a NUL": [b"\0Transfer-Encoding: chunked"],
    "a NUL in the name of a coding": [b"Transfer-\0Encoding: chunked"],
    "a no-break space in the name of a coding": [b"Transfer-Encoding\xa0: chunked"],
    "a coding without a colon": [b"Transfer-Encoding chunked"],
    "a coding behind two colons": [b"Transfer-Encoding:: chunked"],
    "CL.TE": [b"Content-Length: 6", b"Transfer-Encoding: chunked"],
    "TE.CL": [b"Transfer-Encoding: chunked", b"Content-Length: 6"],
    "CL.TE with length 0": [b"Content-Length: 0", b"Transfer-Encoding: chunked"],
    "TE.CL with length 0": [b"Transfer-Encoding: chunked", b"Content-Length: 0"],
    "CL.TE in small letters": [b"content-length: 6", b"transfer-encoding: chunked"],
    "CL.TE far apart": [b"Content-Length: 6", b"X: y", b"Y: z", b"Transfer-Encoding: chunked"],
    "CL.TE with identity": [b"Content-Length: 6", b"Transfer-Encoding: identity"],
    "CL.TE with a folded chunked": [b"Content-Length: 6", b"Transfer-Encoding:\r\n chunked"],
    "CL.TE with xchunked": [b"Content-Length: 6", b"Transfer-Encoding: xchunked"],
    "CL.TE with a space before the colon": [b"Content-Length: 6", b"Transfer-Encoding : chunked"],
    "CL.TE with a vertical tab": [b"Content-Length: 6", b"Transfer-Encoding: \x0bchunked"],
    "CL.TE behind LF": [b"Content-Length: 6", b"X: y\nTransfer-Encoding: chunked"],
    "TE.TE.CL": [b"Transfer-Encoding: chunked", b"Transfer-Encoding: x", b"Content-Length: 6"],
    "CL.CL.TE": [b"Content-Length: 6", b"Content-Length: 6", b"Transfer-Encoding: chunked"],
    "CL.TE and Connection: Content-Length": [
        b"Content-Length: 6",
        b"Transfer-Encoding: chunked",
        b"Connection: Content-Length",
    ],
}.items():
    refuses(what, post(*lines, body=b"0\r\n\r\nG"), 400, 501)

# -- chunks --------------------------------------------------------------------------------------------

DIFF = b" POST / HTTP/1.1\n Host: a\n-Transfer-Encoding: chunked"
INNER = b"0\r\n\r\n" + SMUGGLED
for what, raw, content in (
    ("none", b"0\r\n\r\n", b""),
    ("one", b"3\r\nabc\r\n0\r\n\r\n", b"abc"),
    ("three", b"1\r\na\r\n2\r\nbc\r\n3\r\ndef\r\n0\r\n\r\n", b"abcdef"),
    ("with a size in small letters", b"a\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
    ("with a size in capitals", b"A\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
    ("with leading zeros", b"0003\r\nabc\r\n000\r\n\r\n", b"abc"),
    ("with 15 digits", b"000000000000003\r\nabc\r\n000000000000000\r\n\r\n", b"abc"),
    ("with an extension", b"3;a=b\r\nabc\r\n0\r\n\r\n", b"abc"),
    ("with an extension without a value", b"3;a\r\nabc\r\n0\r\n\r\n", b"abc"),
    ("with a quoted extension", b'3;a="b;c\\"d"\r\nabc\r\n0\r\n\r\n', b"abc"),
    ("with two extensions", b"3;a=b;c=d\r\nabc\r\n0;e\r\n\r\n", b"abc"),
    ("with an extension of a size", b"3;5\r\nabc\r\n0\r\n\r\n", b"abc"),
    ("with a long extension", b"3;" + b"x" * 200 + b"\r\nabc\r\n0\r\n\r\n", b"abc"),
    ("with a trailer", b"3\r\nabc\r\n0\r\nX: y\r\n\r\n", b"abc"),
    ("with two trailers", b"3\r\nabc\r\n0\r\nX: y\r\nZ: z\r\n\r\n", b"abc"),
    ("with a trailer for a host", b"3\r\nabc\r\n0\r\nHost: evil\r\n\r\n", b"abc"),
    ("with a trailer for an address", b"3\r\nabc\r\n0\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n", b"abc"),
    ("that look like more chunks", b"5\r\n0\r\n\r\n\r\n0\r\n\r\n", b"0\r\n\r\n"),
    ("that hold a request", b"%x\r\n%b\r\n0\r\n\r\n" % (len(INNER), INNER), INNER),
    ("of line ends", b"4\r\n\r\n\r\n\r\n0\r\n\r\n", b"\r\n\r\n"),
    ("of every byte", b"100\r\n" + bytes(range(256)) + b"\r\n0\r\n\r\n", bytes(range(256))),
    ("of single bytes", b"".join(b"1\r\n%c\r\n" % c for c in b"single") + b"0\r\n\r\n", b"single"),
    ("of 5000 bytes", b"1388\r\n" + b"x" * 5000 + b"\r\n0\r\n\r\n", b"x" * 5000),
):
    passes(f"chunks {what}", DIFF, raw, content)
passes("chunks and a Trailer field", DIFF + b"\n-Trailer: X", b"1\r\na\r\n0\r\nX: y\r\n\r\n", b"a")
passes("chunks and TE", DIFF + b"\n-TE: trailers, chunked", b"1\r\na\r\n0\r\n\r\n", b"a")
passes("chunks and Expect", DIFF + b"\n Expect: 100-continue", b"1\r\na\r\n0\r\n\r\n", b"a")
# Trailers are dropped; one that tells of framing may be refused as well.
for line in (b"Content-Length: 50", b"Transfer-Encoding: x"):
    passes(
        f"chunks with a trailer {line.decode()!r}",
        DIFF,
        b"3\r\nabc\r\n0\r\n%b\r\n\r\n" % line,
        b"abc",
        either=(400,),
    )
# Bad whitespace before an extension is to be parsed (RFC 9112, 7.1.1), or safer refused.
passes("chunks with a space before the extension", DIFF, b"3 ;a=b\r\nabc\r\n0\r\n\r\n", b"abc", either=(400,))

for what, raw in {
    "no size": b"\r\nabc\r\n0\r\n\r\n",
    "only an extension": b";a=b\r\nabc\r\n0\r\n\r\n",
    "a size that is no number": b"xyz\r\nabc\r\n0\r\n\r\n",
    "a letter behind the size": b"3g\r\nabc\r\n0\r\n\r\n",
    "a positive size": b"+3\r\nabc\r\n0\r\n\r\n",
    "a negative size": b"-3\r\nabc\r\n0\r\n\r\n",
    "0x": b"0x3\r\nabc\r\n0\r\n\r\n",
    "0X": b"0X3\r\nabc\r\n0\r\n\r\n",
    "an underscore": b"0_3\r\nabc\r\n0\r\n\r\n",
    "a dot": b"3.0\r\nabc\r\n0\r\n\r\n",
    "an h": b"3h\r\nabc\r\n0\r\n\r\n",
    "a size in quotes": b'"3"\r\nabc\r\n0\r\n\r\n',
    "a space before the size": b" 3\r\nabc\r\n0\r\n\r\n",
    "a tab before the size": b"\t3\r\nabc\r\n0\r\n\r\n",
    "a space behind the size": b"3 \r\nabc\r\n0\r\n\r\n",
    "a tab behind the size": b"3\t\r\nabc\r\n0\r\n\r\n",
    "a NUL behind the size": b"3\0\r\nabc\r\n0\r\n\r\n",
    "a comma behind the size": b"3,a\r\nabc\r\n0\r\n\r\n",
    "an equals sign behind the size": b"3=a\r\nabc\r\n0\r\n\r\n",
    "two sizes": b"3 3\r\nabc\r\n0\r\n\r\n",
    "an Arabic digit": "٣".encode() + b"\r\nabc\r\n0\r\n\r\n",
    "a raw byte": b"\xb3\r\nabc\r\n0\r\n\r\n",
    "a size too short": b"2\r\nabc\r\n0\r\n\r\n",
    "a size too short by all": b"0\r\nabc\r\n0\r\n\r\n",
    "a size too long": b"4\r\nabc\r\n0\r\n\r\n",
    "16 digits": b"0000000000000003\r\nabc\r\n0\r\n\r\n",
    "16 digits that count": b"8000000000000003\r\nabc\r\n0\r\n\r\n",
    "17 digits": b"10000000000000003\r\nabc\r\n0\r\n\r\n",
    "100 digits": b"0" * 99 + b"3\r\nabc\r\n0\r\n\r\n",
    "LF behind the size": b"3\nabc\r\n0\r\n\r\n",
    "CR behind the size": b"3\rabc\r\n0\r\n\r\n",
    "CR CR LF behind the size": b"3\r\r\nabc\r\n0\r\n\r\n",
    "LF behind the data": b"3\r\nabc\n0\r\n\r\n",
    "CR behind the data": b"3\r\nabc\r0\r\n\r\n",
    "CR CR behind the data": b"3\r\nabc\r\r0\r\n\r\n",
    "nothing behind the data": b"3\r\nabc0\r\n\r\n",
    "a space behind the data": b"3\r\nabc \r\n0\r\n\r\n",
    "two line ends behind the data": b"3\r\nabc\r\n\r\n0\r\n\r\n",
    "LF behind the last size": b"3\r\nabc\r\n0\n\r\n",
    "CR behind the last size": b"3\r\nabc\r\n0\r\r\n\r\n",
    "LF for the last line": b"3\r\nabc\r\n0\r\n\n",
    "CR CR LF for the last line": b"3\r\nabc\r\n0\r\n\r\r\n",
    "LF everywhere": b"3\nabc\n0\n\n",
    "an extension with a bare CR": b"3;a\rb\r\nabc\r\n0\r\n\r\n",
    "an extension with a bare LF": b"3;a\nb\r\nabc\r\n0\r\n\r\n",
    "an extension with a NUL": b"3;a\0b\r\nabc\r\n0\r\n\r\n",
    "an extension ended by LF": b"3;a\nabc\r\n0\r\n\r\n",
    "an extension that ends with CR CR LF": b"3;a\r\r\nabc\r\n0\r\n\r\n",
    "a last extension with a bare LF": b"3\r\nabc\r\n0;a\n\r\n",
    "TERM.EXT": b"3;\n0\r\n\r\n" + SMUGGLED,
    "an extension that hides a chunk": b"2;\nxx\r\n4c\r\n0\r\n\r\n" + SMUGGLED,
    "a trailer without a colon": b"3\r\nabc\r\n0\r\nnonsense\r\n\r\n",
    "a trailer without a name": b"3\r\nabc\r\n0\r\n: y\r\n\r\n",
    "a trailer with a space before its colon": b"3\r\nabc\r\n0\r\nX : y\r\n\r\n",
    "a trailer with a bare LF": b"3\r\nabc\r\n0\r\nX: y\n\r\n",
    "a trailer with a bare CR": b"3\r\nabc\r\n0\r\nX: y\rz\r\n\r\n",
    "a trailer with a NUL": b"3\r\nabc\r\n0\r\nX: \0\r\n\r\n",
    "a folded trailer": b"3\r\nabc\r\n0\r\nX: y\r\n z\r\n\r\n",
    "a request for a trailer": b"3\r\nabc\r\n0\r\n" + SMUGGLED,
    "a request for a chunk": SMUGGLED,
}.items():
    refuses(f"chunks with {what}", CHUNKED + raw, begun=True)

# -- hop by hop ----------------------------------------------------------------------------------------

for line in (
    *(b"Connection: keep-alive", b"Keep-Alive: timeout=5, max=1000", b"Proxy-Authenticate: Basic"),
    *(b"Proxy-Authorization: Basic eDp5", b"Proxy-Connection: keep-alive"),
    *(b"TE: trailers", b"TE: gzip;q=0.5", b"Trailer: X", b"Upgrade: h2c", b"Upgrade: websocket"),
    *(b"HTTP2-Settings: AAMAAABkAAQAAP__", b"Upgrade: TLS/1.0, HTTP/2.0"),
):
    for spelt in (line, line.lower(), line.partition(b":")[0].upper() + b":" + line.partition(b":")[2]):
        name = f"hop by hop {spelt.decode()}"
        if name not in table.cases:
            passes(name, b" GET / HTTP/1.1\n Host: a\n-%b\n X: y" % spelt)
for line in (
    *(b"Connection: X-Mine", b"Connection: x-mine", b"CONNECTION: X-MINE", b"Connection: keep-alive, X-Mine"),
    *(
        b"Connection: X-Mine,keep-alive",
        b"Connection: ,,X-Mine,,",
        b"Connection:X-Mine",
        b"Connection: \tX-Mine\t",
    ),
    *(b"Connection: X-Mine, X-Mine", b"Connection: x-other , x-mine", b"Connection: X-Mine, Connection"),
):
    passes(
        f"{line.decode()!r} drops X-Mine",
        b" GET / HTTP/1.1\n Host: a\n-%b\n-X-Mine: 1\n Y: z\n X-Mine-Too: 2\n My-X-Mine: 3" % line,
    )
HOPS = b" GET / HTTP/1.1\n Host: a\n"
passes("options over two Connections", HOPS + b"-Connection: X-A\n-X-A: 1\n-Connection: X-B\n-X-B: 2\n Z: z")
passes("an option for two fields", HOPS + b"-X-A: 1\n-Connection: x-a\n-x-a: 2\n Z: z")
passes("an option behind its field", HOPS + b"-X-A: 1\n-X-B: 1\n Z: z\n-Connection: X-A, X-B")
passes("an option without a field", HOPS + b"-Connection: X-Nothing\n Z: z")
passes("an option for Keep-Alive", HOPS + b"-Connection: Keep-Alive, close\n-Keep-Alive: 5", keep=False)
passes("an empty Connection", HOPS + b"-Connection:\n Z: z")
passes("an option that is a part of a name", HOPS + b"-Connection: X\n X-A: 1\n A-X: 2\n-X: 3")
passes("an option with a dot for any letter", HOPS + b"-Connection: X.A\n X-A: 1\n-X.A: 2")
passes("Connection: close", HOPS + b"-Connection: close\n Z: z", keep=False)
passes("Connection: CLOSE", HOPS + b"-Connection: CLOSE\n Z: z", keep=False)
passes("close among others", HOPS + b"-Connection: x-a, close\n-X-A: 1", keep=False)
passes("close on the second line", HOPS + b"-Connection: x-a\n-Connection: close\n-X-A: 1", keep=False)
passes("close and keep-alive", HOPS + b"-Connection: keep-alive, close", keep=False)
passes("an option that contains close", HOPS + b"-Connection: closed, not-close\n Z: z")
passes("close in the target", b" GET /?Connection:close HTTP/1.1\n Host: a")
passes("an option for Via", HOPS + b"-Connection: Via\n-Via: 1.1 fred\n Z: z")
passes("an option for an underscore field", HOPS + b"-Connection: api_key\n-api_key: 1\n Z: z")

# End-to-end fields are never connection options (RFC 9110, 7.6.1).
for option in (
    *(b"Content-Length", b"content-length", b"Host", b"HOST", b"close, Host", b"keep-alive, Content-Length"),
    *(b"X-A,Host,X-B", b"Transfer-Encoding", b"transfer-encoding, close", b",Content-Length"),
):
    refuses(f"Connection: {option.decode()} without a body", get(b"Connection: " + option))
refuses(
    "Connection: Content-Length", post(b"Content-Length: 5", b"Connection: Content-Length", body=b"abcde")
)
refuses(
    "Connection: Content-Length first",
    post(b"Connection: content-length", b"Content-Length: 5", body=b"abcde"),
)
refuses("Connection: Host on a second line", get(b"Connection: close", b"Connection: host"))
refuses(
    "Connection: Content-Length for a smuggled body",
    post(
        b"Content-Length: %d" % len(SMUGGLED),
        b"Connection: keep-alive, Content-Length",
        body=SMUGGLED,
    ),
)
passes(
    "Connection: Transfer-Encoding with chunks",
    DIFF + b"\n-Connection: Transfer-Encoding",
    b"3\r\nabc\r\n0\r\n\r\n",
    b"abc",
    either=(400,),
)
for line in (
    *(b"Authorization: Basic eDp5", b"Cookie: a=b", b"Content-Type: text/plain", b"Cache-Control: no-store"),
    *(b"Accept: */*", b"Accept-Encoding: gzip", b"Accept-Language: en", b"Content-Encoding: gzip"),
    *(
        b"If-None-Match: x",
        b"If-Match: x",
        b"Range: bytes=0-1",
        b"User-Agent: x",
        b"Referer: /",
        b"Origin: http://a",
    ),
):
    option = line.partition(b":")[0]
    passes(f"Connection: {option.decode()}", HOPS + b"-Connection: %b\n %b" % (option, line))
    passes(
        f"Connection: {option.decode()} among others",
        HOPS + b" %b\n-Connection: X-Mine, %b\n-X-Mine: 1" % (line, option.lower()),
    )
for name in (b"X-Forwarded-For", b"X-Forwarded-Proto", b"X-Forwarded-Host", b"Forwarded"):
    value = {b"Forwarded": b"for=1.2.3.4"}.get(name, b"https" if b"Proto" in name else b"1.2.3.4")
    passes(
        f"Connection: {name.decode()} of a trusted peer",
        HOPS + b"-%b: %b\n-Connection: %b" % (name, value, name),
        trusted=True,
    )
    passes(f"Connection: {name.decode()}", HOPS + b"-%b: %b\n-Connection: %b" % (name, value, name))

# -- WebSocket -----------------------------------------------------------------------------------------

WEBSOCKET = b" Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\n Sec-WebSocket-Version: 13"
for lines in (
    b"-Connection: Upgrade\n-Upgrade: websocket",
    b"-Upgrade: WebSocket\n-Connection: keep-alive, Upgrade",
    b"-connection: UPGRADE\n-UPGRADE: websocket",
    b"-Connection: keep-alive\n-Connection: upgrade\n-Upgrade: websocket",
):
    passes(f"an upgrade {lines.decode()!r}", HOPS + lines + b"\n" + WEBSOCKET, upgrade=True)
for what, lines in {
    "that Connection does not name": b"-Upgrade: websocket",
    "that only Connection names": b"-Connection: upgrade",
    "to h2c": b"-Connection: Upgrade, HTTP2-Settings\n-Upgrade: h2c\n-HTTP2-Settings: AAM",
    "to TLS": b"-Connection: Upgrade\n-Upgrade: TLS/1.3",
    "to nothing": b"-Connection: Upgrade\n-Upgrade:",
    "to websockets": b"-Connection: Upgrade\n-Upgrade: websockets",
}.items():
    passes(f"an upgrade {what} is none", HOPS + lines + b"\n" + WEBSOCKET)
passes(
    "an upgrade of a POST is none",
    b" POST / HTTP/1.1\n Host: a\n-Connection: upgrade\n-Upgrade: websocket\n Content-Length: 3",
    b"abc",
)

# -- the client's address ---------------------------------------------------------------------------------

BELIEVED = (b"Forwarded", b"X-Forwarded-For", b"X-Forwarded-Host", b"X-Forwarded-Proto")
IDENTITY = (
    *(b"X-Forwarded-Port", b"X-Forwarded-Prefix", b"X-Forwarded-Server", b"X-Forwarded-By"),
    *(b"X-Forwarded-Scheme", b"X-Forwarded-Ssl", b"X-Forwarded-Client-Cert", b"X-Real-IP", b"X-Client-IP"),
    *(b"X-Cluster-Client-IP", b"True-Client-IP", b"CF-Connecting-IP", b"Client-IP", b"Fastly-Client-IP"),
    *(b"X-Original-Forwarded-For", b"X-Envoy-External-Address", b"Front-End-Https", b"X-Original-URL"),
    *(b"X-Rewrite-URL", b"X-Forwarded-Protocol", b"X-Url-Scheme", b"X-Original-Host", b"Forwarded-For"),
)
for name in (*BELIEVED, *IDENTITY):
    text = name.decode()
    passes(f"{text} of a stranger", HOPS + b"-%b: 1.2.3.4\n Z: z" % name)
    passes(
        f"{text} of a stranger, other letters", HOPS + b"-%b:1.2.3.4\n-%b: x" % (name.upper(), name.lower())
    )
    twin = name.replace(b"-", b"_")
    if twin != name:
        passes(f"{text} of a stranger, underscores", HOPS + b"-%b: 1.2.3.4\n-%b: x" % (twin, twin.lower()))
        passes(f"{text} of a trusted peer, underscores", HOPS + b"-%b: 1.2.3.4\n Z: z" % twin, trusted=True)
for name in IDENTITY:
    passes(f"{name.decode()} of a trusted peer", HOPS + b" %b: 1.2.3.4\n Z: z" % name, trusted=True)
for twin in (
    *(b"Content_Length", b"Transfer_Encoding", b"content_length", b"TRANSFER_ENCODING", b"Proxy_Connection"),
    *(b"Keep_Alive", b"Proxy_Authorization", b"Proxy_Authenticate", b"HTTP2_Settings"),
    *(b"X-Forwarded_For", b"X_Forwarded-For", b"X_Real-IP"),
):
    passes(f"underscores in {twin.decode()}", HOPS + b"-%b: 5\n Z: z" % twin)
passes(
    "Content_Length beside a length",
    b" POST / HTTP/1.1\n Host: a\n-Content_Length: 0\n Content-Length: 5",
    b"abcde",
)
passes(
    "Transfer_Encoding beside a length",
    b" POST / HTTP/1.1\n Host: a\n Content-Length: 5\n-Transfer_Encoding: chunked",
    b"0\r\n\r\n",
)
passes("Content_Length beside chunks", DIFF + b"\n-Content_Length: 3", b"1\r\na\r\n0\r\n\r\n", b"a")
passes(
    "Transfer_Encoding: gzip beside chunks",
    DIFF + b"\n-Transfer_Encoding: gzip",
    b"1\r\na\r\n0\r\n\r\n",
    b"a",
)

for what, lines in {
    "an address": b"-X-Forwarded-For: 1.2.3.4",
    "two addresses": b"-X-Forwarded-For: 1.2.3.4, 5.6.7.8",
    "two lines of addresses": b"-X-Forwarded-For: 1.2.3.4\n-x-forwarded-for: 5.6.7.8",
    "an address of version 6": b"-X-Forwarded-For: 2001:db8::1",
    "a protocol": b"-X-Forwarded-Proto: https",
    "a host": b"-X-Forwarded-Host: shop.example",
    "an element": b"-Forwarded: for=1.2.3.4;proto=https",
    "two lines of elements": b'-Forwarded: for=1.2.3.4\n Z: z\n-Forwarded: for="[2001:db8::1]"',
    "all of it": (
        b"-X-Forwarded-For: 1.2.3.4\n-X-Forwarded-Proto: https\n-X-Forwarded-Host: b\n-Forwarded: for=1.2.3.4"
    ),
}.items():
    passes(f"a trusted peer tells {what}", HOPS + lines, trusted=True)
    passes(f"a stranger tells {what}", HOPS + lines)
passes("a Via", HOPS + b"-Via: 1.0 fred\n Z: z")
passes("two lines of Via", HOPS + b"-Via: 1.0 fred\n Z: z\n-VIA: 1.1 jim (Apache/1.1)")
passes("a Via of a trusted peer", HOPS + b"-Via: 1.1 jim", trusted=True)

for value in (b"miracles", b"100-continue, x", b"100-continued", b"200-ok"):
    refuses(f"Expect: {value.decode()}", get(b"Expect: " + value), 417)

# -- several on one connection -------------------------------------------------------------------------

ONE = request(b" GET /1 HTTP/1.1\n Host: a")
HEAD = request(b" HEAD /2 HTTP/1.1\n Host: a")
BODY = request(b" POST /3 HTTP/1.1\n Host: a\n Content-Length: 3", b"abc")
CHUNKS = request(DIFF.replace(b" / ", b" /4 "), b"3\r\nabc\r\n0\r\n\r\n", b"abc")
TRAILER = request(DIFF.replace(b" / ", b" /5 "), b"3;x\r\nabc\r\n0\r\nT: x\r\n\r\n", b"abc")
EMPTY = request(DIFF.replace(b" / ", b" /6 "), b"0\r\n\r\n", b"")
LAST = request(b" GET /7 HTTP/1.1\n Host: a\n-Connection: close")
OLD_ONE = request(b"-GET /8 HTTP/1.0\n+GET /8 HTTP/1.1\n Host: a")

pipeline("three GETs", ONE, ONE, ONE)
pipeline("HEAD before GET", HEAD, ONE)
pipeline("HEAD twice", HEAD, HEAD)
pipeline("a body before GET", BODY, ONE)
pipeline("chunks before GET", CHUNKS, ONE)
pipeline("a trailer before GET", TRAILER, ONE)
pipeline("empty chunks before GET", EMPTY, ONE)
pipeline("chunks thrice", CHUNKS, EMPTY, TRAILER)
pipeline("chunks, a body, chunks", CHUNKS, BODY, CHUNKS, ONE)
pipeline("all kinds", ONE, HEAD, BODY, CHUNKS, TRAILER, EMPTY, ONE)
pipeline("thirty GETs", *[ONE] * 30)
pipeline("thirty times chunks", *[CHUNKS] * 30)
pipeline("an empty line behind each", ONE, BODY, CHUNKS, ONE, between=b"\r\n")
pipeline("two empty lines behind chunks", CHUNKS, ONE, between=b"\r\n\r\n")
pipeline("nothing behind a close", ONE, LAST, then=SMUGGLED, keep=False)
pipeline("nothing behind a close, whatever it is", LAST, then=b"\0\0\0", keep=False)
pipeline("nothing behind HTTP/1.0", OLD_ONE, then=SMUGGLED, keep=False)
for what, bad, statuses in (
    ("a space before the colon", get(b"X : y"), (400,)),
    ("no Host", b"GET / HTTP/1.1\r\n\r\n", (400,)),
    ("two lengths", post(b"Content-Length: 5", b"Content-Length: 6", body=b"abcde"), (400,)),
    (
        "a length and chunks",
        post(b"Content-Length: 5", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
        (400,),
    ),
    ("an LF first", b"\n" + get(), (400,)),
    ("a NUL first", b"\0" + get(), (400,)),
    ("a letter too many", b"x" + get(), (400, 405, 501)),
    ("nonsense", b"nonsense\r\n\r\n", (400, 501)),
    ("CONNECT", b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", (400, 405, 501)),
):
    for last in (ONE, BODY, CHUNKS):
        if what == "a letter too many":
            # A server may know a method xGET.
            bad = b"(" + get()
        pipeline(
            f"{last.data.split(b' ')[1].decode()}, then {what}", last, then=bad + SMUGGLED, refused=statuses
        )
pipeline("chunks, then bad chunks", CHUNKS, then=CHUNKED + b"3\nabc\r\n0\r\n\r\n", refused=(400,), begun=True)
pipeline("a body that is too long", BODY, then=b"(" + get(), refused=(400, 405, 501))

REQUESTS = table.cases
