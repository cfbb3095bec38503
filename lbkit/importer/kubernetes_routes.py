"""The rules of an Ingress and of an HTTPRoute, in the order in which they decide."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from lbkit.core.routing import Action, Redirect, Rewrite, Split, ToPool, When
from lbkit.importer.found import Unread
from lbkit.importer.nodes import Node
from lbkit.importer.rules import anywhere


@dataclass(frozen=True)
class Refused:
    """Stands for an action without a counterpart, so that no other rule gets its requests."""

    why: str


@dataclass
class Routed:
    """A rule, with Services in place of pools."""

    name: str
    then: Action | Refused
    when: When
    line: int
    rank: tuple[Any, ...] = ()  # lower decides first
    rewrite: Rewrite | None = None
    unless: tuple[When, ...] = ()

    @property
    def services(self) -> tuple[str, ...]:
        return () if isinstance(self.then, Refused) else self.then.pools


@dataclass
class Found:
    rules: list[Routed] = field(default_factory=list)
    first: list[str] = field(
        default_factory=list
    )  # the Service of requests that match no rule, if there is one
    unread: list[Unread] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def _hosts(names: list[str]) -> dict[str, Any]:
    """Return the condition. A star stands for any number of labels, as it does in an HTTPRoute."""
    return {"host": tuple(name.lower() for name in names)} if names else {}


def ingress_rules(node: Node) -> Found:
    """Return the rules of an Ingress. Raises ImportFault.

    The exact path is first, then the longest prefix, within a host; a host without a star comes first. The
    star of a host is a single label.
    https://kubernetes.io/docs/concepts/services-networking/ingress/#multiple-matches"""
    found, spec = Found(), node.inside("spec")
    for annotation in node.inside("metadata").inside("annotations").all():
        if not str(annotation).startswith(("kubectl.kubernetes.io/", "meta.helm.sh/", "cert-manager.io/")):
            line = node.inside("metadata").line_of("annotations")
            found.unread.append(Unread(node.file, line, f"annotation {annotation}", "annotation"))
    if "tls" in spec:
        found.notes.append("TLS is not imported: give the experiment a `tls`")
    if "defaultBackend" in spec:
        found.first = [_service(spec.inside("defaultBackend"))]
    for rule in spec.each("rules"):
        host = rule.text("host")
        longer = f"*.{host}*".lower()  # with a second label in place of the star
        unless = (When(header={"host": longer}),) if host.startswith("*") else ()
        for path in rule.inside("http").each("paths"):
            kind, top = path.text("pathType", "ImplementationSpecific"), path.text("path") or "/"
            when: dict[str, Any] = _hosts([host] if host else [])
            if kind == "Exact":
                when["path"] = (top,)
            elif top != "/":
                when["prefix"] = (top.rstrip("/"),)
            rank = (not host, host.startswith("*"), kind != "Exact", -len(top))
            name = f"{host}{top}" if kind != "Exact" else f"{host}{top} (exact)"
            try:
                then: Action | Refused = ToPool(_service(path.inside("backend")))
            except LookupError as error:
                found.unread.append(Unread(node.file, path.line, f"{path.place}: {error}", "backend"))
                then = Refused(str(error))
            _add(found, node, path, name, then, when, rank, unless=unless)
            if kind == "ImplementationSpecific" and _AS_PREFIX not in found.notes:
                found.notes.append(_AS_PREFIX)
    found.rules.sort(key=lambda rule: rule.rank)
    return found


_AS_PREFIX = "paths of the type ImplementationSpecific are the controller's choice: Prefix is assumed"


def _service(backend: Node) -> str:
    """Return the name of a backend's Service. Raises LookupError for a backend of another kind."""
    service = backend.inside("service")
    service.raw("port")
    name = service.text("name") or backend.text("serviceName")  # as before networking.k8s.io/v1
    backend.raw("servicePort")
    if not name:
        raise LookupError("a backend that is no Service")
    return name


def _add(
    found: Found,
    node: Node,
    at: Node,
    name: str,
    then: Action | Refused,
    when: dict[str, Any],
    rank: tuple[Any, ...],
    rewrite: Rewrite | None = None,
    unless: tuple[When, ...] = (),
) -> None:
    try:
        found.rules.append(Routed(name, then, When(**when), at.line, rank, rewrite, unless))
    except ValueError as error:
        found.unread.append(Unread(node.file, at.line, f"{at.place}: {name} ({error})", "rule"))


# -- Gateway API -------------------------------------------------------------------------------------------


def gateway_rules(node: Node) -> Found:
    """Return the rules of an HTTPRoute. Raises ImportFault.

    Of several that fit, an exact path decides, then the longest prefix, a method, the most header fields, the
    most parameters, and the first of the file.
    https://gateway-api.sigs.k8s.io/reference/spec/#httprouterule"""
    found, spec = Found(), node.inside("spec")
    hosts = spec.texts("hostnames")
    for i, rule in enumerate(spec.each("rules")):
        rewrite: Rewrite | None = None
        then: Action | Refused
        try:
            then, rewrite = _filtered(rule, found)
        except LookupError as error:
            found.unread.append(Unread(node.file, rule.line, f"{rule.place}: {error}", "filter"))
            then = Refused(str(error))
            rule.raw("filters")
            rule.raw("backendRefs")
        for key in ("timeouts", "retry", "sessionPersistence"):
            if key in rule:
                found.unread.append(Unread(node.file, rule.line_of(key), f"{rule.place}.{key}", key))
                rule.raw(key)
        matches = rule.each("matches")
        for match in matches or [rule.inside("no matches")]:
            name = rule.text("name") or f"rule {i}"
            try:
                when, rank = _match(match)
            except LookupError as error:
                found.unread.append(Unread(node.file, match.line, f"{match.place}: {error}", "match"))
                continue
            label = f"{name}: {match.inside('path').text('value') or '/'}" if matches else name
            _add(found, node, match, label, then, {**_hosts(hosts), **when}, (*rank, i), rewrite)
    found.rules.sort(key=lambda one: one.rank)
    return found


