"""Reads the conditions and actions of an ALB's listener rules into those of `core.routing`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from itertools import product
from typing import Any

from lbkit.core.routing import Action, Body, Fixed, Redirect, Split, ToPool, When
from lbkit.importer.found import ImportFault, Unread, Upstream
from lbkit.importer.nodes import Node
from lbkit.importer.rules import anywhere, not_imported

_PORT = "(?::[0-9]{1,5})?"  # may follow the host
_METHOD = re.compile(r"[A-Z]{1,20}")


def conditions(rule: Node) -> list[When]:
    """Return the alternatives of a rule; one has to match. Raises ValueError without a counterpart."""
    parts = [_condition(one) for one in rule.each("Conditions")]
    found = []
    for some in product(*parts):
        fields: dict[str, Any] = {}
        for part in some:
            for name, value in part.items():
                if isinstance(value, dict):
                    if fields.get(name, {}).keys() & value.keys():
                        raise ValueError(f"two conditions on the {name} {next(iter(value))}")
                    fields[name] = {**fields.get(name, {}), **value}
                elif name in fields:
                    raise ValueError(f"two conditions on the {name}")
                else:
                    fields[name] = value
        found.append(When(**fields))
    return found


Part = dict[str, Any]  # fields of a When


def _condition(node: Node) -> list[Part]:
    """Return the alternatives of one condition, usually a single one."""
    name = node.text("Field")
    if name not in _FIELDS:
        raise ValueError(f"a condition on {name}")
    return _FIELDS[name](node)


def _values(node: Node, config: str) -> tuple[list[str], list[str]]:
    """Return the values of a condition, and its regular expressions."""
    inside = node.inside(config)
    values = inside.texts("Values") or node.texts("Values")
    node.raw("Values")
    expressions = inside.texts("RegexValues") or node.texts("RegexValues")
    node.raw("RegexValues")
    if not values and not expressions:
        raise ValueError(f"a condition on {node.text('Field')} without values")
    return values, expressions


def _paths(node: Node) -> list[Part]:
    values, expressions = _values(node, "PathPatternConfig")
    return [{"regex": (*map(wildcards, values), *map(anywhere, expressions))}]


def _hosts(node: Node) -> list[Part]:
    values, expressions = _values(node, "HostHeaderConfig")
    names = [value.lower() for value in values]
    if not expressions and all(re.fullmatch(r"(?:\*\.)?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*", one) for one in names):
        return [{"host": tuple(names)}]
    return [{"header": {"host": _any([*map(wildcards, names), *map(anywhere, expressions)], _PORT)}}]


def _header(node: Node) -> list[Part]:
    config = node.inside("HttpHeaderConfig")
    name = config.text("HttpHeaderName")
    values, expressions = _values(node, "HttpHeaderConfig")
    return [{"header": {name: _any([*map(wildcards, values), *map(anywhere, expressions)])}}]


def _methods(node: Node) -> list[Part]:
    values, _ = _values(node, "HttpRequestMethodConfig")
    if odd := [one for one in values if not _METHOD.fullmatch(one)]:
        raise ValueError(f"the method {odd[0]}")
    return [{"method": tuple(values)}]


def _query(node: Node) -> list[Part]:
    pairs = [(one.text("Key"), one.text("Value")) for one in node.inside("QueryStringConfig").each("Values")]
    node.raw("Values")
    if not pairs:
        raise ValueError("a condition on query-string without values")
    if any(not key or {"*", "?"} & set(key) for key, _ in pairs):
        raise ValueError("a condition on any parameter of the query")
    return [{"query": {key: _any([wildcards(value)])}} for key, value in pairs]


def _sources(node: Node) -> list[Part]:
    values, _ = _values(node, "SourceIpConfig")
    return [{"client": tuple(values)}]


_FIELDS: dict[str, Callable[[Node], list[Part]]] = {
    "path-pattern": _paths,
    "host-header": _hosts,
    "http-header": _header,
    "http-request-method": _methods,
    "query-string": _query,
    "source-ip": _sources,
}


def wildcards(text: str) -> str:
    """Return the regular expression of a pattern in which * is any text, and ? any character."""
    return "".join({"*": ".*", "?": "."}.get(one) or re.escape(one) for one in text)


def _any(expressions: Iterable[str], end: str = "") -> str:
    """Return a When's pattern for any of these expressions; as in ALB, case does not matter."""
    return f"~(?i)(?:{'|'.join(expressions)}){end}"


