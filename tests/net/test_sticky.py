"""Sticky sessions through the proxy, by what clients and backends get to see of them."""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from needs import need, need_module
from scripted import TIMEOUT, Connection, Scripted, field, nobody_listens
from visitors import Browser, named

from lbkit import Backend, Policy, Sticky
from lbkit.core.health import BreakerState
from lbkit.core.sticky import HOW
from lbkit.live.redis_server import RedisServer
from lbkit.net import Proxy
from lbkit.net.config import ConfigError, ProxyConfig
from lbkit.net.filters.sticky import CARRIERS, edit_cookie
from lbkit.net.messages import RequestHead
from lbkit.net.peer import Peer
from lbkit.net.shared_store import SharedSessions, SharedStore
from lbkit.net.shared_store.store import connection


@contextmanager
def sticking(rules: Sticky, count: int = 2, fields: str = "", **options: Any) -> Iterator[Proxy]:
    """A proxy before backends s1, s2 ... `fields` of answers may use {name}."""
    servers = [Scripted(named(f"s{i}", fields.replace("{name}", f"s{i}"))) for i in range(1, count + 1)]
    backends = [Backend(f"s{i}", host="127.0.0.1", port=s.port) for i, s in enumerate(servers, 1)]
    policy = Policy("round_robin", sticky=rules)
    pool = policy.pool(backends, random.Random)
    try:
        with Proxy(pool, policy=policy, **options) as proxy:
            proxy.scripted = servers  # type: ignore[attr-defined]
            yield proxy
        assert all(b.in_flight == 0 for b in backends)
    finally:
        for server in servers:
            server.close()


def test_a_cookie_is_inserted_once_and_backends_do_not_see_it() -> None:
    with sticking(Sticky()) as proxy:
        browser = Browser(proxy, {"a": "1", "b": "2"})
        home = browser.get()
        (cookie,) = browser.set_cookies
        assert re.fullmatch(r"lbkit=[\w-]{54}; Path=/; HttpOnly; SameSite=Lax", cookie)
        assert field(browser.head, "Cache-Control") == ["private"]
        for _ in range(3):
            assert browser.get() == home
            assert browser.set_cookies == []
            assert field(browser.seen, "Cookie") == ["a=1; b=2"]
        other = Browser(proxy)
        assert other.get() != home
        assert other.cookies["lbkit"] != browser.cookies["lbkit"]


def test_a_cookie_of_the_backend_s_own_cannot_replace_the_inserted_one() -> None:
    """As HAProxy without `preserve`."""
    fields = "Set-Cookie: lbkit=mine; Path=/\r\nSet-Cookie: lbkit2=kept\r\n"
    with sticking(Sticky(), fields=fields) as proxy:
        browser = Browser(proxy)
        home = browser.get()
        assert [cookie.partition("=")[0] for cookie in browser.set_cookies] == ["lbkit2", "lbkit"]
        for _ in range(3):
            assert browser.get() == home
            assert browser.set_cookies == ["lbkit2=kept"]


def test_the_only_cookie_leaves_no_empty_field() -> None:
    with sticking(Sticky()) as proxy:
        browser = Browser(proxy)
        browser.get()
        browser.get()
        assert field(browser.seen, "Cookie") == []


def test_attributes_are_as_configured() -> None:
    with sticking(Sticky(name="__Host-s", secure=True, http_only=False, same_site="None")) as proxy:
        browser = Browser(proxy)
        browser.get()
        assert browser.set_cookies[0].partition("; ")[2] == "Path=/; Secure; SameSite=None"


@pytest.mark.parametrize("value", ["s2", "czI", "", "A" * 43, "x" * 5000, '"quoted"', "a=b"])
def test_a_cookie_that_a_client_makes_up_is_as_none(value: str) -> None:
    with sticking(Sticky()) as proxy:
        assert Browser(proxy, {"lbkit": value}).get() == "s1"
        browser = Browser(proxy, {"lbkit": value})
        assert browser.get() == "s2"
        assert len(browser.set_cookies) == 1
        assert field(browser.seen, "Cookie") == []


