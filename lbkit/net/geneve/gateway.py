"""The gateway load balancer on UDP sockets: packets in, through an appliance, and out again.

Endpoints send IP packets, one in each datagram, and get back those that an appliance has let through; in AWS
the gateway endpoint of a network does that by routing. Appliances receive packets in GENEVE, and return them
with the same options. All come from the same source port here; AWS uses one port for each flow.
"""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from time import monotonic
from typing import Any

from lbkit import aws
from lbkit.checks import several
from lbkit.core import Backend, NoBackend, Pool
from lbkit.core.health import CheckRules, Probe
from lbkit.core.options import whole
from lbkit.net.address import join_address, split_address
from lbkit.net.geneve.flows import FlowTable
from lbkit.net.geneve.header import IPV4, IPV6, AwsOptions, GeneveError, Header, decode, encode
from lbkit.net.geneve.packet import PacketError, read_packet
from lbkit.net.origin.check import Checker
from lbkit.net.running import Running, bound
from lbkit.watchdog import guard

MOST_ENDPOINTS = 1000
MOST_BYTES = 65_507  # of a datagram over IPv4
SWEEP = 0.25  # seconds between searches for expired flows
LOCAL_CHECKS = replace(aws.GWLB_CHECKS, probe=Probe("tcp"))

Address = tuple[Any, ...]


class Gateway(Running):
    """Sends all packets of a flow, in both directions, through the same appliance of `pool`.

    `fields`, `rebalance`, `size`: as in FlowTable. `attachment`: a number of the customer, which appliances
    see. The pool's health checks run as long as the gateway. `faults` has the reasons for lost packets. Other
    threads must use `call` to change the pool."""

    def __init__(
        self,
        pool: Pool,
        fields: int = 5,
        rebalance: bool = False,
        size: int = 100_000,
        listen: str = "127.0.0.1:0",
        attachment: int = 0,
    ) -> None:
        """Raises ValueError."""
        super().__init__(*split_address(listen, "listen"))
        whole(0, 2**64 - 1, attachment=attachment)
        self.flows = FlowTable(pool, fields, rebalance, size)
        self.pool = pool
        self.attachment = attachment
        self.inspected = self.returned = 0  # packets to appliances, and back to endpoints
        self.now: Callable[[], float] = lambda: 0.0  # the loop's clock, once it runs
        self._numbers: dict[Address, int] = {}  # of endpoints, in the order in which they came
        self._addresses: dict[int, Address] = {}
        self._inside: asyncio.DatagramTransport
        self._outside: asyncio.DatagramTransport
        self._stop: asyncio.Event | None = None
        watch = pool.watch
        if watch and (checks := watch.rules.checks):
            self.checker = Checker(
                pool, checks.probe, checks.timeout, lambda: self.now(), on_fault=self.faults.report
            )
            self.background.append(self.checker.run)

    @property
    def url(self) -> str:
        return f"udp://{join_address(self.host, self.port)}"

    # -- in the running loop -----------------------------------------------------------------------------

    async def serve(
        self, sock: socket.socket | None = None, on_ready: Callable[[], object] | None = None
    ) -> None:
        """Serve until `shut` is called, on the bound socket `sock` or a new one. Raises ProxyError."""
        guard()
        loop = asyncio.get_running_loop()
        self.now, self._stop = monotonic, asyncio.Event()
        sock = sock or bound(self.host, self.port, socket.SOCK_DGRAM)
        self.port = sock.getsockname()[1]
        inside = bound(self.host, 0, socket.SOCK_DGRAM)
        self._outside, _ = await loop.create_datagram_endpoint(lambda: _Side(self.from_endpoint), sock=sock)
        self._inside, _ = await loop.create_datagram_endpoint(lambda: _Side(self.from_appliance), sock=inside)
        tasks = [loop.create_task(run()) for run in (self._sweep, *self.background)]
        try:
            if on_ready:
                on_ready()
            await self._stop.wait()
        finally:
            for task in tasks:
                task.cancel()
            self._inside.close()
            self._outside.close()
            await asyncio.sleep(0)  # lets the transports close

    def shut(self, grace: float, notice: float = 0.0) -> None:
        """Stop at once: there are no connections to drain."""
        if self._stop:
            self._stop.set()

    def from_endpoint(self, data: bytes, sender: Address) -> None:
        """Send a packet on to the appliance of its flow."""
        try:
            packet = read_packet(data)
            flow = self.flows.flow(packet, self.now())
        except PacketError:
            self.faults.report("an endpoint sent something other than an IP packet")
            return
        except NoBackend:
            self.faults.report("there is no appliance for a packet")
            return
        except Exception:  # a learner's algorithm may do anything
            self.faults.report("picking an appliance failed")
            return
        options = AwsOptions(self._number(sender), self.attachment, flow.cookie).options()
        header = Header(IPV4 if data[0] >> 4 == 4 else IPV6, options=options)
        datagram = encode(header, data)
        if len(datagram) > MOST_BYTES:
            self.faults.report(
                f"a packet is too long for a datagram, with its {len(datagram) - len(data)} bytes more"
            )
            return
        self.inspected += 1
        with suppress(OSError):  # a packet that the kernel rejects is lost, as UDP allows
            self._inside.sendto(datagram, (flow.appliance.host, flow.appliance.port))

    def from_appliance(self, datagram: bytes, sender: Address) -> None:
        """Return a packet that passed, or an appliance's answer, to the endpoint."""
        try:
            header, data = decode(datagram)
            about = AwsOptions.read(header)
            read_packet(data)
        except (GeneveError, PacketError):
            self.faults.report("an appliance sent something other than a packet in GENEVE")
            return
        flow = self.flows.by_cookie(about.cookie)
        if flow is None or (flow.appliance.host, flow.appliance.port) != sender[:2]:
            self.faults.report("a packet came back with a cookie that its appliance does not have")
            return
        if endpoint := self._addresses.get(about.endpoint):
            self.returned += 1
            with suppress(OSError):
                self._outside.sendto(data, endpoint)

    def _number(self, endpoint: Address) -> int:
        """Return an endpoint's number for the header; beyond MOST_ENDPOINTS the oldest is forgotten."""
        if endpoint not in self._numbers:
            number = next(reversed(self._addresses), 0) + 1
            self._numbers[endpoint], self._addresses[number] = number, endpoint
            if len(self._numbers) > MOST_ENDPOINTS:
                oldest = next(iter(self._numbers))
                del self._addresses[self._numbers.pop(oldest)]
        return self._numbers[endpoint]

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP)
            self.flows.expire(self.now())


