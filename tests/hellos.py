"""The first message of real TLS clients."""

from __future__ import annotations

import ssl

import pytest


def hello(name: str | None = "www.example.org", alpn: tuple[str, ...] = (), newest: bool = True) -> bytes:
    """A real one, from Python's ssl."""
    context = ssl.create_default_context()
    context.check_hostname = False
    if alpn:
        context.set_alpn_protocols(list(alpn))
    if not newest:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    sent = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), sent, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return sent.read()
