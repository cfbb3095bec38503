"""Envoy's static bootstrap: clusters as policies, and routes as rules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from needs import need_module

from lbkit import HealthRules, SlowStart, presets, run
from lbkit.core.health import OutlierRules
from lbkit.core.routing import Answered, RouteTable, Sample, Split
from lbkit.importer import Imported, ImportFault, read_config

need_module("yaml")

CORPUS = Path(__file__).with_name("corpus")


def imported(upstream: str | None = None) -> Imported:
    return read_config(CORPUS / "envoy.yaml", upstream)


def written(tmp_path: Path, text: str) -> Imported:
    path = tmp_path / "envoy.yaml"
    path.write_text(text)
    return read_config(path)


def decided(found: Imported, target: str = "/", host: str = "shop.example.org", **more: Any) -> str:
    assert found.experiment.routing
    way = RouteTable(found.experiment.routing).route(Sample(target, host=host, **more))
    if isinstance(way, Answered):
        return " ".join([str(way.reply.status), *(value for _, value in way.reply.fields)])
    return way.pool


def test_a_listener() -> None:
    found = imported()
    assert (found.upstream, found.skipped) == ("web:8080", ["web", "api"])
    assert [(s.name, s.pool, s.weight, s.zone) for s in found.experiment.servers] == [
        ("10.0.0.1:8080", "default", 3, "a"),
        ("10.0.0.2:8080", "default", 1, "a"),
        ("api-1", "api", 1, ""),
        ("api-2", "api", 1, ""),
    ]
    assert decided(found, "/") == decided(found, "/api/x") == "default"
    assert decided(found, "/api/x", method="POST") == "api"
    assert decided(found, "/img/cat") == "301 https://cdn.example.org/img/cat"
    assert decided(found, "/img/1") == "default"
    assert decided(found, "/", host="other.example.org") == "404"
    assert found.experiment.routing
    assert [r.then for r in found.experiment.routing.rules if r.name == "shop: /canary"] == [
        Split({"default": 95, "api": 5}, key="")
    ]


def test_a_cluster() -> None:
    policy = imported("web").experiment.policy
    assert (policy.algorithm, policy.options, policy.panic) == (
        "weighted_least_connections",
        {"bias": 1},
        0.25,
    )
    health = policy.health
    assert health
    assert health.checks
    assert health.outliers
    assert (health.checks.interval, health.checks.timeout, health.checks.fall) == (5, 1, 3)
    assert (health.checks.probe.path, health.checks.probe.expect) == ("/healthz", "200")
    assert (health.outliers.consecutive, health.outliers.base_ejection, health.outliers.max_ejected) == (
        7,
        15,
        0.5,
    )
    assert health.max_in_flight == 50  # 100 for both
    assert "first check with another status" in " ".join(imported("web").notes)
    assert imported("api").experiment.policy == presets.envoy("maglev")
    assert imported().experiment.policy.retries == 2


def test_what_is_not_understood_is_listed() -> None:
    report = imported().report()
    assert [line.rpartition(".")[2] for line in report[-4:]] == [
        "max_pending_requests: 10",
        "retry_on: 5xx",
        "yaml, line 34: http filter jwt_authn",
        "timeout",
    ]
    assert "note: the endpoints of api are not in the file (EDS): 2 are assumed" in report


@pytest.mark.parametrize("upstream", [None, "web", "api"])
def test_what_is_imported_runs(upstream: str | None) -> None:
    found = imported(upstream)
    result = run(found.experiment.but(duration=20))
    assert set(result.status) <= {200, 301, 404}
    assert type(found.experiment).from_toml(found.experiment.to_toml()) == found.experiment


CLUSTER = """
static_resources:
  clusters:
    - name: c
      load_assignment:
        endpoints:
          - lb_endpoints:
              - endpoint: {address: {socket_address: {address: a, port_value: 1}}}
              - endpoint: {address: {socket_address: {address: b, port_value: 1}}}
                health_status: DRAINING
