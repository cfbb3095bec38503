"""Reads AWS load balancers, as `aws elbv2 describe-*` prints them, into upstreams with rules and pools.

A file may have all outputs, one after the other: load balancers, listeners, rules, target groups, target
health and attributes. The last two do not name their owner. With several target groups, add a field
TargetGroupArn beside them, and with several load balancers a field LoadBalancerArn.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from attrs import evolve

from lbkit.core.routing import DEFAULT, Routing, Split, ToPool
from lbkit.experiment import Layer4
from lbkit.importer.aws_defaults import SILENT, says_nothing
from lbkit.importer.aws_groups import ASSUMED, CHECKS, CROSS_ZONE, Group, kind_of
from lbkit.importer.aws_rules import action, conditions
from lbkit.importer.found import ImportFault, Unread, Upstream
from lbkit.importer.nodes import Node
from lbkit.importer.rules import RuleList

_LISTS = ("LoadBalancers", "Listeners", "Rules", "TargetGroups")


def read_aws(file: str, documents: list[Any], unread: list[Unread]) -> list[Upstream]:
    """Return an upstream for each listener; without any, one for each target group. Raises ImportFault."""
    elb = _Definition(file, documents, unread)
    upstreams = list(elb.upstreams())
    for node in elb.nodes:
        unread += node.unread(SILENT)
    return upstreams


class _Definition:
    """The parts of a definition, linked by their ARNs."""

    def __init__(self, file: str, documents: list[Any], unread: list[Unread]) -> None:
        self.file, self.nodes, self.out = file, [Node(one, file) for one in documents], unread
        lists = {name: [one for node in self.nodes for one in node.each(name)] for name in _LISTS}
        self.balancers = {one.text("LoadBalancerArn"): one for one in lists["LoadBalancers"]}
        self.listeners, self.rules = lists["Listeners"], lists["Rules"]
        self.groups = {
            one.text("TargetGroupArn"): Group(
                one, one.text("TargetGroupName") or _tail(one, "TargetGroupArn")
            )
            for one in lists["TargetGroups"]
        }
        self.of_balancer: dict[str, dict[str, str]] = {}
        for node in self.nodes:
            self._belonging(node)

    def _belonging(self, node: Node) -> None:
        """Assign target health and attributes to their target group or load balancer."""
        attributes = {one.text("Key"): one.text("Value") for one in node.each("Attributes")}
        health = node.each("TargetHealthDescriptions") if "TargetHealthDescriptions" in node.value else None
        arn = node.text("TargetGroupArn")
        only = next(iter(self.groups)) if len(self.groups) == 1 else ""
        if attributes and ("LoadBalancerArn" in node or not _is_groups(attributes)):
            self.of_balancer[node.text("LoadBalancerArn")] = attributes
            return
        for name, given in (("TargetHealthDescriptions", health), ("Attributes", attributes or None)):
            if given is None:
                continue
            group = self.groups.get(arn or only)
            if group is None:
                raise ImportFault(
                    f"{self.file}, line {node.line}: {name} of which target group? There are "
                    f"{len(self.groups)}: add TargetGroupArn beside it, as "
                    "jq '. + {TargetGroupArn: $arn}' does"
                )
            if isinstance(given, dict):
                group.attributes, group.line = given, node.line_of("Attributes")
            else:
                group.targets = given

    # -- listeners ------------------------------------------------------------------------------------

    def upstreams(self) -> Iterator[Upstream]:
        for listener in self.listeners:
            yield self._of_listener(listener)
        if not self.listeners:
            for group in self.groups.values():
                yield self._of_group(group)
        for group in self.groups.values():
            _skip_known(group.node)

    def _of_listener(self, listener: Node) -> Upstream:
        arn = listener.text("LoadBalancerArn")
        balancer = self.balancers.get(arn)
        kind = (balancer.text("Type") if balancer else "") or kind_of(listener.text("Protocol"))
        name = (balancer and balancer.text("LoadBalancerName")) or _tail(listener, "LoadBalancerArn")
        port = listener.text("Port")
        upstream = Upstream(f"{name}:{port}" if port else name)
        notes = upstream.notes
        if kind not in ("application", "network", "gateway"):
            assert balancer
            raise balancer.fault("Type", kind, "application, network or gateway")
        listener.raw("Certificates")
        if listener.text("Protocol") in ("HTTPS", "TLS"):
            notes.append("TLS is not imported: give the experiment a `tls`")
        rules = self._rules_of(listener)
        used = self._used([listener, *rules])
        if not used:
            upstream.unread += [u for one in (listener, *rules) for u in _left_out(one, "DefaultActions")]
            return upstream
        default = next(iter(used.values()))
        pools = {arn: DEFAULT if group is default else group.name for arn, group in used.items()}
        for pool_arn, group in used.items():
            self._servers(upstream, group, pools[pool_arn])
        if kind == "application":
            self._route(upstream, listener, rules, pools)
        else:
            upstream.layer4 = Layer4(proxy_protocol=True)
            self._flows(upstream, listener, default)
        cross = self.of_balancer.get(arn, {}) or self.of_balancer.get("", {})
        self._attributes_left(cross, balancer.line if balancer else listener.line)
        self._policy(upstream, default, kind, cross)
        if len(used) > 1:
            self._one_policy(upstream, default, used.values(), kind, cross)
        return upstream

    def _of_group(self, group: Group) -> Upstream:
        upstream = Upstream(group.name)
        kind = kind_of(group.node.text("Protocol"))
        if kind != "application":
            upstream.layer4 = Layer4(proxy_protocol=True)
        self._servers(upstream, group, DEFAULT)
        cross = self.of_balancer.get("", {})
        self._policy(upstream, group, kind, cross)
        return upstream

    def _rules_of(self, listener: Node) -> list[Node]:
        """Return the rules of a listener by priority, without the default one, which the listener has."""
        arn, found = listener.text("ListenerArn"), []
        for rule in self.rules:
            # A rule's ARN is its listener's with one more part.
            own = rule.text("RuleArn").replace(":listener-rule/", ":listener/").rpartition("/")[0]
            if (rule.text("ListenerArn") or own) == arn or len(self.listeners) == 1:
                if rule.text("Priority") == "default" or rule.flag("IsDefault"):
                    rule.raw("Actions")
                    rule.raw("Conditions")
                else:
                    found.append(rule)
        return sorted(found, key=lambda rule: rule.whole("Priority"))

    def _used(self, nodes: Iterable[Node]) -> dict[str, Group]:
        """Return by ARN the target groups that actions forward to, that of the default action first."""
        found: dict[str, Group] = {}
        for node in nodes:
            for one in [*node.each("DefaultActions"), *node.each("Actions")]:
                forward = one.inside("ForwardConfig")
                for holder in [one, *forward.each("TargetGroups")]:
                    if not (arn := holder.text("TargetGroupArn")):
                        continue
                    if arn not in self.groups:
                        raise holder.fault(
                            "TargetGroupArn", arn, "a target group of the file (describe-target-groups)"
                        )
                    found.setdefault(arn, self.groups[arn])
        return found

    # -- rules ----------------------------------------------------------------------------------------

    def _route(self, upstream: Upstream, listener: Node, rules: list[Node], pools: dict[str, str]) -> None:
        found = RuleList()

        def add(name: str, node: Node, key: str) -> None:
            try:
                ways = conditions(node) if key == "Actions" else [None]
            except ImportFault:
                raise
            except ValueError as error:
                # It is unknown which requests the rule matches, so no answer can take its place.
                upstream.unread.append(Unread(self.file, node.line, f"rule {name} ({error})", "rule"))
                node.raw("Conditions")
                node.raw("Actions")
                return
            then = action(node, key, pools, upstream, listener.text("Port"))
            for when in ways:
                try:
                    found.add(name, then, when)
                except ValueError as error:
                    upstream.unread.append(Unread(self.file, node.line, f"rule {name} ({error})", "rule"))

        for rule in rules:
            add(f"priority {rule.text('Priority')}", rule, "Actions")
            if rule.each("Transforms"):
                upstream.unread.append(
                    Unread(self.file, rule.line_of("Transforms"), f"{rule.place}.Transforms", "Transforms")
                )
        add("default action", listener, "DefaultActions")
        if found.rules and found.rules[-1].then == ToPool(DEFAULT) and not found.rules[-1].conditions():
            found.rules.pop()  # what no rule fits goes there anyway
        if found.rules:
            upstream.routing = Routing(tuple(found.rules), doubtful="pass")
        if any(rule.when.regex or rule.when.path for rule in found.rules):
            upstream.notes.append("ALB compares paths as they are sent, rules in one normal form")
        if any(rule.when.query for rule in found.rules):
            upstream.notes.append("ALB compares names in the query in any case, rules as they are written")

    def _flows(self, upstream: Upstream, listener: Node, default: Group) -> None:
        protocol = listener.text("Protocol")
        if protocol in ("UDP", "TCP_UDP", "GENEVE", ""):
            upstream.notes.append(f"{protocol or 'GENEVE'} is imported as connections")
        then = action(listener, "DefaultActions", {}, upstream)
        if isinstance(then, Split) and len(then.shares) > 1:
            upstream.notes.append(f"all flows go to {default.name}: layer 4 has no shares of groups here")

    # -- target groups ---------------------------------------------------------------------------------

    def _servers(self, upstream: Upstream, group: Group, pool: str) -> None:
        if group.targets is None or (not group.targets and group.node.text("TargetType") == "lambda"):
            upstream.notes.append(f"the targets of {group.name} are not in the file: {ASSUMED} are assumed")
            for i in range(1, ASSUMED + 1):
                upstream.add(f"{group.name}-{i}", f"{group.name}-{i}", pool=pool)
            return
        for one in group.targets:
            target, health = one.inside("Target"), one.inside("TargetHealth")
            ident, port = target.text("Id"), target.text("Port") or group.node.text("Port")
            zone = target.text("AvailabilityZone").removeprefix("all")
            state = health.text("State")
            if state in ("unhealthy", "unavailable"):
                upstream.notes.append(f"{ident} is {state}, and is imported as a server that works")
            weight = 0.0 if state in ("draining", "unused") else 1.0
            address = f"{ident}:{port}" if port else ident
            upstream.add(address, address, weight=weight, zone=zone, pool=pool)
        if not group.targets:
            upstream.notes.append(f"{group.name} has no targets: {ASSUMED} are assumed")
            for i in range(1, ASSUMED + 1):
                upstream.add(f"{group.name}-{i}", f"{group.name}-{i}", pool=pool)

    def _policy(self, upstream: Upstream, group: Group, kind: str, shared: dict[str, str]) -> None:
        upstream.policy, left = group.policy(kind, shared, upstream.notes)
        self._attributes_left(left, group.line)

    def _one_policy(
        self, upstream: Upstream, default: Group, used: Iterable[Group], kind: str, shared: dict[str, str]
    ) -> None:
        """Note the groups whose attributes differ, as all pools of an experiment share one policy."""
        alike = evolve(upstream.policy, sticky=None, panic=0)
        for group in used:
            own, left = group.policy(kind, shared, [])
            self._attributes_left(left, group.line)
            if evolve(own, sticky=None, panic=0) != alike:
                upstream.notes.append(
                    f"{group.name} has other attributes: all groups get those of {default.name}"
                )
        if upstream.policy.sticky:
            upstream.notes.append("stickiness is not imported: sessions need a single target group here")
            upstream.policy = evolve(upstream.policy, sticky=None)

    def _attributes_left(self, attributes: dict[str, str], line: int) -> None:
        for key, text in attributes.items():
            if key == CROSS_ZONE or says_nothing(key, text):
                continue
            one = Unread(self.file, line, f"{key}: {text}", key)
            if one not in self.out:
                self.out.append(one)


def _is_groups(attributes: dict[str, str]) -> bool:
    """Return whether these are attributes of a target group."""
    return any(
        key.startswith(("deregistration_delay", "stickiness", "slow_start", "target")) for key in attributes
    )


def _tail(node: Node, key: str) -> str:
    """Return the name in an ARN, its last part but one, as in .../app/NAME/50dc6c495c0c9188."""
    parts = node.text(key).split("/")
    return parts[-2] if len(parts) > 2 else parts[-1] or "load balancer"


def _skip_known(node: Node) -> None:
    """Mark fields of a target group as read that are used elsewhere or have no effect."""
    for key in ("Protocol", "Port", "TargetType", *CHECKS):
        node.raw(key)


def _left_out(node: Node, key: str) -> Iterator[Unread]:
    node.raw(key)
    yield Unread(node.file, node.line, f"{node.place}: no target group gets its requests", "no target group")
