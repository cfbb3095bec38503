from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from variants import NAMES

from lbkit import Backend, Intent, Lease, NoBackend, Policy, Replicas, Sticky
from lbkit.core.drain import DrainState
from lbkit.core.sticky import HOW, TABLES

INF = float("inf")
COOKIES = [how for how in HOW if how not in TABLES]


def sticky(how: str = "insert", **fields: Any) -> Sticky:
    return Sticky(how, fields.pop("name", "session"), **fields)


def pool_of(rules: Sticky, algorithm: str = "round_robin", count: int = 4, **fields: Any):
    backends = [Backend(f"s{i}") for i in range(1, count + 1)]
    return Policy(algorithm, sticky=rules, **fields).pool(backends, lambda name: random.Random(name))


class Client:
    """Presents its token, as a browser presents its cookie; with a table, its own name."""

    def __init__(self, pool: Any, name: str = "client") -> None:
        self.pool = pool
        self.token = name if pool.pools[0].affinity.rules.table else ""

    def ask(self, now: float = 0.0) -> str:
        backend = self.pool.pick("key", now, (), self.token)
        self.pool.release(backend, now, True, now)
        self.token = self.pool.keep(backend, self.token, now) or self.token
        return backend.name


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("algorithm", NAMES)
def test_a_session_stays_with_every_algorithm(how: str, algorithm: str) -> None:
    pool = pool_of(sticky(how), algorithm)
    clients = [Client(pool, f"10.0.0.{i}") for i in range(5)]
    homes = [client.ask(0) for client in clients]
    for now in range(1, 4):
        assert [client.ask(now) for client in clients] == homes
    assert all(b.in_flight == 0 for b in pool.backends)


steps = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.integers(0, 5)),
        st.tuples(st.just("health"), st.integers(1, 4), st.booleans()),
        st.tuples(st.just("block"), st.integers(1, 4), st.booleans()),
        st.tuples(st.just("intent"), st.integers(1, 4), st.sampled_from(Intent)),
        st.tuples(st.just("remove"), st.integers(1, 4)),
        st.tuples(st.just("add"), st.integers(1, 4)),
    ),
    max_size=60,
)


@given(st.sampled_from(sorted(HOW)), st.sampled_from(NAMES), st.booleans(), steps)
def test_a_session_moves_only_when_its_backend_is_gone(
    how: str, algorithm: str, drain: bool, history: list[Any]
) -> None:
    pool = pool_of(sticky(how, drain=drain), algorithm)
    clients = [Client(pool, f"10.0.0.{i}") for i in range(6)]
    homes: dict[int, str] = {}
    for now, (what, *values) in enumerate(history):
        name = f"s{values[0]}"
        if what == "ask":
            number = values[0]
            home = homes.get(number)
            there = next((b for b in pool.backends if b.name == home), None)
            stays = there is not None and (
                there.eligible
                or (
                    drain
                    and there.healthy
                    and not there.blocked
                    and pool.drains.state(there.name) is DrainState.DRAINING
                )
            )
            try:
                found = clients[number].ask(now)
            except NoBackend:
                assert not stays
                assert not pool.eligible
                continue
            assert found == home if stays else found in {b.name for b in pool.eligible}
            homes[number] = found
        elif what == "add":
            if name not in pool:
                pool.add(Backend(name))
        elif name in pool:
            if what == "health":
                pool.set_health(name, values[1])
            elif what == "block":
                pool.set_blocked(name, values[1])
            elif what == "intent":
                pool.set_intent(name, values[1], now)
            else:
                pool.remove(name)
                homes = {number: home for number, home in homes.items() if home != name}
        assert all(b.in_flight == 0 for b in pool.backends)


plays = st.lists(
    st.one_of(
        st.tuples(st.just("begin"), st.integers(0, 5), st.booleans()),
        st.tuples(st.just("begin"), st.integers(0, 5), st.booleans()),
        st.tuples(st.just("end"), st.integers(0, 99), st.sampled_from([True, False, None])),
        st.tuples(st.just("weight"), st.integers(1, 4), st.sampled_from([0.0, 1.0, 3.0])),
        st.tuples(st.just("intent"), st.integers(1, 4), st.sampled_from(Intent)),
        st.tuples(st.just("health"), st.integers(1, 4), st.booleans()),
    ),
    max_size=60,
)


@given(st.sampled_from(sorted(HOW)), st.sampled_from(NAMES), plays)
def test_counts_are_right_with_requests_under_way(how: str, algorithm: str, history: list[Any]) -> None:
    """Sessions and newcomers side by side, before every algorithm: none loses count, and none fails."""
    pool = pool_of(sticky(how), algorithm)
    tokens = {i: f"10.0.0.{i}" if how in TABLES else "" for i in range(6)}
    leases: list[Lease] = []
    for now, (what, which, value) in enumerate(history):
        if what == "begin":
            token = tokens[which] if value else ""
            try:
                lease = pool.acquire("key", now, (), True, token)
            except NoBackend:
                continue
            assert lease.why is not None
            tokens[which] = lease.keep(token, now) or tokens[which]
            leases.append(lease)
        elif what == "end":
            if leases:
                leases.pop(which % len(leases)).release(value, now)
        elif what == "weight":
            pool.set_weight(f"s{which}", value)
        elif what == "intent":
            pool.set_intent(f"s{which}", value, now)
        else:
            pool.set_health(f"s{which}", value)
        assert Counter(lease.backend.name for lease in leases) == Counter(
            {b.name: b.in_flight for b in pool.backends if b.in_flight}
        )
    for lease in leases:
        lease.release(None, len(history))
    assert all(b.in_flight == 0 for b in pool.backends)


