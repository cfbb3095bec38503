from __future__ import annotations

import inspect
import random
import re
from collections.abc import Callable
from math import inf

import pytest

from lbkit import (
    Backend,
    Experiment,
    ExperimentError,
    Policy,
    SlowStart,
    Traffic,
    make_balancer,
    presets,
    run,
    servers,
)
from lbkit.core.health.breaker import Breaker, BreakerState
from lbkit.draws import stream

SMALL = Experiment(servers(4), Traffic(duration=5)).at_load(0.5)
CHOICES = {
    name: re.findall(r'^        "([\w-]+)": ', inspect.getsource(system), re.MULTILINE) or [None]
    for name, system in presets.SYSTEMS.items()
}
EVERY = [(name, which) for name, names in CHOICES.items() for which in names]


@pytest.mark.parametrize(("name", "which"), EVERY)
def test_every_preset_runs(name: str, which: str | None) -> None:
    system = presets.SYSTEMS[name]
    policy = system(which) if which else system()
    assert run(SMALL.but(policy=policy)).error_rate == 0
    assert Experiment.from_toml(SMALL.but(policy=policy).to_toml()).policy == policy


TRIES_ALL = {"retries": 100}
ONCE = {"retries": 0}
ENVOY = {"retries": 0, "panic": 0.5}
AWS = {"retries": 0, "panic": 1e-6}  # only when nobody is healthy
EDF = {"inner": "earliest_deadline"}
FLOW = {"key": "flow", **AWS}

