"""Checks of the lab "Four and seven": a client, the learner's code and a backend on real sockets."""

import socket

from lbkit.course import Task, Wrong, expect
from lbkit.course.sockets import play, shown

task = Task(
    title="Four and seven",
    module="four_and_seven",
    defines=("relay", "proxy"),
    minutes=180,
    difficulty=3,
    before="notebooks 01 and 02, and Python's asyncio streams",
)

GET = b"GET /cats HTTP/1.1\r\nHost: shop.example\r\n\r\n"
LAST = b"GET /cats HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n"
FLOOD = 24 << 20  # bytes: much more than all sockets hold


def fields_of(head):
    """The first line of a head, and its fields with lower-case names, in order."""
    first, *lines = head.split("\r\n")
    pairs = [line.partition(":") for line in lines]
    return first, [(name.strip().lower(), value.strip()) for name, _, value in pairs]


def unchunked(raw):
    """The data of a chunked body and what follows it; None if it is not whole."""
    data = b""
    while True:
        line, found, raw = raw.partition(b"\r\n")
        if not found:
            return None
        size = int(line.split(b";")[0], 16)
        if not size:
            break
        if len(raw) < size + 2:
            return None
        data, raw = data + raw[:size], raw[size + 2 :]
    while True:  # trailers
        line, found, raw = raw.partition(b"\r\n")
        if not found:
            return None
        if not line:
            return data, raw


async def joined(scene, relay):
    """A client and a backend with the learner's relay between them."""
    address, lines = await scene.backend()
    client = await scene.connect(await scene.front(relay, address))
    return client, await scene.accept(lines, "a connection to the backend as soon as a client has come")


async def requested(scene, proxy, raw, hint=""):
    """A client that has sent `raw` through the proxy, and the backend that has the head of it."""
    address, lines = await scene.backend()
    client = await scene.connect(await scene.front(proxy, lambda: address))
    await client.send(raw)
    backend = await scene.accept(lines, f"a connection to the backend after {shown(raw)}", hint)
    head = await backend.head(f"the head of {shown(raw)} at the backend", hint)
    return client, backend, *fields_of(head)


@task.check(points=1)
def a_relay_carries_both_ways(relay, proxy):
    """The relay carries bytes both ways as they come, whichever side sends first."""

    async def script(scene):
        client, backend = await joined(scene, relay)
        for here, there, data in [(backend, client, b"220 ready\r\n"), (client, backend, b"\x00\xffhello")]:
            await here.send(data)
            whose = "the client's" if there is client else "the backend's"
            await there.take(data, f"{shown(data)} at {whose} end, at once", "copy both ways at the same time")

    play(script)


@task.check(points=2)
def one_direction_may_end_first(relay, proxy):
    """A client that ends its own direction still gets the answer, and the backend learns of the end."""

    async def script(scene):
        client, backend = await joined(scene, relay)
        await client.send(b"all of it", end=True)
        await backend.end(
            "at the backend `all of it` and then the end, while the other direction stays open",
            "read() that returns b'' is an end: write_eof() passes it on and leaves the other way open",
        )
        await backend.send(b"the answer", end=True)
        await client.until(
            lambda got: got == b"the answer",
            "at the client `the answer`, sent after the client had ended its own direction",
            "one direction that ends must not close both connections",
        )
        await client.end("the end at the client, too, when both directions have ended", "close the writers")
        await scene.done("that `relay` returns when both directions have ended", "what does it still wait for?")

    play(script)


@task.check(points=1)
def a_relay_without_a_backend(relay, proxy):
    """A client whose backend refuses the connection does not wait: its own connection is closed."""

    async def script(scene):
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))  # and does not listen
            client = await scene.connect(await scene.front(relay, nobody.getsockname()))
            await client.end(
                "the end at the client, as nothing listens at the backend's address",
                "open_connection raises OSError: there is a writer to close then",
            )

    play(script)


