"""Content switching in the simulator: the proxy's own rules choose the pool of each simulated request."""

from __future__ import annotations

import pytest
from attrs import evolve

from lbkit import (
    Closed,
    Constant,
    Experiment,
    ExperimentError,
    Hedge,
    Patience,
    Poisson,
    Policy,
    RequestKind,
    Retry,
    Server,
    Sessions,
    Traffic,
    run,
)
from lbkit.core.routing import Fixed, Mirror, Redirect, Routing, Rule, Split, ToPool, When
from lbkit.edge import RateLimit
from lbkit.workload import Kinds

QUICK = Constant(0.001)
POOLS = (
    Server("w1", service=QUICK),
    Server("w2", service=QUICK),
    Server("a1", service=QUICK, pool="api"),
    Server("c1", service=QUICK, pool="canary"),
)
MIX = (
    RequestKind("page", 6, path="/shop"),
    RequestKind("api", 3, path="/api", method="POST", headers={"X-Beta": "1"}),
    RequestKind("old", 1, path="/old", host="old.example.org"),
)
ROUTING = Routing(
    (
        Rule("api", ToPool("api"), When(prefix=("/api",), method=("POST",))),
        Rule("old", Redirect("/shop{query}"), When(host=("*.example.org",))),
        Rule("canary", Split({"default": 80, "canary": 20})),
    )
)


def experiment(**traffic: object) -> Experiment:
    options = {"arrivals": Poisson(200), "duration": 10.0, "mix": MIX, "clients": 2000} | traffic
    return Experiment(POOLS, Traffic(**options), routing=ROUTING, policy=Policy("round_robin"))  # type: ignore[arg-type]


def test_each_kind_gets_its_share_and_each_rule_its_kind() -> None:
    result = run(experiment())
    total = len(result)
    rules, pools = result.by_rule(), result.by_pool()
    assert rules["api"] / total == pytest.approx(0.3, abs=0.04)
    assert rules["old"] / total == pytest.approx(0.1, abs=0.03)
    assert rules[""] == 0
    assert pools["api"] == rules["api"]
    assert pools[""] == rules["old"]  # redirected: no server answered
    assert pools["canary"] / rules["canary"] == pytest.approx(0.2, abs=0.05)
    assert {status for status, rule in zip(result.status, result.rule, strict=True) if rule == 1} == {302}
    assert sum(rules.values()) == sum(pools.values()) == total


def test_the_table_decides_as_it_does_when_asked_about_each_request() -> None:
    from lbkit.core.routing import RouteTable
    from lbkit.sim.runs import simulation

    made = simulation(experiment(duration=2.0))
    made.run()
    table = RouteTable(ROUTING)
    for row in range(len(made.requests.arrival)):
        way = table.route(made.requests.view(row))
        assert ROUTING.rules[made.requests.rule[row]].name == way.rule  # type: ignore[index]


def test_a_mix_changes_nothing_else_of_the_requests() -> None:
    plain, mixed = run(experiment(mix=())), run(experiment())
    assert plain.arrival == mixed.arrival
    assert plain.client == mixed.client
    assert plain.path == mixed.path
    assert plain.by_rule()["api"] == 0


def test_a_client_stays_on_its_side_of_the_split() -> None:
    result = run(experiment(mix=()))
    sides: dict[int, set[bool]] = {}
    for client, backend in zip(result.client, result.backend, strict=True):
        sides.setdefault(client, set()).add(result.backends[backend] == "c1")
    assert all(len(side) == 1 for side in sides.values())


@pytest.mark.parametrize("arrivals", [Closed(users=20, think=0.1), Sessions(rate=20, requests=5, think=0.1)])
def test_clients_that_wait_are_routed_too(arrivals: object) -> None:
    result = run(experiment(arrivals=arrivals))
    assert result.by_rule()["api"] / len(result) == pytest.approx(0.3, abs=0.06)
    assert result.by_pool()["api"] == result.by_rule()["api"]


