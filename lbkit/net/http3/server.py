"""A client's HTTP/3 connection: datagrams and timers, and how it begins and ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from aioquic.quic import events

from lbkit.core import Backend
from lbkit.net.http1.listener import Listener
from lbkit.net.http1.server import FIRST_REQUEST, LINGER
from lbkit.net.http3.frames import LAST_REQUEST, Code, Http3Error, TooLarge
from lbkit.net.http3.peer import QuicPeer
from lbkit.net.http3.quic import ServerQuic
from lbkit.net.http3.requests import StreamReading
from lbkit.net.http3.rules import Http3
from lbkit.net.http3.writing import Address
from lbkit.net.streams.budget import Flood
from lbkit.net.streams.stream import Reset

FAREWELL = 1  # names the PING that follows a first GOAWAY; its answer shows that the client knows


class Socket(Protocol):
    """What a connection needs of the UDP socket that it shares with others."""

    listener: Listener
    rules: Http3

    def send(self, data: bytes, address: Address) -> None: ...
    def name(self, connection: Http3Connection, name: bytes) -> None:
        """Take note of another id by which a client may name a connection."""

    def forget_name(self, connection: Http3Connection, name: bytes) -> None: ...
    def shaken(self) -> None:
        """Take note that a handshake has ended."""

    def over(self, connection: Http3Connection) -> None:
        """Forget a connection."""


class Http3Connection(StreamReading):
    """Deadlines are set when a wait begins: the exchanges have theirs; a handshake, a head that is not
    complete, and a connection without requests, have one here. PINGs do not extend it."""

    def __init__(self, socket: Socket, quic: ServerQuic, peer: QuicPeer, handshake: float) -> None:
        """`handshake`: seconds in which it must end."""
        super().__init__(socket.listener, socket.rules, quic, peer, socket.send)
        self.socket = socket
        self.names: set[bytes] = set()  # ids by which the client names this connection
        self.ready = False  # the handshake has ended
        self._final_at: float | None = None  # when the last GOAWAY of a drain is due
        self._deadline = self.listener.now() + handshake

    # -- events -------------------------------------------------------------------------------------

    def receive(self, data: bytes, address: Address) -> None:
        """Take a datagram."""
        try:
            self.quic.receive_datagram(data, address, self.listener.now())
        except Exception:  # whatever it is, no client ends more than its own connection
            self.fault()
        self._go_on()

    def _on_timer(self) -> None:
        self._timer = self._timer_at = None
        try:
            # The loop may be a little early, by its clock's resolution.
            self.quic.handle_timer(max(self.listener.now(), self.quic.get_timer() or 0.0))
        except Exception:
            self.fault()
        self._go_on()

    def fault(self) -> None:
        self.listener.on_fault("an HTTP/3 connection failed")
        self.fail(Code.INTERNAL_ERROR)

    def _go_on(self) -> None:
        """Carry out what has happened, and send what follows from it."""
        happened = []
        while (event := self.quic.next_event()) is not None:
            happened.append(event)
        try:
            self._handle(happened)
            self.pump()
            self._close_if_done()
        except Flood as flood:
            self.fail(Code.EXCESSIVE_LOAD, flood.why)
        except Http3Error as error:
            self.fail(error.code, error.why)
        except TooLarge as error:
            self.fail(Code.EXCESSIVE_LOAD, str(error))
        except Exception:
            self.fault()
        if self.quic.ended:
            self.end()
        self.transmit()

    def _handle(self, happened: list[events.QuicEvent]) -> None:
        """Resets come first: a request that is given up in the same breath never reaches a backend. Requests
        begin last, as a part of their bodies may be here, too."""
        for event in happened:
            if isinstance(event, events.StopSendingReceived):
                self._on_stop(event)
            elif isinstance(event, events.StreamReset):
                self._on_reset(event)
        for event in happened:
            if handler := _HANDLERS.get(type(event)):
                handler(self, event)
        begun, self._begun = self._begun, []
        now = self.listener.now()
        for stream in begun:
            if stream.exchange is not None and stream.head is None and not stream.over:
                stream.exchange.begin(now)

    def _on_handshake(self, event: events.HandshakeCompleted) -> None:
        self.ready = True
        self._deadline = self.listener.now() + self.listener.timeouts.head
        self._open_control()
        self.socket.shaken()
        if self.listener.stopping:
            self.drain(self.listener.now())

    def _on_new_id(self, event: events.ConnectionIdIssued) -> None:
        self.socket.name(self, event.connection_id)

    def _on_old_id(self, event: events.ConnectionIdRetired) -> None:
        self.socket.forget_name(self, event.connection_id)

    def _on_pong(self, event: events.PingAcknowledged) -> None:
        if event.uid == FAREWELL and self._final_at is not None:
            self.say_goodbye()

    def _on_terminated(self, event: events.ConnectionTerminated) -> None:
        self.end()
        self.silence()
        self.socket.over(self)

    # -- time, and endings -----------------------------------------------------------------------------

    def expire(self, now: float) -> None:
        for stream in list(self.streams.values()):
            stream.expire(now)
        self._expire_heads(now)
        if self.closed:
            return
        if self._final_at is not None and self._final_at < now:
            self.say_goodbye()
        elif not self.streams and self._deadline < now:
            if self.ready and self.last_stream == LAST_REQUEST:
                self._deadline = now + LINGER
                self.say_goodbye()
            else:
                self.fail(Code.NO_ERROR)

    def _expire_heads(self, now: float) -> None:
        """Reset streams with a head that is not complete within its time."""
        for number, reader in list(self._requests.items()):
            if (began := reader.began) is None or began + self.listener.timeouts.head > now:
                continue
            reader.began, reader.discarding = None, True
            self.reset(number, Reset.REFUSED)
            self.flush()

    def drain(self, now: float) -> None:
        """Announce the end, and end when the client knows: its next requests may be on their way (5.2)."""
        if self.closed or self._final_at is not None or self.last_stream < LAST_REQUEST:
            return
        if not self.ready:
            return  # its deadline ends it; when the handshake ends, it is told
        self._final_at = now + FIRST_REQUEST
        self.go_away(LAST_REQUEST)
        self.quic.send_ping(FAREWELL)

    def say_goodbye(self) -> None:
        """Serve the requests that have arrived, then close."""
        self._final_at = None
        self.go_away(self._highest + 4)
        self._close_if_done()

    def cut(self, backend: Backend) -> None:
        for stream in list(self.streams.values()):
            if stream.exchange is not None:
                stream.exchange.cut(backend)

    def abort(self) -> None:
        self.fail(Code.NO_ERROR)
        self.transmit()

    def on_closed(self) -> None:
        self.listener.closed(self)


_HANDLERS: dict[type, Callable[[Http3Connection, Any], object]] = {
    events.StreamDataReceived: Http3Connection._on_data,
    events.HandshakeCompleted: Http3Connection._on_handshake,
    events.ConnectionIdIssued: Http3Connection._on_new_id,
    events.ConnectionIdRetired: Http3Connection._on_old_id,
    events.PingAcknowledged: Http3Connection._on_pong,
    events.ConnectionTerminated: Http3Connection._on_terminated,
}