@task.check(points=2)
def a_relay_does_not_hoard(relay, proxy):
    """What one side does not read is not read from the other: the relay's memory stays small."""

    async def script(scene):
        for way in (0, 1):
            ends = await joined(scene, relay)
            sent = await scene.flood(ends[way], FLOOD)
            sender, other = ("the client", "the backend") if way == 0 else ("the backend", "the client")
            expect(
                sent < FLOOD,
                f"that {sender} has to stop while {other} reads nothing: the sockets hold a few MB",
                f"{sender} got rid of all {FLOOD >> 20} MB, which are now in the relay's memory",
                "write() only appends to a buffer; what waits until the buffer is small again?",
            )

    play(script)


@task.check(points=1)
def a_request_and_its_answer(relay, proxy):
    """A request reaches the backend as it was, even if it comes in pieces, and the answer comes back."""

    async def script(scene):
        address, lines = await scene.backend()
        client = await scene.connect(await scene.front(proxy, lambda: address))
        for piece in (b"GET /cats?q=1 HT", b"TP/1.1\r\nHost: shop.example\r\nAccept: x", b"/y\r\n\r", b"\n"):
            await client.send(piece)
        backend = await scene.accept(lines, "a connection to the backend after a whole head")
        first, fields = fields_of(await backend.head("the head of the request at the backend"))
        expect(first == "GET /cats?q=1 HTTP/1.1", "GET /cats?q=1 HTTP/1.1 at the backend", first)
        for field in (("host", "shop.example"), ("accept", "x/y")):
            expect(field in fields, f"the field {': '.join(field)} at the backend", f"it got {fields}")
        await backend.send(b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\nX-Cat: no\r\n\r\nnone")
        first, fields = fields_of(await client.head("the head of the answer at the client"))
        expect(first.startswith("HTTP/1.1 404"), "HTTP/1.1 404 Not Found at the client", first)
        expect(("x-cat", "no") in fields, "the answer's field X-Cat: no at the client", f"it got {fields}")
        await client.take(b"none", "the answer's body `none` at the client")

    play(script)


@task.check(points=2)
def bytes_after_the_head(relay, proxy):
    """A body that arrives in one piece with its head is not lost."""

    async def script(scene):
        raw = b"POST /cats HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 5\r\n\r\nmolly"
        _, backend, *_ = await requested(scene, proxy, raw)
        await backend.take(
            b"molly",
            "the body `molly` at the backend, sent in one piece with the head",
            "a read may return more than the head: the rest belongs to the body, or to the next request",
        )

    play(script)


@task.check(points=2)
def bodies_are_streamed(relay, proxy):
    """The first half of a body is passed on before the second half exists, in both directions."""

    async def script(scene):
        raw = b"POST / HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 10\r\n\r\n"
        hint = "pass on each piece as it comes, and count; the whole of it may be 4 GB"
        client, backend, *_ = await requested(scene, proxy, raw, hint)
        for half in (b"first", b"later"):
            await client.send(half)
            await backend.take(half, f"`{half.decode()}` at the backend as soon as the client sent it", hint)
        await backend.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
        await client.head("the answer's head at the client, before there is a body", hint)
        for half in (b"maybe", b"never"):
            await backend.send(half)
            await client.take(half, f"`{half.decode()}` at the client as soon as the backend sent it", hint)

    play(script)


@task.check(points=2)
def a_slow_client_slows_its_backend(relay, proxy):
    """An answer that its client does not read is not collected in the proxy's memory."""

    async def script(scene):
        chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
        for field in (f"Content-Length: {FLOOD}", "Transfer-Encoding: chunked", "X-Length: unknown"):
            client, backend, *_ = await requested(scene, proxy, GET)
            await backend.send(f"HTTP/1.1 200 OK\r\n{field}\r\n\r\n".encode())
            sent = await scene.flood(backend, FLOOD, chunk)
            expect(
                sent < FLOOD,
                f"that the backend has to stop while the client reads nothing of the answer (with {field})",
                f"the backend got rid of all {FLOOD >> 20} MB, which are now in the proxy's memory",
                "wait for drain() after each piece of a body",
            )

    play(script)


@task.check(points=3)
def chunked_bodies(relay, proxy):
    """Chunked bodies pass both ways, whatever is in their data, wherever they are cut."""

    async def script(scene):
        raw = b"POST / HTTP/1.1\r\nHost: shop.example\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        data = b"a\r\n0\r\n\r\nb and more bytes"  # looks like an end, and is none; its size is 17, hexadecimal
        body = b"%x\r\n%b\r\n4;x=y\r\nlast\r\n0\r\n\r\n" % (len(data), data)
        want = data + b"last"
        hint = "a chunk says how long it is: count, and do not search its data for an end"
        client, backend, *_ = await requested(scene, proxy, raw, hint)
        for i in range(len(body)):
            await client.send(body[i : i + 1])
        got = unchunked(await backend.until(unchunked, f"at the backend a whole chunked {shown(want)}", hint))
        expect(got == (want, b""), f"at the backend {shown(want)}, chunked", f"it got {got}", hint)
        await backend.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body)
        await client.head("the head of a chunked answer at the client", hint)
        got = unchunked(await client.end(f"at the client {shown(want)}, and then the end", hint))
        expect(got == (want, b""), f"at the client {shown(want)}, chunked", f"it got {got}", hint)

    play(script)


