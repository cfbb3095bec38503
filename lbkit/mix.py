"""The kinds of requests of an experiment, and the rules that send each to a pool of servers, as data."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import attrs
from attrs import field, frozen

from lbkit.checks import flag, number, text, whole, word
from lbkit.core.options import named_fields
from lbkit.core.routing import DEFAULT, Routing
from lbkit.core.routing.paths import normal_path
from lbkit.core.text import shown

MAX_BODY = 65_536  # characters
MAX_SIZE = 10_000_000  # bytes
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
AGENT = "lbkit"  # the User-Agent of requests, unless their kind has one
_OWN = re.compile(
    r"(?i)connection|content-encoding|content-length|host|transfer-encoding|upgrade|expect|x-forwarded-.*|x-lbkit-.*"
)


def _path(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if not (isinstance(value, str) and re.fullmatch(r"/[!-~]*[!-.0-~]", value)) or {"?", "#"} & set(value):
        raise ValueError(
            f"{attribute.name} is {shown(value)}: use a path such as /api, without a / at its end"
        )


def _is_plain(path: str) -> bool:
    """Return whether a path is one that rules can name."""
    return bool(re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", path)) and normal_path(path.encode()) == path


def _query(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if not (isinstance(value, str) and re.fullmatch(r'[!"$-~]*', value) and not value.startswith("?")):
        raise ValueError(
            f"{attribute.name} is {shown(value)}: use a text such as beta=1, without the ? and spaces (%20)"
        )


def _host(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if not (isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9.-]*", value)):
        raise ValueError(f"{attribute.name} is {shown(value)}: use a name such as example.org")


def _fields(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if not isinstance(value, Mapping):
        raise ValueError(f"{attribute.name} is {shown(value)}: use a table of header fields")
    for name, content in value.items():
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9-]+", name) or _OWN.fullmatch(name):
            raise ValueError(
                f"{attribute.name} has {shown(name)}: use the name of a field such as X-Beta or Cookie"
            )
        if not isinstance(content, str) or not re.fullmatch(r"[ -~]*", content):
            raise ValueError(f"{attribute.name}.{name} is {shown(content)}: use printable ASCII")


def _body(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if not isinstance(value, str) or len(value) > MAX_BODY:
        raise ValueError(f"{attribute.name} is {shown(value)}: use a text of at most {MAX_BODY} characters")


@named_fields
@frozen
class RequestKind:
    """A kind of requests, which is a share of the traffic. Its paths are `path`/0, `path`/1 and so on.

    `share`: in proportion to the other kinds'. A `host` of "" is the address of the balancer. `body`: of a
    POST, PUT or PATCH; its Content-Type is among the `headers`. `attack`: whether a firewall should refuse
    it, for `Result.detection_rate`; only attacks may have a path that is not in its normal form. `size`: of
    the answers, texts of as many bytes; without it they are too short to be worth compressing.
    """

    name: str = field(validator=text(empty=False))
    share: float = field(default=1.0, validator=number(0, 1e9))
    path: str = field(default="/item", validator=_path)
    method: str = field(default="GET", validator=word(METHODS))
    host: str = field(default="", validator=_host)
    query: str = field(default="", validator=_query)
    headers: Mapping[str, str] = field(factory=dict, validator=_fields)
    body: str = field(default="", validator=_body)
    attack: bool = field(default=False, validator=flag)
    size: int = field(default=0, validator=whole(0, MAX_SIZE))

    def __attrs_post_init__(self) -> None:
        if not self.attack and not _is_plain(self.path):
            raise ValueError(
                f"path is {shown(self.path)}: use letters, digits and . _ ~ - such as /api, or attack=True"
            )
        if self.body and self.method not in ("POST", "PUT", "PATCH"):
            raise ValueError(f"body: a {self.method} has none here: use method='POST'")

    def sent(self) -> dict[str, str]:
        """Return the header fields that requests of this kind have, besides the load's own."""
        named = any(name.lower() == "user-agent" for name in self.headers)
        return {**({} if named else {"User-Agent": AGENT}), **self.headers}

    def target(self, path: int) -> str:
        """Return the path and query of object number `path`."""
        return f"{self.path}/{path}" + (f"?{self.query}" if self.query else "")


def mix_fault(mix: tuple[RequestKind, ...]) -> str:
    """Return what is wrong with kinds of requests together; empty if they are right."""
    for i, kind in enumerate(mix):
        if not isinstance(kind, RequestKind):
            return f"mix[{i}] is {shown(kind)}: use a RequestKind"
    names = [kind.name for kind in mix]
    for name in names:
        if names.count(name) > 1:
            return f"mix: two kinds have the name {name!r}; names must differ"
    return "mix: all shares are 0" if mix and not any(kind.share for kind in mix) else ""


def routing_faults(
    routing: Routing | None, pools: Collection[str], sticky: bool, deploy: bool
) -> Iterator[str]:
    """Yield why an experiment with servers in these pools cannot be routed."""
    if len(pools) > 1 and routing is None:
        other = next(pool for pool in pools if pool != DEFAULT)
        yield f"servers: no request goes to the pool {other!r}; add routing with a rule for it"
    if DEFAULT not in pools:
        yield f"servers: none is in the pool {DEFAULT!r}, which gets what no rule fits; put one there"
    if len(pools) > 1 and sticky:
        yield "policy.sticky: sessions do not work with several pools yet; remove it, or Server.pool"
    if len(pools) > 1 and deploy:
        yield "deploy: it works with one pool only; shift traffic with a split of routing, or remove it"
    if routing is None:
        return
    yield from routing.pool_faults(pools)
    yield from (f"routing: {problem}; move or remove it" for problem in routing.problems())
    for i, rule in enumerate(routing.rules):
        if rule.mirror:
            yield f"routing.rules[{i}].mirror: experiments send no copies; use lbkit proxy, or remove it"
