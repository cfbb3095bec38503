"""Limits in a real Redis: the same decisions as in memory, by all together, and what happens without it."""

from __future__ import annotations

import asyncio
import os
import random
import re
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from needs import need, need_module
from scripted import GET, Client, ask, echo, proxied

need_module("redis")
need_module("psutil")

from lbkit.core.limit import (
    GCRA,
    ConcurrencyLimit,
    FixedWindow,
    LeakyBucket,
    LeakyQueue,
    Limiter,
    NginxLimit,
    Several,
    SlidingCounter,
    SlidingLog,
    TokenBucket,
)
from lbkit.edge import RateLimit
from lbkit.live.redis_server import RedisServer
from lbkit.net import Proxy
from lbkit.net.config import ConfigError, ProxyConfig
from lbkit.net.shared_store import Question, SharedLimits, SharedStore

LIMITERS: dict[str, Callable[[], Limiter]] = {
    "token bucket": lambda: TokenBucket(2, 4),
    "leaky bucket": lambda: LeakyBucket(2, 4),
    "leaky queue": lambda: LeakyQueue(2, 4),
    "gcra": lambda: GCRA(2, 4),
    "nginx": lambda: NginxLimit(2, 3),
    "nginx with delay": lambda: NginxLimit(2, 3, 1),
    "fixed window": lambda: FixedWindow(4, 2),
    "sliding counter": lambda: SlidingCounter(4, 2),
    "sliding log": lambda: SlidingLog(4, 2),
    "several": lambda: Several([GCRA(2, 4), SlidingLog(9, 3)]),
}
every_kind = pytest.mark.parametrize("kind", LIMITERS)
PATIENT = 20.0  # seconds, on a busy machine


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    need("redis-server")
    with RedisServer() as server:
        yield server


_prefixes = iter(range(10**6))


def shared(redis: RedisServer, **settings: Any) -> SharedLimits:
    """With keys that no other test has."""
    settings = {"timeout": PATIENT, "prefix": f"test{next(_prefixes)}", **settings}
    return SharedLimits(SharedStore(redis.url, **settings))


def run(limits: SharedLimits, play: Callable[[SharedLimits], Awaitable[Any]]) -> Any:
    async def body() -> Any:
        try:
            return await play(limits)
        finally:
            await limits.close()

    return asyncio.run(body())


# -- the same rules --------------------------------------------------------------------------------------


@every_kind
@pytest.mark.parametrize("seed", range(5))
def test_redis_decides_as_memory_does(redis: RedisServer, kind: str, seed: int) -> None:
    rng = random.Random(seed)

    async def play(limits: SharedLimits) -> None:
        limiter, now = LIMITERS[kind](), 1000.0
        for _ in range(120):
            now += rng.randrange(10) / 8
            cost = rng.choice([0, 1, 1, 1, 2, 3])
            expected = limiter.admit("k", now, cost)
            (found,) = await limits.decide([Question(limiter, "k", cost)], now) or [None]
            assert tuple(found) == pytest.approx(tuple(expected), abs=1e-5)

    run(shared(redis), play)


# Limiters of ten a second, with as little room as their kind allows.
AT_RATE: dict[str, Callable[[], Limiter]] = {
    "token bucket": lambda: TokenBucket(10),
    "leaky bucket": lambda: LeakyBucket(10),
    "leaky queue": lambda: LeakyQueue(10, 1),
    "gcra": lambda: GCRA(10),
    "nginx": lambda: NginxLimit(10),
    "fixed window": lambda: FixedWindow(7, 0.7),
    "sliding counter": lambda: SlidingCounter(8, 0.7),  # see its docstring
    "sliding log": lambda: SlidingLog(7, 0.7),
    "several": lambda: Several([GCRA(10), SlidingLog(7, 0.7)]),
}


@pytest.mark.parametrize("kind", AT_RATE)
@pytest.mark.parametrize("start", [0.0, 1e7, 1.7e9, 1.7e9 + 0.123456, 4e9])
def test_asked_exactly_at_its_rate_it_admits_all_but_one(redis: RedisServer, kind: str, start: float) -> None:
    async def play(limits: SharedLimits) -> int:
        limiter = AT_RATE[kind]()
        moments = [start + i / 10 for i in range(300)]
        answers = await asyncio.gather(*(limits.decide([Question(limiter, "k")], now) for now in moments))
        return sum(answer[0].allowed for answer in answers if answer)

    assert run(shared(redis), play) >= 299


