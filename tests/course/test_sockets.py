"""Checks on real sockets: what does not arrive is said with what did, and what the code raised is told."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from lbkit.course import Wrong, sockets
from lbkit.course.sockets import SMALL, Scene, play


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "PATIENCE", 0.2)


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, times: int) -> None:
    writer.write(await reader.read(SMALL) * times)
    await reader.read()


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: Any) -> None:
    await asyncio.Event().wait()


async def broken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, error: Exception) -> None:
    raise error


def asks(handler: Any, argument: Any, wanted: bytes) -> None:
    async def script(scene: Scene) -> None:
        client = await scene.connect(await scene.front(handler, argument))
        await client.send(b"ab")
        await client.take(wanted, "what was wanted", "a hint")

    play(script)


def test_what_arrives_is_compared() -> None:
    asks(echo, 2, b"abab")
    with pytest.raises(Wrong, match="expected what was wanted; happened: it got 'abab'"):
        asks(echo, 2, b"abba")


def test_what_does_not_arrive_is_wrong() -> None:
    with pytest.raises(Wrong, match=r"happened: the client got 'ab', then nothing for 0\.2 s"):
        asks(echo, 1, b"abab")
    with pytest.raises(Wrong, match="got no byte of it, then nothing"):
        asks(silent, None, b"ab")


def test_what_the_code_raised_is_told() -> None:
    with pytest.raises(Wrong, match="the end of the connection; the code raised KeyError: 'x'"):
        asks(broken, KeyError("x"), b"ab")
    with pytest.raises(NotImplementedError):
        asks(broken, NotImplementedError(), b"ab")


def test_a_flood_stops_where_nobody_reads() -> None:
    async def script(scene: Scene) -> None:
        client = await scene.connect(await scene.front(silent, None))
        assert await scene.flood(client, 24 << 20) < 24 << 20

    play(script)


def test_a_backend_that_nobody_calls_is_wrong() -> None:
    async def script(scene: Scene) -> None:
        _, lines = await scene.backend()
        await scene.accept(lines, "a connection")

    with pytest.raises(Wrong, match="got no connection"):
        play(script)


def test_a_handler_that_goes_on_or_raises_is_not_done() -> None:
    def ends(handler: Any, argument: Any) -> None:
        async def script(scene: Scene) -> None:
            client = await scene.connect(await scene.front(handler, argument))
            await client.send(b"ab", end=True)
            await client.end("the end")
            await scene.done("that it returns")

        play(script)

    async def lasting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: Any) -> None:
        writer.close()
        await asyncio.sleep(60)

    async def closing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: Any) -> None:
        writer.close()

    ends(closing, None)
    with pytest.raises(Wrong, match=r"expected that it returns; happened: it still runs after 0\.2 s"):
        ends(lasting, None)
    with pytest.raises(Wrong, match="it ended with an exception; the code raised KeyError"):
        ends(broken, KeyError("x"))


def test_a_connection_that_the_code_does_not_close_stays_open() -> None:
    async def returning(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: Any) -> None: ...

    async def script(scene: Scene) -> None:
        client = await scene.connect(await scene.front(returning, None))
        await client.end("the end")

    with pytest.raises(Wrong, match=r"then nothing for 0\.2 s"):
        play(script)
