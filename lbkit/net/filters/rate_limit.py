"""Rate limits: decided here or together with other proxies, and told to the client."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from math import ceil, isfinite
from typing import NamedTuple

from lbkit.core.limit import Decision
from lbkit.core.limit.several import tightest
from lbkit.edge import TOO_MANY, UNAVAILABLE, About, RateLimit, Rules
from lbkit.net.filters.base import Filter
from lbkit.net.messages import HOLD, Answer, ExchangeView, Hold, RequestHead, ResponseHead
from lbkit.net.shared_store import Question, SharedLimits, SharedStore, check_shared


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

    def judge(self, request: RequestHead, now: float) -> Verdict:
        """Whether and when it may go on, and what to tell the client. Only a learner's own limiter raises."""
        about = self.about(request)
        return self._verdict(about, self.decide(about, now))

    async def judge_shared(self, request: RequestHead, now: float) -> Verdict:
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
        # A learner's own limiter may not tell how much it admits; then there is nothing to report of it.
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
    """Whole seconds until the full quota is available again."""
    return ceil(max(decision.retry_after, decision.reset_after))


def _window(rule: RateLimit) -> str:
    """The window of a quota, where the rule has one."""
    window = rule.limiter.get("window", 1.0 if "limit" in rule.limiter else None)
    return f";w={ceil(window)}" if window is not None else ""


class RateLimitFilter(Filter):
    """Answers 429 to what is too much, or holds it; answers say how much of the limits is left."""

    name = "a rate limit"

    def __init__(self, limits: RateLimits) -> None:
        self.limits = limits

    def on_request(self, exchange: ExchangeView, now: float) -> Answer | Hold | None:
        if self.limits.shared is None:
            return self._judged(exchange, self.limits.judge(exchange.request, now))
        exchange.state[self.index] = _Visit(task=asyncio.get_running_loop().create_task(self._ask(exchange)))
        return HOLD

    async def _ask(self, exchange: ExchangeView) -> None:
        """Other proxies may have used the limit, too."""
        loop = asyncio.get_running_loop()
        try:
            verdict = await self.limits.judge_shared(exchange.request, loop.time())
        except Exception:  # a learner's limiter may raise anything
            exchange.failed(self)
            return
        answer = self._judged(exchange, verdict)
        if answer is None:
            exchange.proceed(loop.time())
        elif isinstance(answer, Answer):
            exchange.answer_with(answer)

    def _judged(self, exchange: ExchangeView, verdict: Verdict) -> Answer | Hold | None:
        if verdict is PASSED:
            return None
        if not verdict.allowed:
            return Answer(verdict.status, verdict.why, verdict.fields)
        visit = exchange.state[self.index] = _Visit(fields=verdict.fields)
        if verdict.delay > 0:
            loop = asyncio.get_running_loop()
            visit.timer = loop.call_later(verdict.delay, lambda: exchange.proceed(loop.time()))
            return HOLD
        return None

    def on_response(self, exchange: ExchangeView, head: ResponseHead) -> None:
        if visit := exchange.state[self.index]:
            head.data += visit.fields

    def on_end(self, exchange: ExchangeView, now: float) -> None:
        if visit := exchange.state[self.index]:
            visit.cancel()

    async def close(self) -> None:
        await self.limits.close()


class _Visit:
    """What the filter knows of an exchange."""

    __slots__ = ("fields", "task", "timer")

    def __init__(self, fields: bytes = b"", task: asyncio.Task[None] | None = None) -> None:
        self.fields = fields  # what the answer says of the limits
        self.task = task  # asks the store
        self.timer: asyncio.TimerHandle | None = None  # until it may go on

    def cancel(self) -> None:
        if self.task:
            self.task.cancel()
        if self.timer:
            self.timer.cancel()
