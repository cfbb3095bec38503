"""nginx's servers and locations as rules of content switching.

nginx does not ask its locations in their order: an exact one comes first; then the longest prefix is found;
if that has ^~, it is taken, else the first regular expression that fits, and only then the prefix. Written as
a list in which the first that fits decides: exact ones, ^~ by length (but not where a longer prefix without
^~ fits), expressions in order, the other prefixes by length.
(https://nginx.org/en/docs/http/ngx_http_core_module.html#location)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

from lbkit.core.routing import Action, Fixed, Redirect, Rewrite, Split, ToPool, When
from lbkit.importer.found import Unread
from lbkit.importer.nginx import key_of_variable
from lbkit.importer.nginx_files import Directive
from lbkit.importer.nginx_locations import (
    EXACT,
    PASSES,
    PREFIX,
    REGEX,
    STRONG,
    Location,
    by_name,
    exceptions,
    in_order,
    named,
    slashed,
)
from lbkit.importer.nginx_templates import answer_of, condition_of, template_of
from lbkit.importer.rules import RuleList, anywhere, not_imported

_FILES = ("root", "alias", "try_files", "index", "autoindex", "empty_gif", "stub_status")
_AT_SERVER = {"listen", "server_name", "location", "return", "rewrite", "if", "allow", "deny", *_FILES}


@dataclass
class NginxRoutes:
    """Reads the rules of servers; `pools`: the upstreams by their names."""

    unread: list[Unread]
    pools: dict[str, str] = field(default_factory=dict)  # lower case -> name; addresses join them
    addresses: dict[str, str] = field(default_factory=dict)  # pool -> address, where there is no upstream
    splits: dict[str, Split] = field(default_factory=dict)  # variable -> split_clients
    found: RuleList = field(default_factory=RuleList)
    notes: list[str] = field(default_factory=list)

    def read(self, directives: list[Directive]) -> None:
        """Read all servers of a configuration."""
        servers = list(self._servers(directives))
        if len({tuple(d.words[1].rpartition(":")[2] for d in named(s, "listen")) for s in servers}) > 1:
            self.notes.append("servers on different ports are imported as one: rules do not know the port")
        for hosts, server in by_name(servers, self.unread):
            self._server(hosts, server, many=len(servers) > 1)

    def _servers(self, directives: list[Directive]) -> Iterator[Directive]:
        for d in directives:
            if d.name == "split_clients" and len(d.words) == 3 and d.block is not None:
                try:
                    self.splits[d.words[2]] = self._split(d)
                except ValueError as error:
                    self.unread.append(d.unread(f"{' '.join(d.words)} ({error})"))
            elif d.name == "http" and d.block is not None:
                yield from self._servers(d.block)
            elif d.name == "server" and d.block is not None:
                yield d
            elif d.name in ("allow", "deny", "map", "geo"):  # the others decide nothing about requests
                self.unread.append(d.unread())

    def _split(self, d: Directive) -> Split:
        shares: dict[str, float] = {}
        left = 100.0
        for line in d.block or ():
            share, value = line.words[0], line.words[-1]
            percent = left if share == "*" else float(share.rstrip("%"))
            name = self._pool(value)
            shares[name] = shares.get(name, 0.0) + percent
            left -= percent
        variables = re.findall(r"\$\w+", re.sub(r"\$\{(\w+)\}", r"$\1", d.words[1]))
        key = key_of_variable(variables[0]) if len(variables) == 1 else ""
        if not key and variables != ["$request_id"]:
            raise ValueError("its key has no counterpart")
        if key:
            self.notes.append(f"{d.unread()}: the shares are the same, by another hash of the {key}")
        return Split({name: round(share, 6) for name, share in shares.items()}, key)

    # -- one server --------------------------------------------------------------------------

    def _server(self, hosts: tuple[str, ...], server: Directive, many: bool) -> None:
        block = server.block or []
        title = f"{hosts[0] if hosts else 'default server'}: " if many else ""
        add = partial(self._add, title, hosts)
        for d in block:
            if d.name == "return":
                self._try(d, partial(self._return, add, d))
                return  # nothing else of the server is ever reached
            if d.name == "rewrite":
                self._try(d, partial(self._rewrite, add, d))
            elif d.name == "if":
                self._try(d, partial(self._if, title, hosts, d))
            elif d.name not in _AT_SERVER:
                self.unread.append(d.unread())
        locations = list(self._locations(block))
        access = [d for d in block if d.name in ("allow", "deny")]
        for location in slashed(locations):
            location.redirects = True
            redirect = Redirect(location.path + "{query}", 301)
            add(f"{location.name} without its /", redirect, {"path": (location.path[:-1],)})
        for location in in_order(locations):
            self._location(add, location, locations, access)
        if not any(location.path == "/" and location.kind != EXACT for location in locations):
            add("no location", Fixed(404), {})

    def _add(
        self,
        title: str,
        hosts: tuple[str, ...],
        name: str,
        then: Action,
        fields: Mapping[str, tuple[str, ...]],
        unless: tuple[When, ...] = (),
        rewrite: Rewrite | None = None,
    ) -> None:
        self.found.add(title + name, then, When(host=hosts, **fields), unless, rewrite)  # type: ignore[arg-type]

    def _try(self, d: Directive, read: Callable[[], object]) -> None:
        """Read a directive, or list it with the reason why it has no counterpart."""
        try:
            read()
        except ValueError as error:
            self.unread.append(d.unread(f"{' '.join(d.words)} ({_reason(error)})"))

    def _locations(self, block: list[Directive]) -> Iterator[Location]:
        for d in _named_in(block, "location"):
            match d.words[1:]:
                case ["=", path]:
                    yield Location(EXACT, path, d)
                case ["^~", path]:
                    yield Location(STRONG, path, d)
                case ["~" | "~*" as how, path]:
                    yield Location(REGEX, path, d, how == "~*")
                case [path] if path.startswith("/"):
                    yield Location(PREFIX, path, d)
                case _:
                    self.unread.append(d.unread())

    def _location(
        self, add: partial[None], location: Location, among: list[Location], access: list[Directive]
    ) -> None:
        """Add the rules of a location."""
        d = location.block
        try:
            fields = location.paths()
            unless = exceptions(location, among)
            When(**fields)  # type: ignore[arg-type]
        except ValueError as error:
            self.unread.append(d.unread(f"{location.name} ({_reason(error)})"))
            return
        block = d.block or []
        answer = next((one for one in block if one.name == "return"), None)
        if answer is None:
            self._guards(add, location, fields, unless, [*(_access(block) or access)], block)
        then, rewrite = self._outcome(location, block)
        try:
            if rewrite is None:
                add(location.name, then, fields, unless)
            else:
                self._passed(add, location, then, unless, rewrite)
        except ValueError as error:
            self.unread.append(d.unread(f"{location.name} ({_reason(error)})"))
            add(location.name, not_imported(location.name), fields, unless)

    def _passed(
        self, add: partial[None], location: Location, then: Action, unless: tuple[When, ...], uri: str
    ) -> None:
        """Add a rule that replaces the location's path by that of its proxy_pass."""
        if location.kind == REGEX:
            raise ValueError("proxy_pass with a path in a location with an expression")
        if location.kind == EXACT:
            add(location.name, then, {"path": (location.path,)}, unless, Rewrite(uri))
        else:
            rest = {"regex": (re.escape(location.path) + "(.*)",)}
            add(location.name, then, rest, unless, Rewrite(uri + "{1}"))

    def _outcome(self, location: Location, block: list[Directive]) -> tuple[Action, str | None]:
        """Return what a location does with its requests, and the path of its proxy_pass, if it has one."""
        then: Action | None = None
        path: str | None = None
        for one in block:
            try:
                if one.name == "return":
                    return answer_of(one.words[1:]), None
                if one.name == "proxy_pass":
                    then, path = self._passes(one.words[1] if len(one.words) > 1 else "")
                elif one.name in (*PASSES, *_FILES, "if", "rewrite", "location") or not one.words:
                    raise ValueError("no counterpart")
                elif one.name not in ("allow", "deny", "limit_except"):
                    self.unread.append(one.unread())
            except ValueError as error:
                self.unread.append(one.unread(f"{' '.join(one.words)} ({_reason(error)})"))
                if one.name in ("return", "proxy_pass", *PASSES, "rewrite", "if"):
                    return not_imported(location.name), None
        return then or not_imported(f"{location.name}, which serves files"), path

    def _passes(self, target: str) -> tuple[Action, str | None]:
        match = re.fullmatch(r"http://(\$\w+|[\w.:-]+|\[[0-9a-fA-F:.]+\](?::\d+)?)(/[^$]*)?", target)
        if not match:
            raise ValueError("neither http:// and an upstream, nor an address")
        if match[1].startswith("$"):
            if match[1] not in self.splits or match[2]:
                raise ValueError(f"{match[1]} is no split_clients")
            return self.splits[match[1]], None
        return ToPool(self._pool(match[1])), match[2]

    def _pool(self, name: str) -> str:
        """Return the pool of an upstream or an address."""
        if name.lower() not in self.pools:
            self.pools[name.lower()] = name
            self.addresses[name] = name
        return self.pools[name.lower()]

    # -- what refuses or redirects requests --------------------------------------------------

    def _return(self, add: partial[None], d: Directive) -> None:
        """`return` of a server, for all its requests."""
        add("return", answer_of(d.words[1:]), {})

    def _rewrite(self, add: partial[None], d: Directive) -> None:
        """`rewrite` of a server that redirects."""
        if len(d.words) < 3:
            raise ValueError("has no replacement")
        pattern, to, *flags = d.words[1:]
        absolute = to.startswith(("http://", "https://"))
        if not absolute and flags not in (["redirect"], ["permanent"]):
            raise ValueError("only rewrites that redirect have a counterpart")
        to = template_of(to)
        to = to[:-1] if to.endswith("?") else to if "?" in to else to + "{query}"
        status = 301 if flags == ["permanent"] else 302
        add(f"rewrite {pattern}", Redirect(to, status), {"regex": (anywhere(pattern),)})

    def _if(self, title: str, hosts: tuple[str, ...], d: Directive) -> None:
        """`if` of a server with nothing but a `return` in it."""
        block = d.block or []
        if len(block) != 1 or block[0].name != "return":
            raise ValueError("only an if with one return in it has a counterpart")
        when, negated = condition_of(d.words[1:])
        then = answer_of(block[0].words[1:])
        if hosts and (when.host or negated):
            here = When(host=hosts)
            if when.host and not negated:
                if not set(when.host) <= set(hosts):
                    return  # never: other hosts come to other servers
                here = when
            self.found.add(title + " ".join(d.words), then, here, (when,) if negated else ())
        elif negated:
            self.found.add(title + " ".join(d.words), then, None, (when,))
        else:
            fields = {
                n: getattr(when, n) for n in ("path", "regex", "method", "header", "cookie", "query", "host")
            }
            self.found.add(title + " ".join(d.words), then, When(**{**fields, "host": when.host or hosts}))

    def _guards(
        self,
        add: partial[None],
        location: Location,
        fields: Mapping[str, tuple[str, ...]],
        unless: tuple[When, ...],
        access: list[Directive],
        block: list[Directive],
    ) -> None:
        """Add what `limit_except`, `allow` and `deny` refuse."""
        for d in _named_in(block, "limit_except"):
            if [one.words for one in d.block or ()] != [["deny", "all"]]:
                self.unread.append(d.unread())
                continue
            methods = [*d.words[1:], *(["HEAD"] if "GET" in d.words else [])]
            self._try(
                d,
                partial(
                    add,
                    f"{location.name} methods",
                    Fixed(403),
                    fields,
                    (*unless, When(method=tuple(methods))),
                ),
            )
        allowed: list[str] = []
        for d in access:
            who = d.words[1] if len(d.words) > 1 else ""
            if d.name == "allow":
                if who == "all":
                    return
                allowed.append(who)
                continue
            but = (*unless, When(client=tuple(allowed))) if allowed else unless
            here = fields if who == "all" else {**fields, "client": (who,)}
            self._try(d, partial(add, f"{location.name} deny {who}", Fixed(403), here, but))


def _named_in(block: list[Directive], name: str) -> Iterator[Directive]:
    return (d for d in block if d.name == name and (d.block is not None or name == "listen"))


def _access(block: list[Directive]) -> list[Directive]:
    return [d for d in block if d.name in ("allow", "deny")]


def _reason(error: ValueError) -> str:
    return str(error).splitlines()[0]