# What the manuals say, each algorithm with the options that the preset gives; "" is the default.
DOCUMENTED: list[tuple[str, str, str, dict, dict]] = [
    ("nginx", "", "weighted_round_robin", {}, TRIES_ALL),
    ("nginx", "round_robin", "weighted_round_robin", {}, TRIES_ALL),
    ("nginx", "least_conn", "nginx_least_connections", {}, TRIES_ALL),
    ("nginx", "ip_hash", "nginx_ip_hash", {}, TRIES_ALL),
    ("nginx", "hash", "nginx_hash", {}, TRIES_ALL | {"key": "uri"}),
    ("nginx", "hash_consistent", "nginx_ring", {}, TRIES_ALL | {"key": "uri"}),
    ("nginx", "random", "weighted_random", {}, TRIES_ALL),
    ("nginx", "random_two", "power_of_choices", {"choices": 2, "weighted": True}, TRIES_ALL),
    ("nginx", "least_time", "least_response_time", {"decay": inf}, TRIES_ALL),
    ("haproxy", "", "haproxy_random", {"draws": 2}, ONCE),
    ("haproxy", "random", "haproxy_random", {"draws": 2}, ONCE),
    ("haproxy", "roundrobin", "fast_round_robin", {}, ONCE),
    ("haproxy", "static-rr", "static_round_robin", {}, ONCE),
    ("haproxy", "leastconn", "haproxy_least_connections", {}, ONCE),
    ("haproxy", "first", "first_available", {}, ONCE),
    ("haproxy", "source", "haproxy_map", {}, ONCE | {"key": "client"}),
    ("haproxy", "uri", "haproxy_map", {}, ONCE | {"key": "path"}),
    ("haproxy", "source_consistent", "haproxy_ring", {}, ONCE | {"key": "client"}),
    ("haproxy", "uri_consistent", "haproxy_ring", {}, ONCE | {"key": "path"}),
    ("haproxy", "uri_bounded", "haproxy_ring", {"factor": 150}, ONCE | {"key": "path"}),
    ("apache", "", "weighted_round_robin", {}, TRIES_ALL),
    ("apache", "byrequests", "weighted_round_robin", {}, TRIES_ALL),
    ("apache", "bytraffic", "by_traffic", {}, TRIES_ALL),
    ("apache", "bybusyness", "by_busyness", {}, TRIES_ALL),
    ("envoy", "", "earliest_deadline", {}, ENVOY),
    ("envoy", "round_robin", "earliest_deadline", {}, ENVOY),
    ("envoy", "least_request", "power_of_two", {}, ENVOY),
    ("envoy", "least_request_full_scan", "power_of_choices", {"choices": 1_000_000}, ENVOY),
    ("envoy", "least_request_weighted", "weighted_least_connections", {"bias": 1.0}, ENVOY),
    ("envoy", "ring_hash", "consistent_hash", {"points": 102}, ENVOY),
    ("envoy", "maglev", "maglev", {"slots": 65537}, ENVOY),
    ("envoy", "random", "weighted_random", {}, ENVOY),
    ("envoy", "client_side_weighted_round_robin", "client_side_weighted", {}, ENVOY),
    ("envoy", "priority", "priority_levels", EDF, ENVOY),
    ("envoy", "locality", "locality_weighted", EDF, ENVOY),
    ("envoy", "subset", "zone_aware", {"home": "", "share": 1e-6} | EDF, ENVOY),
    ("traefik", "", "earliest_deadline", {}, ONCE),
    ("traefik", "wrr", "earliest_deadline", {}, ONCE),
    ("traefik", "p2c", "power_of_two", {}, ONCE),
    ("traefik", "hrw", "rendezvous", {}, ONCE | {"key": "client"}),
    ("traefik", "leasttime", "least_response_time", {"decay": inf}, ONCE),
    ("caddy", "", "random", {}, ONCE),
    ("caddy", "random", "random", {}, ONCE),
    ("caddy", "random_choose", "power_of_choices", {"choices": 2}, ONCE),
    ("caddy", "first", "first_available", {"limit": 1_000_000}, ONCE),
    ("caddy", "round_robin", "round_robin", {}, ONCE),
    ("caddy", "weighted_round_robin", "consecutive_round_robin", {}, ONCE),
    ("caddy", "least_conn", "least_connections", {}, ONCE),
    ("caddy", "ip_hash", "rendezvous", {}, ONCE | {"key": "client"}),
    ("caddy", "uri_hash", "rendezvous", {}, ONCE | {"key": "uri"}),
    ("caddy", "header", "rendezvous", {}, ONCE | {"key": "header:X-Upstream"}),
    ("caddy", "cookie", "rendezvous", {}, ONCE | {"key": "cookie:lb"}),
    ("aws_alb", "", "round_robin", {}, AWS),
    ("aws_alb", "round_robin", "round_robin", {}, AWS),
    ("aws_alb", "least_outstanding_requests", "least_connections", {}, AWS),
    ("aws_alb", "weighted_random", "weighted_random", {}, AWS),
    ("aws_alb", "weighted_random_mitigated", "anomaly_mitigation", {}, AWS),
    ("aws_nlb", "", "cross_zone", {"across": False, "inner": "modulo_hash"}, FLOW),
    ("aws_gwlb", "", "cross_zone", {"across": False, "inner": "modulo_hash"}, FLOW),
]


@pytest.mark.parametrize(
    ("system", "which", "algorithm", "options", "others"), DOCUMENTED, ids=lambda value: str(value)[:30]
)
def test_the_defaults(system: str, which: str, algorithm: str, options: dict, others: dict) -> None:
    make = presets.SYSTEMS[system]
    assert (make(which) if which else make()) == Policy(algorithm, options, **others)


def test_none_is_left_out() -> None:
    assert {(system, which or None) for system, which, *_ in DOCUMENTED} >= set(EVERY)


@pytest.mark.parametrize(
    ("algorithm", "defaults"),
    [
        # What a preset leaves to the algorithm is documented by the system, too.
        ("client_side_weighted", {"blackout": 10.0, "expires": 180.0, "update": 1.0, "penalty": 1.0}),
        ("consistent_hash", {"points": 160}),
        ("haproxy_ring", {"factor": 0, "avalanche": True}),
        ("locality_weighted", {"overprovisioning": 1.4}),
        ("maglev", {"slots": 65537}),
        ("priority_levels", {"overprovisioning": 1.4}),
        ("weighted_least_connections", {"bias": 1.0}),
        ("first_available", {"limit": 10}),
        ("prequal", {"probes": 3, "size": 16, "age": 1.0, "hot": 0.84}),
        ("choice_of_two", {"stale": 30.0, "warmup": 90.0}),
    ],
)
def test_what_is_left_to_the_algorithm(algorithm: str, defaults: dict[str, object]) -> None:
    balancer = make_balancer(algorithm)
    assert {name: getattr(balancer, name) for name in defaults} == defaults


