"""Where servers keep the sessions of their users: in memory, or in a Redis that outlives them."""

from __future__ import annotations

import asyncio
import urllib.request
from collections.abc import Iterator
from urllib.error import HTTPError

import pytest
from needs import need_feature

need_feature("redis")

from lbkit import EngineError, Event, Experiment, Policy, Sessions, Sticky, Traffic, run, servers
from lbkit.live import LiveSession, LocalFleet
from lbkit.live.redis_server import RedisServer
from lbkit.live.session_store import MemoryStore, RedisStore, session_fields

pytestmark = pytest.mark.live

SHARED = Sessions(rate=4, requests=8, think=0.3, state="shared")
FLEET = Experiment(servers(3), Traffic(SHARED, duration=4))


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


def fields(store, cookies: bytes = b"", wanted: bytes = b"app") -> dict[str, str]:
    async def ask() -> dict[str, str]:
        found = await session_fields(store, wanted, cookies)
        await store.close()
        return {name.decode(): value.decode() for name, value in found}

    return asyncio.run(ask())


def cookie(answer: dict[str, str]) -> bytes:
    return answer["set-cookie"].partition(";")[0].encode()


@pytest.mark.parametrize("kind", ["memory", "redis"])
def test_a_store_counts_the_requests_of_each_session(kind: str, redis: RedisServer) -> None:
    def store() -> MemoryStore | RedisStore:
        return same if kind == "memory" else RedisStore(redis.url)

    same = MemoryStore()
    first, other = fields(store(), b"x=1"), fields(store())
    assert first["x-lbkit-visits"] == other["x-lbkit-visits"] == "1"
    assert cookie(first) != cookie(other)
    for visits in ("2", "3"):
        assert fields(store(), b"a=b; " + cookie(first)) == {"x-lbkit-visits": visits}
    assert fields(store(), cookie(other)) == {"x-lbkit-visits": "2"}


@pytest.mark.parametrize("kind", ["memory", "redis"])
def test_a_server_takes_no_name_of_a_session_that_a_client_made_up(kind: str, redis: RedisServer) -> None:
    made_up = fields(MemoryStore() if kind == "memory" else RedisStore(redis.url), b"app=chosen")
    assert made_up["x-lbkit-visits"] == "1"
    assert cookie(made_up) != b"app=chosen"


def test_a_value_of_the_balancer_is_taken_as_it_comes() -> None:
    assert fields(MemoryStore(), b"app=whatever", b"app any") == {}


def test_the_memory_of_a_server_is_bounded() -> None:
    store = MemoryStore(size=2)
    made = [cookie(fields(store)) for _ in range(3)]
    assert fields(store, made[2]) == {"x-lbkit-visits": "2"}
    assert "set-cookie" in fields(store, made[0])  # forgotten


def visit(url: str, cookie: str = "") -> tuple[str, str, str]:
    """Return the server, the number of visits and the cookie."""
    request = urllib.request.Request(url, headers={"X-Lbkit-Session": "app", "Cookie": cookie})
    with urllib.request.urlopen(request, timeout=5) as answer:
        head = answer.headers
        return head["X-Backend"], head["X-Lbkit-Visits"], (head["Set-Cookie"] or cookie).partition(";")[0]


@pytest.mark.parametrize("shared", [False, True])
def test_what_survives_a_server_is_what_others_know(shared: bool, redis: RedisServer) -> None:
    with LocalFleet(servers(2), store=redis.url if shared else "") as fleet:
        _, visits, mine = visit(fleet.urls["s1"])
        assert visits == "1"
        assert visit(fleet.urls["s1"], mine)[:2] == ("s1", "2")
        fleet.crash("s1")
        assert visit(fleet.urls["s2"], mine)[:2] == ("s2", "3" if shared else "1")
        fleet.recover("s1")
        assert visit(fleet.urls["s1"], mine)[:2] == ("s1", "4" if shared else "1")


def test_without_its_store_a_server_fails_and_recovers_afterwards() -> None:
    with RedisServer(lasting=True) as store, LocalFleet(servers(1), store=store.url) as fleet:
        url = fleet.urls["s1"]
        mine = visit(url)[2]
        store.kill()
        with pytest.raises(HTTPError) as failed:
            visit(url, mine)
        assert failed.value.code == 500
        failed.value.close()
        store.start()
        assert visit(url, mine)[1] == "2"


@pytest.mark.parametrize("policy", ["random", Policy("round_robin", sticky=Sticky("learn", "app"))])
def test_with_a_shared_store_nothing_is_lost_as_in_the_simulator(policy: str | Policy) -> None:
    events = [Event(2, "crash", "s2"), Event(3.9, "recover", "s2")]
    for on in ("live", "sim"):
        result = run(FLEET.but(policy=policy, events=events), on=on)
        assert result.sessions.moved > 0
        assert result.sessions.lost == 0
        if on == "live":
            assert result.extra["sessions_lost"] == 0
            assert result.sessions.begun > 8


def test_containers_cannot_reach_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lbkit.live.session.require", lambda name: None)
    with pytest.raises(EngineError, match="use processes, or state='memory'"):
        LiveSession(FLEET, on="docker")


def test_a_missing_redis_is_reported_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lbkit.live.assembly.why_not", lambda feature: f"{feature} needs the program")
    with pytest.raises(EngineError, match="state='shared' are kept in Redis: redis needs the program"):
        LiveSession(FLEET)
