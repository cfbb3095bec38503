"""Our sticky sessions against those of real programs: the same clients, backends and cookies."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from needs import need, need_feature

need_feature("live")

from scripted import Scripted, field
from visitors import Browser, named

from lbkit import Backend, Experiment, Intent, Policy, Sticky, servers
from lbkit.live import PEERS, PeerError, render
from lbkit.net import Proxy

SECRET = "drawn at random, and long"
PROGRAMS = {"haproxy": "haproxy", "apache": "apache2", "caddy": "caddy"}


@dataclass
class Door:
    port: int
    host: str = "127.0.0.1"


@contextmanager
def both(
    on: str, policy: Policy, count: int = 3, fields: str = ""
) -> Iterator[tuple[Door, Proxy, list[Any]]]:
    """The program and our proxy before the same backends."""
    need(PROGRAMS[on])
    backends = [Scripted(named(f"s{i}", fields.replace("{name}", f"s{i}"))) for i in range(1, count + 1)]
    peer = PEERS[on](Experiment(servers(count), policy=policy))
    members = [Backend(f"s{i}", host="127.0.0.1", port=b.port) for i, b in enumerate(backends, 1)]
    try:
        peer.start(members)
        with Proxy(policy.pool([b.twin() for b in members], random.Random), policy=policy) as proxy:
            yield Door(peer.port), proxy, [peer, *backends]
    finally:
        peer.stop()
        for backend in backends:
            backend.close()


def shape(text: str) -> tuple[str, list[str]]:
    """Return the name of a cookie and its attributes, without the value."""
    pair, *attributes = (part.strip().lower() for part in text.split(";"))
    return pair.partition("=")[0], sorted(attributes)


@pytest.mark.parametrize(
    ("rules", "fields"),
    [
        (Sticky(), "Cache-Control: max-age=60\r\n"),
        (Sticky(secret=SECRET), ""),
        (Sticky(secure=True, http_only=False, same_site="Strict"), ""),
        (Sticky(secret=SECRET, idle=60, life=3600), ""),
        (Sticky("rewrite", "app"), "Set-Cookie: app=mine; Path=/x; HttpOnly\r\n"),
        (Sticky("rewrite", "app"), ""),
        (Sticky("prefix", "app"), "Set-Cookie: app=mine; Path=/x\r\nSet-Cookie: other=1\r\n"),
        (Sticky("prefix", "app"), ""),
        (Sticky("learn", "app"), "Set-Cookie: app={name}-session\r\n"),
        (Sticky("source"), ""),
    ],
    ids=[
        "insert",
        "hashed",
        "attributes",
        "times",
        "rewrite",
        "rewrite without",
        "prefix",
        "prefix without",
        "learn",
        "source",
    ],
)
def test_haproxy_gives_the_same_cookies_at_the_same_times(rules: Sticky, fields: str) -> None:
    """Clients come, come back, lose their cookies and make some up; backends see the same of it, too."""
    rng = random.Random(5)
    with both("haproxy", Policy("round_robin", sticky=rules), fields=fields) as (haproxy, ours, _):
        pairs = [(Browser(haproxy, {"z": "1"}), Browser(ours, {"z": "1"})) for _ in range(4)]
        for step in range(60):
            theirs, mine = pairs[rng.randrange(4)]
            chance = rng.random()
            if chance < 0.1:
                theirs.cookies, mine.cookies = {"z": "1"}, {"z": "1"}
            elif chance < 0.2 and rules.how != "learn":
                for browser in (theirs, mine):
                    browser.cookies[rules.cookie] = f"made-up-{step}"
            assert theirs.get() == mine.get(), step
            assert [shape(c) for c in theirs.set_cookies] == [shape(c) for c in mine.set_cookies], step
            assert theirs.status == mine.status == 200
            if rules.how != "rewrite":  # there backends see the balancer's value
                seen = [
                    re.sub(r"(app=)\S*made-up\S*", r"\1made-up", line)
                    for browser in (theirs, mine)
                    for line in field(browser.seen, "Cookie")
                ]
                assert len(set(seen)) <= 1, step
            if "max-age" in fields:  # for what a cache would keep, HAProxy says the same
                found = [sorted(field(browser.head, "Cache-Control")) for browser in (theirs, mine)]
                assert found[0] == found[1], step


def test_a_cookie_of_haproxys_may_choose_a_server_unless_it_is_hashed() -> None:
    """What its manual warns of, and what a signed value prevents."""
    with both("haproxy", Policy("round_robin", sticky=Sticky())) as (haproxy, ours, _):
        assert {Browser(haproxy, {"lbkit": "s3"}).get() for _ in range(4)} == {"s3"}
        assert [Browser(ours, {"lbkit": "s3"}).get() for _ in range(3)] == ["s1", "s2", "s3"]
    with both("haproxy", Policy("round_robin", sticky=Sticky(secret=SECRET))) as (haproxy, _, _):
        assert [Browser(haproxy, {"lbkit": "s3"}).get() for _ in range(3)] == ["s1", "s2", "s3"]


@pytest.mark.parametrize("how", ["insert", "learn"])
def test_a_session_moves_off_a_dead_server_and_stays_on_the_new_one(how: str) -> None:
    rules = Sticky(how, "app", secret=SECRET if how == "insert" else "")
    fields = "Set-Cookie: app={name}\r\n" if how == "learn" else ""
    with both("haproxy", Policy("round_robin", sticky=rules), 2, fields) as (haproxy, ours, parts):
        pair = Browser(haproxy), Browser(ours)
        assert [browser.get() for browser in pair] == ["s1", "s1"]
        parts[1].close()
        for browser in pair:
            assert [browser.get() for _ in range(3)] == ["s2"] * 3
            assert browser.status == 200


@pytest.mark.parametrize("drain", [True, False])
def test_sessions_stay_on_a_server_that_drains_if_they_may(drain: bool) -> None:
    policy = Policy("round_robin", sticky=Sticky(secret=SECRET, drain=drain))
    with both("haproxy", policy) as (haproxy, ours, (peer, *_)):
        pair = Browser(haproxy), Browser(ours)
        assert [browser.get() for browser in pair] == ["s1", "s1"]
        peer.drain("s1")
        ours.call(ours.pool.set_intent, "s1", Intent.DRAIN, 0.0)
        for browser in pair:
            assert (browser.get() == "s1") is drain
        assert "s1" not in {Browser(door).get() for door in (haproxy, ours) for _ in range(3)}


@pytest.mark.parametrize(
    ("on", "policy"),
    [
        ("apache", Policy("round_robin", sticky=Sticky(secure=True))),
        ("caddy", Policy("random", sticky=Sticky(secret=SECRET))),
    ],
    ids=["apache", "caddy"],
)
def test_other_programs_keep_sessions_by_cookie(on: str, policy: Policy) -> None:
    with both(on, policy) as (program, _, _):
        found = set()
        for number in range(60):  # Caddy draws at random: twelve would miss a server one time in fifty
            if number >= 3 and len(found) == 3:
                break
            browser = Browser(program)
            home = browser.get()
            found.add(home)
            assert shape(browser.set_cookies[0])[0] == "lbkit"
            if on == "apache":
                assert shape(browser.set_cookies[0])[1] == ["httponly", "path=/", "samesite=lax", "secure"]
            for _ in range(3):
                assert browser.get() == home
                assert browser.set_cookies == [] or on == "caddy"
        assert len(found) == 3


def test_apache_takes_a_route_from_the_url() -> None:
    with both("apache", Policy("round_robin", sticky=Sticky("route"))) as (apache, ours, _):
        for door in (apache, ours):
            browser = Browser(door)
            home = browser.get()
            (route,) = field(browser.head, "X-Lbkit-Route")
            assert {browser.get(f"/next?lbkit={route}") for _ in range(4)} == {home}
            assert field(browser.head, "X-Lbkit-Route") == []


def test_apache_lets_sessions_stay_on_a_server_that_drains() -> None:
    with both("apache", Policy("round_robin", sticky=Sticky())) as (apache, _, (peer, *_)):
        browser = Browser(apache)
        home = browser.get()
        peer.drain(home)
        assert browser.get() == home
        assert home not in {Browser(apache).get() for _ in range(6)}


@pytest.mark.parametrize(
    ("program", "rules", "message"),
    [
        ("nginx", Sticky(), "nginx has no sticky sessions by 'insert' here: use lbkit's proxy"),
        (
            "haproxy",
            Sticky("route"),
            "haproxy has no sticky sessions by 'route' here: it can do insert",
        ),
        ("haproxy", Sticky(gone="refuse"), "haproxy cannot do sticky.gone with 'insert' here: leave it at"),
        ("haproxy", Sticky("source", life=60), "haproxy cannot do sticky.life with 'source' here"),
        ("apache", Sticky(secret=SECRET), "apache cannot do sticky.secret with 'insert' here"),
        (
            "caddy",
            Sticky("source"),
            "caddy has no sticky sessions by 'source' here: it can do insert;",
        ),
        ("caddy", Sticky(), "caddy chooses at random for new sessions before 2.7"),
    ],
)
def test_what_a_program_cannot_do_is_refused_in_one_line(program: str, rules: Sticky, message: str) -> None:
    with pytest.raises(PeerError, match=message) as error:
        render(Experiment(servers(2), policy=Policy("round_robin", sticky=rules)), program)
    assert "\n" not in str(error.value)


def test_layer_4_knows_addresses_only() -> None:
    with pytest.raises(PeerError, match="haproxy sees no cookies and URLs on layer 4"):
        PEERS["haproxy"](Experiment(servers(2), policy=Policy(sticky=Sticky())), layer=4)
    PEERS["haproxy"](Experiment(servers(2), policy=Policy(sticky=Sticky("source"))), layer=4)