def test_points_of_a_ring() -> None:
    """nginx has 160 a unit of weight, HAProxy 16."""
    for which, preset, points in (
        ("hash_consistent", presets.nginx, 160),
        ("uri_consistent", presets.haproxy, 16),
    ):
        pool = preset(which).pool([Backend("a", weight=2), Backend("b")], random.Random)
        assert len(pool.balancer._points) == pytest.approx(3 * points, abs=3)  # two may meet


@pytest.mark.parametrize(
    ("policy", "start"),
    [
        (presets.envoy(slow_start=60), SlowStart(60, aggression=1.0, floor=0.1)),
        (presets.haproxy("roundrobin", slow_start=60), SlowStart(60, aggression=1.0, floor=1 / 16)),
        (presets.aws_alb(slow_start=60), SlowStart(60, aggression=1.0, floor=1 / 100)),
    ],
)
def test_slow_starts(policy: Policy, start: SlowStart) -> None:
    assert policy.slow_start == start
    backends = [Backend("a"), Backend("b")]
    pool = policy.pool(backends[:1], random.Random)
    pool.add(backends[1])
    for now, share in ((100.0, start.floor), (130.0, 0.5), (160.0, 1.0)):
        pool.pick("k", now)
        assert backends[1].weight == pytest.approx(share)


def test_envoys_options() -> None:
    bounded = presets.envoy("ring_hash", hash_balance_factor=150)
    assert (bounded.algorithm, bounded.options) == ("bounded_hash", {"factor": 1.5, "points": 102})
    with pytest.raises(ValueError, match="hash_balance_factor is 150: use over 100, with ring_hash"):
        presets.envoy("maglev", hash_balance_factor=150)
    backends = [Backend(f"{zone}{i}", zone=zone) for zone in "xy" for i in range(1 if zone == "x" else 9)]
    pool = presets.envoy("subset", subset="x").pool(backends, random.Random)
    assert {pool.pick("k", i).zone for i in range(200)} == {"x"}  # as small as it may be
    pool.set_health("x0", False)
    assert {pool.pick("k", i).zone for i in range(200)} == {"y"}
    idle = [Backend(str(i)) for i in range(20)]
    for backend in idle[1:]:
        backend.in_flight = 1
    scan = presets.envoy("least_request_full_scan").pool(idle, random.Random)
    assert scan.pick("k", 0.0) is idle[0]


def test_others_options() -> None:
    assert presets.caddy("header", field="X-User").key == "header:X-User"
    assert [presets.aws_gwlb(stickiness=n).key for n in (5, 3, 2)] == ["flow", "client", "client"]
    with pytest.raises(ValueError, match="stickiness is 4"):
        presets.aws_gwlb(stickiness=4)
    with pytest.raises(ValueError, match="HAProxy's static-rr ignores"):
        presets.haproxy("static-rr", slow_start=10)


def test_each_names_its_sources() -> None:
    assert all("https://" in (system.__doc__ or "") for system in presets.SYSTEMS.values())


def test_envoy() -> None:
    policy = presets.envoy("least_request_weighted", slow_start=60)
    assert policy.panic == 0.5
    assert policy.slow_start
    assert (policy.slow_start.window, policy.slow_start.aggression, policy.slow_start.floor) == (60, 1, 0.1)
    assert presets.envoy().slow_start is None
    assert Experiment.from_json(SMALL.but(policy=policy).to_json()).policy == policy
    with pytest.raises(ExperimentError, match=r"policy\.slow_start.*window"):
        Experiment.from_dict({"servers": [{"name": "a"}], "policy": {"slow_start": {"window": -1}}})


def test_unknown_presets_are_refused() -> None:
    with pytest.raises(ValueError, match="nginx has no 'sticky': there are round_robin, least_conn"):
        presets.nginx("sticky")
    with pytest.raises(ValueError, match="slow_start is 10: ALB takes 0"):
        presets.aws_alb(slow_start=10)
    with pytest.raises(ValueError, match="only with round_robin"):
        presets.aws_alb("weighted_random", slow_start=60)