def _match(node: Node) -> tuple[dict[str, Any], tuple[Any, ...]]:
    """Return the conditions of a match, and its place among others. Raises LookupError."""
    when: dict[str, Any] = {}
    path = node.inside("path")
    kind, value = path.text("type", "PathPrefix"), path.text("value", "/")
    if kind == "Exact":
        when["path"] = (value,)
    elif kind == "RegularExpression":
        when["regex"] = (value,)
    elif kind != "PathPrefix":
        raise LookupError(f"paths by {kind}")
    elif value != "/":
        when["prefix"] = (value.rstrip("/"),)
    if method := node.text("method"):
        when["method"] = (method,)
    for key, field_of in (("headers", "header"), ("queryParams", "query")):
        for one in node.each(key):
            exact = one.text("type", "Exact") == "Exact"
            text = one.text("value")
            if exact and ("*" in text or text.startswith("~")):
                raise LookupError(f"a star or ~ in the value of {one.text('name')}")
            when.setdefault(field_of, {})[one.text("name")] = text if exact else "~" + anywhere(text)
    counts = [len(when.get(name, {})) for name in ("header", "query")]
    return when, (kind != "Exact", -len(value), not method, -counts[0], -counts[1])


def _filtered(rule: Node, found: Found) -> tuple[Action, Rewrite | None]:
    """Return what a rule does, and how it changes requests. LookupError: no counterpart."""
    rewrite = None
    for one in rule.each("filters"):
        kind = one.text("type")
        if kind == "RequestRedirect":
            return _redirect(one.inside("requestRedirect")), None
        if kind not in _FILTERS:
            raise LookupError(f"filter {kind}")
        changed = _FILTERS[kind](one, found)
        if changed and rewrite:
            raise LookupError("two filters that change requests")
        rewrite = changed or rewrite
    shares: dict[str, float] = {}
    for one in rule.each("backendRefs"):
        one.raw("port")
        if one.text("kind", "Service") != "Service":
            raise LookupError(f"a backend of kind {one.text('kind')}")
        if "filters" in one:
            raise LookupError("filters of one backend")
        weight = one.number("weight", 1)
        shares[one.text("name")] = shares.get(one.text("name"), 0) + weight
    if not any(shares.values()):
        raise LookupError("no backend")
    try:
        return (ToPool(next(iter(shares))) if len(shares) == 1 else Split(shares, key="")), rewrite
    except ValueError as error:
        raise LookupError(str(error)) from None


def _headers(node: Node, found: Found) -> Rewrite | None:
    change = node.inside("requestHeaderModifier")
    if change.each("add"):
        found.notes.append("header fields that a filter adds take the place of those that requests have")
    fields = {one.text("name"): one.text("value") for key in ("set", "add") for one in change.each(key)}
    try:
        return Rewrite(set=fields, remove=tuple(change.texts("remove")))
    except ValueError as error:
        raise LookupError(str(error)) from None


def _rewrite(node: Node, found: Found) -> Rewrite | None:
    change = node.inside("urlRewrite")
    path = change.inside("path")
    fields = {"Host": change.text("hostname")} if "hostname" in change else {}
    try:
        if path.text("type") == "ReplaceFullPath":
            return Rewrite(path.text("replaceFullPath"), set=fields)
        if path.text("type") == "ReplacePrefixMatch":
            return Rewrite(path.text("replacePrefixMatch").rstrip("/") + "{rest}", set=fields)
        return Rewrite(set=fields)
    except ValueError as error:
        raise LookupError(str(error)) from None


def _listed(node: Node, found: Found) -> Rewrite | None:
    """List a filter that is left out; requests are handled as if it were not there."""
    kind = node.text("type")
    node.raw(kind[0].lower() + kind[1:])
    found.unread.append(Unread(node.file, node.line, f"{node.place}: filter {kind}", kind))
    return None


_FILTERS: dict[str, Callable[[Node, Found], Rewrite | None]] = {
    "RequestHeaderModifier": _headers,
    "URLRewrite": _rewrite,
    "ResponseHeaderModifier": _listed,
    "RequestMirror": _listed,
    "CORS": _listed,
}


def _redirect(node: Node) -> Action:
    scheme, host = node.text("scheme"), node.text("hostname", "{host}")
    port, status = node.text("port"), node.whole("statusCode", 302)
    path = node.inside("path")
    target = {
        "ReplaceFullPath": path.text("replaceFullPath"),
        "ReplacePrefixMatch": path.text("replacePrefixMatch").rstrip("/") + "{rest}",
    }.get(path.text("type"), "{path}")
    target += "{query}"
    try:
        if not scheme and host == "{host}" and not port:
            return Redirect(target, status)
        if not scheme:
            raise LookupError("a redirect by the same scheme, which is not known here")
        return Redirect(f"{scheme}://{host}{':' + port if port else ''}{target}", status)
    except ValueError as error:
        raise LookupError(str(error)) from None