def test_a_session_moves_when_its_backend_dies_and_gets_another_cookie() -> None:
    with sticking(Sticky()) as proxy:
        browser = Browser(proxy)
        home = browser.get()
        before = dict(browser.cookies)
        proxy.scripted[int(home[1]) - 1].close()  # type: ignore[attr-defined]
        other = browser.get()
        assert (browser.status, other) == (200, "s2" if home == "s1" else "s1")
        assert browser.cookies != before
        assert browser.get() == other
        assert browser.set_cookies == []


def test_a_session_may_be_refused_when_its_backend_is_out() -> None:
    with sticking(Sticky(gone="refuse")) as proxy:
        browser = Browser(proxy)
        home = browser.get()
        proxy.call(proxy.pool.set_health, home, False)
        browser.get()
        assert browser.status == 503
        assert browser.set_cookies == []
        assert Browser(proxy).get() != home


def test_the_applications_cookie_gets_our_value() -> None:
    with sticking(Sticky("rewrite", "app"), fields="Set-Cookie: app=plain-{name}; Path=/x\r\n") as proxy:
        browser = Browser(proxy)
        home = browser.get()
        assert re.fullmatch(r"app=[\w-]{54}; Path=/x", browser.set_cookies[0])
        value = browser.cookies["app"]
        assert [browser.get() for _ in range(3)] == [home] * 3
        assert browser.cookies["app"] == value
    with sticking(Sticky("rewrite", "app")) as proxy:  # it sets none
        browser = Browser(proxy)
        browser.get()
        assert browser.set_cookies == []


def test_the_applications_cookie_gets_a_prefix_that_it_does_not_see() -> None:
    with sticking(Sticky("prefix", "app"), fields="Set-Cookie: app=id~{name}; Secure\r\n") as proxy:
        browser = Browser(proxy, {"other": "1"})
        home = browser.get()
        assert re.fullmatch(rf"app=[\w-]{{54}}~id~{home}; Secure", browser.set_cookies[0])
        assert browser.get() == home
        assert field(browser.seen, "Cookie") == [f"other=1; app=id~{home}"]


def test_the_applications_cookie_is_learned() -> None:
    with sticking(Sticky("learn", "app"), fields="Set-Cookie: app={name}-session\r\n") as proxy:
        browser = Browser(proxy)
        home = browser.get()
        assert browser.cookies == {"app": f"{home}-session"}
        assert [browser.get() for _ in range(3)] == [home] * 3
        made_up = Browser(proxy, {"app": "made-up"})
        made_up.get()
        assert proxy.pool.affinity.remembered == 2


def test_the_address_of_a_client_is_remembered() -> None:
    with sticking(Sticky("source")) as proxy:
        assert len({Browser(proxy).get() for _ in range(4)}) == 1


def test_a_route_travels_in_the_url() -> None:
    with sticking(Sticky("route", "r"), fields="Location: /next?a=1\r\n") as proxy:
        browser = Browser(proxy)
        home = browser.get("/start?x=1")
        (route,) = field(browser.head, "X-Lbkit-Route")
        (place,) = field(browser.head, "Location")
        assert place == f"/next?a=1&r={route}"
        for target, seen in ((place, "/next?a=1"), (f"/?r={route}", "/"), (f"/?r={route}&b=2", "/?b=2")):
            assert browser.get(target) == home
            assert browser.seen.startswith(f"GET {seen} HTTP/1.1".encode())
            assert field(browser.head, "X-Lbkit-Route") == []


def test_redirects_to_other_sites_get_no_route() -> None:
    for place in ("http://elsewhere/", "//elsewhere/"):
        with sticking(Sticky("route"), fields=f"Location: {place}\r\n") as proxy:
            browser = Browser(proxy)
            browser.get()
            assert field(browser.head, "Location") == [place]


def test_an_answer_of_the_proxys_own_begins_no_session() -> None:
    with sticking(Sticky(), count=1) as proxy:
        proxy.scripted[0].close()  # type: ignore[attr-defined]
        browser = Browser(proxy)
        browser.get()
        assert browser.status == 502
        assert browser.set_cookies == []