@pytest.mark.parametrize("system", [presets.aws_nlb, presets.aws_gwlb])
@pytest.mark.parametrize("cross_zone", [False, True])
def test_a_flow_sticks_to_its_target(system: Callable[[bool], Policy], cross_zone: bool) -> None:
    backends = [Backend(f"b{i}", zone="xyz"[i % 3]) for i in range(9)]
    pool = system(cross_zone).pool(backends, lambda name: stream(1, name))
    flows = [f"tcp 10.0.0.{i}:40000 10.1.0.1:80" for i in range(200)]
    first = [pool.pick(flow, 0.0) for flow in flows]
    assert [pool.pick(flow, 1.0) for flow in flows] == first
    assert {b.name for b in first} == {b.name for b in backends}


def test_nlb_is_uneven_by_zone_unless_it_crosses() -> None:
    uneven = Experiment(
        [*servers(2, zone="x"), *(s for s in servers(10, zone="y")[2:])], Traffic(duration=60), seed=2
    ).at_load(0.3)
    off, on = (run(uneven.but(policy=presets.aws_nlb(cross_zone=across))) for across in (False, True))
    assert off.shares["s1"] == pytest.approx(0.25, abs=0.03)
    assert on.shares["s1"] == pytest.approx(0.10, abs=0.03)


ENVOY_API = "https://www.envoyproxy.io/docs/envoy/latest/api-v3/config"
ENVOY_ROUTER = "https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/router_filter"
FINAGLE = "https://twitter.github.io/finagle/guide/Clients.html"
HAPROXY_RETRY = "https://docs.haproxy.org/2.6/configuration.html#4.2-retry-on"
HYSTRIX = "https://github.com/Netflix/Hystrix/wiki/Configuration"
NGINX_PROXY = "https://nginx.org/en/docs/http/ngx_http_proxy_module.html"
PYBREAKER = "https://github.com/danielfm/pybreaker"
RESILIENCE4J = "https://resilience4j.readme.io/docs"
# Preset, system, field, the value that the manual has in our units, and the name and place that it has there.
MANUALS: list[tuple[Callable[[str], object], str, str, object, str, str]] = [
    (presets.retry, "envoy", "backoff.base", 0.025, "retry_back_off.base_interval 25 ms", ENVOY_ROUTER),
    (presets.retry, "envoy", "backoff.cap", 0.25, "max_interval, 10 times the base", ENVOY_ROUTER),
    (presets.retry, "envoy", "backoff.jitter", "full", "fully jittered", ENVOY_ROUTER),
    (presets.retry, "envoy", "deadline", 15.0, "timeout", f"{ENVOY_API}/route/v3/route_components.proto"),
    (presets.retry, "envoy", "statuses", (), "retry_on", ENVOY_ROUTER),
    (presets.retry, "finagle", "budget.ratio", 0.2, "percentCanRetry", FINAGLE),
    (presets.retry, "finagle", "budget.window", 10.0, "ttl", FINAGLE),
    (presets.retry, "finagle", "budget.minimum", 10.0, "minRetriesPerSec", FINAGLE),
    (presets.retry, "nginx", "timeouts.connect", 60.0, "proxy_connect_timeout", NGINX_PROXY),
    (presets.retry, "nginx", "timeouts.first_byte", 60.0, "proxy_read_timeout", NGINX_PROXY),
    (presets.retry, "nginx", "buffer", 1_048_576, "client_max_body_size 1m", NGINX_PROXY),
    (presets.retry, "haproxy", "buffer", 16_384, "tune.bufsize", HAPROXY_RETRY),
    (presets.retry, "hystrix", "timeouts.total", 1.0, "thread.timeoutInMilliseconds", HYSTRIX),
    (presets.retry, "resilience4j", "backoff.base", 0.5, "waitDuration 500 ms", f"{RESILIENCE4J}/retry"),
    (presets.retry, "resilience4j", "backoff.cap", 0.5, "intervalFunction, none", f"{RESILIENCE4J}/retry"),
    (presets.retry, "resilience4j", "backoff.jitter", "none", "the same", f"{RESILIENCE4J}/retry"),
    (presets.breaker, "hystrix", "breaker.failure_rate", 0.5, "errorThresholdPercentage", HYSTRIX),
    (presets.breaker, "hystrix", "breaker.minimum", 20, "requestVolumeThreshold", HYSTRIX),
    (presets.breaker, "hystrix", "breaker.window", 10.0, "rollingStats.timeInMilliseconds", HYSTRIX),
    (presets.breaker, "hystrix", "breaker.open_for", 5.0, "sleepWindowInMilliseconds", HYSTRIX),
    (presets.breaker, "hystrix", "breaker.probes", 1, "one request after the sleep window", HYSTRIX),
    *(
        (presets.breaker, "resilience4j", f"breaker.{name}", value, why, f"{RESILIENCE4J}/circuitbreaker")
        for name, value, why in (
            ("failure_rate", 0.5, "failureRateThreshold"),
            ("calls", 100, "slidingWindowSize, COUNT_BASED"),
            ("minimum", 100, "minimumNumberOfCalls"),
            ("slow_rate", 1.0, "slowCallRateThreshold"),
            ("slow_after", 60.0, "slowCallDurationThreshold"),
            ("open_for", 60.0, "waitDurationInOpenState"),
            ("probes", 10, "permittedNumberOfCallsInHalfOpenState"),
        )
    ),
    (presets.breaker, "pybreaker", "breaker.consecutive", 5, "fail_max", PYBREAKER),
    (presets.breaker, "pybreaker", "breaker.failure_rate", 0.0, "counts failures in a row only", PYBREAKER),
    (presets.breaker, "pybreaker", "breaker.open_for", 60.0, "reset_timeout", PYBREAKER),
    (presets.breaker, "pybreaker", "breaker.probes", 1, "success_threshold", PYBREAKER),
    (
        *(presets.breaker, "envoy", "max_in_flight", 1024, "max_requests"),
        f"{ENVOY_API}/cluster/v3/circuit_breaker.proto",
    ),
]


