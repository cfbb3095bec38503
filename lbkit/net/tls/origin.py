"""TLS to backends: the proxy as the client, which verifies the certificate that a backend shows."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from typing import Any

import attrs
from attrs import field, frozen

from lbkit.checks import flag, text, word
from lbkit.core.options import named_fields
from lbkit.net.address import join_address, split_address
from lbkit.net.tls.certificates import VERSIONS, TlsError, no_password, reason


def _server_name(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    try:
        if value != "":
            split_address(join_address(value, 443))
    except (ValueError, TypeError, AttributeError):
        raise ValueError(f"server_name is {value!r}: use a host's name, such as app.test") from None


@named_fields
@frozen
class OriginTls:
    """How a backend's certificate is verified, and what the proxy shows in return."""

    # A PEM file of the authority that issues the backend's certificate; those of the system, unless given.
    ca: str = field(default="", validator=text())
    # The name that the backend is asked for (SNI) and that its certificate must have; its host, unless given.
    server_name: str = field(default="", validator=_server_name)
    # False accepts any certificate: a machine in between can then read and change all traffic.
    verify: bool = field(default=True, validator=flag)
    # The proxy's own certificate (PEM), for backends that ask for one.
    cert: str = field(default="", validator=text())
    key: str = field(default="", validator=text())  # its private key; the same file as `cert`, unless given
    minimum: str = field(default="1.2", validator=word(("1.2", "1.3")))

    def faults(self) -> Iterator[str]:
        """Yield the contradictions between fields that are valid by themselves."""
        if self.ca and not self.verify:
            yield "ca is set, but verify is false: remove one of them"
        if self.key and not self.cert:
            yield "key is set, but cert is missing: name the file of the certificate, too"


def client_context(rules: OriginTls, protocol: str) -> ssl.SSLContext:
    """Return a context for connections to a backend that speak `protocol`, by its name in ALPN.

    Raises TlsError, which begins with the field that is wrong."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = VERSIONS[rules.minimum]
    context.set_alpn_protocols([protocol])
    if not rules.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif rules.ca:
        _read("ca", rules.ca, "the authority's certificate", context.load_verify_locations, rules.ca)
    else:
        context.load_default_certs()
    if rules.cert:
        key = rules.key or rules.cert
        files = rules.cert, key, no_password
        where = "cert" if key == rules.cert else "key"
        for name, path in (("cert", rules.cert), ("key", key)):
            _read(name, path, "a file that can be read", lambda path: open(path, "rb").close(), path)
        _read(where, key, "PEM files that belong together", context.load_cert_chain, *files)
    return context


def _read(name: str, path: str, instead: str, load: Any, *arguments: Any) -> None:
    try:
        load(*arguments)
    except (TlsError, OSError) as error:  # which ssl.SSLError is, too
        raise TlsError(f"{name} is {path!r}: {reason(error)}; use {instead}, as PEM") from None


# OpenSSL's codes for what is wrong with a certificate (openssl-verification-options(1)).
_TRUST = "tls.ca must name the authority that issues it"
CERTIFICATE_FAULTS = {
    9: "its certificate is not valid yet: compare the clocks",
    10: "its certificate has expired: renew it",
    18: f"its certificate is self-signed and not trusted: {_TRUST}",
    19: f"its certificate is from an authority that is not trusted: {_TRUST}",
    20: f"its certificate is from an authority that is not trusted: {_TRUST}",
    21: f"its certificate is from an authority that is not trusted: {_TRUST}",
    62: "its certificate has other names than {name!r}: correct tls.server_name, or the certificate",
    64: "its certificate does not have the address {name}: set tls.server_name, or correct the certificate",
}
# Reasons of OpenSSL for a handshake that fails otherwise.
HANDSHAKE_FAULTS = {
    "WRONG_VERSION_NUMBER": "it does not speak TLS: remove tls, or correct the port",
    "RECORD_LAYER_FAILURE": "it does not speak TLS: remove tls, or correct the port",
    "UNSUPPORTED_PROTOCOL": "it speaks only an older version of TLS than tls.minimum",
    "TLSV1_ALERT_PROTOCOL_VERSION": "it speaks only an older version of TLS than tls.minimum",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "it asks for a certificate: set tls.cert",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "it refuses the handshake: it may ask for a certificate (tls.cert)",
    "TLSV1_ALERT_UNKNOWN_CA": "it does not trust the authority of our certificate (tls.cert)",
    "SSLV3_ALERT_BAD_CERTIFICATE": "it refuses our certificate (tls.cert)",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "our certificate (tls.cert) has expired: renew it",
    "TLSV1_UNRECOGNIZED_NAME": "it does not serve the name {name!r}: correct tls.server_name",
    "TLSV1_ALERT_NO_APPLICATION_PROTOCOL": "it does not speak the protocol asked for: correct protocol",
}


def handshake_fault(error: ssl.SSLError, name: str) -> str:
    """Return in plain words why TLS with a backend failed; `name`: what it was asked for."""
    if isinstance(error, ssl.SSLCertVerificationError):
        why = CERTIFICATE_FAULTS.get(error.verify_code, f"its certificate is wrong: {reason(error)}")
    else:
        why = HANDSHAKE_FAULTS.get(error.reason or "", f"TLS fails: {reason(error)}")
    return why.format(name=name)
