"""Checks of `proxy`: connections that are kept, that end, and that fail."""

import socket

from lbkit.course import expect
from lbkit.course.sockets import play, shown

from . import task
from .checks_seven import a_request_and_its_answer
from .messages import GET, requested


@task.check(points=2, needs=a_request_and_its_answer)
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


@task.check(points=1, needs=a_request_and_its_answer)
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


@task.check(points=1, needs=a_request_and_its_answer)
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


@task.check(points=2, needs=a_request_and_its_answer)
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
