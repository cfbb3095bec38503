"""Which requests a rule is about, and whose they are."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from ipaddress import IPv6Address, ip_network
from posixpath import normpath
from urllib.parse import unquote

from lbkit.core.key import RequestView, key_of

GLOBAL = "global"  # the key of a rule that tells nobody apart
LONGEST_KEY = 64  # characters kept as they are


def plain_path(target: bytes) -> str:
    """The path that a backend will most likely understand: /x/..//%61pi is /api, no way round its limit."""
    path = unquote(target.partition(b"?")[0].decode("latin-1"))
    return "/" + normpath("/" + path).lstrip("/")


def is_below(path: str, top: str) -> bool:
    """/api and /api/x are below /api; /apis is not."""
    return f"{path}/".startswith(f"{top.rstrip('/')}/")


def client_key(key: str, prefix: int) -> Callable[[RequestView], str]:
    """Tells whose a request is: by a key as in a Policy, or "global".

    Clients with IPv6 addresses count by their /`prefix`, since each has billions of them."""
    if key == GLOBAL:
        return lambda request: ""
    read = key_of(key)
    if key != "client":
        return lambda request: short(read(request))
    return lambda request: by_prefix(read(request), prefix)


def short(key: str) -> str:
    """A long key by its digest: tables keep keys, and a client may make up a million of 30 KiB each."""
    if len(key) <= LONGEST_KEY:
        return key
    return blake2b(key.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()


def by_prefix(address: str, prefix: int) -> str:
    """The network of an IPv6 address; an IPv4 address, or what is none, as it is."""
    if ":" not in address:
        return address
    try:
        whole_address = IPv6Address(address)
    except ValueError:
        return address
    if whole_address.ipv4_mapped:
        return str(whole_address.ipv4_mapped)
    return str(ip_network((whole_address, min(prefix, 128)), strict=False))
