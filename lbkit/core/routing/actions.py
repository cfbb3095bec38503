"""What becomes of a request that fits a rule: a pool, a split among pools, or an answer without a backend."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from html import escape
from itertools import accumulate
from typing import ClassVar, NamedTuple, NewType

from lbkit.core.backend import DEFAULT_POOL
from lbkit.core.key import key_of
from lbkit.core.options import named_fields, number, whole
from lbkit.core.routing.conditions import Found
from lbkit.core.routing.facts import Facts
from lbkit.core.routing.templates import check_fields, template
from lbkit.core.text import CONTROL

DEFAULT = DEFAULT_POOL  # the pool of requests that no rule fits
Body = NewType("Body", str)  # a text of several lines, which other fields must not be
Fields = tuple[tuple[str, str], ...]
Draw = Callable[[], float]  # a number in [0, 1)


class Reply(NamedTuple):
    """An answer of the balancer's own."""

    status: int
    fields: Fields = ()
    body: str = ""
    content_type: str = "text/plain; charset=utf-8"


def _name(**values: str) -> None:
    for name, value in values.items():
        if not isinstance(value, str) or not value or CONTROL.search(value):
            raise ValueError(f"{name} is {value!r}: use the name of a pool")


@named_fields
@dataclass(frozen=True, slots=True)
class ToPool:
    """The pool of this name gets the request. Raises ValueError."""

    kind: ClassVar = "pool"

    pool: str

    def __post_init__(self) -> None:
        _name(pool=self.pool)

    @property
    def pools(self) -> tuple[str, ...]:
        return (self.pool,)

    def decide(self, facts: Facts, found: Found, draw: Draw) -> str:
        return self.pool

    def told(self, facts: Facts, found: Found) -> str:
        return f"pool {self.pool}"


@named_fields
@dataclass(frozen=True, slots=True)
class Split:
    """Several pools get shares of the requests, by weight: a canary release, an A/B test.

    `key`: a key as in a Policy, such as client or cookie:session. A hash of it decides, so a client stays
    with a pool; if the share of the pool that is named last grows, it keeps all clients that it has. `salt`:
    makes the choices of different splits independent, and with a secret one no client can choose its side. An
    empty `key`: each request by itself, at random. Raises ValueError.
    """

    kind: ClassVar = "split"

    shares: Mapping[str, float]
    key: str = "client"
    salt: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.shares, Mapping) or not self.shares:
            raise ValueError(f"shares is {self.shares!r}: use a table such as {{stable = 95, canary = 5}}")
        for name, weight in self.shares.items():
            _name(shares=name)
            number(0, 1e9, **{f"shares.{name}": weight})  # type: ignore[arg-type]
        if not sum(self.shares.values()) > 0:
            raise ValueError("shares: all weights are 0; give one pool at least a higher one")
        if self.key:
            key_of(self.key)
        if len(self.salt.encode()) > 64:
            raise ValueError("salt is too long: use at most 64 bytes")

    @property
    def pools(self) -> tuple[str, ...]:
        return tuple(self.shares)

    def decide(self, facts: Facts, found: Found, draw: Draw) -> str:
        return self._at(self._place(facts) if self.key else draw())

    def told(self, facts: Facts, found: Found) -> str:
        total = sum(self.shares.values())
        shares = ", ".join(f"{name} {weight / total:.3%}" for name, weight in self.shares.items())
        if not self.key:
            return f"one of the pools {shares}, at random"
        place = self._place(facts)
        return f"pool {self._at(place)}: {self.key} is at {place:.3%} of {shares}"

    def _place(self, facts: Facts) -> float:
        key = key_of(self.key)(facts.request).encode("utf-8", "surrogateescape")
        digest = blake2b(key, digest_size=8, key=self.salt.encode()).digest()
        return (int.from_bytes(digest, "big") >> 11) / 2**53

    def _at(self, place: float) -> str:
        """Return the pool at this place in [0, 1), where the shares lie side by side."""
        edges = list(accumulate(self.shares.values()))
        some = [
            (name, edge) for (name, weight), edge in zip(self.shares.items(), edges, strict=True) if weight
        ]
        return next((name for name, edge in some if place * edges[-1] < edge), some[-1][0])


@named_fields
@dataclass(frozen=True, slots=True)
class Redirect:
    """An answer that sends the client to another URL. `to`: a template (templates.py), with the query or not.

    301 and 302 may turn a POST into a GET, 307 and 308 do not; 301 and 308 are kept by browsers for good.
    (RFC 9110, 15.4.) Raises ValueError.
    """

    kind: ClassVar = "redirect"
    pools: ClassVar[tuple[str, ...]] = ()

    to: str
    status: int = 302

    def __post_init__(self) -> None:
        if self.status not in (301, 302, 303, 307, 308):
            raise ValueError(f"status is {self.status!r}: use 301, 302, 303, 307 or 308")
        template("to", self.to, True)

    def decide(self, facts: Facts, found: Found, draw: Draw) -> Reply:
        return Reply(self.status, (("Location", self._location(facts, found)),))

    def told(self, facts: Facts, found: Found) -> str:
        return f"redirect {self.status} to {self._location(facts, found)}"

    def _location(self, facts: Facts, found: Found) -> str:
        return template("to", self.to, True).fill(facts, found)


@named_fields
@dataclass(frozen=True, slots=True)
class Fixed:
    """Always the same answer: robots.txt, a 403, a 404. `fields`: more header fields. Raises ValueError."""

    kind: ClassVar = "fixed"
    pools: ClassVar[tuple[str, ...]] = ()

    status: int = 200
    body: Body = Body("")
    content_type: str = "text/plain; charset=utf-8"
    fields: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        whole(200, 599, status=self.status)
        if self.body and self.status in (204, 205, 304):
            raise ValueError(f"body: an answer with status {self.status} has none; leave it out")
        if not re.fullmatch(r"[!-~][ -~]*", self.content_type):
            raise ValueError(f"content_type is {self.content_type!r}: use a type such as text/html")
        check_fields("fields", self.fields)
        if any(name.lower() in ("content-type", "date") for name in self.fields):
            raise ValueError("fields has Content-Type or Date: use content_type; the proxy adds Date")

    def decide(self, facts: Facts, found: Found, draw: Draw) -> Reply:
        return Reply(self.status, tuple(self.fields.items()), self.body, self.content_type)

    def told(self, facts: Facts, found: Found) -> str:
        return f"a fixed answer, {self.status}"


@named_fields
@dataclass(frozen=True, slots=True)
class Maintenance:
    """A page that says when the service is back: 503, which caches and search engines do not keep.

    `retry_after`: seconds, for Retry-After. Raises ValueError.
    """

    kind: ClassVar = "maintenance"
    pools: ClassVar[tuple[str, ...]] = ()

    message: str = "We are working on it. Please come back later."
    retry_after: int = 300

    def __post_init__(self) -> None:
        whole(1, 10**9, retry_after=self.retry_after)

    def decide(self, facts: Facts, found: Found, draw: Draw) -> Reply:
        page = (
            '<!doctype html><html lang="en"><meta charset="utf-8"><title>Maintenance</title>'
            f"<h1>Maintenance</h1><p>{escape(self.message)}</p></html>\n"
        )
        fields = (("Retry-After", str(self.retry_after)), ("Cache-Control", "no-store"))
        return Reply(503, fields, page, "text/html; charset=utf-8")

    def told(self, facts: Facts, found: Found) -> str:
        return f"the maintenance page, retry after {self.retry_after} s"


Action = ToPool | Split | Redirect | Fixed | Maintenance
