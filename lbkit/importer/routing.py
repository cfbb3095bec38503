"""The content switching of an nginx or HAProxy configuration as rules, and as the file of a proxy."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w

from lbkit.core.routing import DEFAULT, Routing, Rule, Split, ToPool
from lbkit.importer.config import is_haproxy
from lbkit.importer.documents import is_document
from lbkit.importer.found import ImportFault, Unread, Upstream, counted, grouped
from lbkit.importer.haproxy import read_haproxy
from lbkit.importer.haproxy_routes import HaproxyRoutes
from lbkit.importer.nginx import read_nginx
from lbkit.importer.nginx_files import read_directives
from lbkit.importer.nginx_routes import NginxRoutes
from lbkit.schema import add_routing, strict_converter

_converter = strict_converter()
add_routing(_converter)


@dataclass
class ImportedRouting:
    """Rules, the servers of their pools, and what of the file is not in them."""

    routing: Routing
    pools: dict[str, list[dict[str, Any]]]  # name -> its backends, as in the file of a proxy
    default: str  # the name that the default pool has in the file
    notes: list[str]
    unread: list[Unread]

    def report(self) -> list[str]:
        """Return lines for a reader: what was imported, then notes, then what was left out."""
        rules = counted(len(self.routing.rules), "rule")
        names = ", ".join(self.default if name == DEFAULT else name for name in self.pools)
        lines = [f"{rules}; {counted(len(self.pools), 'pool')}: {names}"]
        lines += [f"note: {note}" for note in self.notes]
        if self.unread:
            count = len({(one.file, one.line) for one in self.unread})
            lines.append(f"not in the rules ({counted(count, 'line')}):")
            lines += [f"  {text}" for text in grouped(self.unread, by_line=True)]
        return lines

    def to_dict(self) -> dict[str, Any]:
        """Return the data of a proxy's file."""
        backends = [backend for pool in self.pools.values() for backend in pool]
        routing: dict[str, Any] = _converter.unstructure(self.routing)
        return {"backends": backends, **({"routing": routing} if routing else {})}

    def to_toml(self) -> str:
        """Return a file for `lbkit proxy` and `lbkit route`."""
        return tomli_w.dumps(self.to_dict())


def read_routing(path: str | Path, section: str = "") -> ImportedRouting:
    """Read the rules of an nginx or HAProxy configuration.

    `section`: HAProxy's frontend or listen section, by default the first.
    Where requests go that something without counterpart decides about, the rule answers 501: they must not
    silently go elsewhere. Raises ImportFault for a file without servers or rules, OSError."""
    path = Path(path)
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    unread: list[Unread] = []
    if is_document(text):
        raise ImportFault(
            f"{path}: only nginx's and HAProxy's rules become a proxy's file; leave out --routing"
        )
    if is_haproxy(path, text):
        upstreams = {one.name: one for one in read_haproxy(path.name, text, [])}
        haproxy = HaproxyRoutes(set(upstreams), unread)
        try:
            default = haproxy.read(path.name, text, section)
        except ValueError as error:
            raise ImportFault(f"{path}: {error}") from None
        notes = [*haproxy.notes, "HAProxy compares paths as they are sent, rules in one normal form"]
        return _imported(haproxy.found.rules, upstreams, {}, default, notes, unread, 0)
    upstreams = {one.name: one for one in read_nginx(path, [])}
    nginx = NginxRoutes(unread, {name.lower(): name for name in upstreams})
    nginx.read(read_directives(path, unread))
    rules = nginx.found.rules
    last = rules[-1].then if rules else None
    default = last.pool if isinstance(last, ToPool) else ""
    if isinstance(last, Split):
        default = max(last.shares, key=lambda pool: last.shares[pool])
    return _imported(rules, upstreams, nginx.addresses, default, nginx.notes, unread, 80)


def _imported(
    rules: list[Rule],
    upstreams: dict[str, Upstream],
    addresses: dict[str, str],
    default: str,
    notes: list[str],
    unread: list[Unread],
    port: int,
) -> ImportedRouting:
    """Put rules and pools together. One pool is the default one; rules that nothing reaches are left out."""
    end = next((i for i, rule in enumerate(rules) if not rule.conditions()), len(rules))
    if beyond := [rule.name for rule in rules[end + 1 :]]:
        notes.append(f"never reached, so left out: {', '.join(beyond)}")
    rules = rules[: end + 1]
    used = list(dict.fromkeys(pool for rule in rules for pool in rule.pools))
    default = default if default in {*used, *upstreams} else (used or list(upstreams) or [""])[0]
    if not default:
        raise ImportFault("no rule sends requests to servers, and there are none")
    pools: dict[str, list[dict[str, Any]]] = {}
    for name in dict.fromkeys((default, *used)):
        pool = DEFAULT if name == default else _free(name, default)
        pools[pool] = _backends(name, pool, upstreams.get(name), addresses.get(name, ""), port, unread)
    renamed = [_renamed(rule, default) for rule in rules]
    if default != DEFAULT:
        notes.append(f"{default} is the default pool here: what no rule fits goes there")
    return ImportedRouting(Routing(tuple(renamed)), pools, default, notes, unread)


def _free(name: str, default: str) -> str:
    """Return the name of a pool that is not the default one."""
    return f"{name} (not default)" if name == DEFAULT != default else name


def _renamed(rule: Rule, default: str) -> Rule:
    def new(name: str) -> str:
        return DEFAULT if name == default else _free(name, default)

    then = rule.then
    if isinstance(then, ToPool):
        then = ToPool(new(then.pool))
    elif isinstance(then, Split):
        then = Split({new(name): share for name, share in then.shares.items()}, then.key, then.salt)
    return Rule(rule.name, then, rule.when, rule.rewrite, rule.mirror, rule.unless)


def _backends(
    name: str, pool: str, upstream: Upstream | None, address: str, port: int, unread: list[Unread]
) -> list[dict[str, Any]]:
    """Return the backends of a pool as in the file of a proxy."""
    there = upstream.addresses if upstream else {name: address}
    weights = {server.name: server.weight for server in upstream.servers} if upstream else {}
    found = []
    for server, at in there.items():
        if not re.search(r":\d+\Z", at) and port:
            at = f"{at}:{port}"
        if at.startswith("unix:") or not re.search(r":\d+\Z", at):
            unread.append(Unread(name, 0, f"server {at} (no host and port)"))
            continue
        backend: dict[str, Any] = {"address": at, "name": server if server == at else f"{name}/{server}"}
        if weights.get(server, 1.0) != 1.0:
            backend["weight"] = weights[server]
        found.append(backend if pool == DEFAULT else {**backend, "pool": pool})
    return found
