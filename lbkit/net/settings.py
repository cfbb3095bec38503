"""How long the proxy waits, and how much of its memory a client may use."""

from __future__ import annotations

from attrs import field, frozen
from attrs.validators import optional

from lbkit.checks import number, whole
from lbkit.core.options import named_fields


@named_fields
@frozen
class Timeouts:
    """Seconds. Each bounds one kind of wait, and starts when that wait starts."""

    connect: float = field(default=5.0, validator=number(0, above=True))  # to a backend
    read: float = field(default=60.0, validator=number(0, above=True))  # without progress in an exchange
    head: float = field(default=10.0, validator=number(0, above=True))  # for a whole request head
    body: float = field(default=20.0, validator=number(0))  # before limits.body_rate counts
    idle: float = field(default=60.0, validator=number(0, above=True))  # a kept connection, on both sides
    tunnel: float = field(default=3600.0, validator=number(0, above=True))  # without progress in a WebSocket
    total: float = field(default=3600.0, validator=number(0, above=True))  # an exchange, however it trickles


@named_fields
@frozen
class Limits:
    """The memory that a client can make the proxy use."""

    connections: int = field(default=10_000, validator=whole(1))  # from clients; more are answered 503
    head: int = field(default=32 * 1024, validator=whole(256))  # bytes
    fields: int = field(default=100, validator=whole(1))  # header fields of a request
    body: int | None = field(default=None, validator=optional(whole(0)))  # bytes; None: any, as none is kept
    # Bytes a second at which a body must arrive, on average; 0: any, as long as timeouts.read sees progress.
    body_rate: float = field(default=0.0, validator=number(0))
    # Connections of one client, an address or an IPv6 /64; more are answered 429. Tunnels do not count.
    connections_per_client: int | None = field(default=None, validator=optional(whole(1)))
    idle_per_backend: int = field(default=256, validator=whole(0))  # connections kept for later
