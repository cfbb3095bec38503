"""Limits that several proxies share: the same rules, as Lua scripts in Redis, which runs one at a time.

All limits of a request are decided in one script and one round trip; questions that arrive while an answer is
on its way go out together. Redis's clock counts, so those of the proxies need not agree.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Sequence
from functools import cache
from hashlib import sha1
from importlib import resources
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

import attrs
from attrs import field, frozen

from lbkit.checks import number, whole, word
from lbkit.core.limit import Decision, Limiter, Several
from lbkit.core.limit.base import fits
from lbkit.core.limit.several import tightest
from lbkit.core.options import named_fields

if TYPE_CHECKING:
    from redis.asyncio import Redis

# The kinds that have a script, and the options of the limiter that it gets.
OPTIONS = {
    "token_bucket": ("rate", "burst"),
    "leaky_bucket": ("rate", "capacity"),
    "leaky_queue": ("rate", "capacity"),
    "gcra": ("rate", "burst"),
    "nginx_limit": ("rate", "burst", "delay"),
    "fixed_window": ("limit", "window"),
    "sliding_log": ("limit", "window"),
    "sliding_counter": ("limit", "window"),
}
BATCH = 500  # requests in one round trip, so that none of them waits long for the others
GIVE_UP = 1.0  # seconds after which a silent connection is replaced


def _url(instance: Any, attribute: attrs.Attribute[Any], value: str) -> None:
    if not re.match(r"(redis|rediss|unix)://", value):
        # Without the value: there may be a password in it.
        raise ValueError(f"{attribute.name} is no address: use redis://host:port/number or unix:///path")


@named_fields
@frozen
class SharedStore:
    """Which Redis, and what to do without it.

    No request waits longer than `timeout` for it. Then, and when it cannot be reached, requests go on
    ("open"), are answered 503 ("closed"), or are counted in this process alone ("local"), as `on_failure`
    says. After `failures` in a row, Redis is left alone for `cooldown` seconds. `prefix`: keys begin with it.
    """

    url: str = field(default="redis://127.0.0.1:6379/0", validator=_url, repr=False)
    timeout: float = field(default=0.05, validator=number(0, above=True))
    on_failure: str = field(default="open", validator=word(("open", "closed", "local")))
    failures: int = field(default=3, validator=whole(1))
    cooldown: float = field(default=1.0, validator=number(0, above=True))
    prefix: str = "lbkit"


class Question(NamedTuple):
    """Whether `key` may have `cost` of this limit."""

    limiter: Limiter
    key: str
    cost: float = 1


class SharedLimits:
    """Decides in Redis, for one event loop. Raises ModuleNotFoundError without redis-py."""

    def __init__(self, store: SharedStore | None = None) -> None:
        self.store = store or SharedStore()
        self._redis = connection(self.store.url)
        self._waiting: list[tuple[tuple[Any, ...], asyncio.Future[Any]]] = []
        self._sender: asyncio.Task[None] | None = None
        self._failed = 0  # in a row
        self._closed_until = 0.0  # no questions before this time
        self.fault = ""  # why Redis did not answer last time
        self.unanswered = 0

    async def decide(self, questions: Sequence[Question], now: float | None = None) -> list[Decision] | None:
        """Return a decision for each; none is used up unless all admit. None if Redis did not answer in time.

        `now`: a time instead of Redis's own, for tests. Raises ValueError for a cost that can never be
        admitted, and for limits without a script."""
        parts = [_parts(question) for question in questions]
        flat = [part for group in parts for part in group]
        said = await self._ask(self._call(flat, now))
        if said is None:
            return None
        decisions = iter([_decision(text) for text in said])
        return [tightest([next(decisions) for _ in group]) for group in parts]

    def _call(self, questions: Sequence[Question], now: float | None) -> tuple[Any, ...]:
        """Return the arguments of EVALSHA."""
        keys = [f"{self.store.prefix}:{name}" for name in (*(q.key for q in questions), "clock")]
        arguments: list[Any] = ["" if now is None else repr(float(now))]
        for limiter, _, cost in questions:
            numbers = [getattr(limiter, name) for name in OPTIONS[limiter.name]]
            arguments += [limiter.name, float(cost), len(numbers), *numbers]
        _, digest = script(frozenset(q.limiter.name for q in questions))
        return digest, len(keys), *keys, *arguments

    # -- asking: many questions in one round trip, and never for long ---------------------------

    async def _ask(self, call: tuple[Any, ...]) -> Any:
        """Return the script's answer, or None."""
        loop = asyncio.get_running_loop()
        now = monotonic()
        if self._failed >= self.store.failures:
            if now < self._closed_until:
                self.unanswered += 1
                return None
            self._closed_until = now + self.store.cooldown  # this question finds out whether Redis is back
        answer: asyncio.Future[Any] = loop.create_future()
        self._waiting.append((call, answer))
        if self._sender is None or self._sender.done():
            self._sender = loop.create_task(self._send())
        try:
            async with asyncio.timeout(self.store.timeout):
                said = await answer
        except TimeoutError:
            self._fails(f"no answer in {self.store.timeout:g} s")
            return None
        except Exception as error:
            self._fails(str(error) or type(error).__name__)
            return None
        self._failed = 0
        return said

    def _fails(self, why: str) -> None:
        self.fault = why
        self.unanswered += 1
        self._failed += 1
        if self._failed == self.store.failures:
            self._closed_until = monotonic() + self.store.cooldown

    async def _send(self) -> None:
        """Send the waiting questions, and those that arrive meanwhile, until none waits."""
        while self._waiting:
            batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
            batch = [entry for entry in batch if not entry[1].done()]  # one that has timed out is not counted
            try:
                said = await self._round_trip([call for call, _ in batch])
            except Exception as error:
                said = [error] * len(batch)
            for (_, answer), words in zip(batch, said, strict=True):
                if answer.done():
                    continue
                if isinstance(words, Exception):
                    answer.set_exception(words)
                else:
                    answer.set_result(words)

    async def _round_trip(self, calls: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Return an answer or an exception for each call. A script that Redis does not know is loaded."""
        from redis.exceptions import NoScriptError

        said = await self._pipeline(calls)
        unknown = [i for i, words in enumerate(said) if isinstance(words, NoScriptError)]
        if unknown:
            for digest in {calls[i][0] for i in unknown}:
                await self._redis.script_load(_known[digest])
            for i, words in zip(unknown, await self._pipeline([calls[i] for i in unknown]), strict=True):
                said[i] = words
        return said

    async def _pipeline(self, calls: Sequence[tuple[Any, ...]]) -> list[Any]:
        pipeline = self._redis.pipeline(transaction=False)
        for call in calls:
            pipeline.execute_command("EVALSHA", *call)
        said: list[Any] = await pipeline.execute(raise_on_error=False)
        return said

    async def close(self) -> None:
        """Safe to repeat."""
        if self._sender:
            self._sender.cancel()
        await self._redis.aclose()


def connection(url: str) -> Redis:
    """Return a client of Redis, which connects when it is used. Raises ModuleNotFoundError."""
    from redis.asyncio import Redis
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    # No retries by the client library: the caller has long timed out by then.
    redis: Redis = Redis.from_url(
        url, socket_timeout=GIVE_UP, socket_connect_timeout=GIVE_UP, retry=Retry(NoBackoff(), 0)
    )
    return redis


def _parts(question: Question) -> list[Question]:
    """Return a question for each script to run: one for each of several limits on a key."""
    limiter, key, cost = question
    fits(cost, limiter.limit, limiter.limit_name)
    if isinstance(limiter, Several):
        parts = [_parts(Question(one, f"{key}:{i}", cost)) for i, one in enumerate(limiter.limits)]
        return [part for group in parts for part in group]
    if limiter.name not in OPTIONS:
        raise ValueError(f"limiter {limiter.name!r} cannot be shared: use one of {', '.join(OPTIONS)}")
    return [question]


def check_shared(limiters: Iterable[Limiter]) -> None:
    """Raise ValueError for a limiter without a script, ModuleNotFoundError without redis-py."""
    import redis  # noqa: F401

    for limiter in limiters:
        _parts(Question(limiter, "", 0))


def _decision(words: bytes) -> Decision:
    admits, *numbers = words.split()
    return Decision(admits == b"1", *map(float, numbers))


_known: dict[str, str] = {}  # digest -> script


@cache
def script(kinds: frozenset[str]) -> tuple[str, str]:
    """Return the script for these kinds of limiter, and its digest, by which Redis knows it."""
    files = resources.files("lbkit.net.shared_store").joinpath("lua")
    parts = ["begin", *sorted(kinds), "end"]
    text = "\n".join(files.joinpath(f"{part}.lua").read_text(encoding="utf-8") for part in parts)
    digest = sha1(text.encode(), usedforsecurity=False).hexdigest()
    _known[digest] = text
    return text, digest
