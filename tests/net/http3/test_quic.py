"""QUIC as the proxy uses it: windows, certificates by name, addresses, and whatever a datagram may hold."""

from __future__ import annotations

import shutil
import time
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from needs import need_feature

need_feature("http3", "cert")

from aioquic.buffer import Buffer
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.packet import QuicProtocolVersion, pull_quic_header
from aioquic.tls import AlertDescription
from http3_client import Http3Client, get, lab, tls_rules
from quic_memory import CLIENT, Memory

from lbkit.net.http3.quic import SENT_AHEAD
from lbkit.net.http3.rules import Http3
from lbkit.net.messages import ResponseHead
from lbkit.net.streams.stream import MAX_FRAME
from lbkit.net.tls.rules import Certificate, TlsRules

SIZE = 1_000_000
REFUSED = 0x100 + AlertDescription.unrecognized_name


def hello() -> tuple[QuicConnection, bytes]:
    """A client that begins, and its first datagram."""
    quic = QuicConnection(configuration=QuicConfiguration(alpn_protocols=["h3"], server_name="a.test"))
    quic.connect(("127.0.0.1", 443), time.monotonic())
    return quic, quic.datagrams_to_send(time.monotonic())[0][0]


# -- windows ----------------------------------------------------------------------------------------


def test_a_body_that_no_backend_takes_keeps_its_window() -> None:
    rules = Http3(window=20_000, connection_window=30_000)
    with Memory(rules) as memory, Http3Client(memory) as client:
        first, second = (client.request(get(b"/wait", method=b"POST"), b"x" * 100_000) for _ in range(2))
        for _ in range(30):
            client.read()
        seen = [len(one.body_seen) for one in memory.exchanges]
        assert max(seen) <= rules.window
        # What comes with a head is taken before its exchange begins.
        assert 29_000 < sum(seen) <= rules.connection_window + 2 * 1200
        assert memory.connection.quic.held == rules.connection_window
        client.reset(first)  # what it had sent does not count any more
        memory.run(lambda: memory.exchanges[1].client.read_body(True))
        client.until(lambda: memory.exchanges[1].complete)
        assert memory.exchanges[0].gone
        assert len(memory.exchanges[1].body_seen) == 100_000
        assert memory.connection.quic.held == 0
        assert not client.got[second].over


def test_a_body_that_is_taken_never_waits_for_a_window() -> None:
    with Memory(Http3(window=4096, connection_window=16_384)) as memory, Http3Client(memory) as client:
        for _ in range(3):
            assert client.ask(get(method=b"POST"), b"x" * 50_000).body == b"ok"
        assert memory.connection.quic.held == 0


def test_no_more_of_an_answer_is_handed_over_than_its_client_takes() -> None:
    with Memory() as memory, Http3Client(memory) as client:
        number = client.request(get(b"/wait"))
        answer = memory.exchanges[0].client
        memory.run(lambda: answer.respond(ResponseHead(200, b"HTTP/1.1 200 OK\r\n", SIZE), b"x" * SIZE, True))
        quic = memory.connection.quic
        assert answer.backlog > SIZE - SENT_AHEAD - MAX_FRAME
        assert quic.room(number) <= 0
        assert quic.room(400) == 0  # there is no such stream
        assert len(client.answer(number).body) == SIZE


# -- certificates -------------------------------------------------------------------------------------


def test_the_certificate_is_chosen_by_name() -> None:
    with Memory() as memory:
        for name in ("a.test", "b.test"):  # the client verifies that it is the right one
            with Http3Client(memory, name) as client:
                assert client.ask(get()).status == 200


def test_a_name_without_a_certificate_is_refused_if_the_rules_are_strict() -> None:
    with Memory(tls=tls_rules(strict=True)) as memory:
        with pytest.raises(AssertionError, match=f"error_code={REFUSED}"):
            Http3Client(memory, "c.test")
        with Http3Client(memory, "b.test") as client:
            assert client.ask(get()).status == 200


def test_new_certificates_are_for_new_connections(tmp_path: Path) -> None:
    for end in ("pem", "key"):
        shutil.copy(lab() / f"a.test.{end}", tmp_path / f"site.{end}")
    files = Certificate(str(tmp_path / "site.pem"), str(tmp_path / "site.key"))
    with Memory(tls=TlsRules([files])) as memory, Http3Client(memory, "a.test") as old:
        for end in ("pem", "key"):
            shutil.copy(lab() / f"b.test.{end}", tmp_path / f"site.{end}")
        assert memory.live.reload()
        with Http3Client(memory, "b.test") as new:
            assert new.ask(get()).status == old.ask(get()).status == 200


