"""Reads Envoy's static bootstrap: listeners with routes, and clusters with their endpoints."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from attrs import evolve

from lbkit.core.routing import DEFAULT, Routing
from lbkit.core.text import did_you_mean
from lbkit.experiment import Layer4
from lbkit.importer.envoy_clusters import add_endpoints, policy_of
from lbkit.importer.envoy_routes import routes
from lbkit.importer.found import Unread, Upstream
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
            add_endpoints(upstream, cluster, DEFAULT)
            upstream.policy = policy_of(cluster, upstream)
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
                add_endpoints(upstream, cluster, DEFAULT)
                upstream.policy = policy_of(cluster, upstream)
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
        add_endpoints(upstream, cluster, pool)
        policies.append(policy_of(cluster, upstream))
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
