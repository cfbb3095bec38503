"""Sticky sessions: the rules, and the decision where a session goes on.

A client presents a token with each request: the value of a cookie, its address, or a route in the URL. A pool
asks its `Affinity` which backend the token stands for, and afterwards what the client is to present next
time. A token that the balancer has not made, or has not seen a backend make, stands for nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import inf

from lbkit.core.affinity import SessionCookies, StickTable
from lbkit.core.options import named_fields, number, whole

# How -> what it does. Those with a table remember sessions; the others sign them into what the client keeps.
HOW = {
    "insert": "the balancer sets a cookie of its own, which backends do not see",
    "rewrite": "the balancer puts its value in place of a cookie that the backend sets",
    "prefix": "the balancer puts its value before that of the application's cookie, and takes it off again",
    "learn": "a table remembers the values of the application's cookie, by the backend that set them",
    "source": "a table remembers clients' addresses",
    "route": "the URL has the value: a query parameter, which the balancer adds to redirects",
}
TABLES = ("learn", "source")
OF_APPLICATION = ("rewrite", "prefix", "learn")  # they need the name of its cookie
GONE = ("another", "refuse")
SAME_SITE = ("", "Strict", "Lax", "None")
DEFAULT_NAME = "lbkit"
# The length of a cookie's name is limited, and a proxy searches each request for it.
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")


@named_fields
@dataclass(frozen=True, slots=True)
class Sticky:
    """Sticky sessions: the requests of a session go to one backend while that is there.

    `how`: insert, rewrite, prefix, learn, source or route. `name`: of the cookie or parameter; rewrite,
    prefix and learn need the name of the application's. `secret`: what signs the values, for all proxies that
    share sessions; without it each proxy draws its own when it starts. `idle`, `life`: seconds after which a
    session ends, since its last request and since its first. `size`: sessions that a table remembers at most.
    `drain`: whether sessions stay on a backend that drains, or has weight 0. `gone`: for a session on a
    backend that is not there, "another" one or "refuse" (503). `secure`, `http_only`, `same_site`: attributes
    of the cookie that the balancer inserts. A retry that another backend answers moves the session.
    (HAProxy: cookie, stick-table; nginx: sticky; Apache: stickysession; ALB: lb_cookie, app_cookie.)
    Raises ValueError.
    """

    how: str = "insert"
    name: str = ""
    secret: str = ""
    idle: float = inf
    life: float = inf
    size: int = 100_000
    drain: bool = True
    gone: str = "another"
    secure: bool = False
    http_only: bool = True
    same_site: str = "Lax"

    def __post_init__(self) -> None:
        for field, value, words in (
            ("how", self.how, tuple(HOW)),
            ("gone", self.gone, GONE),
            ("same_site", self.same_site, SAME_SITE),
        ):
            if value not in words:
                raise ValueError(f"{field} is {value!r}: use one of {', '.join(w or repr(w) for w in words)}")
        if self.how in OF_APPLICATION and not self.name:
            raise ValueError(f"name is empty: {self.how} needs the name of the application's session cookie")
        if self.name and not _NAME.fullmatch(self.name):
            raise ValueError(
                f"name is {self.name!r}: use up to 64 letters, digits, - and _, as a cookie's name has"
            )
        if self.secret and len(self.secret.encode()) < 16:
            raise ValueError(
                f"secret has {len(self.secret.encode())} bytes: use at least 16, drawn at random"
            )
        number(0, above=True, infinite=True, idle=self.idle, life=self.life)
        whole(1, size=self.size)
        insecure = self.how == "insert" and not self.secure
        if self.same_site == "None" and insecure:
            raise ValueError("same_site is 'None': browsers take that with secure = true only")
        if self.name.startswith(("__Host-", "__Secure-")) and insecure:
            raise ValueError(f"name is {self.name!r}: browsers take that prefix with secure = true only")

    @property
    def cookie(self) -> str:
        """The name of the cookie or parameter in use."""
        return self.name or DEFAULT_NAME

    @property
    def table(self) -> bool:
        """Whether the balancer remembers sessions, and does not leave that to the client."""
        return self.how in TABLES


class Affinity:
    """Which backend each session is on, for one pool.

    `epoch`: the wall clock's time at `now` 0. Proxies that share cookies do not share the clock that `now`
    comes from; with a table it does not matter.
    """

    def __init__(self, rules: Sticky, secret: bytes) -> None:
        """`secret` is used where the rules have none. Raises ValueError if it is too short."""
        self.rules = rules
        self.epoch = 0.0
        self._cookies = SessionCookies(rules.secret.encode() or secret, (), rules.idle, rules.life)
        self._table = StickTable(rules.size, rules.idle, rules.life) if rules.table else None

    @property
    def remembered(self) -> int:
        """The number of sessions in the table; 0 without one."""
        return 0 if self._table is None else len(self._table)

    def add(self, backend: str) -> None:
        self._cookies.add(backend)

    def remove(self, backend: str) -> None:
        """A backend leaves the pool: its sessions are over."""
        self._cookies.remove(backend)
        if self._table is not None:
            self._table.forget(backend)

    def find(self, token: str, now: float) -> str | None:
        """Return the name of the backend that a token stands for; None if it stands for none."""
        if self._table is not None:
            return self._table.get(token, now)
        session = self._cookies.decode(token, now + self.epoch)
        return session.backend if session else None

    def keep(self, token: str, backend: str, now: float, begin: bool = True) -> str:
        """Take note that the session of `token` is on `backend`; return its new token, or "" for the old one.

        The token is new if the session is: without one, on another backend than the one it stands for, or
        with a tenth of the `idle` time gone. `begin`: whether a token that is not known begins a session,
        which only a table looks at: what a client makes up must not fill it."""
        if self._table is not None:
            if begin or self._table.get(token, now):
                self._table.put(token, backend, now)
            return ""
        now += self.epoch
        session = self._cookies.decode(token, now) if token else None
        if session and session.backend == backend and now - session.seen <= self.rules.idle / 10:
            return ""
        return self._cookies.encode(backend, session.began if session else now, now)

    def take_over(self, token: str, backend: str | None, now: float) -> None:
        """Believe a table that is shared: the session is on this backend, or, with None, there is none."""
        assert self._table is not None, "only tables are shared like that"
        if backend is None:
            self._table.drop(token)
        else:
            self._table.put(token, backend, now)
