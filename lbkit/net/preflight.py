"""Checks before the proxy starts: names, files, the port, and backends that lead back to the proxy."""

from __future__ import annotations

import os
import socket
import stat
import time
from math import inf
from pathlib import Path
from urllib.parse import urlsplit

from lbkit.layer4 import SEEN
from lbkit.net import descriptors
from lbkit.net.address import is_wildcard, join_address, leads_back, split_address
from lbkit.net.config import ConfigError, Layer4Config, ProxyConfig, look_up
from lbkit.net.filters.firewall import modsecurity
from lbkit.net.listening import try_listen
from lbkit.net.modes import AnyConfig
from lbkit.net.modsecurity import ModSecurityError
from lbkit.net.origin.reach import Reaches
from lbkit.net.running import ProxyError
from lbkit.net.shared_store import SharedStore
from lbkit.net.tls.certificates import Certificates, TlsError
from lbkit.net.tls.rules import TlsRules

DEFAULT_PORTS = {"http": 80, "https": 443}
EXPIRES_SOON = 14  # days before a certificate's end from which a note says so


def start_faults(config: AnyConfig) -> list[str]:
    """Return why a process could not serve this, a line for each field; the port is not checked."""
    faults = backend_faults(config)
    if isinstance(config, ProxyConfig):
        faults += http_faults(config)
    if config.admin and (fault := admin_fault(config.admin.socket)):
        faults.append(f"admin.socket is {config.admin.socket!r}: {fault}")
    if config.admin and not hasattr(socket, "SO_REUSEPORT"):
        faults.append("admin: on this system the proxy is one process, without an admin interface; remove it")
    return faults


def backend_faults(config: AnyConfig) -> list[str]:
    """Return which backends have no address, or lead back to the proxy."""
    faults: list[str] = []
    for i, backend in enumerate(config.backends):
        host, port = split_address(backend.address)
        if not backend.resolve and port != config.address[1]:
            continue  # looked up at each connection
        try:
            addresses = look_up(host, port)
        except ConfigError as error:
            if backend.resolve:
                faults.append(f"backends[{i}].address: {error}")
            continue
        if any(_is_us(address, port, config) for address in addresses):
            where = f"backends[{i}].address is {backend.address!r}"
            faults.append(f"{where}, where the proxy itself listens: requests would go round in circles")
    if not faults:
        try:
            config.pool()
        except ConfigError as error:
            faults += str(error).splitlines()
    return faults


def http_faults(config: ProxyConfig) -> list[str]:
    """Return which files an HTTP proxy could not use."""
    faults: list[str] = []
    for load in (lambda: Reaches(config.backends), lambda: config.tls and Certificates(config.tls)):
        try:
            load()
        except TlsError as error:
            faults += str(error).splitlines()
    if config.http3 and config.tls and not faults:
        faults += http3_faults(config.tls)
    if fault := log_fault(config.access_log):
        faults.append(f"access_log is {config.access_log!r}: {fault}")
    if config.cache and config.cache.disk and (fault := folder_fault(config.cache.disk.folder)):
        faults.append(f"cache.disk.folder is {config.cache.disk.folder!r}: {fault}")
    if config.firewall and (fault := log_fault(config.firewall.audit)):
        faults.append(f"firewall.audit is {config.firewall.audit!r}: {fault}")
    if config.firewall and config.firewall.engine == "modsecurity":
        try:
            modsecurity(config.firewall).close()
        except ModSecurityError as error:
            faults.append(f"firewall.rules: {error}")
    return faults


def http3_faults(rules: TlsRules) -> list[str]:
    """Return which certificates HTTP/3 could not use."""
    from lbkit.net.http3.certificates import load_chains  # needs a package

    try:
        load_chains(rules)
    except TlsError as error:
        return str(error).splitlines()
    return []


def port_fault(config: AnyConfig) -> str:
    """Return why the proxy cannot listen; empty if it can."""
    faults = []
    addresses = [("listen", config.listen, config.socket_kind)]
    if config.admin:
        addresses.append(("admin.listen", config.admin.listen, socket.SOCK_STREAM))
    if isinstance(config, ProxyConfig):
        addresses.append(("tls.redirect", config.https_redirect, socket.SOCK_STREAM))
        if config.http3:
            addresses.append(("http3.listen", config.http3.listen or config.listen, socket.SOCK_DGRAM))
    for field, address, kind in addresses:
        try:
            if address:
                try_listen(*split_address(address), kind)
        except ProxyError as error:
            faults.append(f"{field} is {address!r}: {error}")
    return "\n".join(faults)


def notes(config: AnyConfig, workers: int, names: bool = True) -> list[str]:
    """Return notes on settings that are valid but may surprise.

    `names`: also check what may become available later, the names of backends and Redis."""
    said = []
    for i, backend in enumerate(config.backends):
        if backend.tls and not backend.tls.verify:
            said.append(f"backends[{i}].tls.verify is false: anyone in between can read and change it all")
        if names and not backend.resolve:
            try:
                look_up(*split_address(backend.address))
            except ConfigError as error:
                why = str(error).partition(";")[0]
                said.append(f"backends[{i}].address: {why}; requests for it fail until the name resolves")
    if names and config.admin and (fault := collector_fault(config.admin.otlp)):
        said.append(f"admin.otlp: {fault}; until it answers, metrics are not sent")
    if isinstance(config, ProxyConfig):
        return said + http_notes(config, workers, names)
    return said + layer4_notes(config, workers)


