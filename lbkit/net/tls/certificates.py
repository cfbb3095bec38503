"""Certificates from files, each in a context of its own, and the choice by the name that a client asks for.

A client names the host it wants in its first message (SNI; RFC 6066, 3), before any certificate is sent, so
one port can serve many hosts.
"""

from __future__ import annotations

import os
import ssl
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

from lbkit.net.tls.rules import Certificate, TlsRules

# For TLS 1.2: forward secrecy and authenticated encryption only. All ciphers of TLS 1.3 are like that.
CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
ASKED = {"off": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}
ONLY_HTTP1 = ("http/1.1",)
WITH_HTTP2 = ("h2", "http/1.1")
_NO_CHECK_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME of OpenSSL, which Python does not name
_FILES = "use PEM files that belong together, such as those of `lbkit cert`"


class TlsError(ValueError):
    """Raised for a file that TLS cannot use; names the field and the file."""


class Loaded:
    """A certificate that is ready for use."""

    def __init__(self, context: ssl.SSLContext, names: tuple[str, ...], expires: float) -> None:
        self.context = context
        self.names = names  # in lower case; "*.a.test" is any label before .a.test
        self.expires = expires  # seconds since 1970


class Certificates:
    """The certificates of a proxy. Never changed: a reload makes another.

    `front` starts each handshake; it has the keys of session tickets, so its sessions can be resumed as long
    as this object is in use. Certificates of other authorities for clients therefore mean a new object: their
    old sessions are not resumed.
    """

    def __init__(self, rules: TlsRules, protocols: Sequence[str] = ONLY_HTTP1) -> None:
        """`protocols`: what clients may choose by ALPN, the preferred one first (RFC 7301).

        Raises TlsError with a line for each file that cannot be used."""
        server_context(rules)  # raises for the clients' authority once, not for each certificate
        loaded, faults = [], []
        for i, files in enumerate(rules.certificates):
            try:
                loaded.append(load(files, rules, protocols))
            except TlsError as error:
                faults.append(f"tls.certificates[{i}].{error}")
        if faults:
            raise TlsError("\n".join(faults))
        self.loaded = tuple(loaded)
        self.front = loaded[0].context
        self.strict = rules.strict
        self.by_name: dict[str, Loaded] = {}
        for one in loaded:
            for name in one.names:
                self.by_name.setdefault(name, one)  # the first that has the name
        if len(loaded) > 1 or self.strict:
            self.front.sni_callback = self._choose
            ignore_names_that_are_not_ascii()

    def find(self, name: str | None) -> Loaded | None:
        """Return the certificate for this host: of this name, of a wildcard, else the first; None: refuse."""
        if name:
            name = name.lower().rstrip(".")
            found = self.by_name.get(name) or self.by_name.get("*." + name.partition(".")[2])
            if found:
                return found
        return None if self.strict else self.loaded[0]

    def context_for(self, name: str | None) -> ssl.SSLContext | None:
        """Return the context for this host; None: refuse."""
        found = self.find(name)
        return found.context if found else None

    def _choose(
        self, handshake: ssl.SSLObject | ssl.SSLSocket, name: str | None, context: ssl.SSLContext
    ) -> int | None:
        found = self.context_for(name)
        if found is None:
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        if found is not context:
            handshake.context = found
        return None


def ignore_names_that_are_not_ascii() -> None:
    """Keep such names in ClientHellos off standard error; the client gets the alert internal_error.

    `ssl` cannot decode such a name, and before it calls any code of ours it reports that as an "unraisable"
    exception: with a traceback, each time. Any client could fill a log with it."""
    report = sys.unraisablehook
    if getattr(report, "knows_server_names", False):
        return

    def hook(unraisable: sys.UnraisableHookArgs) -> None:
        of_a_name = isinstance(unraisable.object, bytes) and unraisable.exc_type is UnicodeDecodeError
        if not of_a_name:
            report(unraisable)

    hook.knows_server_names = True  # type: ignore[attr-defined]
    sys.unraisablehook = hook


