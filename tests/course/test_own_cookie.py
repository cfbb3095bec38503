"""A learner's sticky cookie, in the kit's place."""

from __future__ import annotations

import random
from collections.abc import Mapping

from lbkit import Backend, Intent, Policy, Sticky
from lbkit.core import Pool
from lbkit.course import own_cookie


class Named:
    """The name itself; `seen` notes what it was asked with."""

    def __init__(self) -> None:
        self.seen: list[tuple[Mapping[str, str], float]] = []

    def read(self, token: str, servers: Mapping[str, str], now: float) -> str | None:
        self.seen.append((dict(servers), now))
        return token if servers.get(token) == "up" else None

    def answer(self, token: str, server: str, now: float) -> str | None:
        return None if token == server else server


def test_it_finds_sessions_and_is_told_states_and_wall_clock_time() -> None:
    cookie = Named()
    pool = Policy("round_robin", sticky=Sticky()).pool(
        [Backend("a"), Backend("b"), Backend("c")], random.Random
    )
    assert isinstance(pool, Pool)
    own_cookie(pool, cookie)
    assert pool.affinity is not None
    pool.affinity.epoch = 1000.0
    assert [pool.acquire("", 0.0, token="b").backend.name for _ in range(3)] == ["b"] * 3
    lease = pool.acquire("", 0.0, token="b")
    assert (lease.keep("", 1.0), lease.keep("b", 1.0)) == ("b", "")
    assert cookie.seen[0] == ({"a": "up", "b": "up", "c": "up"}, 1000.0)
    pool.set_intent("b", Intent.DRAIN, 2.0)
    pool.set_health("c", False)
    assert pool.acquire("", 3.0, token="b").backend.name == "a"
    assert cookie.seen[-1] == ({"a": "up", "b": "draining", "c": "down"}, 1003.0)
    pool.add(Backend("d"))
    pool.remove("d")
