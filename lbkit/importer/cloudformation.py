"""Load balancers of a CloudFormation template, as far as it says without being deployed."""

from __future__ import annotations

from typing import Any

from lbkit.importer.aws import read_aws
from lbkit.importer.documents import Table
from lbkit.importer.found import MOST_SERVERS, Unread, Upstream
from lbkit.importer.intrinsics import Values
from lbkit.importer.nodes import Node

_ELB = "AWS::ElasticLoadBalancingV2::"
_SERVICE, _SCALING = "AWS::ECS::Service", "AWS::AutoScaling::AutoScalingGroup"
# Resource -> the list of `aws elbv2 describe-*` that it is like, and its field for the name of the resource.
_LIKE = {
    f"{_ELB}LoadBalancer": ("LoadBalancers", "LoadBalancerArn"),
    f"{_ELB}TargetGroup": ("TargetGroups", "TargetGroupArn"),
    f"{_ELB}Listener": ("Listeners", "ListenerArn"),
    f"{_ELB}ListenerRule": ("Rules", "RuleArn"),
}
_NAMES = {"LoadBalancers": "LoadBalancerName", "TargetGroups": "TargetGroupName"}


def read_cloudformation(file: str, documents: list[Any], unread: list[Unread]) -> list[Upstream]:
    """Return the load balancers of a template. References are resolved to names of resources, parameters to
    their defaults; a resource whose condition does not hold by these is left out. Raises ImportFault."""
    described: list[Any] = []
    for document in documents:
        template = Node(document, file)
        described += _described(template.inside("Resources"), Values(template, unread), unread)
    return read_aws(file, described, unread)


def _described(resources: Node, values: Values, unread: list[Unread]) -> list[Any]:
    """Return the resources as the documents of `aws elbv2 describe-*`."""
    lists: dict[str, list[Any]] = {name: [] for name, _ in _LIKE.values()}
    attached: list[Table] = []
    targets: dict[str, list[Any]] = {}
    for name in resources.value:
        resource = resources.inside(name)
        kind = resource.text("Type")
        if (condition := resource.text("Condition")) and not values.holds(condition, resource.line):
            continue
        properties = values.plain(resource.inside("Properties").value)
        if not isinstance(properties, dict):
            raise resource.fault("Properties", properties, "a mapping")
        if kind in (_SERVICE, _SCALING):
            for group, count in _counted(Node(properties, resource.file, resource.place)):
                targets[group] = [
                    _at(resource.line, Target=_at(resource.line, Id=f"{name}-{i}"))
                    for i in range(1, count + 1)
                ]
        elif kind not in _LIKE:
            unread.append(Unread(resource.file, resource.line, f"{resource.place}: {kind}", kind))
        else:
            where, arn = _LIKE[kind]
            one = _table(properties, **{arn: name})
            if where in _NAMES:
                one[_NAMES[where]] = one.pop("Name", None) or name
            for field in ("LoadBalancerAttributes", "TargetGroupAttributes"):
                if given := one.pop(field, None):
                    attached.append(_at(resource.line, **{arn: name, "Attributes": given}))
            if given := one.pop("Targets", None):
                targets[name] = [_at(resource.line, Target=target) for target in given]
            lists[where].append(one)
    health = [
        _at(resources.line, TargetGroupArn=group, TargetHealthDescriptions=some)
        for group, some in targets.items()
    ]
    return [_at(resources.line, **lists), *health, *attached]


def _table(like: Any, **fields: Any) -> Table:
    """Return a mapping with the lines of another, its fields, and more."""
    found = Table(like)
    found.line, found.lines = getattr(like, "line", 0), getattr(like, "lines", {})
    found.update(fields)
    return found


def _at(line: int, **fields: Any) -> Table:
    found = _table({}, **fields)
    found.line = line
    return found


def _counted(node: Node) -> list[tuple[str, int]]:
    """Return the target groups of an ECS service or an Auto Scaling group, with the number of targets."""
    groups = [one.text("TargetGroupArn") for one in node.each("LoadBalancers")]
    groups += node.texts("TargetGroupARNs")
    key = next((key for key in ("DesiredCount", "DesiredCapacity", "MinSize") if key in node), "DesiredCount")
    count = node.whole(key, 1)
    if not 0 <= count <= MOST_SERVERS:
        raise node.fault(key, count, f"a whole number from 0 to {MOST_SERVERS:,}")
    return [(group, max(1, count)) for group in groups if group]