def test_the_answer_says_why() -> None:
    with sticking(Sticky(), explain=True) as proxy:
        browser = Browser(proxy)
        home = browser.get()
        browser.get()
        assert field(browser.head, "X-Lbkit-Why") == [f"{home}: its session is on {home}"]


def test_every_way_has_its_filter() -> None:
    assert CARRIERS.keys() == HOW.keys()


cookie_text = st.text(st.sampled_from('ab=;, "~\t'), max_size=20)


@given(cookie_text, st.sampled_from([b"a", b"ab", b"b"]))
def test_other_cookies_stay_as_they_are(line: str, name: bytes) -> None:
    data = b"GET / HTTP/1.1\r\nHost: h\r\nCookie: " + line.encode() + b"\r\nX-A: b\r\n"
    request = RequestHead(b"GET", b"/", data, Peer("127.0.0.1"), "127.0.0.1")
    pairs = [pair.strip(" \t") for pair in line.split(";")]
    theirs = [pair for pair in pairs if pair.partition("=")[0] != name.decode() or "=" not in pair]
    ours = [pair.partition("=")[2] for pair in pairs if pair not in theirs]
    assert edit_cookie(request, name, lambda value: None) == (ours[0] if ours else "")
    if ours:
        left = [pair for pair in theirs if pair]
        kept = [p.strip(" \t") for p in request.field(b"cookie").decode().split(";") if p.strip(" \t")]
        assert kept == left
        assert request.data.endswith(b"\r\nX-A: b\r\n")
    else:
        assert request.data == data


def test_several_workers_need_a_secret_and_no_table() -> None:
    backends = [{"address": "127.0.0.1:1"}]
    for rules, message in (
        ({}, "policy.sticky.secret is missing: 2 workers must share one"),
        ({"how": "source"}, "policy.sticky.how is 'source': each of 2 workers would have a table"),
    ):
        with pytest.raises(ConfigError, match=message):
            ProxyConfig.from_dict({"backends": backends, "workers": 2, "policy": {"sticky": rules}})
    rules = {"secret": "drawn at random, and long", "idle": 60}
    config = ProxyConfig.from_dict({"backends": backends, "workers": 2, "policy": {"sticky": rules}})
    first, second = config.pool(1), config.pool(2)
    token = first.keep(first["127.0.0.1:1"], "", 0)
    assert second.affinity.find(token, 0) == "127.0.0.1:1"
    assert ProxyConfig.from_dict(config.to_dict()) == config


def test_a_proxy_without_a_secret_draws_one_that_no_seed_gives_away() -> None:
    config = ProxyConfig.from_dict(
        {"backends": [{"address": "127.0.0.1:1"}], "seed": 7, "policy": {"sticky": {}}}
    )
    first, second = config.pool(7), config.pool(7)
    assert second.affinity.find(first.keep(first["127.0.0.1:1"], "", 0), 0) is None


# -- a table that proxies share ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    need("redis-server")
    need_module("redis")
    with RedisServer() as server:
        yield server


PATIENT = 20.0  # seconds, on a busy machine


@pytest.mark.parametrize("how", ["learn", "source"])
def test_proxies_share_a_table(redis: RedisServer, how: str) -> None:
    store = SharedStore(redis.url, timeout=PATIENT, prefix=f"{how} together")
    rules = Sticky(how, "app", idle=60)
    fields = "Set-Cookie: app={name}-session\r\n" if how == "learn" else ""
    with sticking(rules, 3, fields, redis=store) as one:
        ports = [server.port for server in one.scripted]  # type: ignore[attr-defined]
        backends = [Backend(f"s{i}", host="127.0.0.1", port=port) for i, port in enumerate(ports, 1)]
        policy = Policy("round_robin", sticky=rules)
        with Proxy(policy.pool(backends, random.Random), policy=policy, redis=store) as two:
            assert Browser(one).get() == "s1"
            browser = Browser(one)
            home = browser.get()
            assert home == ("s1" if how == "source" else "s2")
            two.call(two.pool.pick, "", 0.0)  # so that its turns are others
            written = wait_for_session(one)
            browser.proxy = two
            assert written
            assert all(b"session" not in key.split(b":")[-1] for key in asyncio.run(keys(redis, f"{how} *")))
            assert [browser.get() for _ in range(3)] == [home] * 3
            two.call(two.pool.release, two.pool["s1"], 0.0, None, 0.0)


