"""Reads Kubernetes objects: Service, Ingress, and HTTPRoute of the Gateway API, with the pods behind them.

The number of pods is that of EndpointSlices or Endpoints in the file, or the replicas of the Deployment (or
StatefulSet, ReplicaSet) whose labels a Service selects.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from lbkit.core.drain import DrainRules
from lbkit.core.health import CheckRules, HealthRules, Probe
from lbkit.core.routing import DEFAULT, Action, Routing, Split, ToPool
from lbkit.core.sticky import Sticky
from lbkit.experiment import Policy
from lbkit.importer.found import MOST_SERVERS, ImportFault, Unread, Upstream
from lbkit.importer.kubernetes_routes import Found, Refused, gateway_rules, ingress_rules
from lbkit.importer.nodes import Node
from lbkit.importer.rules import RuleList, not_imported

ASSUMED = 2  # pods of a Service that the file does not count
_WORKLOADS = ("Deployment", "StatefulSet", "ReplicaSet", "ReplicationController")
_ROUTES = {"Ingress": ingress_rules, "HTTPRoute": gateway_rules}
_SILENT = frozenset(
    """
    apiVersion kind metadata status selector type ports clusterIP clusterIPs ipFamilies
    ipFamilyPolicy containers imagePullSecrets labels annotations
    strategy revisionHistoryLimit progressDeadlineSeconds serviceAccountName restartPolicy dnsPolicy
    ingressClassName parentRefs gatewayClassName listeners template serviceName updateStrategy
    podManagementPolicy securityContext schedulerName volumes tls group weight
    """.split()  # noqa: SIM905
)


@dataclass
class _Pods:
    """The pods of a Service."""

    addresses: list[tuple[str, str]] = field(default_factory=list)  # name or address, and zone
    checks: CheckRules | None = None
    grace: float = 30.0  # terminationGracePeriodSeconds
    note: str = ""


def read_kubernetes(file: str, documents: list[Any], unread: list[Unread]) -> list[Upstream]:
    """Return an upstream for each Ingress and HTTPRoute, then one for each Service. Raises ImportFault."""
    nodes = list(_objects(file, documents))
    cluster = _Cluster(file, nodes)
    upstreams = []
    for node in nodes:
        kind = node.text("kind")
        if kind in _ROUTES:
            upstreams.append(cluster.routed(node, _ROUTES[kind](node)))
        elif kind not in (*_WORKLOADS, "Service", "EndpointSlice", "Endpoints", "Gateway"):
            unread.append(
                Unread(file, node.line, f"{kind or 'an object without a kind'} {_name(node)}", kind)
            )
    for name in cluster.services:
        upstreams.append(cluster.service(name))
    for node in nodes:
        for key in ("internalTrafficPolicy", "externalTrafficPolicy"):
            if node.inside("spec").text(key) == "Local":  # Cluster, the default, is what is imported
                line = node.inside("spec").line_of(key)
                unread.append(Unread(file, line, f"Service {_name(node)}: {key} Local", key))
        if node.text("kind") in (*_ROUTES, "Service"):
            unread += node.unread(_SILENT)
    return upstreams


def _objects(file: str, documents: list[Any]) -> Iterator[Node]:
    for document in documents:
        node = Node(document, file)
        if node.text("kind").endswith("List") and "items" in node:
            yield from node.each("items")
        else:
            yield node


def _name(node: Node) -> str:
    return node.inside("metadata").text("name") or node.text("kind").lower()


class _Cluster:
    """The Services of a file, and their pods."""

    def __init__(self, file: str, nodes: list[Node]) -> None:
        self.file = file
        self.services = {_name(node): node for node in nodes if node.text("kind") == "Service"}
        self.workloads = [node for node in nodes if node.text("kind") in _WORKLOADS]
        self.endpoints: dict[str, list[tuple[str, str]]] = {}
        for node in nodes:
            if node.text("kind") == "EndpointSlice":
                labels = node.inside("metadata").inside("labels")
                service = labels.text("kubernetes.io/service-name") or _name(node)
                self.endpoints.setdefault(service, []).extend(_slice(node))
            elif node.text("kind") == "Endpoints":
                for subset in node.each("subsets"):
                    there = [(one.text("ip"), "") for one in subset.each("addresses")]
                    self.endpoints.setdefault(_name(node), []).extend(there)

    def service(self, name: str) -> Upstream:
        """Return a Service as kube-proxy balances it."""
        node = self.services[name]
        upstream = Upstream(name)
        pods = self._add(upstream, name, DEFAULT)
        upstream.policy = self._policy(node, pods)
        upstream.notes.append("kube-proxy picks at random for each connection; here for each request")
        if node.inside("spec").text("clusterIP") == "None":
            upstream.notes.append(f"{name} has no address (clusterIP None): clients themselves choose a pod")
        return upstream

    def routed(self, node: Node, found: Found) -> Upstream:
        """Return an Ingress or a route: rules in front of Services."""
        upstream = Upstream(_name(node), unread=list(found.unread), notes=list(found.notes))
        # The last rules are the most general: their Service is the default pool, whose settings count.
        used = [rule.services for rule in reversed(found.rules)]
        names = list(dict.fromkeys([*found.first, *(name for some in used for name in some)]))
        if not names:
            return upstream
        pools = {name: DEFAULT if i == 0 else name for i, name in enumerate(names)}
        pods = [self._add(upstream, name, pool) for name, pool in pools.items()]
        rules = RuleList()
        for rule in found.rules:
            try:
                rules.add(rule.name, self._action(rule.then, pools), rule.when, rule.unless, rule.rewrite)
            except ValueError as error:
                upstream.unread.append(Unread(self.file, rule.line, f"{rule.name} ({error})", "rule"))
        if not found.first and not any(not rule.conditions() for rule in rules.rules):
            rules.add("no rule fits", not_found())
        end = next((i for i, rule in enumerate(rules.rules) if not rule.conditions()), len(rules.rules))
        if beyond := [rule.name for rule in rules.rules[end + 1 :]]:
            upstream.notes.append(f"never reached, so left out: {', '.join(beyond)}")
        upstream.routing = Routing(tuple(rules.rules[: end + 1]))
        first = next((self.services[name] for name in names if name in self.services), None)
        upstream.policy = Policy("round_robin", retries=0, health=_health(pods[0]), drain=_drain(pods[0]))
        if (
            first is not None
            and first.inside("spec").text("sessionAffinity") == "ClientIP"
            and len(names) == 1
        ):
            upstream.policy = self._policy(first, pods[0])
        upstream.notes.append("which algorithm balances is the controller's choice: round robin is assumed")
        return upstream

    def _action(self, then: Action | Refused, pools: dict[str, str]) -> Action:
        if isinstance(then, Refused):
            return not_imported(then.why)
        if isinstance(then, ToPool):
            return ToPool(pools[then.pool])
        if isinstance(then, Split):
            return Split({pools[name]: share for name, share in then.shares.items()}, key="")
        return then

    def _policy(self, node: Node, pods: _Pods) -> Policy:
        spec = node.inside("spec")
        sticky = None
        if spec.text("sessionAffinity") == "ClientIP":
            config = spec.inside("sessionAffinityConfig").inside("clientIP")
            sticky = Sticky("source", idle=config.number("timeoutSeconds", 10_800))
        return Policy("random", retries=0, health=_health(pods), drain=_drain(pods), sticky=sticky)

    def _add(self, upstream: Upstream, service: str, pool: str) -> _Pods:
        pods = self._pods(service)
        if pods.note:
            upstream.notes.append(pods.note)
        for name, zone in pods.addresses:
            upstream.add(name, name, zone=zone, pool=pool)
        return pods

    def _pods(self, service: str) -> _Pods:
        pods = _Pods()
        workload = self._selected(service)
        if workload is not None:
            pods = _of_workload(workload)
        if there := self.endpoints.get(service):
            pods.addresses = there
        elif workload is None:
            pods.addresses = [(f"{service}-{i}", "") for i in range(1, ASSUMED + 1)]
            pods.note = f"the pods of {service} are not in the file: {ASSUMED} are assumed"
        elif not pods.addresses:
            count = workload.inside("spec").whole("replicas", 1)
            raise workload.fault("spec.replicas", count, f"at least 1, and at most {MOST_SERVERS:,}")
        return pods

    def _selected(self, service: str) -> Node | None:
        """Return the workload with the labels that a Service selects."""
        if service not in self.services:
            return None
        selector = self.services[service].inside("spec").inside("selector").all()
        for workload in self.workloads:
            labels = workload.inside("spec").inside("template").inside("metadata").inside("labels").value
            if selector and selector.items() <= labels.items():
                return workload
        return None


def not_found() -> Action:
    from lbkit.core.routing import Body, Fixed

    return Fixed(404, Body("no rule fits\n"))


def _slice(node: Node) -> Iterator[tuple[str, str]]:
    for endpoint in node.each("endpoints"):
        if endpoint.inside("conditions").text("ready") != "false":
            yield from ((address, endpoint.text("zone")) for address in endpoint.texts("addresses")[:1])


def _of_workload(node: Node) -> _Pods:
    """Return the pods of a Deployment and its like."""
    spec = node.inside("spec")
    count, name = spec.whole("replicas", 1), _name(node)
    pod = spec.inside("template").inside("spec")
    pods = _Pods(
        [(f"{name}-{i}", "") for i in range(1, count + 1)] if count <= MOST_SERVERS else [],
        grace=pod.number("terminationGracePeriodSeconds", 30.0),
    )
    for container in pod.each("containers"):
        if "readinessProbe" in container:
            pods.checks = _checks(container.inside("readinessProbe"))
            break
    return pods


def _drain(pods: _Pods) -> DrainRules:
    return DrainRules(max(pods.grace, 1e-3))


def _health(pods: _Pods) -> HealthRules | None:
    return HealthRules(checks=pods.checks) if pods.checks else None


def _checks(node: Node) -> CheckRules:
    """Return a readiness probe. Raises ImportFault.

    https://kubernetes.io/docs/concepts/configuration/liveness-readiness-startup-probes/"""
    interval, timeout = node.number("periodSeconds", 10.0), node.number("timeoutSeconds", 1.0)
    http = node.inside("httpGet")
    try:
        probe = Probe(path=http.text("path") or "/", expect="200-399") if "httpGet" in node else Probe("tcp")
        if "grpc" in node:
            probe = Probe("grpc", service=node.inside("grpc").text("service"))
        rise, fall = node.whole("successThreshold", 1), node.whole("failureThreshold", 3)
        return CheckRules(interval, min(timeout, interval), rise, fall, start="down", probe=probe)
    except ImportFault:
        raise
    except ValueError as error:
        raise ImportFault(f"{node.file}, line {node.line}: {node.place}: {error}") from None
