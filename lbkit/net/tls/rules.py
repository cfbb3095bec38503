"""The settings of TLS, as data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import attrs
from attrs import field, frozen

from lbkit.checks import flag, number, several, text, word
from lbkit.core.options import named_fields
from lbkit.net.address import a_listen_address, split_address
from lbkit.tls import TlsTerms

CLIENT_CERTIFICATES = ("off", "optional", "required")


@named_fields
@frozen
class Certificate:
    """The PEM files of a certificate: the chain, leaf first, and its private key."""

    cert: str = field(validator=text(empty=False))
    key: str = field(default="", validator=text())  # the same file as `cert`, unless given

    @property
    def key_file(self) -> str:
        return self.key or self.cert


def _certificates(what: Certificate | Iterable[Certificate]) -> tuple[Certificate, ...]:
    return several(what)


def _are_certificates(instance: Any, attribute: attrs.Attribute[Any], value: tuple[Any, ...]) -> None:
    for i, one in enumerate(value):
        if not isinstance(one, Certificate):
            raise ValueError(f"{attribute.name}[{i}] is {one!r}: use a Certificate")
    if not value:
        raise ValueError(f"{attribute.name} is empty: there must be at least one")


def _redirect(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if value != "":
        a_listen_address(instance, attribute, value)


@named_fields
@frozen
class TlsRules(TlsTerms):
    """How a proxy ends TLS. Fields in seconds, where they are times."""

    certificates: tuple[Certificate, ...] = field(converter=_certificates, validator=_are_certificates)
    # Refuses clients that name no host, or one without a certificate; else they get the first certificate.
    strict: bool = field(default=False, validator=flag)
    handshake: float = field(default=10.0, validator=number(0, above=True))  # in which a handshake must end
    reload: float = field(default=5.0, validator=number(0))  # between looks at the files; 0: none
    client_certificates: str = field(default="off", validator=word(CLIENT_CERTIFICATES))
    client_ca: str = field(default="", validator=text())  # a PEM file: who may issue clients' certificates
    # A second address, for plain HTTP, where everything is redirected to HTTPS.
    redirect: str = field(default="", validator=_redirect)
    public_port: int = field(default=0)  # the port in redirects; 0: the one that the proxy listens on
    # For so long browsers use only HTTPS for this host (Strict-Transport-Security); 0: not sent.
    hsts: float = field(default=0.0, validator=number(0))
    hsts_subdomains: bool = field(default=False, validator=flag)

    @public_port.validator
    def _check_port(self, attribute: attrs.Attribute[int], value: Any) -> None:
        if type(value) is not int or not 0 <= value < 65536:
            raise ValueError(f"public_port is {value!r}: use a port, or 0 for the one listened on")

    @property
    def redirect_address(self) -> tuple[str, int] | None:
        return split_address(self.redirect) if self.redirect else None

    def faults(self) -> Iterator[str]:
        """Yield the contradictions between fields that are valid by themselves."""
        if self.client_certificates != "off" and not self.client_ca:
            yield (
                f"tls.client_ca is missing: with client_certificates = {self.client_certificates!r}, "
                "name the file of the authority that issues them"
            )
        if self.client_ca and self.client_certificates == "off":
            yield 'tls.client_ca is set, but client_certificates is "off": use optional or required'
        if self.hsts_subdomains and not self.hsts:
            yield "tls.hsts_subdomains is true, but hsts is 0: give the seconds, such as 31536000"

    def files(self) -> list[str]:
        """Return all files that TLS reads, each once."""
        named = [name for one in self.certificates for name in (one.cert, one.key_file)]
        return list(dict.fromkeys([*named, *([self.client_ca] if self.client_ca else [])]))