def wait_for_session(proxy: Proxy) -> bool:
    """Return when what the proxy writes to Redis has been written."""
    shared = proxy.filters["sticky"].shared  # type: ignore[attr-defined]
    end = time.monotonic() + PATIENT
    while shared._writes:
        assert time.monotonic() < end
        time.sleep(0.01)
    return True


def test_what_a_client_makes_up_is_not_in_the_shared_table(redis: RedisServer) -> None:
    store = SharedStore(redis.url, timeout=PATIENT, prefix="made up")
    with sticking(Sticky("learn", "app", idle=60), redis=store) as proxy:
        for i in range(5):
            assert Browser(proxy, {"app": f"made-up-{i}"}).get()
        wait_for_session(proxy)
        assert asyncio.run(keys(redis, "made up*")) == []
        assert proxy.pool.affinity.remembered == 0


async def keys(redis: RedisServer, pattern: str) -> list[bytes]:
    client = connection(redis.url)
    found = await client.keys(pattern)
    await client.aclose()
    return found


@pytest.mark.parametrize(("on_failure", "status"), [("open", 200), ("closed", 503)])
def test_without_redis_each_proxy_has_its_own_table_or_refuses(on_failure: str, status: int) -> None:
    need_module("redis")
    with nobody_listens() as port:
        url = f"redis://127.0.0.1:{port}/0"
        store = SharedStore(url, timeout=1.0, on_failure=on_failure, cooldown=60.0)
        with sticking(Sticky("source", idle=60), redis=store) as proxy:
            browser = Browser(proxy)
            found = {browser.get() for _ in range(6)}
            assert browser.status == status
            assert len(found) == 1


def test_clients_that_leave_do_not_count_as_failures_of_redis() -> None:
    need_module("redis")

    async def visits(port: int) -> BreakerState:
        store = SharedStore(f"redis://127.0.0.1:{port}", failures=2, timeout=TIMEOUT)
        sessions = SharedSessions(store, 60, "s")
        for number in range(1, 6):
            visit = asyncio.create_task(sessions.get("token"))
            while len(asked) < number:  # redis swallows a cancellation while it connects
                await asyncio.sleep(0.01)
            visit.cancel()
            assert isinstance(
                (await asyncio.gather(visit, return_exceptions=True))[0], asyncio.CancelledError
            )
        await sessions.close()
        return sessions._breaker.state

    def listens(connection: Connection) -> None:
        asked.append(connection.sock.recv(1))
        connection.head()

    asked: list[bytes] = []
    with Scripted(listens) as silent:
        assert asyncio.run(visits(silent.port)) is BreakerState.CLOSED


def test_a_shared_table_ends_by_idle_only() -> None:
    need_module("redis")
    backends = [{"address": "127.0.0.1:1"}]
    for rules in ({"how": "source"}, {"how": "source", "idle": 60, "life": 90}):
        with pytest.raises(ConfigError, match=r"policy\.sticky: sessions in redis expire only when idle"):
            ProxyConfig.from_dict({"backends": backends, "redis": {}, "policy": {"sticky": rules}})
    fine = {"how": "source", "idle": 60}
    config = ProxyConfig.from_dict(
        {"backends": backends, "redis": {}, "workers": 2, "policy": {"sticky": fine}}
    )
    assert config.shared_sessions()
    with pytest.raises(ConfigError, match="redis is set, but there are no rate_limits"):
        ProxyConfig.from_dict({"backends": backends, "redis": {}, "policy": {"sticky": {}}})