@every_kind
@pytest.mark.parametrize("start", [0.0, 1e7, 1.7e9, 4e9])
def test_the_time_to_retry_is_admitted(redis: RedisServer, kind: str, start: float) -> None:
    rng = random.Random(start)

    async def play(limits: SharedLimits) -> int:
        limiter, now, denials = LIMITERS[kind](), start, 0
        for _ in range(100):
            now += rng.random() / 2
            decisions = await limits.decide([Question(limiter, "k")], now)
            assert decisions
            if not decisions[0].allowed:
                denials += 1
                now += decisions[0].retry_after
                again = await limits.decide([Question(limiter, "k")], now)
                assert again
                assert again[0].allowed, (now, decisions)
        return denials

    assert run(shared(redis), play) > 5


@every_kind
def test_a_clock_that_is_set_back_is_harmless(redis: RedisServer, kind: str) -> None:
    """No client gets more than a burst from it, or is locked out for longer than a full limit takes."""

    async def play(limits: SharedLimits) -> None:
        async def admitted(now: float, count: int) -> int:
            asked = [await limits.decide([Question(LIMITERS[kind](), "k")], now) for _ in range(count)]
            return sum(decisions[0].allowed for decisions in asked if decisions)

        assert await admitted(1000.0, 9) == 4
        assert await admitted(500.0, 9) == 0
        assert await admitted(501.0, 9) <= 2
        assert await admitted(506.0, 9) == 4

    run(shared(redis), play)


def test_all_limits_or_none(redis: RedisServer) -> None:
    async def play(limits: SharedLimits) -> None:
        wide, tight = GCRA(0.001, 5), FixedWindow(2, 1000)
        both = [Question(wide, "global"), Question(tight, "ann")]
        answers = [await limits.decide(both, 0.0) for _ in range(5)]
        assert [all(d.allowed for d in a) for a in answers] == [True, True, False, False, False]
        (left,) = await limits.decide([Question(wide, "global", 0)], 0.0)
        assert left.remaining == pytest.approx(3)  # what was denied has used up nothing

    run(shared(redis), play)


def test_mistakes(redis: RedisServer) -> None:
    async def play(limits: SharedLimits) -> None:
        with pytest.raises(ValueError, match="cost is 9: the burst is 4, so it could never be admitted"):
            await limits.decide([Question(GCRA(1, 4), "k", 9)])
        with pytest.raises(ValueError, match="'concurrency_limit' cannot be shared: use one of token_bucket"):
            await limits.decide([Question(ConcurrencyLimit(3), "k")])

    run(shared(redis), play)
    with pytest.raises(ValueError, match="use redis://host:port/number"):
        SharedStore("localhost:6379")
    with pytest.raises(ValueError, match="on_failure is 'panic': use open, closed, local"):
        SharedStore(on_failure="panic")
    assert "secret" not in repr(SharedStore("redis://:secret@127.0.0.1/0"))
    with pytest.raises(ValueError, match="is no address") as caught:
        SharedStore("redis//:secret@127.0.0.1/0")
    assert "secret" not in str(caught.value)


# -- together ----------------------------------------------------------------------------------------------


@every_kind
def test_two_proxies_have_one_limit(redis: RedisServer, kind: str) -> None:
    """Both ask at once, by Redis's own clock: no more than burst + rate x t in all."""

    async def play(one: SharedLimits) -> None:
        other = SharedLimits(one.store)
        limiter = LIMITERS[kind]()
        start = time.monotonic()
        asked = [store.decide([Question(limiter, "k")]) for store in (one, other) for _ in range(100)]
        answers = await asyncio.gather(*asked)
        took = time.monotonic() - start
        await other.close()
        admitted = sum(decisions[0].allowed for decisions in answers)
        windows = 2 if "window" in kind else 1  # a boundary may lie in between
        assert 4 <= admitted <= windows * (4 + 2 * took) + 1e-3

    run(shared(redis), play)


