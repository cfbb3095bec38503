"""Envoy's static bootstrap: clusters as policies, and routes as rules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from needs import need_module

from lbkit import HealthRules, SlowStart, presets, run
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
    assert (policy.algorithm, policy.options, policy.panic) == ("power_of_choices", {"choices": 3}, 0.25)
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
            presets.envoy("ring_hash", hash_balance_factor=150),
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
