"""Checks of `proxy`, at layer 7: the heads of requests and answers."""

from lbkit.course import Wrong, expect
from lbkit.course.sockets import play, shown

from . import task
from .messages import GET, LAST, fields_of, requested, unchunked


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


@task.check(points=2, needs=a_request_and_its_answer)
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


@task.check(points=2, needs=a_request_and_its_answer)
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


@task.check(points=2, needs=a_request_and_its_answer)
def malformed_heads_are_400(relay, proxy):
    """A head that is malformed, or gives its body two lengths, is a 400 and reaches no backend."""

    async def script(scene):
        bad = ["no colon", "Space : 1", "Content-Length: +5", "Content-Length: 1\r\nContent-Length: 2"]
        for field in [*bad, "Content-Length: 3\r\nTransfer-Encoding: chunked"]:
            await refused(scene, proxy, f"POST / HTTP/1.1\r\nHost: x\r\n{field}\r\n\r\n".encode())
        await refused(scene, proxy, b"what is this\r\n\r\n")

    play(script)


@task.check(points=1, needs=a_request_and_its_answer)
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


@task.check(points=2, needs=a_request_and_its_answer)
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


@task.check(points=2, hidden=True, needs=a_request_and_its_answer)
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
