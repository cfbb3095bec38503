"""Rate limits in the proxy: decided here or together with other proxies, and what the client is told."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, isfinite
from typing import NamedTuple

from lbkit.core.limit import Decision
from lbkit.core.limit.several import tightest
from lbkit.edge import TOO_MANY, UNAVAILABLE, About, RateLimit, Rules
from lbkit.net.http import Request
from lbkit.net.shared import Question, SharedLimits, SharedStore, check_shared


class Verdict(NamedTuple):
    """What becomes of a request."""

    status: int  # 0: it may go; else what it is answered
    delay: float = 0.0  # seconds to hold it first
    fields: bytes = b""  # what its answer says of the limits
    why: str = ""

    @property
    def allowed(self) -> bool:
        return not self.status


PASSED = Verdict(0)


class RateLimits(Rules):
    """The rules of a proxy: decided here or in a store, and told to clients."""

    def __init__(
        self, rules: Sequence[RateLimit], x_headers: bool = False, store: SharedStore | None = None
    ) -> None:
        """`x_headers`: X-RateLimit-Limit, -Remaining and -Reset besides. `store`: where the limits are shared
        with other proxies, so that `judge_shared` is to be asked.

        Raises ValueError for a limiter that cannot be shared, ModuleNotFoundError without redis-py."""
        super().__init__(rules)
        self.x_headers = x_headers
        self.shared: SharedLimits | None = None
        if store:
            check_shared(limiter for _, limiter, _ in self.rules)
            names = [shared_name(rule) for rule in rules]
            for name in names:
                if names.count(name) > 1:
                    raise ValueError(f"rate_limits: two rules are {name}: give them names that differ")
            self.shared = SharedLimits(store)

    def judge(self, request: Request, now: float) -> Verdict:
        """Whether it may go, when, and what to tell. Raises ValueError from a learner's own limiter only."""
        about = self.about(request)
        return self._verdict(about, self.decide(about, now))

    async def judge_shared(self, request: Request, now: float) -> Verdict:
        """The same, asking the store; `now` is for what is counted here if it does not answer."""
        assert self.shared, "there is no store"
        about = self.about(request)
        if not about:
            return PASSED
        asked = [Question(limiter, f"{shared_name(rule)}:{key}") for rule, limiter, key in about]
        decisions = await self.shared.decide(asked)
        if decisions is not None:
            return self._verdict(about, decisions)
        match self.shared.store.on_failure:
            case "local":
                return self.judge(request, now)
            case "closed":
                again = ceil(self.shared.store.cooldown)
                return Verdict(UNAVAILABLE, 0.0, b"Retry-After: %d\r\n" % again, "limits cannot be checked")
        return PASSED

    async def close(self) -> None:
        if self.shared:
            await self.shared.close()

    def _verdict(self, about: About, decisions: Sequence[Decision]) -> Verdict:
        if not about:
            return PASSED
        told = tightest(list(decisions))
        fields = self._fields([rule for rule, _, _ in about], decisions)
        if not told.allowed:
            again = b"Retry-After: %d\r\n" % max(1, ceil(told.retry_after))
            return Verdict(TOO_MANY, 0.0, again + fields)
        return Verdict(0, told.delay, fields)

    def _fields(self, rules: Sequence[RateLimit], decisions: Sequence[Decision]) -> bytes:
        """RateLimit and RateLimit-Policy, a member a rule. (IETF httpapi, ratelimit-headers, draft 10.)"""
        # Of a learner's own limiter that does not tell how much it admits there is nothing to say.
        pairs = [(r, d) for r, d in zip(rules, decisions, strict=True) if isfinite(d.limit)]
        if not pairs:
            return b""
        policy = ", ".join(f'"{r.name}";q={int(d.limit)}{_window(r)}' for r, d in pairs)
        state = ", ".join(f'"{r.name}";r={max(0, int(d.remaining))};t={_until(d)}' for r, d in pairs)
        fields = f"RateLimit-Policy: {policy}\r\nRateLimit: {state}\r\n"
        if self.x_headers:
            told = tightest([decision for _, decision in pairs])
            fields += f"X-RateLimit-Limit: {int(told.limit)}\r\n"
            fields += f"X-RateLimit-Remaining: {max(0, int(told.remaining))}\r\n"
            fields += f"X-RateLimit-Reset: {_until(told)}\r\n"
        return fields.encode()


def shared_name(rule: RateLimit) -> str:
    """What all proxies with this rule call it."""
    return f"{rule.name}:{rule.path}:{rule.key}:{rule.limiter['kind']}"


def _until(decision: Decision) -> int:
    """Whole seconds until all is as new."""
    return ceil(max(decision.retry_after, decision.reset_after))


def _window(rule: RateLimit) -> str:
    """The window of a quota, where the rule has one."""
    window = rule.limiter.get("window", 1.0 if "limit" in rule.limiter else None)
    return f";w={ceil(window)}" if window is not None else ""
