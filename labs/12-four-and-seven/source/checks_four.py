"""Checks of `relay`, at layer 4: a client and a backend on real sockets."""

import socket

from lbkit.course import expect
from lbkit.course.sockets import play, shown

from . import task
from .messages import FLOOD


async def joined(scene, relay):
    """A client and a backend with the learner's relay between them."""
    address, lines = await scene.backend()
    client = await scene.connect(await scene.front(relay, address))
    return client, await scene.accept(lines, "a connection to the backend as soon as a client has come")


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


@task.check(points=2, needs=a_relay_carries_both_ways)
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


@task.check(points=1, needs=a_relay_carries_both_ways)
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


@task.check(points=2, needs=a_relay_carries_both_ways)
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
