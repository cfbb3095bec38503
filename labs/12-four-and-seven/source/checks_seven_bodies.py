"""Checks of `proxy`: bodies pass on as they come."""

from lbkit.course import expect
from lbkit.course.sockets import play, shown

from . import task
from .checks_seven import a_request_and_its_answer
from .messages import FLOOD, GET, LAST, requested, unchunked


@task.check(points=2, needs=a_request_and_its_answer)
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


@task.check(points=2, needs=a_request_and_its_answer)
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


@task.check(points=2, needs=a_request_and_its_answer)
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


@task.check(points=3, needs=a_request_and_its_answer)
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


@task.check(points=2, needs=a_request_and_its_answer)
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


@task.check(points=1, needs=a_request_and_its_answer)
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
