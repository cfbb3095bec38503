"""The UDP socket of HTTP/3: each datagram goes to its connection, and new connections begin here."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from aioquic.buffer import Buffer  # type: ignore[attr-defined]
from aioquic.quic.configuration import SMALLEST_MAX_DATAGRAM_SIZE, QuicConfiguration
from aioquic.quic.packet import (
    QuicHeader,
    QuicPacketType,
    encode_quic_retry,
    encode_quic_version_negotiation,
    pull_quic_header,
)
from aioquic.quic.retry import QuicRetryTokenHandler

from lbkit.net.http1.listener import Listener
from lbkit.net.http3.certificates import Chain
from lbkit.net.http3.peer import QuicPeer
from lbkit.net.http3.quic import ServerQuic
from lbkit.net.http3.rules import Http3
from lbkit.net.http3.server import Http3Connection
from lbkit.net.http3.writing import Address

ID_SIZE = 8  # bytes of the ids that connections are given


class Endpoint(asyncio.DatagramProtocol):
    """Routes datagrams by the connection's id, so a client may change its address (RFC 9000, 5 and 9).

    Anyone can send datagrams in another's name. So nothing that is answered is larger than three times what
    has come (8.1), and while many handshakes are going on, no state is kept for a client that has not shown
    that it receives what is sent to its address (Retry, 8.1.2)."""

    transport: asyncio.DatagramTransport

    def __init__(
        self,
        listener: Listener,
        rules: Http3,
        configuration: QuicConfiguration,
        choose: Callable[[str | None], Chain | None],
        handshake: float,
    ) -> None:
        """`choose`: the certificate for a name. `handshake`: seconds in which a handshake must end."""
        self.listener = listener
        self.rules = rules
        self.configuration = configuration
        self.choose = choose
        self.handshake = handshake
        self.connections: dict[bytes, Http3Connection] = {}  # by each of their ids
        self.handshakes = 0  # that are going on
        self.closing = False  # no more connections begin
        self._tokens = QuicRetryTokenHandler()
        self._full = False  # the kernel takes no more for now
        self._ours: Address = ("", 0)

    # -- called by asyncio ----------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        self._ours = transport.get_extra_info("sockname")

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False

    def error_received(self, exc: Exception) -> None:
        """Ignored: clients that are gone end by their deadlines."""

    def datagram_received(self, data: bytes, address: Address) -> None:
        try:
            header = pull_quic_header(Buffer(data=data), host_cid_length=ID_SIZE)
        except ValueError:
            return
        connection = self.connections.get(header.destination_cid)
        if connection is not None:
            connection.receive(data, address)
        elif len(data) >= SMALLEST_MAX_DATAGRAM_SIZE and not self.closing:
            self._first(header, data, address)

    # -- new connections --------------------------------------------------------------------------------

    def _first(self, header: QuicHeader, data: bytes, address: Address) -> None:
        """Take a datagram that belongs to no connection; most begin one."""
        if header.packet_type == QuicPacketType.VERSION_NEGOTIATION or header.version is None:
            return
        if header.version not in self.configuration.supported_versions:
            answer = encode_quic_version_negotiation(
                source_cid=header.destination_cid,
                destination_cid=header.source_cid,
                supported_versions=self.configuration.supported_versions,
            )
            self.send(answer, address)
            return
        if header.packet_type != QuicPacketType.INITIAL:
            return
        original = self._shown(header, address)
        if original is not None:
            self._begin(header, original, header.destination_cid, data, address)
        elif self.handshakes >= self.rules.retry_above:
            self._retry(header, address)
        else:
            self._begin(header, header.destination_cid, None, data, address)

    def _shown(self, header: QuicHeader, address: Address) -> bytes | None:
        """Return the id that a client chose at first, if it comes again with a token; others count for
        nothing (8.1.3)."""
        if not header.token:
            return None
        try:
            return self._tokens.validate_token(
                address=address,
                destination_cid=header.destination_cid,
                token=header.token,
                now=self.listener.now(),
            )
        except ValueError:
            return None

    def _retry(self, header: QuicHeader, address: Address) -> None:
        """Ask a client to come again with a token, which only arrives at its real address."""
        assert header.version is not None
        chosen = os.urandom(ID_SIZE)
        token = self._tokens.create_token(
            address=address,
            original_destination_connection_id=header.destination_cid,
            retry_source_connection_id=chosen,
            now=self.listener.now(),
        )
        answer = encode_quic_retry(
            version=header.version,
            source_cid=chosen,
            destination_cid=header.source_cid,
            original_destination_cid=header.destination_cid,
            retry_token=token,
        )
        self.send(answer, address)

    def _begin(
        self, header: QuicHeader, original: bytes, retried: bytes | None, data: bytes, address: Address
    ) -> None:
        """Begin a connection. One that is too many hears nothing: its client falls back to TCP."""
        listener = self.listener
        quic = ServerQuic(
            self.rules,
            self.configuration,
            self.choose,
            original_destination_connection_id=original,
            retry_source_connection_id=retried,
        )
        peer = QuicPeer(address, self._ours, listener.trusted)
        made = Http3Connection(self, quic, peer, self.handshake)
        if listener.admit(made, peer):
            listener.closed(made)
            return
        self.handshakes += 1
        for name in (header.destination_cid, quic.host_cid):
            self.name(made, name)
        made.receive(data, address)
        if not quic.begun:  # it was not what it looked like
            made.end()
            made.silence()
            self.over(made)

    # -- called by connections --------------------------------------------------------------------------

    def name(self, connection: Http3Connection, name: bytes) -> None:
        """Take note of another id by which a client may name a connection."""
        connection.names.add(name)
        self.connections[name] = connection

    def forget_name(self, connection: Http3Connection, name: bytes) -> None:
        connection.names.discard(name)
        self.connections.pop(name, None)

    def shaken(self) -> None:
        """Take note that a handshake has ended."""
        self.handshakes -= 1

    def over(self, connection: Http3Connection) -> None:
        """Forget a connection."""
        for name in list(connection.names):
            self.forget_name(connection, name)
        if not connection.ready:
            connection.ready = True
            self.shaken()

    # -- sending, and the end ----------------------------------------------------------------------------

    def send(self, data: bytes, address: Address) -> None:
        """Send a datagram; while the kernel takes none, it is lost, as it may be on the way."""
        if not self._full and not self.transport.is_closing():
            self.transport.sendto(data, address)

    def live(self) -> list[Http3Connection]:
        """Return the connections, each once."""
        return list(dict.fromkeys(self.connections.values()))


def configuration(rules: Http3, first: Chain, idle: float) -> QuicConfiguration:
    """Return the library's settings. Sessions are not resumed, so there is no 0-RTT either: such requests can
    be played back by anyone who has seen them (RFC 8470)."""
    made = QuicConfiguration(
        is_client=False,
        alpn_protocols=["h3"],
        connection_id_length=ID_SIZE,
        idle_timeout=idle,
        max_data=rules.connection_window,
        max_stream_data=rules.window,
    )
    made.certificate, made.certificate_chain, made.private_key = first
    return made