class _Side(asyncio.DatagramProtocol):
    """A socket of the gateway, which passes each datagram to a function."""

    def __init__(self, receive: Callable[[bytes, Address], None]) -> None:
        self.receive = receive

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self.receive(data, addr)

    def error_received(self, exc: Exception) -> None:
        """Do nothing: health checks find an appliance that is gone."""


def gateway(
    appliances: Iterable[str],
    fields: int = 5,
    rebalance: bool = False,
    checks: CheckRules | None = LOCAL_CHECKS,
    seed: int = 1,
) -> Gateway:
    """Return a gateway in front of appliances, each given as host:port, with AWS's `gwlb_policy`.

    `checks`: by default AWS's, but at the appliance's own port, as they share one machine. ValueError."""
    policy = aws.gwlb_policy(stickiness=fields, checks=checks)
    addresses: tuple[str, ...] = several(appliances)
    members = []
    for i, address in enumerate(addresses, 1):
        host, port = split_address(address, f"appliances[{i - 1}]")
        whole(1, **{f"port of appliances[{i - 1}]": port})
        members.append(Backend(f"appliance {i}", host=host, port=port))
    pool = policy.pool(members, lambda name: random.Random(f"{seed} {name}"))
    assert isinstance(pool, Pool), "the policy has one balancer"
    return Gateway(pool, fields, rebalance)
