"""Content switching on real processes: the same rules, the same pools as in the simulator."""

from __future__ import annotations

import pytest
from needs import need, need_feature

need_feature("live")

from lbkit import Constant, Experiment, Poisson, RequestKind, Server, Traffic, run
from lbkit.core.routing import Body, Fixed, Redirect, Rewrite, Routing, Rule, Split, ToPool, When
from lbkit.live.peers import PeerError, render

pytestmark = pytest.mark.live

QUICK = Constant(0.001)
EXPERIMENT = Experiment(
    (
        Server("w1", service=QUICK),
        Server("a1", service=QUICK, pool="api"),
        Server("c1", service=QUICK, pool="canary"),
    ),
    Traffic(
        Poisson(80),
        duration=4.0,
        clients=2000,
        mix=(
            RequestKind("page", 6, path="/shop"),
            RequestKind("api", 3, path="/api", method="POST", headers={"X-Beta": "1"}),
            RequestKind("old", 1, path="/old", host="old.example.org"),
        ),
    ),
    routing=Routing(
        (
            Rule("api", ToPool("api"), When(prefix=("/api",), method=("POST",), header={"X-Beta": "*"})),
            Rule("old", Redirect("/shop{query}"), When(host=("*.example.org",))),
            Rule("canary", Split({"default": 80, "canary": 20})),
        )
    ),
)


def test_the_proxy_decides_about_each_request_as_the_simulator_does() -> None:
    live, simulated = run(EXPERIMENT, on="live"), run(EXPERIMENT)
    assert live.error_rate == 0
    assert live.by_rule() == simulated.by_rule()
    assert live.by_pool() == simulated.by_pool()
    decided = [sorted(zip(r.arrival, r.rule, r.backend, strict=True)) for r in (live, simulated)]
    assert decided[0] == decided[1]


@pytest.mark.parametrize("program", ["nginx", "haproxy"])
def test_a_program_has_the_same_rules_in_its_own_language(program: str) -> None:
    need(program)
    result, simulated = run(EXPERIMENT, on=program), run(EXPERIMENT)
    assert result.error_rate == 0
    assert result.by_rule() == simulated.by_rule()
    pools, same = result.by_pool(), simulated.by_pool()
    assert (pools["api"], pools[""]) == (same["api"], same[""])
    # Another hash of the clients: the same share within four standard deviations.
    split = result.by_rule()["canary"]
    assert abs(pools["canary"] - 0.2 * split) < 4 * (0.2 * 0.8 * split) ** 0.5
    assert any("another hash" in note for note in result.extra["notes"])


@pytest.mark.parametrize("program", ["apache", "caddy"])
def test_programs_without_rules_say_so(program: str) -> None:
    with pytest.raises(PeerError, match="has no routing here: use nginx, haproxy or lbkit's proxy"):
        render(EXPERIMENT, program)


@pytest.mark.parametrize(
    ("rule", "programs", "message"),
    [
        (Rule("r", rewrite=Rewrite(set={"X-A": "b"})), ("nginx", "haproxy"), "rewrites"),
        (Rule('a"b'), ("nginx", "haproxy"), "has no names with"),
        (
            Rule("s", Split({"default": 1, "api": 1}, key="cookie:a")),
            ("haproxy",),
            "cannot split by 'cookie:a'",
        ),
        (Rule("r", Redirect("/x{rest}"), When(prefix=("/y",))), ("nginx", "haproxy"), "has no {rest} here"),
        (Rule("f", Fixed(200, Body("costs $5"))), ("nginx",), "takes the \\$"),
        (Rule("f", Fixed(200, Body("it's"))), ("haproxy",), "has no text with '"),
        (Rule("f", Fixed(200, fields={"X-A": "b"})), ("nginx", "haproxy"), "has fields of its own"),
        (Rule("q", Fixed(403), When(query={"a b": "1"})), ("nginx", "haproxy"), "has no "),
    ],
)
def test_what_a_program_has_no_words_for_is_refused(
    rule: Rule, programs: tuple[str, ...], message: str
) -> None:
    servers = (Server("w"), Server("a", pool="api"))
    experiment = Experiment(servers, routing=Routing((Rule("api", ToPool("api"), When(path=("/p",))), rule)))
    for program in programs:
        with pytest.raises(PeerError, match=message):
            render(experiment, program)


def test_layer_4_has_no_rules() -> None:
    for program in ("nginx", "haproxy"):
        with pytest.raises(PeerError, match="reads no requests on layer 4"):
            render(EXPERIMENT, program, layer=4)


@pytest.mark.parametrize("program", ["nginx", "haproxy"])
def test_exceptions_and_every_kind_of_condition_start_a_program(program: str) -> None:
    need(program)
    when = When(
        host=("127.0.0.1",),
        method=("GET",),
        header={"X-Beta": "1*", "X-None": ""},
        query={"q": "a"},
        cookie={"c": "~[x-z]"},
    )
    exceptions = (When(path=("/api/1",)), When(client=("192.0.2.0/24",)))
    rules = (Rule("beta", ToPool("api"), when, unless=exceptions), Rule("rest", Fixed(404)))
    headers = {"X-Beta": "12", "Cookie": "c=y"}
    mix = (
        RequestKind("beta", path="/api", query="q=a", headers=headers),
        RequestKind("none", path="/api", query="q=b", headers=headers),
    )
    servers = (Server("w", service=QUICK), Server("a", service=QUICK, pool="api"))
    traffic = Traffic(Poisson(40), duration=2.0, paths=4, mix=mix)
    experiment = Experiment(servers, traffic, routing=Routing(rules))
    result, simulated = run(experiment, on=program), run(experiment)
    assert result.by_rule() == simulated.by_rule()
    assert result.by_pool() == simulated.by_pool()