@task.check(points=2)
def answers_without_a_body(relay, proxy):
    """After an answer to HEAD, or one with 204 or 304, no body is waited for."""

    async def script(scene):
        for method, status in (("HEAD", 200), ("GET", 204), ("GET", 304)):
            client, backend, *_ = await requested(scene, proxy, LAST.replace(b"GET", method.encode()))
            length = "" if status == 204 else "Content-Length: 5\r\n"
            await backend.send(f"HTTP/1.1 {status} x\r\n{length}\r\n".encode())
            what = f"the answer {status} to {method}, without a body"
            await client.head(f"at the client the head of {what}")
            hint = "the length of an answer to HEAD, or of a 304, is that of a body that does not come"
            rest = await client.end(f"after {what}, the end that `Connection: close` asked for", hint)
            expect(not rest, "no body", f"the client got {shown(rest)}")

    play(script)


@task.check(points=2)
def fields_for_one_connection(relay, proxy):
    """Fields for one connection only are dropped both ways, also those that Connection names."""

    async def script(scene):
        raw = GET.replace(
            b"\r\n\r\n",
            b"\r\nconnection: X-Hop, keep-alive\r\nX-Hop: 1\r\nKeep-Alive: timeout=9\r\nTE: trailers\r\n\r\n",
        )
        client, backend, _, sent = await requested(scene, proxy, raw)
        answer = b"HTTP/1.1 200 OK\r\nConnection: x-inner\r\nX-Inner: 1\r\nKeep-Alive: max=5\r\nContent-Length: 0"
        await backend.send(answer + b"\r\n\r\n")
        _, got = fields_of(await client.head("the answer's head at the client"))
        for where, names in (("the backend", dict(sent)), ("the client", dict(got))):
            here = sorted({"x-hop", "x-inner", "keep-alive", "te"} & names.keys())
            expect(
                not here,
                f"at {where} no field that is for one connection only",
                f"it got {', '.join(here)}",
                "besides a fixed list, these are the fields that are named in `Connection`, in any case",
            )

    play(script)


@task.check(points=2)
def strangers_are_not_believed(relay, proxy):
    """The backend learns the client's address from the proxy, not from what a stranger wrote."""

    async def script(scene):
        lie = b"\r\nX-Forwarded-For: 6.6.6.6\r\nx-forwarded-for: 7.7.7.7\r\n\r\n"
        *_, fields = await requested(scene, proxy, GET.replace(b"\r\n\r\n", lie))
        got = [value for name, value in fields if name == "x-forwarded-for"]
        expect(
            got == ["127.0.0.1"],
            "one X-Forwarded-For at the backend: 127.0.0.1",
            f"it got {got}; the client had sent 6.6.6.6 and 7.7.7.7",
            "drop the field in any case of letters; writer.get_extra_info('peername') is the client's address",
        )

    play(script)


@task.check(points=2)
def connections_are_reused(relay, proxy):
    """Three requests on one connection of the client's are one connection to the backend."""

    async def script(scene):
        client, backend, *_ = await requested(scene, proxy, GET)
        hint = "loop over the requests of a client, and keep the backend's connection for the next one"
        for number in (1, 2, 3):
            await backend.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % number)
            await client.head(f"answer {number} at the client", hint)
            await client.take(b"%d" % number, f"the body of answer {number} at the client", hint)
            if number < 3:
                await client.send(GET)
                await backend.head(f"request {number + 1} on the backend's first connection", hint)

    play(script)


