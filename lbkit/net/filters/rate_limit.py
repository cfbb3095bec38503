"""Rate limits, counted locally or in a store shared with other proxies, and reported to clients."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from math import ceil, isfinite
from time import monotonic
from typing import NamedTuple

from lbkit.core.limit import Decision
from lbkit.core.limit.several import tightest
from lbkit.edge import TOO_MANY, UNAVAILABLE, About, RateLimit, Rules
from lbkit.net.filters.base import Filter
from lbkit.net.messages import HOLD, Answer, ExchangeView, Hold, RequestHead, ResponseHead
from lbkit.net.shared_store import Question, SharedLimits, SharedStore, check_shared


class Verdict(NamedTuple):
    """The decision on a request."""

    status: int  # 0: allowed; else the status of the answer
    delay: float = 0.0  # seconds to hold the request first
    fields: bytes = b""  # the answer's RateLimit fields
    why: str = ""

    @property
    def allowed(self) -> bool:
        return not self.status


PASSED = Verdict(0)


class RateLimits(Rules):
    """The rate limits of a proxy."""

    def __init__(
        self, rules: Sequence[RateLimit], x_headers: bool = False, store: SharedStore | None = None
    ) -> None:
        """`x_headers`: also send X-RateLimit-Limit, -Remaining and -Reset. `store`: shares the limits with
        other proxies; then call `judge_shared`.

        Raises ValueError for a limiter that cannot be shared, ModuleNotFoundError if redis-py is missing."""
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
        """Return the verdict on a request. Raises only what a learner's own limiter raises."""
        about = self.about(request)
        return self._verdict(about, self.decide(about, now))

    async def judge_shared(self, request: RequestHead, now: float) -> Verdict:
        """Return the verdict of the shared store; `now` is for local counts if the store does not answer."""
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
        """Return RateLimit and RateLimit-Policy, with a member for each rule.

        (IETF httpapi, ratelimit-headers, draft 10.)"""
        # A learner's own limiter may have no finite limit; then it is not reported.
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
    """Return the rule's name in the shared store, equal in all proxies that have it."""
    return f"{rule.name}:{rule.path}:{rule.key}:{rule.limiter['kind']}"


def _until(decision: Decision) -> int:
    """Return the whole seconds until the full quota is available again."""
    return ceil(max(decision.retry_after, decision.reset_after))


def _window(rule: RateLimit) -> str:
    """Return the window parameter of a quota; empty if the rule has no window."""
    window = rule.limiter.get("window", 1.0 if "limit" in rule.limiter else None)
    return f";w={ceil(window)}" if window is not None else ""


class RateLimitFilter(Filter):
    """Answers 429 to requests over a limit, or delays them; answers report how much of the quota is left."""

    name = "a rate limit"

    def __init__(self, limits: RateLimits) -> None:
        self.limits = limits

    def on_request(self, exchange: ExchangeView, now: float) -> Answer | Hold | None:
        if self.limits.shared is None:
            return self._judged(exchange, self.limits.judge(exchange.request, now))
        exchange.state[self.index] = _Visit(task=asyncio.get_running_loop().create_task(self._ask(exchange)))
        return HOLD

    async def _ask(self, exchange: ExchangeView) -> None:
        """Ask the shared store, and continue with its verdict."""
        try:
            verdict = await self.limits.judge_shared(exchange.request, monotonic())
        except Exception:  # a learner's limiter may raise anything
            exchange.failed(self)
            return
        answer = self._judged(exchange, verdict)
        if answer is None:
            exchange.proceed(monotonic())
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
            visit.timer = loop.call_later(verdict.delay, lambda: exchange.proceed(monotonic()))
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
    """The filter's state of an exchange."""

    __slots__ = ("fields", "task", "timer")

    def __init__(self, fields: bytes = b"", task: asyncio.Task[None] | None = None) -> None:
        self.fields = fields  # the answer's RateLimit fields
        self.task = task  # the call of the shared store
        self.timer: asyncio.TimerHandle | None = None  # fires when the request may continue

    def cancel(self) -> None:
        if self.task:
            self.task.cancel()
        if self.timer:
            self.timer.cancel()