"""


@pytest.mark.parametrize(
    ("more", "policy"),
    [
        ("", presets.envoy()),
        ("lb_policy: RANDOM", presets.envoy("random")),
        ("lb_policy: LEAST_REQUEST", presets.envoy("least_request")),
        (
            "lb_policy: RING_HASH\n"
            "common_lb_config: {consistent_hashing_lb_config: {hash_balance_factor: 150}}",
            evolve(
                presets.envoy("ring_hash", hash_balance_factor=150), options={"factor": 1.5, "points": 512}
            ),
        ),
        (
            "round_robin_lb_config: {slow_start_config: "
            "{slow_start_window: 30s, aggression: {default_value: 2}}}",
            presets.envoy(),
        ),
    ],
)
def test_settings_of_clusters(tmp_path: Path, more: str, policy: Any) -> None:
    found = written(tmp_path, CLUSTER + "".join(f"      {line}\n" for line in more.splitlines()))
    made = found.experiment.policy
    assert (made.algorithm, made.options, made.panic) == (policy.algorithm, policy.options, policy.panic)
    assert made.slow_start == (SlowStart(30, 2) if "slow_start" in more else None)
    assert [(s.name, s.weight) for s in found.experiment.servers] == [("a:1", 1), ("b:1", 0)]


def test_a_ring_has_1024_points_for_all_hosts_of_the_cluster(tmp_path: Path) -> None:
    found = written(tmp_path, CLUSTER + "      lb_policy: RING_HASH")
    assert found.experiment.policy.options == {"points": 512}


def test_least_request_with_weights_looks_at_all_hosts(tmp_path: Path) -> None:
    weighted = CLUSTER.replace("health_status: DRAINING", "load_balancing_weight: 3")
    more = "      lb_policy: LEAST_REQUEST\n      least_request_lb_config: "
    policy = written(
        tmp_path, weighted + more + "{active_request_bias: {default_value: 0.5}}"
    ).experiment.policy
    assert policy == evolve(presets.envoy("least_request_weighted"), options={"bias": 0.5})
    policy = written(tmp_path, CLUSTER + more + "{choice_count: 4}").experiment.policy
    assert (policy.algorithm, policy.options) == ("power_of_choices", {"choices": 4})


def extended(*policies: str) -> str:
    listed = ", ".join(f"{{typed_extension_config: {one}}}" for one in policies)
    return f"      lb_policy: RANDOM\n      load_balancing_policy: {{policies: [{listed}]}}"


def test_a_load_balancing_policy_comes_before_lb_policy(tmp_path: Path) -> None:
    """(Cluster.load_balancing_policy: the first that is supported is used.)"""
    kind = "type.googleapis.com/envoy.extensions.load_balancing_policies"
    own = '{name: mine, typed_config: {"@type": type.googleapis.com/own.Policy}}'
    least = (
        f'{{name: any, typed_config: {{"@type": {kind}.least_request.v3.LeastRequest, choice_count: 5, '
        "slow_start_config: {slow_start_window: 20s}}}"
    )
    policy = written(tmp_path, CLUSTER + extended(own, least)).experiment.policy
    assert (policy.algorithm, policy.options) == ("power_of_choices", {"choices": 5})
    assert policy.slow_start == SlowStart(20)
    ring = "{name: envoy.load_balancing_policies.ring_hash, typed_config: {minimum_ring_size: 100}}"
    assert written(tmp_path, CLUSTER + extended(ring)).experiment.policy.options == {"points": 50}
    found = written(tmp_path, CLUSTER + extended(own))
    assert found.experiment.policy == presets.envoy()
    assert "lb_policy mine of c is imported as ROUND_ROBIN" in " ".join(found.report())


def test_slow_start_from_another_share(tmp_path: Path) -> None:
    more = "{slow_start_config: {slow_start_window: 30s, min_weight_percent: {value: 25}}}"
    found = written(tmp_path, CLUSTER + "      round_robin_lb_config: " + more)
    assert found.experiment.policy.slow_start == SlowStart(30, floor=0.25)


@pytest.mark.parametrize(
    ("settings", "rules"),
    [
        ("{}", OutlierRules(always_one=False)),
        ("{always_eject_one_host: true, max_ejection_percent: 50}", OutlierRules(max_ejected=0.5)),
        ("{base_ejection_time: 600s}", OutlierRules(base_ejection=600, max_ejection=600, always_one=False)),
    ],
)
def test_outlier_detection_keeps_within_its_percentage(
    tmp_path: Path, settings: str, rules: OutlierRules
) -> None:
    """As in Envoy's source, DetectorImpl::ejectHost: of two hosts, none is 10 %."""
    found = written(tmp_path, CLUSTER + f"      outlier_detection: {settings}")
    assert found.experiment.policy.health == HealthRules(outliers=rules)


def test_priorities_are_levels(tmp_path: Path) -> None:
    more = "          - {priority: 1, lb_endpoints: [{endpoint: {address: {socket_address: {address: c}}}}]}"
    found = written(tmp_path, CLUSTER + more)
    assert found.experiment.policy.algorithm == "priority_levels"
    assert found.experiment.policy.options["inner"] == "earliest_deadline"


def test_a_tcp_proxy(tmp_path: Path) -> None:
    listener = """
  listeners:
    - name: db
      address: {socket_address: {address: 0.0.0.0, port_value: 5432}}
      filter_chains:
        - filters:
            - {name: envoy.filters.network.tcp_proxy, typed_config: {cluster: c}}
"""
    found = written(tmp_path, CLUSTER + listener)
    assert (found.upstream, bool(found.experiment.layer4)) == ("db:5432", True)