def test_a_file_with_certificate_and_key_will_do(tmp_path: Path) -> None:
    both = tmp_path / "both.pem"
    both.write_bytes((lab() / "a.test.pem").read_bytes() + (lab() / "a.test.key").read_bytes())
    with Memory(tls=TlsRules([Certificate(str(both))])) as memory, Http3Client(memory) as client:
        assert client.ask(get()).status == 200


def test_sessions_are_not_resumed_so_there_is_no_early_data() -> None:
    with Memory() as memory, Http3Client(memory) as client:
        assert client.ask(get()).status == 200
        assert not client.quic.tls.session_resumed
        assert not client.quic.tls.early_data_accepted


# -- addresses --------------------------------------------------------------------------------------------


def test_a_client_may_move_to_another_address() -> None:
    with Memory() as memory, Http3Client(memory) as client:
        assert client.ask(get()).status == 200
        memory.client = "192.0.2.9", 1234
        client.quic.change_connection_id()
        assert client.ask(get()).status == 200
        assert client.ask(get()).status == 200
        assert [one.request.peer.address for one in memory.exchanges][-1] == "192.0.2.9"
        assert memory.exchanges[0].request.peer.address == CLIENT[0]
        assert len(memory.endpoint.live()) == 1


def test_while_many_handshakes_go_on_clients_have_to_show_their_address() -> None:
    with Memory(Http3(retry_above=2)) as memory:
        for i in range(5):  # from anyone's address
            memory.receive(hello()[1], (f"203.0.113.{i}", 1))
        assert memory.endpoint.handshakes == 2
        memory.sent.clear()
        with Http3Client(memory) as client:
            assert client.quic._retry_count == 1
            assert client.ask(get()).status == 200


def test_a_token_is_worth_nothing_at_another_address() -> None:
    with Memory(Http3(retry_above=0)) as memory:
        quic, first = hello()
        memory.receive(first)
        quic.receive_datagram(memory.sent.popleft()[0], ("127.0.0.1", 443), time.monotonic())
        second = quic.datagrams_to_send(time.monotonic())[0][0]
        memory.receive(second, ("203.0.113.1", 1))
        assert not memory.endpoint.connections
        memory.receive(second)
        assert memory.endpoint.live()


def test_an_address_that_has_not_answered_gets_three_times_what_it_sent_at_most() -> None:
    with Memory() as memory:
        _, first = hello()
        memory.receive(first)
        for _ in range(200):
            memory.turn()
        assert 0 < sum(len(data) for data, _ in memory.sent) <= 3 * len(first)


def test_a_client_of_another_version_is_told_which_there_are() -> None:
    with Memory() as memory:
        _, first = hello()
        other = first[:1] + b"\x0a\x0a\x0a\x0a" + first[5:]
        memory.receive(other)
        data, _ = memory.sent.popleft()
        assert QuicProtocolVersion.VERSION_1.to_bytes(4, "big") in data
        memory.receive(other[:100])  # too small for an answer
        assert not memory.sent
        assert not memory.endpoint.connections


# -- hostile datagrams --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def memory():  # type: ignore[no-untyped-def]
    with Memory(Http3(retry_above=10_000)) as made:
        yield made
        assert not made.endpoint.connections


_, FIRST = hello()
SIZE_OF_PACKET = pull_quic_header(Buffer(data=FIRST)).packet_length  # padding follows


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=1500))
def test_any_bytes_leave_nothing_behind(memory: Memory, data: bytes) -> None:
    memory.receive(data)
    assert not memory.endpoint.connections
    assert memory.endpoint.handshakes == 0


@settings(max_examples=100, deadline=None)
@given(st.integers(0, SIZE_OF_PACKET - 1), st.integers(1, 255), st.integers(0, len(FIRST) - 1))
def test_a_hello_that_was_changed_on_its_way_leaves_nothing_behind(
    memory: Memory, at: int, change: int, cut: int
) -> None:
    changed = bytearray(FIRST)
    changed[at] ^= change
    memory.receive(bytes(changed))
    memory.receive(bytes(changed[:cut]))
    assert not memory.endpoint.connections
    assert not memory.listener.open


ANY_STREAM = st.tuples(st.sampled_from((0, 4, 2, 6, 10, 14)), st.binary(max_size=200), st.booleans())


@settings(max_examples=20, deadline=None)
@given(st.lists(ANY_STREAM, min_size=1, max_size=8))
def test_any_bytes_on_any_streams_end_no_more_than_their_connection(
    memory: Memory, sent: list[tuple[int, bytes, bool]]
) -> None:
    client = Http3Client(memory, http=False)
    for number, data, end in sent:
        with suppress(RuntimeError, ValueError):  # after the end of a stream
            client.quic.send_stream_data(number, data, end)
    client.flush()
    client.read()
    assert not memory.faults
    memory.end_all()
    assert memory.listener.requests == 0
