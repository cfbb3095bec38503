"""Listening sockets: opened for workers to share a port, or only tried."""

from __future__ import annotations

import os
import socket
import sys
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

from lbkit.net.running import BACKLOG, ProxyError, listen_error


def try_listen(host: str, port: int, kind: socket.SocketKind = socket.SOCK_STREAM) -> None:
    """Bind the address, and release it. Raises ProxyError for a port that is taken, also by another lbkit.

    With SO_REUSEPORT we would share the port with it instead of being refused; with UDP, already with
    SO_REUSEADDR."""
    family, address = _resolved(host, port)
    with socket.socket(family, kind) as sock:
        if kind is socket.SOCK_STREAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _bind(sock, address, host, port)


def listen(host: str, port: int, kind: socket.SocketKind = socket.SOCK_STREAM) -> socket.socket:
    """Return a listening socket that shares its port with others made in this way. Raises ProxyError."""
    family, address = _resolved(host, port)
    sock = socket.socket(family, kind)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        _bind(sock, address, host, port)
        if kind is socket.SOCK_STREAM:
            sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock


def stop_listening(sock: socket.socket) -> None:
    """Stop listening in this process and in all others that have the socket open."""
    with suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
    sock.close()


def _resolved(host: str, port: int) -> tuple[int, tuple[str, int]]:
    try:
        family, *_, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise ProxyError(listen_error(error, host, port)) from None
    return family, address  # type: ignore[return-value]


def _bind(sock: socket.socket, address: tuple[str, int], host: str, port: int) -> None:
    try:
        sock.bind(address)
    except OSError as error:
        raise ProxyError(listen_error(error, host, port)) from None


def running_mark(path: str | Path, listen: str) -> socket.socket | None:
    """Held while a proxy runs from this file on this address; None if one does already.

    A name in Linux's abstract namespace: it goes with the process, and leaves no file. Elsewhere, a socket
    that marks nothing."""
    mark = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    if sys.platform == "linux":
        name = f"{os.getuid()} {Path(path).resolve()} {listen}"
        try:
            mark.bind(b"\0lbkit-proxy-" + blake2b(name.encode(), digest_size=16).hexdigest().encode())
        except OSError:
            mark.close()
            return None
    return mark
