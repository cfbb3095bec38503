"""The settings of a TCP proxy: how it relays, and where it listens."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs
from attrs import field, frozen

from lbkit.checks import number, several, whole
from lbkit.core.options import named_fields
from lbkit.net.address import a_listen_address, split_address
from lbkit.net.peer import trusted_networks


def _texts(what: str | Iterable[str]) -> tuple[str, ...]:
    return several(what)


def proxy_networks(instance: Any, attribute: attrs.Attribute[Any], value: tuple[str, ...]) -> None:
    if not all(isinstance(network, str) for network in value):
        raise ValueError(f"{attribute.name} is {value!r}: use texts such as 10.0.0.0/8")
    try:
        trusted_networks(value)
    except ValueError as error:
        raise ValueError(str(error).replace("trusted", attribute.name, 1)) from None


def a_flow_key(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if value not in ("flow", "client"):
        raise ValueError(
            f"{attribute.name} is {value!r}: use flow or client, all that is known of a connection"
        )


def a_version(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if value not in ("", "v1", "v2"):
        raise ValueError(f"{attribute.name} is {value!r}: use v1 or v2, or an empty text for none")


@named_fields
@frozen
class TcpRules:
    """How connections are relayed; times are in seconds."""

    connect: float = field(default=5.0, validator=number(0, above=True))  # to a backend
    first: float = field(default=10.0, validator=number(0, above=True))  # for PROXY header and ClientHello
    idle: float = field(default=3600.0, validator=number(0, above=True))  # without a byte in either direction
    linger: float = field(default=30.0, validator=number(0, above=True))  # for the last bytes to be taken
    connections: int = field(default=10_000, validator=whole(1))  # from clients; more are closed at once
    # Networks of proxies in front of this one. Their connections must begin with a PROXY protocol header,
    # version 1 or 2. From others it is taken for data: anyone could make up an address.
    accept_proxy: tuple[str, ...] = field(default=(), converter=_texts, validator=proxy_networks)
    # The version of the PROXY protocol header that backends get, "v1" or "v2"; "": none.
    send_proxy: str = field(default="", validator=a_version)


@named_fields
@frozen
class TcpConfig(TcpRules):
    """All settings of a TCP proxy."""

    listen: str = field(default="127.0.0.1:0", validator=a_listen_address)
    # What algorithms get as the key: the flow (addresses and ports of both ends), or the client's address
    # alone, with which a client's connections all lead to one backend.
    key: str = field(default="flow", validator=a_flow_key)
    retries: int = field(default=1, validator=whole(0))  # with other backends, if one does not accept

    @property
    def address(self) -> tuple[str, int]:
        return split_address(self.listen)
