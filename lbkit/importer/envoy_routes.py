"""Envoy's routes as rules: the virtual host of the nearest domain, then its routes in their order."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lbkit.core.routing import Action, Body, Fixed, Redirect, Rewrite, Split, ToPool, When
from lbkit.importer.found import Unread, Upstream
from lbkit.importer.nodes import Node
from lbkit.importer.rules import anywhere, not_imported

Rank = tuple[int, int]  # how near a domain is; the lowest decides first
ANY: Rank = (2, 0)


@dataclass
class Routed:
    """A route, with clusters in place of pools."""

    name: str
    then: Action
    when: When
    line: int
    rewrite: Rewrite | None = None
    retries: int = 0

    @property
    def clusters(self) -> tuple[str, ...]:
        return self.then.pools

    def action(self, pools: Mapping[str, str]) -> Action:
        """Return what it does, with the names of pools."""
        if isinstance(self.then, ToPool):
            return ToPool(pools[self.then.pool])
        if isinstance(self.then, Split):
            return Split({pools[name]: share for name, share in self.then.shares.items()}, key="")
        return self.then


def routes(config: Node, upstream: Upstream) -> list[Routed]:
    """Return the routes of all virtual hosts; what is not understood is listed. Raises ImportFault.

    An exact domain comes before one that begins with a star, and the longest star first.
    https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/route/v3/route_components.proto"""
    found: list[tuple[Rank, int, Routed]] = []
    hosts = config.each("virtual_hosts")
    for host in hosts:
        retries = host.inside("retry_policy").whole("num_retries", 1) if "retry_policy" in host else 0
        for key in (
            "retry_policy",
            "cors",
            "rate_limits",
            "request_headers_to_add",
            "response_headers_to_add",
        ):
            if key in host and key != "retry_policy":
                upstream.unread.append(Unread(host.file, host.line_of(key), f"{host.place}.{key}", key))
                host.raw(key)
        domains = [_domain(name) for name in host.texts("domains")]
        any_domain = "*" in domains or not domains
        names = list(dict.fromkeys(name for name in domains if name != "*"))
        if odd := [name for name in names if not re.fullmatch(r"(\*\.)?[a-z0-9._-]+", name)]:
            upstream.unread.append(Unread(host.file, host.line, f"{host.place}.domains: {odd[0]}", "domains"))
            names = [name for name in names if name not in odd]
        title = f"{host.text('name')}: " if len(hosts) > 1 else ""
        for rank, group in _groups(names, any_domain):
            for route in host.each("routes"):
                if one := _route(route, title, group, retries, upstream):
                    found.append((rank, len(found), one))
            if group:
                # Within a virtual host no other one is asked.
                end = Routed(f"{host.text('name')}: no route", Fixed(404), When(host=group), host.line)
                found.append((rank, len(found), end))
    if found and not any(rank == ANY for rank, _, _ in found):
        found.append((ANY, len(found), Routed("no domain", Fixed(404), When(), config.line)))
    upstream.unread[:] = dict.fromkeys(upstream.unread)  # of a host with several kinds of domains
    return [one for _, _, one in sorted(found, key=lambda entry: entry[:2])]


def _groups(names: list[str], any_domain: bool) -> list[tuple[Rank, tuple[str, ...]]]:
    """Return the domains of a virtual host that are equally near, each group with its rank: the exact ones,
    each that begins with a star, and any other."""
    exact = tuple(name for name in names if not name.startswith("*"))
    stars = [name for name in names if name.startswith("*")]
    found: list[tuple[Rank, tuple[str, ...]]] = [((0, 0), exact)] if exact else []
    found += [((1, -len(name)), (name,)) for name in stars]
    return [*found, (ANY, ())] if any_domain else found


def _domain(name: str) -> str:
    """Return a domain in lower case, without its port: rules compare names only."""
    return re.sub(r":([0-9]+|\*)\Z", "", name.lower())


def _route(node: Node, title: str, hosts: tuple[str, ...], retries: int, upstream: Upstream) -> Routed | None:
    match = node.inside("match")
    try:
        label, when = _match(match)
        rewrite = _rewrite(node.inside("route"), match)
        if rewrite and match.text("prefix") == "/":
            when["regex"] = ("/(.*)",)
    except ValueError as error:
        upstream.unread.append(Unread(node.file, node.line, f"{node.place}.match: {error}", "match"))
        for key in ("route", "redirect", "direct_response"):
            node.raw(key)
        return None
    name = title + (node.text("name") or label)
    try:
        condition = When(host=hosts, **when)
    except ValueError as error:
        upstream.unread.append(Unread(node.file, node.line, f"{node.place}: {error}", "match"))
        return None
    for key in ("request_headers_to_add", "response_headers_to_add", "typed_per_filter_config", "decorator"):
        if key in node:
            node.raw(key)
            upstream.unread.append(Unread(node.file, node.line_of(key), f"{node.place}.{key}", key))
    try:
        if "redirect" in node:
            return Routed(name, _redirect(node.inside("redirect")), condition, node.line)
        if "direct_response" in node:
            return Routed(name, _direct(node.inside("direct_response")), condition, node.line)
        route = node.inside("route")
        if "retry_policy" in route:
            retries = route.inside("retry_policy").whole("num_retries", 1)
        if not rewrite and "regex_rewrite" in route:
            raise ValueError("regex_rewrite")
        return Routed(name, _clusters(route, upstream), condition, node.line, rewrite, retries)
    except ValueError as error:
        if type(error) is not ValueError:
            raise
        upstream.unread.append(Unread(node.file, node.line, f"{node.place}: {error}", "route"))
        return Routed(name, not_imported(str(error)), condition, node.line)


def _match(node: Node) -> tuple[str, dict[str, Any]]:
    """Return a label and the conditions of a match. Raises ValueError for what has no counterpart."""
    when: dict[str, Any] = {}
    if prefix := node.text("prefix"):
        label = prefix
        # Envoy's prefixes are of texts: /api is also one of /apis.
        if prefix != "/":
            when["regex"] = (f"{re.escape(prefix)}(.*)",)
    elif path := node.text("path"):
        label, when["path"] = path, (path,)
    elif top := node.text("path_separated_prefix"):
        label, when["prefix"] = top, (top,)
    elif "safe_regex" in node:
        label = node.inside("safe_regex").text("regex")
        when["regex"] = (label,)
        node.inside("safe_regex").raw("google_re2")
    else:
        raise ValueError("a match without prefix, path or regular expression")
    if node.text("case_sensitive") == "false":
        raise ValueError("paths in any case")
    for one in node.each("headers"):
        name, text = one.text("name"), _text(one)
        if one.flag("invert_match"):
            raise ValueError("invert_match")
        if name == ":method":
            when["method"] = (text,)
        elif name == ":authority":
            when.setdefault("header", {})["host"] = text
        else:
            when.setdefault("header", {})[name] = text
    for one in node.each("query_parameters"):
        when.setdefault("query", {})[one.text("name")] = _text(one)
    if "runtime_fraction" in node:
        raise ValueError("runtime_fraction")
    return label, when


def _text(node: Node) -> str:
    """Return the pattern that a header field or a parameter has to fit. Raises ValueError."""
    if node.flag("present_match"):
        return "*"
    match = node.inside("string_match") if "string_match" in node else node
    for key, pattern in (
        ("exact", "{}"),
        ("exact_match", "{}"),
        ("prefix", "{}*"),
        ("prefix_match", "{}*"),
        ("suffix", "*{}"),
        ("suffix_match", "*{}"),
        ("contains", "*{}*"),
    ):
        if text := match.text(key):
            if "*" in text or text.startswith("~"):
                raise ValueError(f"a star or ~ in {text}")
            return pattern.format(text)
    for key in ("safe_regex", "safe_regex_match"):
        if key in match:
            return "~" + anywhere(f"^{match.inside(key).text('regex')}$")
    raise ValueError(f"a match of {node.text('name')} of another kind")


def _clusters(route: Node, upstream: Upstream) -> Action:
    for key in ("timeout", "idle_timeout", "hash_policy", "rate_limits", "cors", "request_mirror_policies"):
        if key in route:
            route.raw(key)
            upstream.unread.append(Unread(route.file, route.line_of(key), f"{route.place}.{key}", key))
    if name := route.text("cluster"):
        return ToPool(name)
    shares: dict[str, float] = {}
    for one in route.inside("weighted_clusters").each("clusters"):
        shares[one.text("name")] = shares.get(one.text("name"), 0) + one.number("weight")
    if not any(shares.values()):
        raise ValueError("a route without a cluster")
    return Split(shares, key="") if len(shares) > 1 else ToPool(next(iter(shares)))


_REST = {"prefix": "{1}", "path_separated_prefix": "{rest}"}


def _rewrite(route: Node, match: Node) -> Rewrite | None:
    """Return how the path or the host changes: the text that matched becomes another one, so of /apis, with
    /x for the prefix /api, /xs; a path as a whole. (RouteAction.prefix_rewrite, on the same page.)"""
    fields = {"Host": host} if (host := route.text("host_rewrite_literal")) else {}
    path = route.text("prefix_rewrite")
    if path:
        path += next((rest for key, rest in _REST.items() if key in match), "")
    return Rewrite(path, fields) if path or fields else None


def _redirect(node: Node) -> Action:
    host, port = node.text("host_redirect", "{host}"), node.text("port_redirect")
    scheme = node.text("scheme_redirect") or ("https" if node.flag("https_redirect") else "")
    target = node.text("path_redirect") or "{path}"
    if "prefix_rewrite" in node:
        raise ValueError(f"a redirect with prefix_rewrite {node.text('prefix_rewrite')}")
    target += "" if node.flag("strip_query") else "{query}"
    code = node.text("response_code", "MOVED_PERMANENTLY")
    if code not in _STATUS:
        raise ValueError(f"response_code {code}")
    status = _STATUS[code]
    if not scheme and host == "{host}" and not port:
        return Redirect(target, status)
    return Redirect(f"{scheme or 'http'}://{host}{':' + port if port else ''}{target}", status)


_STATUS = {
    "MOVED_PERMANENTLY": 301,
    "FOUND": 302,
    "SEE_OTHER": 303,
    "TEMPORARY_REDIRECT": 307,
    "PERMANENT_REDIRECT": 308,
}


def _direct(node: Node) -> Action:
    body = node.inside("body").text("inline_string")
    return Fixed(node.whole("status", 200), Body(body))
