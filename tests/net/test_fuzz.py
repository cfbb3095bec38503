"""Laws of the HTTP/1.1 reader, on mutations of the corpus. h11 is the strict reader that is asked to agree.

Nothing but Reject is raised; what is accepted is read by h11 as one request, the same one; and however bytes
are cut into pieces, the outcome is the same."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any, TypeVar

import h11
import pytest
from httptools import HttpRequestParser, HttpResponseParser
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from in_memory import CLIENT, PROXY, Far, MemoryLoop, Wire
from net.corpus.cases import HEAD_REQUEST, Answer
from net.corpus.requests import REQUESTS
from net.corpus.responses import ANSWERS
from net.corpus.wire import Message, NotClean, Requests, take_answer
from scripted import pool_of

from lbkit.net import Proxy

# isort: split
from lbkit.net.http1.body import Chunked
from lbkit.net.http1.client import connection_fields
from lbkit.net.http1.head import HeadReader, read_request, read_response
from lbkit.net.messages import CHUNKED, UNTIL_CLOSE, Reject

# isort: split
from lbkit.net.peer import Peer, trusted_networks

T = TypeVar("T")

END = b"\r\n\r\n"
MAX_FIELDS = 100
OVERHEAD = 16_384  # bytes of chunk sizes, extensions and trailers that a body may have

HOP_BY_HOP = {
    *(b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"proxy-connection"),
    *(b"te", b"trailer", b"transfer-encoding", b"upgrade", b"http2-settings"),
}
OURS = {
    *(b"host", b"transfer-encoding", b"connection", b"upgrade", b"via", b"forwarded"),
    *(b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host"),
}


def law(examples: int) -> Any:
    """The same examples each time."""
    return settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


# -- what is drawn ---------------------------------------------------------------------------------------

STREAMS = sorted({case.data for case in REQUESTS.values() if len(case.data) < 600})
ANSWER_STREAMS = sorted({case.data for case in ANSWERS.values() if END in case.data and len(case.data) < 600})
CHUNK_STREAMS = sorted(
    {data.partition(END)[2] for data in STREAMS if re.search(rb"(?i)\r\ntransfer-encoding:", data)}
)
NOISE = [
    *(
        b"\r\n",
        b"\n",
        b"\r",
        b"\0",
        b" ",
        b"\t",
        b":",
        b",",
        b";",
        b"0",
        b"5",
        b"a",
        b"\x0b",
        b"\x7f",
        b"\xff",
    ),
    *(b"\r\n\r\n", b"\r\n ", b"\r\nContent-Length: 5", b"\r\nTransfer-Encoding: chunked", b"\r\nHost: b"),
    *(b"\r\nConnection: close", b"\r\nConnection: X, Host", b"\r\nUpgrade: websocket", b"0\r\n\r\n"),
    *(
        b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
        b"3\r\nabc\r\n",
        b";x",
        b"http://b",
        b"HTTP/1.0",
        b"+",
        b"_",
    ),
    *(b"Content-Length", b"Transfer-Encoding", b"Connection", b"chunked", b"\r\nX-Forwarded-For: 6.6.6.6"),
]


@st.composite
def mutated(draw: st.DrawFn, seeds: list[bytes]) -> bytes:
    """One of the seeds, changed in up to four places."""
    data = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        match draw(st.sampled_from(["insert", "cut", "replace", "repeat a line", "swap", "splice", "case"])):
            case "insert":
                data = data[:at] + draw(st.sampled_from(NOISE)) + data[at:]
            case "cut":
                data = data[:at] + data[at + draw(st.integers(1, 4)) :]
            case "replace":
                data = data[:at] + draw(st.sampled_from(NOISE)) + data[at + 1 :]
            case "repeat a line":
                lines = data.split(b"\r\n")
                line = draw(st.integers(0, len(lines) - 1))
                lines.insert(draw(st.integers(0, len(lines))), lines[line])
                data = b"\r\n".join(lines)
            case "swap":
                lines = data.split(b"\r\n")
                one, two = (draw(st.integers(0, len(lines) - 1)) for _ in range(2))
                lines[one], lines[two] = lines[two], lines[one]
                data = b"\r\n".join(lines)
            case "splice":
                other = draw(st.sampled_from(seeds))
                data = data[:at] + other[draw(st.integers(0, len(other))) :]
            case "case":
                data = data[:at] + data[at:].swapcase()
    return data


def heads(streams: list[bytes]) -> st.SearchStrategy[bytes]:
    """Up to the first empty line, as a connection hands them to the reader."""
    return mutated(streams).map(lambda data: data + END).map(lambda data: data[: data.find(END) + len(END)])


@st.composite
def pieces(draw: st.DrawFn, data: bytes) -> list[bytes]:
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=6)))
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]


# -- heads of requests -----------------------------------------------------------------------------------


def peer(trusted: bool = False) -> Peer:
    transport = asyncio.BaseTransport({"peername": CLIENT, "sockname": PROXY})
    return Peer(CLIENT[0], trusted_networks(("127.0.0.1/32",)) if trusted else (), transport)


READER = HeadReader(HttpRequestParser, 400)
ANSWER_READER = HeadReader(HttpResponseParser, 502)


def tried(read: Callable[[], T]) -> T | Reject:
    try:
        return read()
    except Reject as reject:
        return reject


def request_of(head: bytes, trusted: bool) -> Any:
    """As a connection reads it: first the check of its grammar. A Reject if it is refused."""
    checked = tried(lambda: READER.check(head))
    return (
        checked
        if isinstance(checked, Reject)
        else tried(lambda: read_request(head, peer(trusted), MAX_FIELDS))
    )


def answer_of(head: bytes, head_only: bool) -> Any:
    checked = tried(lambda: ANSWER_READER.check(head))
    return checked if isinstance(checked, Reject) else tried(lambda: read_response(head, head_only))


def named(head: bytes) -> list[tuple[bytes, bytes]]:
    lines = head.split(b"\r\n")[1:]
    return [
        (name.lower(), value.strip(b" \t"))
        for name, _, value in (line.partition(b":") for line in lines if line)
    ]


@law(1500)
@given(heads(STREAMS), st.booleans())
def test_an_accepted_request_is_one_request_for_h11(head: bytes, trusted: bool) -> None:
    request = request_of(head, trusted)
    if isinstance(request, Reject):
        assert 400 <= request.status < 600
        return
    head_sent = request.data + connection_fields(request)
    forwarded = head_sent + b"\r\n"
    assert forwarded.count(END) == 1
    assert forwarded.endswith(END)

    other = h11.Connection(h11.SERVER)
    other.receive_data(forwarded)
    event = other.next_event()
    assert isinstance(event, h11.Request)
    assert (event.method, event.target, event.http_version) == (request.method, request.target, b"1.1")
    assert other.trailing_data[0] == b""

    fields = named(head_sent)
    names = [name for name, _ in fields]
    assert [tuple(pair) for pair in event.headers] == fields
    assert names.count(b"host") == 1
    said = dict(fields)
    if request.length == CHUNKED:
        assert said[b"transfer-encoding"] == b"chunked"
        assert b"content-length" not in said
    else:
        assert int(said.get(b"content-length", b"0")) == request.length
    allowed = {b"transfer-encoding"} if request.length == CHUNKED else set()
    if request.upgrade:
        assert (said[b"connection"], said[b"upgrade"]) == (b"upgrade", b"websocket")
        allowed |= {b"connection", b"upgrade"}
    assert HOP_BY_HOP & set(names) <= allowed

    # Nothing is made up: what is not ours is a line of the client's.
    sent = head.split(b"\r\n")[1:]
    for line in request.data.split(b"\r\n")[1:]:
        assert not line or line.partition(b":")[0].lower() in OURS or line in sent
    # The client's address is the connection's, or what a trusted peer says.
    assert trusted or request.client == CLIENT[0]


@law(250)
@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_no_bytes_raise_anything_but_reject(data: bytes) -> None:
    for head in (data + END, b"GET / HTTP/1.1\r\nHost: a\r\n" + data + END, b"GET " + data + END):
        head = head.partition(END)[0] + END
        request_of(head, False)
        answer_of(head, False)
        answer_of(b"HTTP/1.1 200 OK\r\n" + head, False)


@law(250)
@given(heads(STREAMS), heads(STREAMS))
def test_a_reader_keeps_nothing_of_the_head_before(first: bytes, second: bytes) -> None:
    def outcome(reader: HeadReader) -> object:
        try:
            keep = reader.check(second)
            request = read_request(second, peer(), MAX_FIELDS)
        except Reject as reject:
            return reject.status
        return keep, request.data, request.length

    used = HeadReader(HttpRequestParser, 400)
    tried(lambda: used.check(first))
    assert outcome(used) == outcome(HeadReader(HttpRequestParser, 400))


# -- heads of answers -------------------------------------------------------------------------------------


@law(800)
@given(heads(ANSWER_STREAMS), st.booleans())
def test_an_accepted_answer_is_one_answer_for_h11(head: bytes, head_only: bool) -> None:
    answer = answer_of(head, head_only)
    if isinstance(answer, Reject):
        assert answer.status == 502
        return
    assert 100 <= answer.status <= 999
    assert answer.data.endswith(b"\r\n")
    assert END not in answer.data
    fields = named(answer.data)
    assert not HOP_BY_HOP & {name for name, _ in fields}

    other = h11.Connection(h11.CLIENT)
    method = b"HEAD" if head_only else b"GET"
    other.send(h11.Request(method=method, target=b"/", headers=[(b"Host", b"a")]))
    other.send(h11.EndOfMessage())
    more = b"Transfer-Encoding: chunked\r\n" if answer.length == CHUNKED else b""
    other.receive_data(answer.data + more + b"\r\n")
    if answer.status == 101:
        return  # h11 knows that it was not asked for
    event = other.next_event()
    assert isinstance(event, h11.Response | h11.InformationalResponse)
    assert event.status_code == answer.status
    lengths = [value for name, value in fields if name == b"content-length"]
    if answer.status < 200 or answer.status in (204, 304) or head_only:
        assert answer.length == 0
    elif answer.length >= 0:
        assert [int(value) for value in lengths] == [answer.length]
    else:
        assert answer.length in (CHUNKED, UNTIL_CLOSE)
        assert lengths == []
    if answer.status < 200 or answer.status == 204:
        assert lengths == []
    sent = head.split(b"\r\n")[1:]
    for line in answer.data.split(b"\r\n")[1:]:
        assert not line or line.partition(b":")[0].lower() == b"date" or line in sent


# -- chunks ----------------------------------------------------------------------------------------------


def unchunk(parts: list[bytes]) -> tuple[bytes, bool, bytes] | None:
    """Content, whether it ended, and what followed; None if it is refused."""
    chunked, content, rest = Chunked(OVERHEAD), b"", b""
    for part in parts:
        if chunked.done:
            rest += part
            continue
        piece = tried(lambda part=part: chunked.feed(part))  # type: ignore[misc]
        if isinstance(piece, Reject):
            assert 400 <= piece.status < 500
            return None
        content += piece
        if chunked.done:
            rest += part[chunked.end :]
    return content, chunked.done, rest


def unchunk_by_h11(data: bytes) -> tuple[bytes, bool, bytes] | None:
    other = h11.Connection(h11.SERVER)
    other.receive_data(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + data)
    content = b""
    try:
        while True:
            event = other.next_event()
            if event is h11.NEED_DATA:
                return content, False, b""
            if isinstance(event, h11.Data):
                content += event.data
            elif isinstance(event, h11.EndOfMessage):
                return content, True, other.trailing_data[0]
    except h11.RemoteProtocolError:
        return None


@law(800)
@given(st.data())
def test_chunks_are_read_as_h11_reads_them(data: st.DataObject) -> None:
    raw = data.draw(mutated(CHUNK_STREAMS))
    whole = unchunk([raw])
    assert unchunk(data.draw(pieces(raw))) == whole
    assert unchunk([raw[i : i + 1] for i in range(len(raw))]) == whole
    if whole is None:
        return
    other = unchunk_by_h11(raw)
    if other is None and re.search(rb"(?i)\n(content-length|transfer-encoding):", raw):
        return  # h11 looks into trailers, which are dropped here
    if whole[1]:
        assert other == whole
    elif other is not None:
        # Not at its end: h11 waits for whole lines and we need not.
        assert not other[1]
        assert other[0] == whole[0]


@law(300)
@given(
    st.lists(st.binary(min_size=1, max_size=300), max_size=8),
    st.booleans(),
    st.binary(max_size=50),
    st.data(),
)
def test_messages_written_by_h11_are_read(
    parts: list[bytes], trailers: bool, behind: bytes, data: st.DataObject
) -> None:
    writer = h11.Connection(h11.CLIENT)
    writer.send(
        h11.Request(method="POST", target="/", headers=[("Host", "a"), ("Transfer-Encoding", "chunked")])
    )
    raw = b"".join(writer.send(h11.Data(data=part)) or b"" for part in parts)
    raw += writer.send(h11.EndOfMessage(headers=[("X-Sum", "1")] if trailers else [])) or b""
    expected = b"".join(parts), True, behind
    assert unchunk([raw + behind]) == expected
    assert unchunk(data.draw(pieces(raw + behind))) == expected


@pytest.mark.parametrize(
    "raw",
    [b"1;" + b"a" * 100_000, b"0\r\n" + b"X: y\r\n" * 10_000, b"0\r\nX: " + b"y" * 100_000],
    ids=["an extension", "trailers", "a trailer"],
)
def test_chunk_overhead_has_a_limit(raw: bytes) -> None:
    assert unchunk([raw]) is None
    assert unchunk([raw[i : i + 1000] for i in range(0, len(raw), 1000)]) is None


def test_small_chunks_are_allowed() -> None:
    assert unchunk([b"1\r\nx\r\n" * 1000 + b"0\r\n\r\n"]) == (b"x" * 1000, True, b"")


# -- whole connections, in memory ---------------------------------------------------------------------------


class FarBackend:
    """Answers each request; for one that is no clean request, `seen` says so."""

    def __init__(self, wire: Wire, seen: list[Message], answer: bytes | None) -> None:
        self.wire = wire
        self.seen = seen
        self.answer = answer
        self.requests = Requests()

    def received(self, data: bytes) -> None:
        for message in self.requests.feed(data):
            self.seen.append(message)
            body = message.first_line
            if self.answer is not None:
                self.wire.feed(self.answer)
                self.wire.feed_end()
            elif message.head.startswith(b"HEAD "):
                self.wire.feed(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
            else:
                self.wire.feed(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    def ended(self, reset: bool) -> None:
        pass


def connection(
    parts: list[bytes], answer: bytes | None = None, then: bytes = b""
) -> tuple[list[Message], bytes, str]:
    """What the backend sees, what the client gets (without dates), and how its connection is afterwards.
    `then`: sent when all is quiet."""

    async def body() -> tuple[list[Message], bytes, str]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, MemoryLoop)
        faults: list[dict[str, Any]] = []
        loop.set_exception_handler(lambda _, context: faults.append(context))
        seen: list[Message] = []

        def accept(wire: Wire) -> None:
            wire.end = FarBackend(wire, seen, answer)

        loop.accept = accept
        pool = pool_of(9)
        proxy = Proxy(pool)
        ready = asyncio.Event()
        serving = loop.create_task(proxy.serve(on_ready=ready.set))
        await ready.wait()
        client = Far()
        wire = loop.connect(client)
        for part in [*parts, then]:
            if part:
                wire.feed(part)
            await loop.settle()
        got = re.sub(rb"\r\nDate: [^\r\n]*", b"", client.got)
        # Which of a head's faults is named depends on how much of it is there.
        got = re.sub(rb"Content-Length: \d+(\r\nConnection: close\r\n\r\n4\d\d [\w ]+):[^\n]*", rb"\1", got)
        outcome = seen, got, client.end
        proxy.shut(0.0)
        await serving
        await loop.settle()
        assert faults == []
        assert [b.in_flight for b in pool.backends] == [0]
        return outcome

    with asyncio.Runner(loop_factory=MemoryLoop) as runner:
        return runner.run(body())


def requests_by_h11(stream: bytes) -> list[tuple[bytes, bytes, bytes]]:
    """Method, target and content of each request in a stream, as h11 reads it: up to a fault."""
    found = []
    while stream := re.sub(rb"\A(\r\n)+", b"", stream):
        other = h11.Connection(h11.SERVER)
        other.receive_data(stream)
        request, content = None, b""
        try:
            while True:
                event = other.next_event()
                if event in (h11.NEED_DATA, h11.PAUSED):
                    return found
                if isinstance(event, h11.Request):
                    request = event
                elif isinstance(event, h11.Data):
                    content += event.data
                elif isinstance(event, h11.EndOfMessage):
                    break
        except h11.RemoteProtocolError:
            return found
        assert request
        found.append((request.method, request.target, content))
        stream = other.trailing_data[0]
    return found


def seen_as(messages: list[Message]) -> list[tuple[bytes, bytes, bytes]]:
    words = [message.first_line.split(b" ") for message in messages]
    return [(line[0], line[1], message.body) for line, message in zip(words, messages, strict=True)]


SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"


@law(600)
@given(mutated(STREAMS))
@example(b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
@example(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 37\r\nConnection: Content-Length\r\n\r\n" + SMUGGLED)
def test_the_backend_sees_the_requests_that_were_sent_and_no_others(stream: bytes) -> None:
    sent = requests_by_h11(stream)
    try:
        seen, got, end = connection([stream])
    except* NotClean as error:
        raise AssertionError("the backend got something ambiguous") from error
    received = seen_as(seen)
    assert len(received) <= len(sent)
    for (method, target, content), (sent_method, sent_target, sent_content) in zip(
        received, sent, strict=False
    ):
        assert (method, content) == (sent_method, sent_content)
        assert target == sent_target or b"://" in sent_target
    assert end != "reset"
    # As many answers as requests, each its own, and perhaps a refusal of ours.
    for message in seen:
        taken = take_answer(got, message.first_line.split(b" ")[0], end == "closed")
        assert taken
        assert taken[0].head.startswith(b"HTTP/1.1 200 OK\r\n")
        if not message.head.startswith(b"HEAD "):
            assert taken[0].body == message.first_line
        got = taken[1]
    if got:
        taken = take_answer(got, b"", True)
        assert taken
        assert re.match(rb"HTTP/1\.1 [45]", taken[0].head)
        assert taken[1] == b""
        assert end == "closed"


@law(250)
@given(st.data())
def test_the_split_of_a_stream_into_pieces_makes_no_difference(data: st.DataObject) -> None:
    stream = data.draw(mutated(STREAMS))
    whole = connection([stream])
    assert connection(data.draw(pieces(stream))) == whole


@law(60)
@given(mutated(STREAMS))
def test_a_stream_in_single_bytes_makes_no_difference(stream: bytes) -> None:
    assert connection([stream[i : i + 1] for i in range(len(stream))]) == connection([stream])


AFTER = b"GET /after HTTP/1.1\r\nHost: a\r\n\r\n"


@law(300)
@given(mutated(ANSWER_STREAMS), st.sampled_from([Answer.request, HEAD_REQUEST]))
def test_a_client_gets_one_answer_or_a_reset_whatever_the_backend_sends(
    answer: bytes, request: bytes
) -> None:
    """The backend answers so, and closes."""
    seen, got, end = connection([request], answer)
    method = request.split(b" ")[0]
    assert {message.first_line for message in seen} <= {request.partition(b"\r\n")[0]}
    if end == "reset":
        assert take_final(got, method) is None
        return
    taken = take_final(got, method)
    assert taken
    assert taken[1] == b""
    assert end == "open"


def take_final(got: bytes, method: bytes) -> tuple[Message, bytes] | None:
    """The answer behind the interim ones."""
    while True:
        taken = take_answer(got, method, False)
        if taken is None or taken[0].head[9:10] != b"1":
            return taken
        got = taken[1]
