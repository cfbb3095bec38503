"""Rate limits and sessions, in memory or in Redis. Making them finds those that cannot be shared."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from lbkit.core.sticky import Sticky
from lbkit.edge import RateLimit
from lbkit.needs import why_not
from lbkit.net.filters.rate_limit import RateLimits
from lbkit.net.shared_store import SharedSessions, SharedStore


def make_rate_limits(limits: Sequence[RateLimit], x_headers: bool, redis: SharedStore | None) -> RateLimits:
    """Return the rate limits, which count in Redis if it is given.

    Raises ValueError for a limit that cannot be shared, or if redis-py is not installed."""
    try:
        return RateLimits(limits, x_headers, redis if limits else None)
    except ModuleNotFoundError:
        raise _no_package() from None


def make_shared_sessions(rules: Sticky | None, redis: SharedStore | None) -> SharedSessions | None:
    """Return the table of sessions in Redis, or None. Raises ValueError if redis-py is not installed."""
    if rules is None or redis is None or not rules.table:
        return None
    try:
        return SharedSessions(redis, rules.idle if rules.idle < inf else 0.0, rules.cookie)
    except ModuleNotFoundError:
        raise _no_package() from None


def _no_package() -> ValueError:
    return ValueError(f"redis: {why_not('shared_limits')}")