@given(st.text(max_size=60), st.integers(0, 9))
def test_what_a_client_makes_up_chooses_no_backend(token: str, turns: int) -> None:
    """With it and without it, the algorithm picks the same."""
    with_token, without = pool_of(sticky()), pool_of(sticky())
    for now in range(turns):
        assert with_token.pick("k", now, (), token).name == without.pick("k", now).name
    table = pool_of(sticky("learn"))
    assert table.pick("k", 0, (), token).name == "s1"
    assert table.keep(table["s1"], token, 0, begin=False) == ""
    assert table.affinity.remembered == 0  # it does not fill the table either


def test_a_cookie_of_another_proxy_with_the_same_secret_is_understood() -> None:
    shared = sticky(secret="drawn at random, and long")
    first, second = pool_of(shared), pool_of(shared)
    client = Client(first)
    home = client.ask()
    client.pool = second
    assert [client.ask() for _ in range(3)] == [home] * 3
    client.pool = pool_of(sticky(secret="another one, just as long"), "first_available")
    assert client.ask() == "s1"


def test_several_balancers_share_cookies_but_not_tables() -> None:
    cookies = pool_of(sticky(), "random", 10, balancers=8)
    assert isinstance(cookies, Replicas)
    client = Client(cookies)
    assert len({client.ask(now) for now in range(50)}) == 1
    tables = pool_of(sticky("source"), "random", 10, balancers=8)
    client = Client(tables)
    assert len({client.ask(now) for now in range(50)}) > 1


@pytest.mark.parametrize("how", HOW)
def test_sessions_end_when_idle_and_at_the_end_of_their_life(how: str) -> None:
    pool = pool_of(sticky(how, idle=60, life=300))
    client = Client(pool)
    assert client.ask(0) == "s1"
    assert [client.ask(now) for now in (50, 100, 150, 200, 250, 300)] == ["s1"] * 6  # used in time
    assert client.ask(301) == "s2"  # over
    assert client.ask(361) == "s2"
    assert client.ask(430) == "s3"  # was idle


def test_a_session_stays_on_a_backend_that_drains_if_it_may() -> None:
    for drain in (True, False):
        pool = pool_of(sticky(drain=drain))
        client = Client(pool)
        home = client.ask()
        pool.set_intent(home, Intent.DRAIN, 0)
        assert (client.ask() == home) is drain
        assert Client(pool).ask() != home  # a new session


def test_a_session_may_be_refused_instead() -> None:
    pool = pool_of(sticky(gone="refuse"))
    client = Client(pool)
    home = client.ask()
    pool.set_health(home, False)
    with pytest.raises(NoBackend, match=f"the session is on {home}, which is not available"):
        client.ask()
    assert pool.explain("k", 0, (), client.token) is None
    assert Client(pool).ask() != home
    pool.set_health(home, True)
    assert client.ask() == home


def test_a_retry_moves_the_session() -> None:
    pool = pool_of(sticky())
    client = Client(pool)
    home = client.ask()
    other = pool.pick("k", 0, (pool[home],), client.token)
    assert other.name != home
    client.token = pool.keep(other, client.token, 0)
    assert client.ask() == other.name


def test_the_lease_says_why() -> None:
    pool = pool_of(sticky())
    client = Client(pool)
    home = client.ask()
    assert str(pool.acquire("k", 0, (), True, client.token).why) == f"its session is on {home}"
    pool.set_health(home, False)
    why = str(pool.acquire("k", 0, (), True, client.token).why)
    assert why.startswith(f"its session was on {home}, which is not available; so ")


def test_adding_a_server_helps_only_newcomers() -> None:
    pool = pool_of(sticky(), "least_connections", 2)
    old = [Client(pool) for _ in range(10)]
    homes = [client.ask() for client in old]
    pool.add(Backend("s3"))
    assert [client.ask() for client in old] == homes
    busy = [pool.pick("k", 0, (), client.token) for client in old]
    assert {b.name for b in busy} == {"s1", "s2"}
    assert [Client(pool).ask() for _ in range(5)] == ["s3"] * 5


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"how": "magic"}, "how is 'magic': use one of insert, rewrite, prefix, learn, source, route"),
        ({"how": "learn"}, "name is empty: learn needs the name of the application's session cookie"),
        ({"name": "a b"}, "name is 'a b': use up to 64 letters"),
        ({"secret": "short"}, "secret has 5 bytes: use at least 16"),
        ({"idle": 0}, "idle is 0: use a number above 0"),
        ({"life": -1}, "life is -1"),
        ({"size": 0}, "size is 0: use a whole number of at least 1"),
        ({"gone": "panic"}, "gone is 'panic': use one of another, refuse"),
        ({"same_site": "lax"}, "same_site is 'lax': use one of '', Strict, Lax, None"),
        ({"same_site": "None"}, "browsers accept it with secure = true only"),
        ({"name": "__Host-id"}, "browsers accept that prefix with secure = true only"),
    ],
)
def test_what_is_wrong_is_named(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Sticky(**fields)


def test_algorithms_know_of_requests_that_they_did_not_pick() -> None:
    """The next pick avoids the backend that sessions have filled."""
    for name in ("least_connections", "least_response_time", "bounded_hash", "join_idle_queue"):
        pool = pool_of(sticky(), name, 2)
        client = Client(pool)
        home = client.ask()
        for _ in range(3):
            pool.pick("k", 0, (), client.token)
        assert pool.pick("k", 0).name != home, name