@task.check(points=1)
def a_backend_may_end_its_connection(relay, proxy):
    """After an answer with `Connection: close` the next request goes over a new connection to the backend."""

    async def script(scene):
        address, lines = await scene.backend()
        client = await scene.connect(await scene.front(proxy, lambda: address))
        hint = "a connection whose other end has said `Connection: close` takes no more requests: close it"
        for number in (1, 2):
            await client.send(GET)
            backend = await scene.accept(lines, f"connection {number} to the backend, for request {number}", hint)
            await backend.head(f"the head of request {number} at the backend", hint)
            await backend.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx")
            await client.head(f"answer {number} at the client", hint)
            await client.take(b"x", f"the body of answer {number} at the client", hint)
            await backend.end(f"the end of connection {number} at the backend, after its `Connection: close`", hint)

    play(script)


@task.check(points=1)
def a_client_may_leave(relay, proxy):
    """A client that leaves, at any point, is no error: `proxy` returns, and raises nothing."""

    async def script(scene):
        hint = "read() returns b'' at the end, and other reads raise; what does your loop do then?"
        for raw in (b"", GET[:9], GET):
            address, lines = await scene.backend()
            client = await scene.connect(await scene.front(proxy, lambda: address))
            await client.send(raw)
            what = f"a client that has sent {shown(raw)}" if raw else "a client that has sent nothing"
            if raw == GET:
                backend = await scene.accept(lines, "a connection to the backend")
                await backend.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                await client.until(lambda got: got.endswith(b"ok"), "the answer at the client")
                what += ", and has got its answer,"
                client.got = b""
            await client.send(b"", end=True)
            rest = await client.end(f"the end of the connection of {what} and then leaves", hint)
            expect(raw != GET or not rest, f"nothing more for {what} and then leaves", f"it got {shown(rest)}", hint)
            await scene.done(f"that `proxy` returns for {what} and then leaves", hint)

    play(script)


@task.check(points=1)
def an_answer_that_is_cut_short(relay, proxy):
    """If the backend's connection ends in the middle of a body, the client's does, too."""

    async def script(scene):
        hint = "read() returns b'' at the end, also if bytes are missing: the client must not wait for them"
        for field, part in (("Content-Length: 9", b"half"), ("Transfer-Encoding: chunked", b"9\r\nhalf")):
            client, backend, *_ = await requested(scene, proxy, GET)
            await backend.send(f"HTTP/1.1 200 OK\r\n{field}\r\n\r\n".encode() + part)
            await client.head("the head of the answer at the client")
            backend.writer.close()
            await client.end(f"the end at the client, as the backend left after {shown(part)} ({field})", hint)

    play(script)


@task.check(points=2)
def no_backend_is_502(relay, proxy):
    """A backend that refuses, or ends without an answer, is a 502 to the client."""

    async def script(scene):
        hint = "connecting and reading may raise: catch that where nothing has been sent to the client yet"
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))  # and does not listen
            address = nobody.getsockname()
            client = await scene.connect(await scene.front(proxy, lambda: address))
            await client.send(GET)
            head = await client.head("502 at the client, as nothing listens at the backend's address", hint)
        expect(head.startswith("HTTP/1.1 502"), "502 as nothing listens at the backend's address", shown(head.encode()))
        client, backend, *_ = await requested(scene, proxy, GET)
        backend.writer.close()
        head = await client.head("502 at the client, as the backend ended without an answer", hint)
        expect(head.startswith("HTTP/1.1 502"), "502 as the backend ended without an answer", shown(head.encode()))

    play(script)


