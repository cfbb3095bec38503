"""The rate limits of an experiment in nginx.

https://nginx.org/en/docs/http/ngx_http_limit_req_module.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from lbkit.core.limit import NginxLimit
from lbkit.core.limit.several import limiter_of
from lbkit.core.scope import GLOBAL
from lbkit.edge import RateLimit
from lbkit.live.peers.errors import PeerError


def variable_name(name: str) -> str:
    """Return the name of a header field or a cookie as it is in nginx's variables."""
    return name.lower().replace("-", "_")


class NginxLimits:
    """Rate limits as zones of nginx, and their uses."""

    def __init__(self, limits: Sequence[RateLimit], keys: Mapping[str, str]) -> None:
        """`keys`: the kinds of keys that nginx has, and its variables. Raises PeerError for other limits."""
        self._keys = keys
        self._lines = [self._limit(limit, i) for i, limit in enumerate(limits)]

    def zones(self) -> str:
        """Return the lines for the http block."""
        return "".join(zone for zone, _ in self._lines)

    def use(self) -> str:
        """Return the lines for the location."""
        status = ["      limit_req_status 429;\n"] if self._lines else []
        return "".join([*(use for _, use in self._lines), *status])

    def _limit(self, limit: RateLimit, number: int) -> tuple[str, str]:
        """Return a zone and its use. Requests with an empty key are not counted: so a limit has its path."""
        limiter = limiter_of(limit.limiter)
        if not isinstance(limiter, NginxLimit):
            raise PeerError(f"nginx has no {limiter.name}: its limit_req is nginx_limit")
        wait = " nodelay" if limiter.delay >= limiter.burst else f" delay={limiter.delay}"
        path = re.escape(limit.path.rstrip("/"))
        zone = f"""\
  map $uri $limited{number} {{
    default "";
    "~^{path}(/|$)" {self._key(limit.key)};
  }}
  limit_req_zone $limited{number} zone=limit{number}:10m rate={_rate(limiter.rate)};
"""
        return zone, f"      limit_req zone=limit{number} burst={limiter.burst}{wait};\n"

    def _key(self, key: str) -> str:
        kind, _, name = key.partition(":")
        if kind == GLOBAL:
            return "global"
        if kind not in self._keys:
            raise PeerError(f"nginx cannot limit by {key!r} here: by {', '.join(self._keys)}")
        return self._keys[kind].replace("{name}", variable_name(name))


def _rate(a_second: float) -> str:
    a_minute = a_second * 60
    if a_minute != int(a_minute):
        raise PeerError(f"nginx's rate is whole requests a second or minute, not {a_second:g} a second")
    return f"{int(a_second)}r/s" if a_second == int(a_second) else f"{int(a_minute)}r/m"
