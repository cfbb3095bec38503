"""Reads the attributes and health checks of an AWS target group into a Policy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lbkit import aws
from lbkit.core.health import CheckRules, Probe
from lbkit.experiment import Policy
from lbkit.importer.found import ImportFault
from lbkit.importer.nodes import Node

ASSUMED = 2  # targets of a group, where the file has none
CROSS_ZONE = "load_balancing.cross_zone.enabled"
_ROUTING = "target_group_health.unhealthy_state_routing.minimum_healthy_targets"
CHECKS = (
    *("HealthCheckEnabled", "HealthCheckProtocol", "HealthCheckPort", "HealthCheckPath", "Matcher"),
    *("HealthCheckTimeoutSeconds", "HealthCheckIntervalSeconds"),
    *("HealthyThresholdCount", "UnhealthyThresholdCount"),
)


@dataclass
class Group:
    """A target group."""

    node: Node
    name: str
    attributes: dict[str, str] = field(default_factory=dict)
    line: int = 0  # of the attributes
    targets: list[Node] | None = None  # None: the file does not say

    def policy(self, kind: str, shared: Mapping[str, str], notes: list[str]) -> tuple[Policy, dict[str, str]]:
        """Return the group's policy and the attributes that it does not contain. Raises ImportFault.

        `kind` and `shared`: the type of the load balancer and its attributes."""
        read = _Attributes(self.attributes)
        targets = len(self.targets or ()) or ASSUMED
        try:
            crosses = read.text(CROSS_ZONE)
            if crosses not in ("true", "false"):  # an ALB itself always crosses
                crosses = "true" if kind == "application" else shared.get(CROSS_ZONE, "false")
            percentage = read.text(f"{_ROUTING}.percentage", "off")
            common: dict[str, Any] = {
                "cross_zone": crosses == "true",
                "deregistration_delay": read.number(
                    "deregistration_delay.timeout_seconds", aws.DEREGISTRATION_DELAY
                ),
                "checks": _checks(self.node, kind, notes),
                "fail_open": aws.fail_open_below(
                    min(int(read.number(f"{_ROUTING}.count", 1)), targets),
                    targets,
                    0.0 if percentage == "off" else float(percentage),
                ),
            }
            policy = _POLICIES[kind](read, common)
        except ImportFault:
            raise
        except ValueError as error:
            line = self.line or self.node.line
            raise ImportFault(f"{self.node.file}, line {line}: attributes of {self.name}: {error}") from None
        return policy, read.left


class _Attributes:
    """Attributes; those that were not read are `left`. Methods raise ValueError for a wrong value."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self.left = dict(values)

    def text(self, key: str, default: str = "") -> str:
        return self.left.pop(key, "") or default

    def number(self, key: str, default: float) -> float:
        text = self.text(key, str(default))
        try:
            return float(text)
        except ValueError:
            raise ValueError(f"{key} is {text!r}: use a number") from None


def _application(read: _Attributes, common: dict[str, Any]) -> Policy:
    sticky = None
    how, enabled = (
        read.text("stickiness.type", "lb_cookie"),
        read.text("stickiness.enabled", "false") == "true",
    )
    durations = {
        kind: int(read.number(f"stickiness.{kind}.duration_seconds", 86_400))
        for kind in ("lb_cookie", "app_cookie")
    }
    name = read.text("stickiness.app_cookie.cookie_name", "")
    if enabled:
        sticky = (
            aws.app_cookie(name, durations["app_cookie"])
            if how == "app_cookie"
            else aws.lb_cookie(durations["lb_cookie"])
        )
    algorithm = read.text("load_balancing.algorithm.type", "round_robin")
    mitigated = read.text("load_balancing.algorithm.anomaly_mitigation", "off") == "on"
    return aws.alb_policy(
        algorithm,
        anomaly_mitigation=mitigated,
        slow_start=read.number("slow_start.duration_seconds", 0),
        stickiness=sticky,
        **common,
    )


def _network(read: _Attributes, common: dict[str, Any]) -> Policy:
    how, enabled = (
        read.text("stickiness.type", "source_ip"),
        read.text("stickiness.enabled", "false") == "true",
    )
    return aws.nlb_policy(source_ip=enabled and how == "source_ip", **common)


def _gateway(read: _Attributes, common: dict[str, Any]) -> Policy:
    how, enabled = read.text("stickiness.type", ""), read.text("stickiness.enabled", "false") == "true"
    fields = {"source_ip_dest_ip_proto": 3, "source_ip_dest_ip": 2}.get(how, 5) if enabled else 5
    return aws.gwlb_policy(stickiness=fields, **common)


_POLICIES = {"application": _application, "network": _network, "gateway": _gateway}


def kind_of(protocol: str) -> str:
    """Return the type of a load balancer from the protocol of its listener or target group."""
    if protocol in ("HTTP", "HTTPS", ""):
        return "application"
    return "gateway" if protocol == "GENEVE" else "network"


_DEFAULTS = {"application": aws.ALB_CHECKS, "network": aws.NLB_CHECKS, "gateway": aws.GWLB_CHECKS}


def _checks(node: Node, kind: str, notes: list[str]) -> CheckRules | None:
    """Return the health checks of a target group; a function (lambda) has none by default. ImportFault.

    By HTTP an ALB wants 200, the others anything from 200 to 399, and an NLB waits for 6 s.
    https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateTargetGroup.html"""
    usual = _DEFAULTS[kind]
    if not node.flag("HealthCheckEnabled", node.text("TargetType") != "lambda"):
        return None
    protocol = node.text("HealthCheckProtocol") or {"http": "HTTP"}.get(usual.probe.kind, "TCP")
    port = node.text("HealthCheckPort")
    matcher = node.inside("Matcher")
    expect = matcher.text("HttpCode") or ("200" if kind == "application" else "200-399")
    grpc = matcher.text("GrpcCode")
    path = node.text("HealthCheckPath") or "/"
    interval = node.number("HealthCheckIntervalSeconds", usual.interval)
    waits = 6.0 if kind == "network" and protocol in ("HTTP", "HTTPS") else usual.timeout
    timeout = node.number("HealthCheckTimeoutSeconds", waits)
    rise, fall = (
        node.whole("HealthyThresholdCount", usual.rise),
        node.whole("UnhealthyThresholdCount", usual.fall),
    )
    if grpc:
        notes.append(f"the check expects gRPC code {grpc}: it is imported as HTTP")
    if timeout > interval:
        notes.append(f"the check's timeout of {timeout:g} s is imported as its interval, {interval:g} s")
    number = int(port) if port.isdigit() else usual.probe.port if not port else None
    try:
        if protocol in ("HTTP", "HTTPS"):
            probe = Probe(path=path, expect=expect, port=number)
        else:
            probe = Probe("tcp", port=number)
        return CheckRules(interval, min(timeout, interval), rise, fall, start=usual.start, probe=probe)
    except ValueError as error:
        raise ImportFault(f"{node.file}, line {node.line}: {node.place}: {error}") from None
