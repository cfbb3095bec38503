"""The order in which nginx asks the names of servers and their locations."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from lbkit.core.routing import When
from lbkit.importer.found import Unread
from lbkit.importer.nginx_files import Directive
from lbkit.importer.rules import anywhere

PASSES = ("fastcgi_pass", "uwsgi_pass", "scgi_pass", "grpc_pass", "memcached_pass")
EXACT, STRONG, REGEX, PREFIX = "=", "^~", "~", ""


@dataclass
class Location:
    """A location of a server."""

    kind: str  # EXACT, STRONG, REGEX or PREFIX
    path: str  # or the expression
    block: Directive
    ignore_case: bool = False
    redirects: bool = False  # nginx redirects its path without the / at its end to it

    @property
    def name(self) -> str:
        return "location " + " ".join(self.block.words[1:])

    @property
    def passes(self) -> bool:
        """Whether it hands requests to other servers: then /api is redirected to /api/."""
        return any(d.name == "proxy_pass" or d.name in PASSES for d in self.block.block or ())

    def paths(self) -> dict[str, tuple[str, ...]]:
        """Return the condition on the path; an empty one for all paths."""
        if self.kind == EXACT:
            return {"path": (self.path,)}
        if self.kind == REGEX:
            return {"regex": (anywhere(self.path, self.ignore_case),)}
        if self.path == "/":
            return {}
        if self.redirects:
            return {"prefix": (self.path[:-1],)}  # /api itself does not come here
        return {"regex": (re.escape(self.path) + ".*",)}


def in_order(locations: list[Location]) -> list[Location]:
    """Return locations in the order in which the first that fits decides."""
    rank = {EXACT: 0, STRONG: 1, REGEX: 2, PREFIX: 3}
    return sorted(
        locations, key=lambda one: (rank[one.kind], -len(one.path) if one.kind in (STRONG, PREFIX) else 0)
    )


def slashed(locations: list[Location]) -> Iterator[Location]:
    """Yield the locations such as /api/ (also exact ones) to which nginx redirects /api, if that has none."""
    prefixes = {one.path for one in locations if one.kind != REGEX}
    for one in locations:
        could = one.kind != REGEX and one.passes and one.path.endswith("/") and one.path != "/"
        if could and one.path[:-1] not in prefixes:
            yield one


def exceptions(location: Location, among: list[Location]) -> tuple[When, ...]:
    """Return the longer prefixes without ^~ inside of one with ^~: there expressions are tried first."""
    if location.kind != STRONG:
        return ()
    inside = (
        o for o in among if o.kind == PREFIX and o.path.startswith(location.path) and o.path != location.path
    )
    return tuple(When(**one.paths()) for one in inside)  # type: ignore[arg-type]


def named(server: Directive, name: str) -> list[Directive]:
    return [d for d in server.block or () if d.name == name and len(d.words) > 1]


def by_name(servers: list[Directive], unread: list[Unread]) -> Iterator[tuple[tuple[str, ...], Directive]]:
    """Yield hosts and their server, in the order of nginx: exact names, wildcards by length, default."""
    if not servers:
        return
    default = next(
        (s for s in servers if any("default_server" in d.words for d in named(s, "listen"))), servers[0]
    )
    exact: list[tuple[tuple[str, ...], Directive]] = []
    wild: list[tuple[tuple[str, ...], Directive]] = []
    for server in servers if len(servers) > 1 else ():
        names = [(d, name.lower()) for d in named(server, "server_name") for name in d.words[1:]]
        plain = []
        for d, name in names:
            if name.startswith("."):
                plain.append(name[1:])
                wild.append((("*" + name,), server))
            elif re.fullmatch(r"\*(\.[a-z0-9_-]+)+", name):
                wild.append(((name,), server))
            elif re.fullmatch(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*", name) and name != "_":
                plain.append(name)
            elif name not in ("_", '""', ""):
                unread.append(d.unread(f"server_name {name}"))
        if plain:
            exact.append((tuple(dict.fromkeys(plain)), server))
    yield from exact
    yield from sorted(wild, key=lambda one: -len(one[0][0]))
    yield (), default