def test_questions_at_the_same_time_share_a_round_trip(redis: RedisServer) -> None:
    """Two hundred questions take a handful of round trips; each that one waits for takes one."""

    async def play(limits: SharedLimits) -> None:
        await limits.decide([Question(GCRA(1, 4), "k")])  # connected, and the script is known
        reads = [await _reads(limits)]
        await asyncio.gather(*[limits.decide([Question(GCRA(1, 4), f"k{i}")]) for i in range(200)])
        reads.append(await _reads(limits))
        for i in range(5):
            await limits.decide([Question(GCRA(1, 4), f"k{i}"), Question(GCRA(1, 4), "all")])
        reads.append(await _reads(limits))
        together, alone = reads[1] - reads[0] - 1, reads[2] - reads[1] - 1  # without INFO itself
        assert together <= 20
        assert alone == 5

    run(shared(redis), play)


async def _reads(limits: SharedLimits) -> int:
    """How often the server has read from a connection."""
    return int((await limits._redis.info("stats"))["total_reads_processed"])


def test_scripts_are_loaded_again_after_a_flush(redis: RedisServer) -> None:
    async def play(limits: SharedLimits) -> None:
        for _ in range(2):
            answers = await asyncio.gather(*[limits.decide([Question(GCRA(1, 4), "k")]) for _ in range(5)])
            assert all(answers)
            await limits._redis.script_flush()

    run(shared(redis), play)


def test_states_expire(redis: RedisServer) -> None:
    async def play(limits: SharedLimits) -> None:
        for name, make in LIMITERS.items():
            await limits.decide([Question(make(), name)])
        keys = await limits._redis.keys(f"{limits.store.prefix}:*")
        assert len(keys) == len(LIMITERS) + 2  # several has two, and there is the clock
        lasting = [key for key in keys if not 0 < await limits._redis.pttl(key) <= 4002]
        assert lasting == [f"{limits.store.prefix}:clock".encode()]

    run(shared(redis), play)


# -- without it ----------------------------------------------------------------------------------------------


def test_a_killed_redis_causes_no_wait_and_keeps_its_states() -> None:
    """Nothing is admitted twice, as every write was on disk."""
    need("redis-server")
    with RedisServer(lasting=True) as redis:

        async def play(limits: SharedLimits) -> None:
            question = [Question(GCRA(0.001, 5), "k")]
            assert [(await limits.decide(question))[0].allowed for _ in range(3)] == [True] * 3
            await asyncio.to_thread(redis.kill)
            assert [await limits.decide(question) for _ in range(10)] == [None] * 10
            assert limits.unanswered == 10
            assert limits.fault
            await asyncio.to_thread(redis.start)
            found = await _back(limits, question)
            while found[-1]:
                found.append((await limits.decide(question))[0].allowed)
            assert sum(found) == 2

        run(shared(redis, cooldown=0.05), play)


async def _back(limits: SharedLimits, question: list[Question]) -> list[bool]:
    """Whether it was admitted, once it is answered again."""
    end = time.monotonic() + PATIENT
    while (answer := await limits.decide(question)) is None:
        assert time.monotonic() < end, limits.fault
        await asyncio.sleep(0.02)
    return [answer[0].allowed]


def test_a_frozen_redis_adds_no_more_than_the_timeout() -> None:
    """The first few wait so long; then it is left alone for a while."""
    need("redis-server")
    with RedisServer() as redis:

        async def play(limits: SharedLimits) -> None:
            question = [Question(GCRA(1000, 1000), "k")]
            assert await limits.decide(question)
            os.kill(redis.pid, signal.SIGSTOP)
            try:
                waits = []
                for _ in range(10):
                    start = asyncio.get_running_loop().time()
                    assert await limits.decide(question) is None
                    waits.append(asyncio.get_running_loop().time() - start)
            finally:
                os.kill(redis.pid, signal.SIGCONT)
            assert all(0.24 < wait < 2 for wait in waits[:3])
            assert sum(waits[3:]) < 1.0  # seven waits would be 1.75 s
            await _back(limits, question)

        run(shared(redis, timeout=0.25, cooldown=1.0), play)


def test_a_redis_that_cannot_be_reached_causes_no_wait() -> None:
    async def play(limits: SharedLimits) -> None:
        assert [await limits.decide([Question(GCRA(1, 4), "k")]) for _ in range(5)] == [None] * 5
        assert "refused" in limits.fault or "onnect" in limits.fault

    run(SharedLimits(SharedStore("redis://127.0.0.1:1/0", timeout=PATIENT)), play)


