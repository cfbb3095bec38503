"""HTTP/3 beside a proxy's TCP port: opens the UDP socket, and lets go of it when the proxy stops.

Which process gets a datagram is the kernel's choice, by the two addresses only, and QUIC's clients may change
theirs; so several workers would get each other's. That is why `http3` has one worker. At a reload, an old and
a new process share the port for a moment: the old one leaves it, and opens for each of its connections a
socket that is connected to the one client. The kernel prefers such a socket, so requests come to their end.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress

from lbkit.net.http1.listener import Listener
from lbkit.net.http3.certificates import Chains
from lbkit.net.http3.endpoint import Endpoint, configuration
from lbkit.net.http3.rules import Http3
from lbkit.net.http3.server import Http3Connection
from lbkit.net.http3.writing import Address
from lbkit.net.running import bound
from lbkit.net.tls.live import LiveContext

RECEIVED = 2**20  # bytes of datagrams that the kernel keeps for us; less, if the system has a limit


class Http3Front:
    """Serves HTTP/3 on a UDP port."""

    def __init__(self, listener: Listener, rules: Http3, tls: LiveContext) -> None:
        """Raises TlsError for certificates that cannot be used."""
        chains = Chains(tls)
        self._listener = listener
        self._rules = rules
        # While an exchange waits for its backend, its client may be silent.
        idle = max(listener.timeouts.idle, listener.timeouts.read)
        made = configuration(rules, chains.first, idle)
        self._endpoint = Endpoint(listener, rules, made, chains.choose, tls.rules.handshake)
        self._shared = False
        self._transports: list[asyncio.DatagramTransport] = []

    async def open(self, host: str, port: int, shared: bool) -> int:
        """Listen, on this address unless the rules have one; return the port. `shared`: another process may
        use it, too. Raises ProxyError."""
        host, port = self._rules.address or (host, port)
        sock = bound(host, port, socket.SOCK_DGRAM, shared)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVED)
        self._shared = shared
        self._endpoint.closing = False
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: self._endpoint, sock=sock)
        self._transports = [transport]
        name: tuple[str, int] = transport.get_extra_info("sockname")
        return name[1]

    async def leave(self) -> None:
        """Begin no more connections, and let another process have the port."""
        self._endpoint.closing = True
        if self._shared and self._transports:
            port = self._transports[0]
            await asyncio.gather(*(self._keep(one, port) for one in self._endpoint.live() if not one.closed))
            port.close()

    async def _keep(self, connection: Http3Connection, port: asyncio.DatagramTransport) -> None:
        """Give a connection a socket of its own, on the same port."""
        client, ours = connection.quic.get_peer_address(), port.get_extra_info("sockname")
        if client is None:
            return
        kept = _Kept(self._endpoint, client)
        loop = asyncio.get_running_loop()
        with suppress(OSError):  # then it is lost, and its client begins another
            sock = socket.socket(socket.AF_INET6 if ":" in ours[0] else socket.AF_INET, socket.SOCK_DGRAM)
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.bind(ours)
            sock.connect(client)
            transport, _ = await loop.create_datagram_endpoint(lambda: kept, sock=sock)
            connection.send = lambda data, address: transport.sendto(data)
            self._transports.append(transport)

    def close(self) -> None:
        for transport in self._transports:
            transport.close()
        self._transports = []


class _Kept(asyncio.DatagramProtocol):
    """Reads what one client sends."""

    def __init__(self, endpoint: Endpoint, client: Address) -> None:
        self._endpoint = endpoint
        self._client = client

    def datagram_received(self, data: bytes, address: object) -> None:
        self._endpoint.datagram_received(data, self._client)
