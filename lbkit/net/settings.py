"""How long the proxy waits, how much of its memory a client may use, and where its operator finds it."""

from __future__ import annotations

from typing import Any

import attrs
from attrs import field, frozen
from attrs.validators import optional

from lbkit.checks import number, text, whole
from lbkit.core.options import named_fields
from lbkit.net.address import a_listen_address, an_endpoint, is_loopback, split_address


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
    # Bytes a second at which a body by HTTP/1 must arrive, on average; 0: any that makes progress.
    body_rate: float = field(default=0.0, validator=number(0))
    # Connections of one client, an address or an IPv6 /64; more are answered 429. Tunnels do not count.
    connections_per_client: int | None = field(default=None, validator=optional(whole(1)))
    idle_per_backend: int = field(default=256, validator=whole(0))  # connections kept for later


def _socket_path(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    fits = isinstance(value, str) and "\0" not in value and len(value.encode(errors="replace")) < 100
    if not fits or (value and not value.startswith("/")):
        raise ValueError(
            f"{attribute.name} is {value!r}: use a short path from / on, such as /run/lbkit.sock"
        )


def _loopback(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if value == "":
        return
    a_listen_address(instance, attribute, value)
    if not is_loopback(split_address(value)[0]):
        raise ValueError(
            f"{attribute.name} is {value!r}: the admin interface is for this machine only; "
            "use a loopback address, such as 127.0.0.1:9901, and SSH to reach it from another one"
        )


@named_fields
@frozen
class AdminRules:
    """Where the operator reaches a running proxy: over HTTP on a Unix socket, on a loopback address, or both.

    `socket`: the path of a Unix socket, which only its owner can use. `listen`: an address for tools and for
    browsers, where changes need a token. `token_file`: a file of mode 600 with that token, made at the start
    if there is none; by default the token is in LBKIT_ADMIN_TOKEN, or drawn at the start and kept in a
    temporary file. `otlp`: a collector of OpenTelemetry, which gets the metrics of /metrics, too (extra
    `tracing`), every `otlp_interval` seconds. Raises ValueError.
    """

    socket: str = field(default="", validator=_socket_path)
    listen: str = field(default="", validator=_loopback)
    token_file: str = field(default="", validator=text())
    otlp: str = field(default="", validator=an_endpoint("metrics"))
    otlp_interval: float = field(default=15.0, validator=number(0, above=True))

    def __attrs_post_init__(self) -> None:
        if not (self.socket or self.listen):
            raise ValueError('listen is missing: set it, such as "127.0.0.1:9901", or socket, or both')

    @property
    def address(self) -> tuple[str, int] | None:
        """The host and port to listen on, if any."""
        return split_address(self.listen) if self.listen else None
