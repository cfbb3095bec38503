"""The scope of a rule: the paths that it applies to, and the key that it counts by."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from ipaddress import IPv6Address, ip_network
from posixpath import normpath
from urllib.parse import unquote

from lbkit.core.key import RequestView, key_of

GLOBAL = "global"  # the key of a rule that counts all requests together
LONGEST_KEY = 64  # characters; a longer key is replaced by its digest


def plain_path(target: bytes) -> str:
    """Return the path as a backend most likely reads it: /x/..//%61pi is /api, and cannot evade its limit."""
    path = unquote(target.partition(b"?")[0].decode("latin-1"))
    return "/" + normpath("/" + path).lstrip("/")


def is_below(path: str, top: str) -> bool:
    """Return whether `path` is `top` or below it: /api and /api/x are below /api, /apis is not."""
    return f"{path}/".startswith(f"{top.rstrip('/')}/")


def client_key(key: str, prefix: int) -> Callable[[RequestView], str]:
    """Return the function that reads a request's key: one as in a Policy, or "global" for all together.

    Clients with IPv6 addresses count by their /`prefix`, since each has billions of them."""
    if key == GLOBAL:
        return lambda request: ""
    read = key_of(key)
    if key != "client":
        return lambda request: short(read(request))
    return lambda request: by_prefix(read(request), prefix)


def short(key: str) -> str:
    """Return a long key as its digest: tables keep keys, and a client can invent a million of 30 KiB each."""
    if len(key) <= LONGEST_KEY:
        return key
    return blake2b(key.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()


def by_prefix(address: str, prefix: int) -> str:
    """Return the network of an IPv6 address; any other text unchanged."""
    if ":" not in address:
        return address
    try:
        whole_address = IPv6Address(address)
    except ValueError:
        return address
    if whole_address.ipv4_mapped:
        return str(whole_address.ipv4_mapped)
    return str(ip_network((whole_address, min(prefix, 128)), strict=False))
