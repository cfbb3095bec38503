"""Addresses as host:port: parsed strictly, and compared."""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address
from typing import Any
from urllib.parse import urlsplit

import attrs

from lbkit.core.text import shown

_LABELS = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9_-]{1,63}(?<!-))*\.?")


def split_address(text: str, name: str = "address") -> tuple[str, int]:
    """Return the host and port of "127.0.0.1:8080" or "[::1]:8080". Raises ValueError, with `name`."""
    if not isinstance(text, str):
        raise ValueError(f"{name} is {shown(text)}: use a text such as 127.0.0.1:8080")
    host, colon, port = text.rpartition(":")
    literal = host.startswith("[") and host.endswith("]")
    if literal:
        host = host[1:-1]
    if not (colon and port.isascii() and port.isdigit() and len(port) < 6 and int(port) < 65536):
        raise ValueError(f"{name} is {shown(text)}: use host:port, such as 127.0.0.1:8080")
    if not (_is_ipv6(host) if literal else _is_name(host)):
        hint = f", that is [{host}]:{port}" if _is_ipv6(host) else ""
        raise ValueError(
            f"{name} is {shown(text)}: use host:port, such as 127.0.0.1:8080 or [::1]:8080{hint}"
        )
    return host, int(port)


def join_address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _is_ipv6(host: str) -> bool:
    try:
        IPv6Address(host)
    except ValueError:
        return False
    return True


def _is_name(host: str) -> bool:
    """A name, or an IPv4 address. Names with umlauts go through IDNA, as in `socket.getaddrinfo`."""
    try:
        plain = host.encode("idna").decode()
    except UnicodeError:
        return False
    if re.fullmatch(r"[0-9.]+", plain):
        return _is_ipv4(plain)
    return len(plain) < 254 and bool(_LABELS.fullmatch(plain))


def _is_ipv4(host: str) -> bool:
    try:
        return ip_address(host).version == 4
    except ValueError:
        return False


def a_listen_address(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    """A validator. Port 0 is any free one."""
    split_address(value, attribute.name)


def a_backend_address(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    """A validator."""
    a_listen_address(instance, attribute, value)
    if split_address(value)[1] == 0:
        raise ValueError(f"{attribute.name} is {value!r}: a backend has a port from 1 to 65535")


def is_wildcard(host: str) -> bool:
    """Return whether listening there means listening on every address of this machine."""
    try:
        return ip_address(host).is_unspecified
    except ValueError:
        return False


def is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower().rstrip(".") == "localhost"


def leads_back(host: str, port: int, listen: str, listen_port: int) -> bool:
    """Return whether `host` and `port` lead to the listening address, as far as the texts tell."""
    if port != listen_port:
        return False
    if is_wildcard(host) or is_wildcard(listen):
        # Connecting to 0.0.0.0 is connecting to this machine.
        return all(is_wildcard(h) or is_loopback(h) for h in (host, listen))
    if host.lower() == listen.lower():
        return True
    named = "localhost" in (host.lower(), listen.lower())
    return named and is_loopback(host) and is_loopback(listen)


def an_endpoint(signal: str) -> Callable[..., None]:
    """An attrs validator: the URL of an OpenTelemetry collector for "traces" or "metrics"; empty is none."""

    def check(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        if value != "" and not (
            isinstance(value, str) and re.fullmatch(r"[!-~]+", value) and _is_http(value)
        ):
            raise ValueError(
                f"{attribute.name} is {shown(value)}: use a URL of OTLP over HTTP, such as "
                f"http://127.0.0.1:4318/v1/{signal}"
            )

    return check


def _is_http(url: str) -> bool:
    try:
        parts = urlsplit(url)
        known = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # a port that is no number
        return False
    return bool(known) and parts.username is None and not parts.fragment
