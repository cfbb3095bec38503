"""Network and Gateway Load Balancer: they distribute flows, not requests."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from attrs import evolve

from lbkit import presets
from lbkit.aws.attributes import (
    DEREGISTRATION_DELAY,
    GWLB_CHECKS,
    NLB_CHECKS,
    draining,
    fail_open_below,
)
from lbkit.checks import several
from lbkit.core.health import CheckRules, HealthRules
from lbkit.core.options import flags, number, texts
from lbkit.experiment import Experiment, Layer4, Policy, Server

LOAD = 0.7  # of what the targets can serve, until `at_load` says otherwise
TCP_IDLE = 350.0  # seconds; 60 to 6000 are allowed
UDP_IDLE = 120.0  # seconds, always


def nlb_policy(
    *,
    cross_zone: bool = False,
    source_ip: bool = False,
    deregistration_delay: float = DEREGISTRATION_DELAY,
    checks: CheckRules | None = NLB_CHECKS,
    fail_open: float = fail_open_below(),
) -> Policy:
    """Return the attributes of an NLB's target group as a Policy. Raises ValueError.

    A target is chosen by a hash of the flow, or, with `source_ip` (stickiness), of the client's address.
    Unless `cross_zone` is on, each zone's node uses the targets of its zone only. A zone without a healthy
    target leaves the DNS answer, and its traffic goes to the other zones; without any healthy target, all
    targets get traffic.
    https://docs.aws.amazon.com/elasticloadbalancing/latest/network/edit-target-group-attributes.html
    https://docs.aws.amazon.com/elasticloadbalancing/latest/network/target-group-cross-zone.html"""
    flags(cross_zone=cross_zone, source_ip=source_ip)
    return evolve(
        presets.aws_nlb(cross_zone),
        key="client" if source_ip else "flow",
        drain=draining(deregistration_delay),
        health=HealthRules(checks=checks) if checks else None,
        panic=fail_open,
    )


def nlb(
    targets: Iterable[Server],
    policy: Policy | None = None,
    connections: str = "client",
    name: str = "NLB",
) -> Experiment:
    """Return an NLB in front of targets, at a load of 0.7: it relays connections, and reads no requests.

    `policy`: by default that of `nlb_policy`. `connections`: as in Layer4. Targets see the client's address,
    as targets registered by instance id do. Raises ValueError, ExperimentError."""
    layer4 = Layer4(connections, proxy_protocol=connections != "shared")
    return Experiment(
        several(targets), policy=nlb_policy() if policy is None else policy, layer4=layer4, name=name
    ).at_load(LOAD)


def nlb_settings(
    addresses: Iterable[str], protocol: str = "tcp", policy: Policy | None = None, idle: float = TCP_IDLE
) -> dict[str, Any]:
    """Return the settings of an NLB on real sockets, for `Layer4Config.from_dict` or, as TOML, `lbkit proxy`.

    `addresses`: host:port of each target, optionally with its zone, as in 127.0.0.1:9001@a. `protocol`: tcp
    or udp. `idle`: seconds after which a silent TCP flow is forgotten, 60 to 6000; for UDP it is always 120.
    UDP has no checks here, as AWS probes such targets by another protocol. Raises ValueError.
    https://docs.aws.amazon.com/elasticloadbalancing/latest/network/network-load-balancers.html#connection-idle-timeout"""
    if protocol not in ("tcp", "udp"):
        raise ValueError(f"protocol is {protocol!r}: use tcp or udp")
    number(60, 6000, idle=idle)
    split = [address.partition("@") for address in texts("addresses", several(addresses))]
    policy = nlb_policy() if policy is None else policy
    if protocol == "udp":
        policy = evolve(policy, health=None)
    rules = {"udp": {"idle": UDP_IDLE}} if protocol == "udp" else {"tcp": {"idle": idle}}
    plain = Experiment((Server("any"),), policy=policy).to_dict().get("policy", {})
    backends = [{"address": at, **({"zone": zone} if zone else {})} for at, _, zone in split]
    return {"mode": protocol, "backends": backends, "policy": plain, **rules}


def gwlb_policy(
    *,
    stickiness: int = 5,
    cross_zone: bool = False,
    deregistration_delay: float = DEREGISTRATION_DELAY,
    checks: CheckRules | None = GWLB_CHECKS,
    fail_open: float = fail_open_below(),
) -> Policy:
    """Return the attributes of a GWLB's target group as a Policy. Raises ValueError.

    `stickiness`: how many fields identify a flow, 5, 3 or 2; all its packets go to one appliance. The gateway
    decides about the flows of a failed appliance: see `rebalance` in lbkit.net.geneve.
    https://docs.aws.amazon.com/elasticloadbalancing/latest/gateway/edit-target-group-attributes.html"""
    flags(cross_zone=cross_zone)
    return evolve(
        presets.aws_gwlb(cross_zone, stickiness),
        drain=draining(deregistration_delay),
        health=HealthRules(checks=checks) if checks else None,
        panic=fail_open,
    )


def gwlb(
    appliances: Iterable[Server],
    policy: Policy | None = None,
    connections: str = "client",
    name: str = "GWLB",
) -> Experiment:
    """Return a GWLB in front of appliances, at a load of 0.7; each flow is inspected by one of them.

    Only flows are simulated; lbkit.net.geneve has a gateway with GENEVE on real sockets. `policy`: by default
    that of `gwlb_policy`. `connections`: as in Layer4. Raises ValueError, ExperimentError."""
    return nlb(appliances, gwlb_policy() if policy is None else policy, connections, name)