# -- actions ----------------------------------------------------------------------------------------------


def action(node: Node, key: str, pools: dict[str, str], upstream: Upstream, port: str = "") -> Action:
    """Return the final action of a rule. One without a counterpart becomes an answer that says so, so that no
    other rule gets its requests. `port`: the listener's."""
    for one in sorted(node.each(key), key=lambda one: one.whole("Order")):
        kind = one.text("Type")
        read = _ACTIONS.get(kind)
        if read is None:
            text = f"{one.place}: {kind or 'no type'} (no counterpart)"
            upstream.unread.append(Unread(node.file, one.line, text, kind))
            one.all()
            continue
        try:
            return read(one, pools, port)
        except ImportFault:
            raise
        except ValueError as error:
            upstream.unread.append(Unread(node.file, one.line, f"{one.place}: {kind} ({error})", kind))
            return not_imported(kind)
    return not_imported("a rule without an action")


def _forward(node: Node, pools: dict[str, str], own: str) -> Action:
    config = node.inside("ForwardConfig")
    # A single group is given in both places.
    weights = {one.text("TargetGroupArn"): one.number("Weight", 1) for one in config.each("TargetGroups")}
    if not weights:
        weights = {node.text("TargetGroupArn"): 1.0}
    node.raw("TargetGroupArn")
    sticky = config.inside("TargetGroupStickinessConfig")
    keeps = sticky.flag("Enabled")
    sticky.raw("DurationSeconds")
    if not any(weights.values()):
        return Fixed(503, Body("all target groups have weight 0\n"))
    if len(weights) == 1:
        return ToPool(pools.get(next(iter(weights)), "default"))
    shares: dict[str, float] = {}
    for arn, weight in weights.items():
        pool = pools.get(arn, arn.rpartition("/")[2] or arn)
        shares[pool] = shares.get(pool, 0.0) + weight
    return Split(shares, key="client" if keeps else "")


def _redirect(node: Node, pools: dict[str, str], own: str) -> Action:
    """Return a redirect: what it does not say is as in the request, the port too.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_RedirectActionConfig.html"""
    config = node.inside("RedirectConfig")
    protocol = config.text("Protocol", "#{protocol}").lower()
    host, port = config.text("Host", "#{host}"), config.text("Port", "#{port}")
    path, query = config.text("Path", "/#{path}"), config.text("Query", "#{query}")
    status = config.text("StatusCode", "HTTP_302").removeprefix("HTTP_")
    for name, value in (
        ("protocol", protocol),
        ("host", host),
        ("port", port),
        ("path", path),
        ("query", query),
    ):
        if "#{" in value.replace(f"#{{{name}}}", "").replace("/#{path}", ""):
            raise ValueError(f"{name} {value} uses other parts of the URL")
    usual = {"https": "443", "http": "80"}.get(protocol, "")
    if port == "#{port}" and usual:  # the port stays, also where the protocol changes
        port = own or usual
    place = "" if port in ("#{port}", usual) else f":{port}"
    target = path.replace("/#{path}", "{path}").replace("#{path}", "{path}")
    target += "{query}" if query == "#{query}" else f"?{query}" if query else ""
    if "#{query}" in target:
        raise ValueError(f"query {query} contains the old query")
    host = host.replace("#{host}", "{host}")
    if protocol == "#{protocol}":
        if host == "{host}" and not place:
            return Redirect(target, int(status))
        raise ValueError("a redirect to another host that keeps the protocol")
    return Redirect(f"{protocol}://{host}{place}{target}", int(status))


def _fixed(node: Node, pools: dict[str, str], own: str) -> Action:
    config = node.inside("FixedResponseConfig")
    status = config.whole("StatusCode", 200)
    body = Body(config.text("MessageBody"))
    return Fixed(status, body, config.text("ContentType") or "text/plain")


_ACTIONS: dict[str, Callable[[Node, dict[str, str], str], Action]] = {
    "forward": _forward,
    "redirect": _redirect,
    "fixed-response": _fixed,
}
