"""A balancer at layer 4, as data: it relays connections, and reads no requests."""

from __future__ import annotations

from attrs import field, frozen

from lbkit.checks import flag, word
from lbkit.core.options import named_fields

PER_CLIENT, ONE, SHARED, PER_REQUEST = "client", "one", "shared", "request"
SEEN = ("flow", "client")  # the keys there are at layer 4
FRONT = "127.0.0.1"  # the address that connections come from, unless they name their client


@named_fields
@frozen
class Layer4:
    """The balancer picks a backend for each connection, and all requests on a connection go there.

    `connections`: "client": each client keeps connections of its own, as many as it has requests at once
    (HTTP/1.1 with keep-alive). "one": each client has one connection for everything (HTTP/2). "shared": one
    pool of connections for all clients, the last used first, as a gateway in front keeps it. "request": a new
    connection for each request.
    `proxy_protocol`: connections come through a gateway that names their client in a PROXY header, and the
    balancer believes it. Without it they all come from the gateway's address: one client, as far as hashing
    can see.
    """

    connections: str = field(default=PER_CLIENT, validator=word((PER_CLIENT, ONE, SHARED, PER_REQUEST)))
    proxy_protocol: bool = field(default=False, validator=flag)

    def __attrs_post_init__(self) -> None:
        if self.proxy_protocol and self.connections == SHARED:
            raise ValueError(
                "proxy_protocol is true: a header names one client, so connections cannot be 'shared'"
            )

    def key(self, keyed_by: str) -> str:
        """Return what algorithms get as their key: the flow, where layer 4 does not see what they ask for."""
        return keyed_by if keyed_by in SEEN else "flow"