@pytest.mark.parametrize("patience", [None, Patience(timeout=0.5, retries=2)])
@pytest.mark.parametrize("retry", [None, Retry(hedge=Hedge(after=0.002))])
def test_attempts_and_tries_stay_in_the_pool_of_the_rule(
    patience: Patience | None, retry: Retry | None
) -> None:
    servers = [
        *POOLS[:2],
        *(Server(f"a{i}", service=QUICK, pool="api", error_rate=0.3) for i in (1, 2)),
        POOLS[3],
    ]
    made = experiment(patience=patience).but(servers=servers, policy=Policy(retries=2, retry=retry))
    result = run(made)
    pool_of = [server.pool for server in servers]
    assert len(result.rule) == len(result)
    for rule, backend in zip(result.rule, result.backend, strict=True):
        if backend >= 0:
            assert (pool_of[backend] == "api") == (rule == 0)


def test_a_path_in_a_key_is_that_of_the_kind() -> None:
    made = experiment().but(policy=Policy("modulo_hash", key="path"), servers=(*POOLS[:2], *POOLS[2:]))
    result = run(made)
    assert result.by_pool()["default"]
    by_header = run(made.but(policy=Policy("modulo_hash", key="header:X-Beta")))
    assert by_header.by_pool() == result.by_pool()


def test_limits_see_the_paths_of_the_kinds() -> None:
    limit = RateLimit({"kind": "token_bucket", "rate": 1, "burst": 1}, key="global", path="/api")
    result = run(experiment().but(limits=(limit,)))
    limited = {rule for rule, status in zip(result.rule, result.status, strict=True) if status == 429}
    assert limited == {0}


def test_a_pool_whose_servers_join_later_answers_503_until_then() -> None:
    from lbkit import Event

    made = experiment().but(events=(Event(5.0, "add", "a1"),))
    result = run(made)
    rows = zip(result.arrival, result.rule, result.status, strict=True)
    assert {(at > 5, status) for at, rule, status in rows if rule == 0} == {(False, 503), (True, 200)}


def test_the_result_names_rules_and_a_run_without_routing_has_none() -> None:
    plain = run(experiment(duration=1.0)).to_dict()
    assert set(plain["rule"]) <= {"api", "old", "canary"}
    without = run(Experiment(POOLS[:2], Traffic(Poisson(50), duration=1.0)))
    with pytest.raises(AttributeError, match="use an experiment with routing"):
        _ = without.rule


def test_a_routed_experiment_survives_its_files() -> None:
    made = experiment()
    assert Experiment.from_toml(made.to_toml()) == made
    assert Experiment.from_json(made.to_json()) == made


def test_shares_of_kinds_do_not_follow_from_the_demand() -> None:
    kinds = Kinds(experiment())
    for low in (0.0, 0.25, 0.5, 0.75):
        numbers = [kinds.number(low + i / 16000) for i in range(4000)]
        assert numbers.count(0) / 4000 == pytest.approx(0.6, abs=0.04)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"routing": None}, "no request goes to the pool 'api'"),
        ({"servers": POOLS[2:]}, "none is in the pool 'default'"),
        ({"servers": POOLS[:3]}, r"routing.rules\[2\]: no backend is in the pool 'canary'"),
        (
            {"routing": Routing((Rule("m", mirror=Mirror("api")),))},
            r"routing.rules\[0\].mirror: experiments send",
        ),
        ({"routing": Routing((Rule("a", Fixed(200)), Rule("b")))}, "rule 'b' is never reached"),
        ({"mix": (RequestKind("a"), RequestKind("a"))}, "two kinds have the name 'a'"),
        ({"mix": (RequestKind("a", 0),)}, "all shares are 0"),
    ],
)
def test_what_cannot_be_routed_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises((ExperimentError, ValueError), match=message):
        experiment().but(**change)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("path", "/a/../b"),
        ("path", "/a/"),
        ("path", "a"),
        ("method", "get"),
        ("host", "a b"),
        ("query", "a b"),
        ("headers", {"Host": "x"}),
        ("headers", {"X-Lbkit-Demand": "1"}),
        ("headers", {"X-A": "a\r\nb"}),
        ("share", -1),
    ],
)
def test_a_wrong_kind_is_named(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        evolve(RequestKind("a"), **{field: value})
