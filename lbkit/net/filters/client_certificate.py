"""A filter that names the verified client to backends."""

from __future__ import annotations

import re
from typing import Any

from lbkit.net.filters.base import Filter
from lbkit.net.http1.head import without_fields
from lbkit.net.messages import ExchangeView

FIELD = b"x-forwarded-client-cert"
SHORT = {  # names of attributes in a subject (RFC 4514, 3)
    "commonName": "CN",
    "countryName": "C",
    "localityName": "L",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "stateOrProvinceName": "ST",
}
_SPECIAL = re.compile(r'([,+"\\<>;=])')
_UNSAFE = re.compile(rb'["\\]|[^ -~]')


class ClientCertificateFilter(Filter):
    """Sends X-Forwarded-Client-Cert, as Envoy does: `Subject="CN=alice,O=lab";DNS=alice.test`.

    The names are those of a certificate that the handshake has verified; a request without one has no such
    field. What a client sends under this name is dropped, even if it is a trusted proxy: the certificate is
    the one of this connection."""

    name = "client_certificates"

    def on_request(self, exchange: ExchangeView, now: float) -> None:
        request = exchange.request
        if request.peer.trusted:  # others' fields are gone already
            request.data = without_fields(request.data, {FIELD})
        transport = request.peer.transport
        found = transport.get_extra_info("peercert") if transport else None
        if found:
            request.data += b"X-Forwarded-Client-Cert: %b\r\n" % names(found)


def names(certificate: dict[str, Any]) -> bytes:
    """Return the subject and the other names of a certificate, which `ssl` has taken apart."""
    subject = ",".join(
        "+".join(SHORT.get(kind, kind) + "=" + _SPECIAL.sub(r"\\\1", value) for kind, value in several)
        for several in reversed(certificate.get("subject", ()))
    )
    parts = [b'Subject="%b"' % quotable(subject)]
    for kind, value in certificate.get("subjectAltName", ()):
        if kind in ("DNS", "URI"):
            parts.append(b'%b="%b"' % (kind.encode(), quotable(str(value))))
    return b";".join(parts)


def quotable(text: str) -> bytes:
    r"""Return the text for a quoted string in a header field: what could end it has a \, and what is not
    printable ASCII is in hexadecimal, as in RFC 4514 (\0d)."""

    def escaped(found: re.Match[bytes]) -> bytes:
        one = found[0]
        return b"\\" + one if one in b'"\\' else b"\\\\%02x" % one[0]

    return _UNSAFE.sub(escaped, text.encode("utf-8", "replace"))