def layer4_notes(config: Layer4Config, workers: int) -> list[str]:
    """Return notes on what surprises at layer 4."""
    said = []
    if config.mode == "udp":
        said.append("a reload begins the sessions anew: an algorithm that hashes finds their backends again")
    elif workers > 1:
        said.append(f"each of {workers} workers relays up to tcp.connections, {config.tcp.connections}")
    if config.policy.keyed_by not in SEEN:
        said.append(
            f"{config.policy.algorithm} gets the flow as its key, as layer 4 sees no {config.policy.keyed_by}"
        )
    return said


def http_notes(config: ProxyConfig, workers: int, names: bool) -> list[str]:
    """Return notes on what surprises in an HTTP proxy."""
    said = []
    if line := descriptors.capacity(config.limits.connections)[1]:
        said.append(line)
    if names and config.redis and (fault := redis_fault(config.redis)):
        said.append(f"redis: {fault}; until it answers, requests are handled as on_failure says")
    if names and config.tracing and (fault := collector_fault(config.tracing.endpoint)):
        said.append(f"tracing.endpoint: {fault}; until it answers, spans are dropped")
    if workers > 1 and config.rate_limits and not config.redis:
        said.append(
            f"each of {workers} workers counts rate limits separately; with [redis] they count together"
        )
    if workers > 1 and config.admission:
        said.append(
            f"each of {workers} workers applies [admission] separately: in all, {workers} times as much"
        )
    if config.tls:
        said += tls_notes(config.tls, workers)
    sticky, drain = config.policy.sticky, config.policy.drain
    if config.admin and sticky and sticky.drain and (drain is None or drain.timeout == inf):
        said.append(
            "sessions stay on a draining backend, and [policy.drain] has no timeout: no drain ends by itself"
        )
    return said


def tls_notes(rules: TlsRules, workers: int) -> list[str]:
    """Return notes on certificates that have expired or soon will, and on keys that others can read."""
    said = []
    try:
        loaded = Certificates(rules).loaded
    except TlsError:
        return []  # it is a fault already
    for i, (files, one) in enumerate(zip(rules.certificates, loaded, strict=True)):
        days = (one.expires - time.time()) / 86400
        if days < EXPIRES_SOON:
            when = "has expired" if days < 0 else f"expires in {days:.0f} days"
            said.append(f"tls.certificates[{i}].cert {files.cert!r} {when}")
        if os.stat(files.key_file).st_mode & 0o077:
            said.append(
                f"tls.certificates[{i}].key {files.key_file!r} can be read by others: chmod 600 mends that"
            )
    if workers > 1:
        said.append(f"each of {workers} workers has keys of its own for TLS sessions: some are not resumed")
    return said


def admin_fault(path: str) -> str:
    """Return why the admin socket cannot be opened; empty if it can, or if there is none."""
    if not path:
        return ""
    if not hasattr(socket, "AF_UNIX"):
        return "this system has no Unix sockets; remove the field"
    there = Path(path)
    if not there.parent.is_dir():
        return f"there is no folder {str(there.parent)!r}; make it, or use another path"
    if there.exists() and not there.is_socket():
        return "there is a file of that name; use another path"
    return ""


def log_fault(path: str) -> str:
    """Return why lines cannot be appended to this file, or empty. Writes nothing and creates no file."""
    if path in ("", "-"):
        return ""
    file = Path(path)
    try:
        if stat.S_ISDIR(file.stat().st_mode):
            return "it is a folder; use a file"
        # Opening a pipe without a reader would block.
        os.close(os.open(path, os.O_WRONLY | os.O_APPEND | getattr(os, "O_NONBLOCK", 0)))
    except FileNotFoundError:
        if not file.parent.is_dir():
            return f"there is no folder {str(file.parent)!r}; make it, or use another file"
        if not os.access(file.parent, os.W_OK | os.X_OK):
            return f"cannot create a file in {str(file.parent)!r}; use another, or change its permissions"
    except OSError as error:
        return f"{error.strerror}; use a file that can be written"
    return ""


def folder_fault(path: str) -> str:
    """Return why files cannot be kept in a folder, which need not be there yet; empty if they can."""
    folder = Path(path).absolute()
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not there.is_dir():
        return f"{str(there)!r} is a file; use a folder"
    if not os.access(there, os.R_OK | os.W_OK | os.X_OK):
        return f"cannot write in {str(there)!r}; use another, or change its permissions"
    return ""


def redis_fault(store: SharedStore) -> str:
    """Return why Redis cannot be connected to; empty if it can."""
    url = urlsplit(store.url)
    if url.scheme == "unix":
        return _connect_fault(url.path)
    return _connect_fault((url.hostname or "127.0.0.1", url.port or 6379))


def collector_fault(endpoint: str) -> str:
    """Return why a collector of spans cannot be connected to; empty if it can, or if there is none."""
    url = urlsplit(endpoint)
    return _connect_fault((url.hostname, url.port or DEFAULT_PORTS[url.scheme])) if url.hostname else ""


def _connect_fault(address: str | tuple[str, int]) -> str:
    """Return why nothing answers at an address, or at the path of a Unix socket; empty if something does."""
    try:
        if isinstance(address, str):
            with socket.socket(socket.AF_UNIX) as sock:
                sock.connect(address)
        else:
            socket.create_connection(address, 1.0).close()
    except OSError as error:
        where = address if isinstance(address, str) else join_address(*address)
        return f"cannot connect to {where}: {error.strerror or error}"
    return ""


def _is_us(address: str, port: int, config: AnyConfig) -> bool:
    listen, listen_port = config.address
    if port != listen_port:
        return False
    return leads_back(address, port, listen, listen_port) or (is_wildcard(listen) and is_ours(address))


def is_ours(address: str) -> bool:
    """Return whether this machine has the address: only then can a socket be bound to it."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.bind((address.partition("%")[0], 0))
        except OSError:
            return False
    return True
