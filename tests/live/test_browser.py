"""A browser with cookies and WebSockets, at the fleet's servers and through our proxy."""

from __future__ import annotations

import random

import pytest
from needs import need_feature

need_feature("live")

from lbkit import Policy, Sticky, servers
from lbkit.live import Browser, LocalFleet
from lbkit.live.front import LOOPBACK
from lbkit.net import Proxy

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def fleet():
    with LocalFleet(servers(3)) as running:
        yield running


def proxy(fleet: LocalFleet, policy: Policy) -> Proxy:
    return Proxy(policy.pool(fleet.backends(), random.Random), policy=policy, trusted=LOOPBACK)


def test_it_keeps_cookies_and_continues_its_session(fleet: LocalFleet) -> None:
    browser = Browser(fleet.urls["s1"])
    first, second = browser.get(), browser.get()
    assert (first.server, first.visits, second.visits) == ("s1", 1, 2)
    assert list(browser.cookies) == ["session"]
    assert (len(first.set_cookies), second.set_cookies) == (1, [])


def test_its_address_is_what_a_proxy_sees(fleet: LocalFleet) -> None:
    with proxy(fleet, Policy("round_robin", sticky=Sticky("source"))) as front:
        homes = [{Browser(front.url, address=f"192.0.2.{i}").get().server for _ in range(3)} for i in (1, 2)]
    assert homes == [{"s1"}, {"s2"}]


def test_a_websocket_is_one_request_for_the_proxy(fleet: LocalFleet) -> None:
    with (
        proxy(fleet, Policy("round_robin")) as front,
        Browser(front.url).websocket() as first,
        Browser(front.url).websocket() as second,
    ):
        assert [first.ask("hello") for _ in range(3)] == ["s1 1", "s1 2", "s1 3"]
        assert [second.ask("hello") for _ in range(2)] == ["s2 1", "s2 2"]


def test_a_websocket_follows_the_sticky_cookie(fleet: LocalFleet) -> None:
    with proxy(fleet, Policy("round_robin", sticky=Sticky())) as front:
        browser = Browser(front.url)
        home = browser.get().server
        for _ in range(3):
            with browser.websocket() as chat:
                assert chat.ask("again").split() == [home, "1"]


def test_a_websocket_that_ends_is_an_error(fleet: LocalFleet) -> None:
    with LocalFleet(servers(1)) as other, Browser(other.urls["s1"]).websocket() as chat:
        assert chat.ask("hello") == "s1 1"
        with pytest.raises(ValueError, match="the message has 126 bytes: use at most 125"):
            chat.ask("x" * 126)
        other.crash("s1")
        with pytest.raises(ConnectionError):
            chat.ask("hello")
    with pytest.raises(ConnectionRefusedError):
        Browser("http://127.0.0.1:9").websocket()
