"""The cache of an experiment in nginx.

https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_cache
"""

from __future__ import annotations

import re
from pathlib import Path

import attrs

from lbkit.caching import PLAIN, Caching
from lbkit.core.cache import FlightRules
from lbkit.live.peers.errors import PeerError
from lbkit.live.peers.health import milliseconds

_MAX_AGE = re.compile(r"max-age=(\d+)")
NOTES = (
    "of requests that wait for another's answer (coalesce), nginx says that they are hits",
    "nginx does not forget what a POST, PUT or DELETE has changed, and fetches a GET for a HEAD",
)


class NginxCache:
    """What of a Caching nginx has: a lifetime, and whether requests are coalesced."""

    def __init__(self, caching: Caching) -> None:
        """Raises PeerError for what nginx does not have."""
        found = _MAX_AGE.fullmatch(caching.control)
        if not found:
            raise PeerError(f"nginx cannot do cache.control = {caching.control!r} here: use max-age=60 alone")
        usual = Caching(caching.control, caching.coalesce, caching.name)
        patience = caching.flights.patience
        if attrs.evolve(caching, flights=usual.flights) != usual or caching.flights != FlightRules(
            patience=patience
        ):
            raise PeerError(
                "nginx has control, coalesce and flights.patience of a cache here: leave the rest as it is"
            )
        self.seconds = int(found[1])
        self.coalesce = caching.coalesce
        self.patience = patience

    def zone(self, folder: Path) -> str:
        """Return the line for the http block."""
        kept = max(600, self.seconds)
        return f"  proxy_cache_path {folder}/cache keys_zone=cache:10m inactive={kept}s use_temp_path=off;\n"

    def use(self, key: str) -> str:
        """Return the lines for the location. `key`: what tells answers apart besides their URL."""
        statuses = " ".join(map(str, sorted(PLAIN)))
        lock = ""
        if self.coalesce:
            wait = milliseconds(self.patience)
            lock = (
                f" proxy_cache_lock on;\n      proxy_cache_lock_timeout {wait}; proxy_cache_lock_age {wait};"
            )
        return f"""\
      proxy_cache cache;{lock}
      proxy_cache_key {key}$scheme$host$request_uri;
      proxy_cache_valid {statuses} {self.seconds}s;
      add_header Cache-Status $upstream_cache_status always;
"""