def test_the_nearest_domain_decides(tmp_path: Path) -> None:
    def host(name: str, domain: str) -> str:
        answer = f"direct_response: {{status: 200, body: {{inline_string: {name}}}}}"
        return (
            f'                - {{name: {name}, domains: ["{domain}"], '
            f"routes: [{{match: {{path: /a}}, {answer}}}, "
            "{match: {prefix: /c}, route: {cluster: c}}]}\n"
        )

    listener = """
  listeners:
    - name: l
      filter_chains:
        - filters:
            - name: envoy.filters.network.http_connection_manager
              typed_config:
                route_config:
                  virtual_hosts:
"""
    hosts = host("any", "*") + host("wide", "*.org") + host("near", "*.a.org") + host("exact", "x.a.org")
    found = written(
        tmp_path, CLUSTER + listener + hosts.replace("                - ", "                    - ")
    )

    def body(name: str) -> str:
        assert found.experiment.routing
        way = RouteTable(found.experiment.routing).route(Sample("/a", host=name))
        assert isinstance(way, Answered)
        return way.reply.body

    names = ["x.a.org", "y.a.org", "b.org", "b.com"]
    assert [body(name) for name in names] == ["exact", "near", "wide", "any"]
    assert decided(found, "/b", host="x.a.org") == "404"  # no other host is asked


def test_each_domain_of_a_virtual_host_has_its_own_place(tmp_path: Path) -> None:
    """A host with an exact domain and a star is not asked before another's exact domain, nor after its *."""

    def host(name: str, domains: str) -> str:
        answer = f"direct_response: {{status: 200, body: {{inline_string: {name}}}}}"
        return f"{{name: {name}, domains: {domains}, routes: [{{match: {{prefix: /}}, {answer}}}]}}"

    hosts = ", ".join(
        (
            host("mixed", '[long-name.example.org, "*.b.org"]'),
            host("exact", "[x.b.org]"),
            host("all", '[a.com, "*"]'),
            host("com", '["*.com"]'),
            "{name: c, domains: [c.net], routes: [{match: {prefix: /}, route: {cluster: c}}]}",
        )
    )
    found = written(tmp_path, CLUSTER + LISTENER.format(routes=f"virtual_hosts: [{hosts}]"))
    assert found.experiment.routing

    def body(name: str) -> str:
        assert found.experiment.routing
        way = RouteTable(found.experiment.routing).route(Sample("/", host=name))
        return way.reply.body if isinstance(way, Answered) else way.pool

    asked = ["x.b.org", "y.b.org", "long-name.example.org", "a.com", "www.a.com", "b.net", "c.net"]
    assert [body(name) for name in asked] == ["exact", "mixed", "mixed", "all", "com", "all", "default"]


LISTENER = """
  listeners:
    - name: l
      filter_chains:
        - filters:
            - name: envoy.filters.network.http_connection_manager
              typed_config:
                route_config: {{{routes}}}
"""


@pytest.mark.parametrize(
    ("match", "to", "target", "path"),
    [
        ("prefix: /api", "/x", "/api/v1", "/x/v1"),
        ("prefix: /api", "/x", "/apis", "/xs"),  # a prefix is a text, not a part of a path
        ("prefix: /api/", "/", "/api/v1", "/v1"),
        ("prefix: /", "/new/", "/v1", "/new/v1"),
        ("path_separated_prefix: /api", "/x", "/api/v1", "/x/v1"),
        ("path: /api", "/x", "/api", "/x"),
    ],
)
def test_prefix_rewrites(tmp_path: Path, match: str, to: str, target: str, path: str) -> None:
    route = f"{{match: {{{match}}}, route: {{cluster: c, prefix_rewrite: {to}}}}}"
    hosts = f'virtual_hosts: [{{name: h, domains: ["*"], routes: [{route}]}}]'
    found = written(tmp_path, CLUSTER + LISTENER.format(routes=hosts))
    assert found.experiment.routing
    way = RouteTable(found.experiment.routing).route(Sample(target))
    assert not isinstance(way, Answered)
    assert way.target == path.encode()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("static_resources: []", "envoy.yaml, line 1: static_resources is []: use a mapping"),
        ("static_resources: {clusters: {a: b}}", "static_resources.clusters is"),
        (CLUSTER + "      outlier_detection: {interval: soon}", "interval is 'soon': use a number"),
        (CLUSTER + "      health_checks: [{interval: 0s, timeout: 1s}]", "clusters[0]: interval is 0"),
        (CLUSTER + "      lb_policy: MAGLEV\n      maglev_lb_config: {table_size: 10}", "clusters[0]:"),
        (
            CLUSTER
            + "  listeners: [{filter_chains: [{filters: [{name: tcp_proxy, typed_config: {cluster: cc}}]}]}]",
            "cluster is 'cc': use a cluster of the file",
        ),
        ("static_resources: {}", "no upstream or backend with servers in it"),
    ],
)
def test_a_wrong_bootstrap_is_one_clear_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ImportFault) as caught:
        written(tmp_path, text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_limits_without_checks(tmp_path: Path) -> None:
    found = written(tmp_path, CLUSTER + "      circuit_breakers: {thresholds: [{max_requests: 7}]}")
    assert found.experiment.policy.health == HealthRules(max_in_flight=3)
