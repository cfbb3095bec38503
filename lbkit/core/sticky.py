"""Sticky sessions: the rules, and the backend of each session.

A client sends a token with each request: the value of a cookie, its address, or a route in the URL. The
pool's `Affinity` returns the backend that the token means, and after the request the token for the next one.
A token that neither the balancer nor a backend has issued is ignored.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import inf

from lbkit.core.affinity import SessionCookies, StickTable
from lbkit.core.options import named_fields, number, whole

# Method -> what it does. Some keep sessions in a table; the others sign the backend into the client's token.
HOW = {
    "insert": "the balancer sets a cookie of its own, which backends do not see",
    "rewrite": "the balancer replaces the value of a cookie that the backend sets",
    "prefix": "the balancer puts a prefix before the application's cookie, and removes it from requests",
    "learn": "a table remembers which backend set each value of the application's cookie",
    "source": "a table remembers clients' addresses",
    "route": "a query parameter has the value, which the balancer adds to redirects",
}
TABLES = ("learn", "source")
OF_APPLICATION = ("rewrite", "prefix", "learn")  # these need the name of the application's cookie
GONE = ("another", "refuse")
SAME_SITE = ("", "Strict", "Lax", "None")
DEFAULT_NAME = "lbkit"
# The length of a cookie's name is limited, and a proxy searches each request for it.
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")


@named_fields
@dataclass(frozen=True, slots=True)
class Sticky:
    """The rules of sticky sessions: the requests of a session go to one backend as long as it is available.

    `how`: insert, rewrite, prefix, learn, source or route. `name`: the name of the cookie or parameter;
    rewrite, prefix and learn need that of the application's cookie. `secret`: the key that signs the values,
    the same for all proxies that share sessions; by default, each proxy draws one when it starts. `idle`,
    `life`: seconds after which a session expires, since its last request and since its first. `size`: the
    most sessions in a table. `drain`: whether sessions stay on a backend that is draining or has weight 0.
    `gone`: where a session goes if its backend is unavailable: to "another" one, or "refuse" (503). `secure`,
    `http_only`, `same_site`: attributes of the cookie that the balancer inserts. A retry that another backend
    answers moves the session. (HAProxy: cookie, stick-table; nginx: sticky; Apache: stickysession; ALB:
    lb_cookie, app_cookie.) Raises ValueError.
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
            raise ValueError("same_site is 'None': browsers accept it with secure = true only")
        if self.name.startswith(("__Host-", "__Secure-")) and insecure:
            raise ValueError(f"name is {self.name!r}: browsers accept that prefix with secure = true only")

    @property
    def cookie(self) -> str:
        """The name of the cookie or parameter in use."""
        return self.name or DEFAULT_NAME

    @property
    def table(self) -> bool:
        """Whether the balancer keeps sessions in a table, not in the client's token."""
        return self.how in TABLES


class Affinity:
    """The backend of each session, for one pool.

    `epoch`: the wall-clock time at `now` 0. Proxies that share cookies need it, as each has a `now` of its
    own; tables do not use it.
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
        """End the sessions of a backend that leaves the pool."""
        self._cookies.remove(backend)
        if self._table is not None:
            self._table.forget(backend)

    def find(self, token: str, now: float) -> str | None:
        """Return the name of the backend that a token means; None for an invalid or unknown token."""
        if self._table is not None:
            return self._table.get(token, now)
        session = self._cookies.decode(token, now + self.epoch)
        return session.backend if session else None

    def keep(self, token: str, backend: str, now: float, begin: bool = True) -> str:
        """Record that the session of `token` is on `backend`; return its new token, or "" for the old one.

        A new token is made for a new session, after a change of backend, and when a tenth of the `idle` time
        has passed. `begin`: whether an unknown token begins a session; only tables use it, so that tokens
        made up by clients cannot fill them."""
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
        """Copy an entry of a shared table: the session's backend, or None for no session."""
        assert self._table is not None, "only tables are shared"
        if backend is None:
            self._table.drop(token)
        else:
            self._table.put(token, backend, now)
