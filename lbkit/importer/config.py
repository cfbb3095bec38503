"""nginx.conf and haproxy.cfg as an Experiment."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lbkit.experiment import Experiment, Policy, Server
from lbkit.needs import why_not


class ImportFault(ValueError):
    """A file could not be imported; says where and why."""


@dataclass
class Imported:
    """An experiment, and the lines of the file that are not in it."""

    experiment: Experiment
    addresses: dict[str, str]  # server -> its address in the file
    not_understood: list[str] = field(default_factory=list)  # "line 12: keepalive 32"


@dataclass
class _Group:
    """A group of servers in a file."""

    name: str
    servers: list[Server] = field(default_factory=list)
    addresses: dict[str, str] = field(default_factory=dict)
    algorithm: str = ""
    key: str = ""
    retries: int | None = None

    def add(self, name: str, address: str, weight: float) -> None:
        while name in self.addresses:
            name += "'"
        self.addresses[name] = address
        self.servers.append(Server(name, weight=weight))


def read_config(path: str | Path, group: str | None = None) -> Imported:
    """Read nginx.conf or haproxy.cfg, which it distinguishes by content.

    `group`: the upstream or backend to take; by default the first with servers. Service times are not in such
    a file: the servers have the default ones. Raises ImportFault, OSError."""
    path = Path(path)
    text = path.read_text(encoding="utf-8", errors="replace")
    rest: list[str] = []
    haproxy = re.search(r"^\s*(backend|listen|defaults|frontend)\b[^{;]*$", text, re.MULTILINE)
    groups = list((_haproxy if haproxy else _nginx)(path, text, rest))
    usable = [g for g in groups if g.servers]
    if not usable:
        raise ImportFault(f"{path}: no upstream or backend with servers in it: give a file with one")
    names = ", ".join(g.name for g in usable)
    if group is None:
        chosen = usable[0]
        if len(usable) > 1:
            rest.append(f"{len(usable)} groups of servers ({names}): {chosen.name} was taken")
    else:
        found = [g for g in usable if g.name == group]
        if not found:
            raise ImportFault(f"{path}: no group {group!r}: there are {names}")
        chosen = found[0]
    weights = {server.weight for server in chosen.servers}
    algorithm = chosen.algorithm or ("weighted_round_robin" if len(weights) > 1 else "round_robin")
    policy = Policy(algorithm, key=chosen.key, retries=1 if chosen.retries is None else chosen.retries)
    experiment = Experiment(chosen.servers, policy=policy, name=f"{path.name}: {chosen.name}").at_load(0.7)
    return Imported(experiment, chosen.addresses, rest)


# -- nginx ---------------------------------------------------------------------------------------

# Contexts to descend into; directives in them other than servers are listed.
_CONTEXTS = {"http", "stream", "server", "location"}
_IGNORED = {"listen", "server_name", "proxy_pass", "include", "default_type", "proxy_http_version", "events"}


def _nginx(path: Path, text: str, rest: list[str]) -> Iterator[_Group]:
    try:
        import crossplane
    except ImportError:
        raise ImportFault(why_not("import")) from None
    payload = crossplane.parse(str(path), single=False, comments=False)
    if payload["errors"]:
        first = payload["errors"][0]
        raise ImportFault(f"{first['file']}: {first['error']}")

    def walk(directives: list[dict[str, Any]]) -> Iterator[_Group]:
        for d in directives:
            name, args = d["directive"], d["args"]
            if name == "upstream":
                yield _upstream(args[0], d["block"], rest)
            elif name in _CONTEXTS:
                yield from walk(d.get("block", []))
            elif name == "proxy_next_upstream_tries" and args[0].isdigit():
                tries.append(max(int(args[0]) - 1, 0))
            elif name not in _IGNORED:
                rest.append(f"line {d['line']}: {' '.join([name, *args])}")

    tries: list[int] = []
    found = [g for file in payload["config"] for g in walk(file["parsed"])]
    for g in found:
        g.retries = tries[0] if tries else None
    yield from found


def _upstream(name: str, block: list[dict[str, Any]], rest: list[str]) -> _Group:
    found = _Group(name)
    for d in block:
        directive, args = d["directive"], d["args"]
        source = f"line {d['line']}: {' '.join([directive, *args])}"
        match directive, args:
            case "server", [address, *options]:
                weight = 1.0
                for option in options:
                    key, _, value = option.partition("=")
                    if key == "weight" and value.isdigit():
                        weight = float(value)
                    elif key == "down":
                        weight = 0.0
                    else:
                        rest.append(f"line {d['line']}: server {address} {option}")
                found.add(address, address, weight)
            case "least_conn", _:
                found.algorithm = "least_connections"
            case "ip_hash", _:
                found.algorithm = "nginx_ip_hash"
            case "hash", [key, *how]:
                found.algorithm = "consistent_hash" if "consistent" in how else "nginx_hash"
                found.key = _nginx_key(key)
                if not found.key:
                    found.key = "client" if "addr" in key else "uri"
                    rest.append(f"{source}: taken as a hash of the {found.key}")
            case "random", []:
                found.algorithm = "random"
            case "random", ["two", *how]:
                found.algorithm = "power_of_two"
                if how and how[0].startswith("least_time"):
                    rest.append(f"{source}: taken as random two least_conn")
            case "least_time", _:
                found.algorithm = "least_response_time"
            case _:
                rest.append(source)
    return found


# -- HAProxy -------------------------------------------------------------------------------------


def _haproxy(path: Path, text: str, rest: list[str]) -> Iterator[_Group]:
    found: list[_Group] = []
    section, group = "", _Group("")
    defaults = _Group("defaults")
    for number, line in enumerate(text.splitlines(), 1):
        try:
            words = shlex.split(line, comments=True)
        except ValueError as error:
            raise ImportFault(f"{path}, line {number}: {error}") from None
        if not words:
            continue
        if words[0] in ("global", "defaults", "frontend", "backend", "listen"):
            section = words[0]
            if section in ("backend", "listen"):
                group = _Group(words[1] if len(words) > 1 else section)
                group.algorithm, group.key = defaults.algorithm, defaults.key
                group.retries = defaults.retries
                found.append(group)
            continue
        source = f"line {number}: {' '.join(words)}"
        if section not in ("backend", "listen", "defaults"):
            if words[0] not in ("bind", "default_backend", "mode"):
                rest.append(source)
        elif (read := _HAPROXY.get(words[0])) is None:
            rest.append(source)
        else:
            read(defaults if section == "defaults" else group, words[1:], source, rest)
    yield from found


def _nginx_key(variable: str) -> str:
    """Return the key that an nginx variable stands for; empty for another variable."""
    plain = {"$remote_addr": "client", "$binary_remote_addr": "client", "$uri": "path", "$request_uri": "uri"}
    for prefix, kind in {"$http_": "header", "$cookie_": "cookie", "$arg_": "query"}.items():
        name = variable.removeprefix(prefix)
        if name != variable and name.isidentifier():
            return f"{kind}:{name.replace('_', '-') if kind == 'header' else name}"
    return plain.get(variable, "")


def _balance(group: _Group, words: list[str], source: str, rest: list[str]) -> None:
    algorithm, _, argument = words[0].partition("(")
    known = {
        "roundrobin": ("", ""),
        "static-rr": ("static_round_robin", ""),
        "first": ("first_available", ""),
        "leastconn": ("least_connections", ""),
        "source": ("haproxy_map", "client"),
        "uri": ("haproxy_map", "path"),
        "random": ("random" if argument.startswith("1") else "power_of_two", ""),
    }
    if algorithm not in known:
        rest.append(source)
        return
    group.algorithm, group.key = known[algorithm]
    if words[1:]:
        rest.append(f"{source}: {' '.join(words[1:])} is not taken over")


def _hash_type(group: _Group, words: list[str], source: str, rest: list[str]) -> None:
    if words[0] == "consistent" and group.algorithm == "haproxy_map":
        group.algorithm = "consistent_hash"
    if words[1:] or words[0] not in ("consistent", "map-based"):
        rest.append(source)


def _server(group: _Group, words: list[str], source: str, rest: list[str]) -> None:
    name, address, *options = words
    weight = 1.0
    while options:
        option = options.pop(0)
        if option == "weight" and options:
            weight = float(options.pop(0))
        elif option == "disabled":
            weight = 0.0
        else:
            value = [options.pop(0)] if option in _WITH_VALUE and options else []
            rest.append(f"{source.partition(':')[0]}: server {name} {' '.join([option, *value])}")
    group.add(name, address, weight)


def _retries(group: _Group, words: list[str], source: str, rest: list[str]) -> None:
    group.retries = int(words[0])


def _ignore(group: _Group, words: list[str], source: str, rest: list[str]) -> None:
    pass


_WITH_VALUE = {
    "maxconn",
    "inter",
    "rise",
    "fall",
    "port",
    "cookie",
    "slowstart",
    "maxqueue",
    "observe",
    "check-sni",
}
_HAPROXY: dict[str, Callable[[_Group, list[str], str, list[str]], None]] = {
    "balance": _balance,
    "hash-type": _hash_type,
    "server": _server,
    "retries": _retries,
    "mode": _ignore,
    "bind": _ignore,
}