# -- in proxies --------------------------------------------------------------------------------------------


def rules(store: SharedStore, rate: float = 0.001, **more: Any) -> dict[str, Any]:
    rule = RateLimit({"kind": "token_bucket", "rate": rate, "burst": 5}, **more)
    return {"rate_limits": [rule], "x_ratelimit": True, "redis": store}


def statuses(*proxies: Proxy, each: int) -> list[int]:
    """Return the statuses of requests sent to each in turn."""
    return [ask(proxy)[0] for _ in range(each) for proxy in proxies]


def test_two_real_proxies_share_a_limit(redis: RedisServer) -> None:
    store = shared(redis).store
    with (
        proxied(echo, **rules(store)) as one,
        proxied(echo, **rules(store)) as other,
    ):
        assert statuses(one, other, each=10) == [200] * 5 + [429] * 15
        _, head, _ = ask(other)
        assert b"\r\nRateLimit: " in head
        assert b"\r\nX-RateLimit-Remaining: 0\r\n" in head
        with Client(one) as client:  # a body waits for the decision, too, and a denied one is not passed on
            client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" + GET)
            assert [client.answer()[0], client.answer()[0]] == [429, 429]


def test_the_limit_holds_across_a_crash_of_redis() -> None:
    """Both proxies are closed meanwhile, and no client is forgotten: what was admitted is on the disk."""
    need("redis-server")
    with RedisServer(lasting=True) as redis:
        store = SharedStore(redis.url, timeout=PATIENT, on_failure="closed", cooldown=0.05)
        with (
            proxied(echo, **rules(store)) as one,
            proxied(echo, **rules(store)) as other,
        ):
            seen = statuses(one, other, each=1)
            redis.kill()
            dead = statuses(one, other, each=4)
            assert dead == [503] * 8
            assert b"limits cannot be checked" in ask(one)[2]
            redis.start()
            end = time.monotonic() + PATIENT
            while 429 not in seen:
                assert time.monotonic() < end
                seen += statuses(one, other, each=1)
    assert seen.count(200) == 5


@pytest.mark.parametrize(("on_failure", "expected"), [("open", 16), ("closed", 0), ("local", 10)])
def test_without_redis(on_failure: str, expected: int) -> None:
    """All requests pass, none does, or each proxy counts by itself; no request waits for long."""
    store = SharedStore("redis://127.0.0.1:1/0", timeout=0.2, on_failure=on_failure)
    start = time.monotonic()
    with (
        proxied(echo, **rules(store)) as one,
        proxied(echo, **rules(store)) as other,
    ):
        assert statuses(one, other, each=8).count(200) == expected
    assert time.monotonic() - start < 10


def test_a_request_of_a_client_that_leaves_meanwhile_reaches_no_backend() -> None:
    """Redis is frozen, the client goes, and then it is let in."""
    need("redis-server")
    with RedisServer() as redis:
        store = SharedStore(redis.url, timeout=0.5)
        with proxied(echo, **rules(store)) as proxy:
            assert ask(proxy)[0] == 200
            os.kill(redis.pid, signal.SIGSTOP)
            with Client(proxy) as client:
                client.send(GET)
            os.kill(redis.pid, signal.SIGCONT)
            assert ask(proxy)[0] == 200
            (backend,) = proxy.pool.backends
            assert backend.picks == 2


def test_the_file() -> None:
    text = {
        "backends": [{"address": "127.0.0.1:1"}],
        "redis": {"url": "redis://127.0.0.1:7000/2", "on_failure": "closed"},
        "rate_limits": [{"limiter": {"kind": "gcra", "rate": 10}}],
    }
    limits = Proxy(config=ProxyConfig.from_dict(text)).filters["rate_limits"].limits
    assert limits
    assert limits.shared
    assert limits.shared.store.on_failure == "closed"
    twice = {**text, "rate_limits": text["rate_limits"] * 2}
    for wrong, message in (
        ({**text, "redis": {"url": "localhost"}}, "redis.url is no address: use redis://host:port/number"),
        ({**text, "redis": {"on_failure": "panic"}}, "redis.on_failure is 'panic': use open, closed, local"),
        (twice, "rate_limits: two rules are default:/:client:gcra: give them names that differ"),
    ):
        with pytest.raises(ConfigError, match=re.escape(message)):
            ProxyConfig.from_dict(wrong)
