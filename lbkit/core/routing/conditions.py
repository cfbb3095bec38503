"""The conditions of a rule, and what each of them says about a request."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import NamedTuple

from lbkit.core.options import named_fields
from lbkit.core.routing.facts import Facts
from lbkit.core.routing.paths import below, normal_path
from lbkit.core.routing.patterns import SafeRegex, glob

Found = dict[str, str]  # what a path leaves for templates: "rest", and the groups of a regular expression
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_HOST = re.compile(r"(?:\*\.)?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\]|\Z")


class Condition(NamedTuple):
    """A part of the request, and what it has to be."""

    what: str  # such as "method"
    wanted: str  # such as "GET or HEAD"
    actual: Callable[[Facts], str]
    holds: Callable[[Facts, Found], bool]


@named_fields
@dataclass(frozen=True, slots=True)
class When:
    """The conditions of a rule: all fields that are given must fit, each with one of its values.

    `path`, `prefix` and `regex` are three ways to name paths, of which one must fit: exactly this path; this
    path and all below it; a regular expression for the whole path (see patterns.py for its limits). They see
    the path in normal form (paths.py). `host`: names without port, or *.example.org for all names below it.
    `header`, `cookie`, `query`: a name and a text, in which * stands for any text; "" means absent or empty,
    and of several fields of one name any may fit. A text that begins with ~ is a regular expression.
    `content_type`: media types without parameters; image/* works. `client`: addresses and networks.
    Raises ValueError.
    """

    host: tuple[str, ...] = ()
    path: tuple[str, ...] = ()
    prefix: tuple[str, ...] = ()
    regex: tuple[str, ...] = ()
    method: tuple[str, ...] = ()
    header: Mapping[str, str] = field(default_factory=dict)
    cookie: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    content_type: tuple[str, ...] = ()
    client: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("host", "path", "prefix", "regex", "method", "content_type", "client"):
            value = getattr(self, name)
            if isinstance(value, str) or not all(isinstance(one, str) for one in value):
                raise ValueError(f"{name} is {value!r}: use a list of texts")
            object.__setattr__(self, name, tuple(value))
        self.conditions()

    def conditions(self) -> list[Condition]:
        """Return the conditions, cheap ones first. Raises ValueError."""
        found = [build(getattr(self, name)) for name, build in _BUILDERS.items() if getattr(self, name)]
        if self.path or self.prefix or self.regex:
            found.append(_paths(self))
        for kind, read in _NAMED.items():
            for name, pattern in getattr(self, kind).items():
                found.append(_named(kind, name, pattern, read))
        return found

    def regexes(self) -> Iterator[SafeRegex]:
        for pattern in self.regex:
            try:
                yield SafeRegex(pattern)
            except ValueError as error:
                raise ValueError(f"regex {error}") from None


def exception(when: When) -> Condition:
    """Return the condition that `when` does not fit. Raises ValueError for one that fits everything."""
    conditions = when.conditions()
    if not conditions:
        raise ValueError("unless has no conditions, so the rule would never fit: name some")

    def fits(facts: Facts) -> bool:
        return all(condition.holds(facts, {}) for condition in conditions)

    text = ", ".join(f"{what} is {wanted}" for what, wanted, _, _ in conditions)
    return Condition(
        f"{EXCEPTION}{text})", "false", lambda f: "true" if fits(f) else "false", lambda f, _: not fits(f)
    )


EXCEPTION = "the exception ("


def either(words: Iterable[str]) -> str:
    return " or ".join(words)


def _methods(names: tuple[str, ...]) -> Condition:
    for name in names:
        if not TOKEN.match(name) or name != name.upper():
            raise ValueError(f"method has {name!r}: use a method in capitals, such as GET")
    wanted = frozenset(names)
    return Condition("method", either(names), lambda f: f.method, lambda f, _: f.method in wanted)


def _hosts(names: tuple[str, ...]) -> Condition:
    for name in names:
        if not name or not _HOST.fullmatch(name):
            raise ValueError(
                f"host has {name!r}: use a name in lower case without port, such as a.org or *.a.org"
            )
    exact = frozenset(names)
    ends = tuple(name[1:] for name in names if name.startswith("*."))
    return Condition(
        "host",
        either(names),
        lambda f: f.host,
        lambda f, _: f.host in exact or (f.host.endswith(ends) and not f.host.startswith(".")),
    )


def _networks(texts: tuple[str, ...]) -> Condition:
    networks: list[IPv4Network | IPv6Network] = []
    for text in texts:
        try:
            networks.append(ip_network(text))
        except ValueError as error:
            raise ValueError(f"client: {error}; use addresses or networks such as 10.0.0.0/8") from None
    return Condition(
        "client",
        "in " + either(texts),
        lambda f: f.request.client,
        # An address of the other version is in none of them.
        lambda f, _: f.address is not None and any(f.address in network for network in networks),
    )


def _types(patterns: tuple[str, ...]) -> Condition:
    for pattern in patterns:
        if not re.fullmatch(r"[a-z0-9!#$&^_.+*-]+/[a-z0-9!#$&^_.+*-]+", pattern):
            raise ValueError(
                f"content_type has {pattern!r}: use types in lower case, such as application/json or image/*"
            )
    globs = [glob(pattern) for pattern in patterns]
    return Condition(
        "content type",
        either(patterns),
        lambda f: f.content_type or "absent",
        lambda f, _: any(g.fullmatch(f.content_type) for g in globs),
    )


# The path is last of these: regular expressions are the most expensive.
_BUILDERS: dict[str, Callable[[tuple[str, ...]], Condition]] = {
    "method": _methods,
    "host": _hosts,
    "client": _networks,
    "content_type": _types,
}


def _paths(when: When) -> Condition:
    for name in ("path", "prefix"):
        for path in getattr(when, name):
            normal = normal_path(path.replace("%", "%25").replace("?", "%3F").encode())
            if path != normal:
                raise ValueError(f"{name} has {path!r}, which no path in normal form is: use {normal!r}")
    exact, regexes = frozenset(when.path), list(when.regexes())

    def holds(facts: Facts, found: Found) -> bool:
        path = facts.path
        if path in exact:
            found["rest"] = ""
            return True
        for top in when.prefix:
            if (rest := below(path, top)) is not None:
                found["rest"] = rest
                return True
        for regex in regexes:
            if match := regex.match(path):
                found.update({str(i + 1): text or "" for i, text in enumerate(match.groups())})
                found.update({name: text or "" for name, text in match.groupdict().items()})
                return True
        return False

    wanted = [*when.path, *(f"below {top}" for top in when.prefix), *(f"~{regex}" for regex in when.regex)]
    return Condition("path", either(wanted), lambda f: f.path, holds)


_NAMED: dict[str, Callable[[Facts, str], list[str]]] = {
    "header": Facts.header,
    "cookie": Facts.cookie,
    "query": Facts.parameter,
}


def _named(kind: str, name: str, pattern: str, read: Callable[[Facts, str], list[str]]) -> Condition:
    """Return the condition on a header field, a cookie or a parameter of the query."""
    if not isinstance(name, str) or not name or (kind != "query" and not TOKEN.match(name)):
        raise ValueError(f"{kind} has {name!r}: use the name of a {kind}")
    if not isinstance(pattern, str):
        raise ValueError(f"{kind}.{name} is {pattern!r}: use a text, in which * stands for any text")
    fits: Callable[[str], object]
    if pattern.startswith("~"):
        try:
            fits = SafeRegex(pattern[1:]).match
        except ValueError as error:
            raise ValueError(f"{kind}.{name} {error}") from None
    else:
        fits = glob(pattern).fullmatch

    def holds(facts: Facts, found: Found) -> bool:
        values = read(facts, name)
        return any(fits(value) for value in values) if pattern else not any(values)

    def actual(facts: Facts) -> str:
        return ", ".join(map(repr, read(facts, name))) or "absent"

    wanted = repr(pattern) if pattern else "absent"
    return Condition(f"{kind} {name}", wanted, actual, holds)
