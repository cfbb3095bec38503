"""A stream as a transport: whatever the order of events, all that came is delivered, and its end once."""

from __future__ import annotations

import asyncio

from hypothesis import example, given
from hypothesis import strategies as st
from needs import need_feature

need_feature("http2")

from lbkit.net.streams.tunnel import StreamTransport


class Stream:
    over = False
    backlog = 0

    def __init__(self) -> None:
        self.calls: list[object] = []

    def send(self, data: bytes, end: bool) -> None:
        self.calls.append(b"end" if end else data)

    def read_body(self, wanted: bool) -> None: ...
    def finish(self) -> None: ...
    def abort(self) -> None:
        self.calls.append("abort")


class Reader(asyncio.Protocol):
    def __init__(self) -> None:
        self.got: list[object] = []

    def data_received(self, data: bytes) -> None:
        self.got.append(data)

    def eof_received(self) -> bool:
        self.got.append("end")
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self.got.append("lost")


STEPS = st.lists(st.sampled_from(["pause", "resume", "data", "ready", "write"]), max_size=12)


@given(STEPS, st.booleans(), STEPS)
@example(["data"], True, ["resume"])
def test_what_came_to_its_end_is_delivered_though_the_stream_is_over(
    before: list[str], ended: bool, after: list[str]
) -> None:
    async def play() -> tuple[list[object], list[bytes]]:
        stream, reader = Stream(), Reader()
        transport = StreamTransport(stream)
        transport.set_protocol(reader)
        sent: list[bytes] = []

        def step(what: str) -> None:
            if what == "pause":
                transport.pause_reading()
            elif what == "resume":
                transport.resume_reading()
            elif what == "write":
                transport.write(b"w")
            elif what == "data" and not stream.over:
                sent.append(b"%d" % len(sent))
                transport.feed(sent[-1], False)

        for what in before:
            step(what)
        if ended:
            transport.feed(b"", True)
        stream.over = True
        transport.lost()
        for what in [*after, "resume"]:
            step(what)
        await asyncio.sleep(0)
        assert transport.is_closing()
        return reader.got, sent

    got, sent = asyncio.run(play())
    assert got[-1] == "lost"
    assert got.count("lost") == 1
    if ended:
        assert got == [*sent, "end", "lost"]
    else:
        assert got[:-1] == sent[: len(got) - 1]


def test_a_transport_that_is_aborted_says_so_once() -> None:
    async def play() -> list[object]:
        stream, reader = Stream(), Reader()
        transport = StreamTransport(stream)
        transport.set_protocol(reader)
        transport.abort()
        transport.lost()
        transport.close()
        await asyncio.sleep(0)
        return reader.got

    assert asyncio.run(play()) == ["lost"]