async def refused(scene, proxy, raw):
    """Expect 400 (431 if it is too long) for a head that must not be passed on, and nothing at the backend."""
    address, lines = await scene.backend()
    client = await scene.connect(await scene.front(proxy, lambda: address))
    await client.send(raw)
    expected = f"400 for {shown(raw)}"
    hint = "a head that the proxy and the backend read differently lets requests be smuggled: refuse it"
    try:
        head = await client.head(expected, hint)
    except Wrong as wrong:
        at_backend = "" if lines.empty() else "; the backend got a connection"
        raise Wrong(wrong.expected, wrong.happened + at_backend, hint) from None
    expect(head[9:12] in ("400", "431"), expected, shown(head.encode()), hint)
    await client.end(f"the end of the connection after {expected}", "where would the next request begin?")
    expect(lines.empty(), f"nothing at the backend for {shown(raw)}", "it got a connection", hint)


@task.check(points=2)
def malformed_heads_are_400(relay, proxy):
    """A head that is malformed, or gives its body two lengths, is a 400 and reaches no backend."""

    async def script(scene):
        bad = ["no colon", "Space : 1", "Content-Length: +5", "Content-Length: 1\r\nContent-Length: 2"]
        for field in [*bad, "Content-Length: 3\r\nTransfer-Encoding: chunked"]:
            await refused(scene, proxy, f"POST / HTTP/1.1\r\nHost: x\r\n{field}\r\n\r\n".encode())
        await refused(scene, proxy, b"what is this\r\n\r\n")

    play(script)


@task.check(points=1)
def heads_have_a_limit(relay, proxy):
    """A head that does not end is refused before 4 MB of it have come."""

    async def script(scene):
        address, _ = await scene.backend()
        client = await scene.connect(await scene.front(proxy, lambda: address))
        await client.send(b"GET / HTTP/1.1\r\n")
        sent = await scene.flood(client, 4 << 20, (b"X-More: %b\r\n" % (b"x" * 1000)) * 64)
        await client.until(
            lambda got: got[9:12] in (b"400", b"431") or (client.ended and not got),
            "400 for a head of 4 MB without an end, or a connection that is closed",
            f"{sent >> 10} KB of it were taken: a head needs a limit, such as 64 KiB",
        )

    play(script)


@task.check(points=2)
def an_odd_backend(relay, proxy):
    """A backend that is odd but correct: small pieces, lower-case fields, `Chunked`, a body up to the close."""

    async def script(scene):
        for raw, head, body in (
            (LAST, b"HTTP/1.1 200 \r\ntransfer-encoding:Chunked\r\n\r\n", b"003;a\r\nmia\r\n0\r\n\r\n"),
            (LAST, b"HTTP/1.1 200 OK\r\ncontent-length:3\r\n\r\n", b"mia"),
            (GET, b"HTTP/1.0 200 OK\r\nserver: old\r\n\r\n", b"mia"),  # its end can only be seen as an end
        ):
            client, backend, *_ = await requested(scene, proxy, raw)
            for i in range(len(head + body)):
                await backend.send((head + body)[i : i + 1])
            backend.writer.close()
            what = f"after {shown(head + body)} from the backend, byte by byte, "
            hint = "names of fields and codings may be in any case; without a length, a body goes on to the end"
            _, fields = fields_of(await client.head(what + "a head at the client", hint))
            got = await client.end(what + "the whole answer and its end at the client", hint)
            if "chunked" in dict(fields).get("transfer-encoding", "").lower():
                got = (unchunked(got) or (got,))[0]
            expect(got == b"mia", what + "the body `mia`", f"the client got {shown(got)}", hint)

    play(script)


@task.check(points=2, hidden=True)
def requests_behind_each_other(relay, proxy):
    """Several requests in one piece, with bodies of both kinds, are answered in order."""

    async def script(scene):
        chunked = b"PUT /2 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\nX-Sum: 1\r\n\r\n"
        raw = b"PUT /1 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nyes" + chunked + LAST
        client, backend, first, _ = await requested(scene, proxy, raw)
        for number, rest in enumerate([lambda got: got == b"yes", unchunked, lambda got: True]):
            await backend.until(rest, f"the body of request {number + 1}")
            backend.got = b""
            await backend.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % number)
            await client.head(f"answer {number + 1}")
            await client.take(b"%d" % number, f"answer {number + 1}")
            if number < 2:
                await backend.head(f"request {number + 2}")
        await client.end("the end after the last request")

    play(script)