def load(files: Certificate, rules: TlsRules, protocols: Sequence[str] = ONLY_HTTP1) -> Loaded:
    """Return a certificate. Raises TlsError, which begins with the field of `files` that is wrong."""
    context = server_context(rules, protocols)
    for field, path in (("cert", files.cert), ("key", files.key_file)):
        try:
            open(path, "rb").close()
            if field == "cert":
                ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
            else:
                context.load_cert_chain(files.cert, path, password=no_password)
        except (TlsError, OSError) as error:  # which ssl.SSLError is, too
            raise TlsError(f"{field} is {path!r}: {reason(error)}; {_FILES}") from None
    try:
        described = describe(context, files.cert)
    except ssl.SSLError as error:
        raise TlsError(f"cert is {files.cert!r}: clients would refuse it: {reason(error)}") from None
    found = described.get("subjectAltName", ())
    names = tuple(value.lower() for kind, value in found if kind == "DNS")
    return Loaded(context, names, ssl.cert_time_to_seconds(described["notAfter"]))


def server_context(rules: TlsRules, protocols: Sequence[str] = ONLY_HTTP1) -> ssl.SSLContext:
    """Return a context with the rules' versions, ciphers and clients, but no certificate yet.

    Raises TlsError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = VERSIONS[rules.minimum]
    context.set_ciphers(CIPHERS)
    context.set_alpn_protocols(list(protocols))
    # A client could have us compute a new key over and over (TLS 1.2 only; 1.3 has no renegotiation).
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION | ssl.OP_CIPHER_SERVER_PREFERENCE
    if not rules.resumption:
        context.options |= ssl.OP_NO_TICKET
        context.num_tickets = 0  # of TLS 1.3
    trust_clients(context, rules)
    return context


def trust_clients(context: ssl.SSLContext, rules: TlsRules) -> None:
    """Ask clients for certificates, as the rules say. Raises TlsError."""
    context.verify_mode = ASKED[rules.client_certificates]
    if rules.client_certificates == "off":
        return
    try:
        context.load_verify_locations(rules.client_ca)
    except (ssl.SSLError, OSError) as error:
        raise TlsError(
            f"tls.client_ca is {rules.client_ca!r}: {reason(error)}; use the authority's certificate, as PEM"
        ) from None


def describe(context: ssl.SSLContext, cert: str) -> dict[str, Any]:
    """Return the fields of a server's certificate, as `ssl` names them.

    `ssl` only describes what a client has verified. So a client shakes hands with the server, in memory, and
    trusts this very certificate: which also shows that certificate and key work. Raises ssl.SSLError."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VerifyFlags(_NO_CHECK_TIME)
    client.load_verify_locations(cert)
    asks, context.verify_mode = context.verify_mode, ssl.CERT_NONE
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = client.wrap_bio(back, there), context.wrap_bio(there, back, server_side=True)
    for end in (*ends, ends[0]):
        with suppress(ssl.SSLWantReadError):
            end.do_handshake()
    context.verify_mode = asks
    return dict(ends[0].getpeercert() or {})


def reason(error: Exception) -> str:
    """Return OpenSSL's reason in plain words."""
    text = getattr(error, "verify_message", None) or getattr(error, "reason", None)
    if text:
        return str(text).lower().replace("_", " ")
    if isinstance(error, ssl.SSLError):
        return "it is not a PEM file, or has nothing of the kind"
    return getattr(error, "strerror", None) or str(error)


def no_password() -> str:
    raise TlsError("it is encrypted, and there is no password; use a key without one")


def fingerprint(paths: Iterable[str]) -> tuple[tuple[int, ...], ...]:
    """Return what changes when one of these files does; a file that is missing counts as one, too."""
    found: list[tuple[int, ...]] = []
    for path in paths:
        try:
            state = os.stat(path)
        except OSError as error:
            found.append((error.errno or 0,))
        else:
            found.append((state.st_mtime_ns, state.st_size, state.st_ino))
    return tuple(found)
