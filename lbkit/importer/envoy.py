"""Envoy's static bootstrap: listeners with routes, and clusters with their endpoints."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from attrs import evolve

from lbkit import presets
from lbkit.core import SlowStart
from lbkit.core.health import CheckRules, HealthRules, OutlierRules, Probe
from lbkit.core.routing import DEFAULT, Routing
from lbkit.core.text import did_you_mean
from lbkit.experiment import Layer4, Policy
from lbkit.importer.envoy_routes import routes
from lbkit.importer.found import ImportFault, Unread, Upstream
from lbkit.importer.nodes import Node
from lbkit.importer.rules import RuleList

_SILENT = frozenset(
    """
    @type name stat_prefix address filter_chain_match node admin type connect_timeout dns_lookup_family
    codec_type upgrade_configs access_log generate_request_id use_remote_address http_filters domains
    typed_extension_protocol_options respect_dns_ttl dns_refresh_rate alt_stat_name cluster_name
    per_connection_buffer_limit_bytes lb_endpoints validate_clusters
    """.split()  # noqa: SIM905
)
_MANAGER = "http_connection_manager"
_TCP_PROXY = "tcp_proxy"
_POLICIES = {  # lb_policy -> name of the preset
    "ROUND_ROBIN": "round_robin",
    "LEAST_REQUEST": "least_request",
    "RING_HASH": "ring_hash",
    "MAGLEV": "maglev",
    "RANDOM": "random",
}


def read_envoy(file: str, documents: list[Any], unread: list[Unread]) -> list[Upstream]:
    """Return an upstream for each listener, then one for each cluster. Raises ImportFault."""
    upstreams: list[Upstream] = []
    for document in documents:
        root = Node(document, file)
        static = root.inside("static_resources")
        clusters = {one.text("name"): one for one in static.each("clusters")}
        for listener in static.each("listeners"):
            for chain in listener.each("filter_chains"):
                upstreams += _of_chain(listener, chain, clusters, unread)
        for name, cluster in clusters.items():
            upstream = Upstream(name)
            _add(upstream, cluster, DEFAULT)
            upstream.policy = _policy(cluster, upstream)
            upstreams.append(upstream)
        unread += root.unread(_SILENT)
    return upstreams


def _of_chain(
    listener: Node, chain: Node, clusters: dict[str, Node], unread: list[Unread]
) -> Iterator[Upstream]:
    if "transport_socket" in chain:
        chain.raw("transport_socket")
        unread.append(
            Unread(chain.file, chain.line, f"{chain.place}.transport_socket: TLS", "transport_socket")
        )
    for one in chain.each("filters"):
        config = one.inside("typed_config")
        kind = one.text("name").rpartition(".")[2] + config.text("@type")
        place = listener.inside("address").inside("socket_address")
        upstream = Upstream(f"{listener.text('name') or 'listener'}:{place.text('port_value')}")
        if _MANAGER in kind or "HttpConnectionManager" in kind:
            _http(upstream, config, clusters)
        elif _TCP_PROXY in kind or "TcpProxy" in kind:
            upstream.layer4 = Layer4()
            names = [config.text("cluster")] if "cluster" in config else []
            names += [part.text("name") for part in config.inside("weighted_clusters").each("clusters")]
            if len(names) > 1:
                upstream.notes.append(
                    f"all connections go to {names[0]}: layer 4 has no shares of clusters here"
                )
            for name in names[:1]:
                cluster = _cluster(config, name, clusters)
                _add(upstream, cluster, DEFAULT)
                upstream.policy = _policy(cluster, upstream)
        else:
            unread.append(Unread(one.file, one.line, f"{one.place}: {one.text('name')}", "filter"))
            one.raw("typed_config")
            continue
        yield upstream


def _cluster(node: Node, name: str, clusters: dict[str, Node]) -> Node:
    if name not in clusters:
        raise node.fault("cluster", name, f"a cluster of the file{did_you_mean(name, list(clusters))}")
    return clusters[name]


def _http(upstream: Upstream, manager: Node, clusters: dict[str, Node]) -> None:
    for one in manager.each("http_filters"):
        name = one.text("name").rpartition(".")[2]
        one.raw("typed_config")
        if name != "router":
            upstream.unread.append(Unread(one.file, one.line, f"http filter {name}", "http filter"))
    if "rds" in manager:
        manager.raw("rds")
        upstream.unread.append(
            Unread(manager.file, manager.line, f"{manager.place}.rds: routes from elsewhere")
        )
    found = routes(manager.inside("route_config"), upstream)
    # The last routes are the most general: their cluster is the default pool, whose settings count.
    names = list(dict.fromkeys(name for rule in reversed(found) for name in rule.clusters))
    if not names:
        return
    pools = {name: DEFAULT if i == 0 else name for i, name in enumerate(names)}
    policies = []
    for name, pool in pools.items():
        cluster = _cluster(manager, name, clusters)
        _add(upstream, cluster, pool)
        policies.append(_policy(cluster, upstream))
    upstream.policy = policies[0]
    for name, policy in zip(names[1:], policies[1:], strict=True):
        if policy != policies[0]:
            upstream.notes.append(f"{name} has other settings: all clusters get those of {names[0]}")
    rules = RuleList()
    for rule in found:
        try:
            rules.add(rule.name, rule.action(pools), rule.when, rewrite=rule.rewrite)
        except ValueError as error:
            upstream.unread.append(Unread(manager.file, rule.line, f"{rule.name} ({error})", "route"))
    kept = rules.rules
    end = next((i for i, rule in enumerate(kept) if not rule.conditions()), len(kept))
    if beyond := [rule.name for rule in kept[end + 1 :]]:
        upstream.notes.append(f"never reached, so left out: {', '.join(beyond)}")
    upstream.routing = Routing(tuple(kept[: end + 1]))
    if retries := {rule.retries for rule in found if rule.retries}:
        upstream.policy = evolve(upstream.policy, retries=max(retries))
        if len({rule.retries for rule in found}) > 1:
            upstream.notes.append(f"routes differ in their retries: all get {max(retries)}")


# -- clusters ---------------------------------------------------------------------------------------------


def _add(upstream: Upstream, cluster: Node, pool: str) -> None:
    """Add the endpoints of a cluster. Raises ImportFault for one without any."""
    count = 0
    for locality in cluster.inside("load_assignment").each("endpoints"):
        place = locality.inside("locality")
        zone = place.text("zone") or place.text("region")
        priority = locality.whole("priority")
        if "load_balancing_weight" in locality:
            text = f"{locality.place}.load_balancing_weight: {locality.text('load_balancing_weight')}"
            upstream.unread.append(Unread(locality.file, locality.line, text, "load_balancing_weight"))
        for one in locality.each("lb_endpoints"):
            socket = one.inside("endpoint").inside("address").inside("socket_address")
            host, port = socket.text("address"), socket.text("port_value")
            address = f"{host}:{port}" if port else host or "pipe"
            weight = one.number("load_balancing_weight", 1)
            drained = one.text("health_status") in ("DRAINING", "UNHEALTHY", "TIMEOUT")
            upstream.add(
                address, address, weight=0.0 if drained else weight, priority=priority, zone=zone, pool=pool
            )
            count += 1
    if not count:
        name = cluster.text("name")
        kind = cluster.text("type")
        upstream.notes.append(
            f"the endpoints of {name} are not in the file ({kind or 'no type'}): 2 are assumed"
        )
        for i in (1, 2):
            upstream.add(f"{name}-{i}", f"{name}-{i}", pool=pool)


def _hosts(cluster: Node) -> list[Node]:
    """Return the endpoints of a cluster that are in the file."""
    localities = cluster.inside("load_assignment").each("endpoints")
    return [host for locality in localities for host in locality.each("lb_endpoints")]


def _policy(cluster: Node, upstream: Upstream) -> Policy:
    """Return the settings of a cluster. Raises ImportFault.

    A ring has at least 1024 points, shared by the hosts. Least request compares `choice_count` hosts while
    weights are equal; with different ones, the weight over the requests in flight counts, of all hosts.
    https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/load_balancing/load_balancers"""
    name = cluster.text("lb_policy", "ROUND_ROBIN")
    if name not in _POLICIES:
        kind = "CLUSTER_PROVIDED or a load_balancing_policy"
        upstream.notes.append(
            f"lb_policy {name} of {cluster.text('name')} is imported as ROUND_ROBIN ({kind})"
        )
        name = "ROUND_ROBIN"
    common = cluster.inside("common_lb_config")
    least = cluster.inside("least_request_lb_config")
    ring = cluster.inside("ring_hash_lb_config")
    try:
        factor = common.inside("consistent_hashing_lb_config").whole("hash_balance_factor")
        preset, hosts = _POLICIES[name], _hosts(cluster)
        if name == "LEAST_REQUEST" and len({host.number("load_balancing_weight", 1) for host in hosts}) > 1:
            preset = "least_request_weighted"
        policy = presets.envoy(preset, hash_balance_factor=factor if name == "RING_HASH" else 0)
        choices = least.whole("choice_count", 2)  # not among different weights
        if preset == "least_request_weighted":
            bias = least.inside("active_request_bias").number("default_value", 1.0)
            policy = evolve(policy, options={"bias": bias})
        elif name == "LEAST_REQUEST" and choices != 2:
            policy = evolve(policy, algorithm="power_of_choices", options={"choices": choices})
        if name == "RING_HASH":
            points = max(1, -(-ring.whole("minimum_ring_size", 1024) // max(1, len(hosts))))
            policy = evolve(policy, options={**policy.options, "points": min(points, 10_000)})
        if name == "MAGLEV" and (slots := cluster.inside("maglev_lb_config").whole("table_size")):
            policy = evolve(policy, options={"slots": slots})
        if len({server.priority for server in upstream.servers}) > 1:
            options = {"inner": policy.algorithm, "options": dict(policy.options)}
            policy = evolve(policy, algorithm="priority_levels", options=options)
        panic = common.inside("healthy_panic_threshold").number("value", 50.0) / 100
        return evolve(policy, panic=panic, health=_health(cluster), slow_start=_slow_start(cluster))
    except ImportFault:
        raise
    except ValueError as error:
        raise ImportFault(f"{cluster.file}, line {cluster.line}: {cluster.place}: {error}") from None


def _slow_start(cluster: Node) -> SlowStart | None:
    for key in ("round_robin_lb_config", "least_request_lb_config"):
        config = cluster.inside(key).inside("slow_start_config")
        if window := config.number("slow_start_window"):
            aggression = config.inside("aggression").number("default_value", 1.0)
            least = config.inside("min_weight_percent").number("value", 10.0) / 100
            return SlowStart(window, aggression, least)
    return None


def _health(cluster: Node) -> HealthRules | None:
    """Return the checks, outlier detection and limits of a cluster; None without any. Raises ValueError."""
    checks = [_checks(one) for one in cluster.each("health_checks")]
    outliers = _outliers(cluster.inside("outlier_detection")) if "outlier_detection" in cluster else None
    limits = [
        one.whole("max_requests", 1024)
        for one in cluster.inside("circuit_breakers").each("thresholds")
        if one.text("priority", "DEFAULT") == "DEFAULT"
    ]
    if not (checks or outliers or limits):
        return None
    # Envoy's limit is for all hosts of the cluster together: each gets its part.
    most = max(1, limits[0] // max(1, len(_hosts(cluster)))) if limits else None
    return HealthRules(checks=checks[0] if checks else None, outliers=outliers, max_in_flight=most)


def _checks(node: Node) -> CheckRules:
    interval, timeout = node.number("interval", 10.0), node.number("timeout", 5.0)
    http = node.inside("http_health_check")
    probe = Probe("tcp")
    if "http_health_check" in node:
        ranges = [(one.whole("start"), one.whole("end") - 1) for one in http.each("expected_statuses")]
        expect = ", ".join(f"{low}-{high}" for low, high in ranges) or "200"
        probe = Probe(path=http.text("path") or "/", host=http.text("host"), expect=expect)
    elif "grpc_health_check" in node:
        probe = Probe("grpc", service=node.inside("grpc_health_check").text("service_name"))
    down = node.number("unhealthy_interval") or None
    return CheckRules(
        interval,
        min(timeout, interval, down or interval),
        node.whole("healthy_threshold", 2),
        node.whole("unhealthy_threshold", 2),
        down_interval=down,
        start="down",
        probe=probe,
    )


def _outliers(node: Node) -> OutlierRules:
    """Return outlier detection. Rules that are enforced at 0 % are off; by default only consecutive 5xx and
    the success rate are on. An ejection may not go beyond max_ejection_percent, so by default none of fewer
    than ten hosts is ejected, unless always_eject_one_host is set.

    https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/cluster/v3/outlier_detection.proto"""
    usual, base = OutlierRules(), node.number("base_ejection_time", 30.0)

    def enforced(key: str, default: int) -> bool:
        return node.whole(key, default) > 0

    return OutlierRules(
        consecutive=node.whole("consecutive_5xx", 5) if enforced("enforcing_consecutive_5xx", 100) else 0,
        interval=node.number("interval", 10.0),
        base_ejection=base,
        max_ejection=node.number("max_ejection_time", max(300.0, base)),
        max_ejected=node.number("max_ejection_percent", 10.0) / 100,
        always_one=node.flag("always_eject_one_host"),
        minimum_hosts=node.whole("success_rate_minimum_hosts", 5),
        request_volume=node.whole("success_rate_request_volume", 100),
        stdev_factor=node.number("success_rate_stdev_factor", 1900) / 1000
        if enforced("enforcing_success_rate", 100)
        else 0.0,
        failure_rate=node.number("failure_percentage_threshold", 85) / 100
        if enforced("enforcing_failure_percentage", 0)
        else usual.failure_rate,
    )