@pytest.mark.parametrize(("preset", "system", "name", "value", "there", "source"), MANUALS)
def test_rules_for_attempts_and_breakers_have_the_values_of_the_manuals(
    preset: Callable[[str], object], system: str, name: str, value: object, there: str, source: str
) -> None:
    found = preset(system)
    for part in name.split("."):
        found = getattr(found, part)
    assert found == value, f"{there} in {source}"
    assert source in (preset.__doc__ or "")


@pytest.mark.parametrize("preset", [presets.retry, presets.breaker])
def test_a_system_without_rules_of_its_own_has_no_preset(preset: Callable[[str], object]) -> None:
    names = re.findall(r'^ {12}"(\w+)": ', inspect.getsource(preset), re.MULTILINE)
    assert set(names) == {system for made, system, *_ in MANUALS if made is preset}
    with pytest.raises(ValueError, match=r"no rules for 'envy': there are .*did you mean envoy\?"):
        preset("envy")


@pytest.mark.parametrize("system", ["hystrix", "resilience4j", "pybreaker", "envoy"])
def test_a_preset_of_a_breaker_is_a_policys_health_and_a_part_of_the_file(system: str) -> None:
    policy = Policy(health=presets.breaker(system), retry=presets.retry("envoy"))
    assert Experiment.from_toml(SMALL.but(policy=policy).to_toml()).policy == policy
    assert run(SMALL.but(policy=policy)).error_rate == 0


@pytest.mark.parametrize(
    ("system", "failures", "rest"),
    [("hystrix", 20, 5.0), ("pybreaker", 5, 60.0), ("resilience4j", 100, 60.0)],
)
def test_a_breaker_opens_and_tries_again_when_its_manual_says(
    system: str, failures: int, rest: float
) -> None:
    rules = presets.breaker(system).breaker
    assert rules
    breaker = Breaker(rules)
    for number in range(failures):
        now = number / 100
        assert breaker.state is BreakerState.CLOSED
        assert breaker.allows(now)
        breaker.started(now)
        breaker.ended(now, False, 0.001, now)
    assert breaker.state is BreakerState.OPEN
    assert breaker.wake == now + rest
    assert not breaker.allows(now + rest - 0.001)
    assert breaker.allows(now + rest)
