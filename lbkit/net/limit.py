"""Rate limits in the proxy: which requests a rule is about, whose they are, and what the client is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any, NamedTuple

import attrs
from attrs import field, frozen

from lbkit.core.limit import Decision
from lbkit.core.limit.several import limiter_of, tightest
from lbkit.distributions import whole
from lbkit.net.http import Request
from lbkit.net.scope import a_key, a_path, is_below, plain_path, whose


def _limiter(instance: Any, attribute: attrs.Attribute[Any], value: Mapping[str, Any]) -> None:
    try:
        limiter_of(value)
    except ValueError as error:
        raise ValueError(f"{attribute.name}: {error}") from None


@frozen
class RateLimit:
    """A rule: requests to `path` and what is below it are limited, for each `key` by itself.

    `limiter`: its kind and options, as in {kind = "token_bucket", rate = 10, burst = 20}; with leaky_queue,
    or nginx_limit and its delay, requests are held instead of denied. `key`: as in a Policy, or "everybody";
    clients with IPv6 addresses count by their /`prefix`, since each has billions of them. `name`: what the
    client is told.
    """

    limiter: Mapping[str, Any] = field(validator=_limiter)
    key: str = field(default="client", validator=a_key)
    path: str = field(default="/", validator=a_path)
    prefix: int = field(default=64, validator=whole(1))
    name: str = field(default="default", validator=attrs.validators.matches_re(r"[A-Za-z0-9_-]+"))


class Verdict(NamedTuple):
    """What becomes of a request."""

    allowed: bool
    delay: float  # seconds to hold it first
    fields: bytes  # what its answer says of the limits


PASSED = Verdict(True, 0.0, b"")


class RateLimits:
    """All rules of a proxy. A request goes if every rule that is about it lets it; else none is used up."""

    def __init__(self, rules: Sequence[RateLimit], x_headers: bool = False) -> None:
        """`x_headers`: X-RateLimit-Limit, -Remaining and -Reset besides."""
        self.rules = [(rule, limiter_of(rule.limiter), whose(rule.key, rule.prefix)) for rule in rules]
        self.x_headers = x_headers

    def judge(self, request: Request, now: float) -> Verdict:
        """Whether it may go, when, and what to tell. Raises ValueError from a learner's own limiter only."""
        path = plain_path(request.target)
        about = [
            (rule, limiter, key(request)) for rule, limiter, key in self.rules if is_below(path, rule.path)
        ]
        if not about:
            return PASSED
        decisions = [limiter.would(key, now) for _, limiter, key in about]
        if all(decision.allowed for decision in decisions):
            for _, limiter, key in about:
                limiter.allows(key, now)
        told = tightest(decisions)
        fields = self._fields([rule for rule, _, _ in about], decisions)
        if not told.allowed:
            return Verdict(False, 0.0, b"Retry-After: %d\r\n%b" % (max(1, ceil(told.retry_after)), fields))
        return Verdict(True, told.delay, fields)

    def _fields(self, rules: Sequence[RateLimit], decisions: Sequence[Decision]) -> bytes:
        """RateLimit and RateLimit-Policy, a member a rule. (IETF httpapi, ratelimit-headers, draft 10.)"""
        pairs = list(zip(rules, decisions, strict=True))
        policy = ", ".join(f'"{r.name}";q={int(d.limit)}{_window(r)}' for r, d in pairs)
        state = ", ".join(f'"{r.name}";r={max(0, int(d.remaining))};t={_until(d)}' for r, d in pairs)
        fields = f"RateLimit-Policy: {policy}\r\nRateLimit: {state}\r\n"
        if self.x_headers:
            told = tightest(list(decisions))
            fields += f"X-RateLimit-Limit: {int(told.limit)}\r\n"
            fields += f"X-RateLimit-Remaining: {max(0, int(told.remaining))}\r\n"
            fields += f"X-RateLimit-Reset: {_until(told)}\r\n"
        return fields.encode()


def _until(decision: Decision) -> int:
    """Whole seconds until all is as new."""
    return ceil(max(decision.retry_after, decision.reset_after))


def _window(rule: RateLimit) -> str:
    """The window of a quota, where the rule has one."""
    window = rule.limiter.get("window", 1.0 if "limit" in rule.limiter else None)
    return f";w={ceil(window)}" if window is not None else ""
