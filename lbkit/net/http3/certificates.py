"""The certificates of the table `tls`, as aioquic has them: it does not use OpenSSL's contexts."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import load_pem_x509_certificates

from lbkit.net.tls.certificates import Certificates, TlsError
from lbkit.net.tls.live import LiveContext
from lbkit.net.tls.rules import Certificate, TlsRules


class Chain(NamedTuple):
    """A certificate, the others up to the authority's, and the private key."""

    certificate: Any
    others: list[Any]
    key: Any


def load_chain(files: Certificate) -> Chain:
    """Return a certificate. Raises TlsError."""
    try:
        certificates = load_pem_x509_certificates(Path(files.cert).read_bytes())
        key = load_pem_private_key(Path(files.key_file).read_bytes(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm, OSError) as error:
        raise TlsError(f"cert is {files.cert!r}: HTTP/3 cannot use it: {error}; use other files") from None
    return Chain(certificates[0], certificates[1:], key)


def load_chains(rules: TlsRules) -> list[Chain]:
    """Return all certificates. Raises TlsError with a line for each that cannot be used."""
    chains, faults = [], []
    for i, files in enumerate(rules.certificates):
        try:
            chains.append(load_chain(files))
        except TlsError as error:
            faults.append(f"tls.certificates[{i}].{error}")
    if faults:
        raise TlsError("\n".join(faults))
    return chains


class Chains:
    """Chooses among the certificates of the moment, by the rules that hold for TCP, too."""

    def __init__(self, live: LiveContext) -> None:
        """Raises TlsError."""
        self._live = live
        self._seen: Certificates = live.certificates
        self._chains = load_chains(live.rules)

    @property
    def first(self) -> Chain:
        return self._chains[0]

    def choose(self, name: str | None) -> Chain | None:
        """Return the certificate for the name that a client asks for; None refuses it."""
        certificates = self._live.certificates
        if certificates is not self._seen:  # they have been loaded again
            self._seen = certificates
            with suppress(TlsError):  # if the files change right now, those loaded before stay in use
                self._chains = load_chains(self._live.rules)
        found = certificates.find(name)
        return None if found is None else self._chains[certificates.loaded.index(found)]
