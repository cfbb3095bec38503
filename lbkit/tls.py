"""TLS between clients and the balancer, as data: what an experiment and the proxy's file have in common."""

from __future__ import annotations

from attrs import field, frozen

from lbkit.checks import flag, number, word
from lbkit.core.options import named_fields


@named_fields
@frozen
class TlsTerms:
    """What a balancer offers to clients. TLS 1.0 and 1.1 are not offered: they are deprecated (RFC 8996)."""

    minimum: str = field(default="1.2", validator=word(("1.2", "1.3")), kw_only=True)
    # Whether a client that comes back may resume its session, which saves the certificate and its signature.
    # False: no tickets (RFC 8446, 2.2; RFC 5077).
    resumption: bool = field(default=True, validator=flag, kw_only=True)


@named_fields
@frozen
class Tls(TlsTerms):
    """Clients use HTTPS, and the balancer ends it, with a certificate that a lab's authority issues.

    It is made for the run; clients trust that authority only, and verify. Servers get plain HTTP.
    `handshake`: seconds of the balancer's processor for a new connection, `resumed` for one that resumes a
    session: the simulator makes handshakes wait for each other for as long. Elsewhere they take what they
    take.
    """

    handshake: float = field(default=0.0, validator=number(0))
    resumed: float = field(default=0.0, validator=number(0))
