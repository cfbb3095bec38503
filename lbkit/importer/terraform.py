"""Reads the AWS load balancers of a Terraform plan, as `terraform show -json` prints it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from lbkit.importer.aws import read_aws
from lbkit.importer.documents import Table
from lbkit.importer.found import Unread, Upstream
from lbkit.importer.nodes import Node, brief

_LISTS = {
    "aws_lb": "LoadBalancers",
    "aws_alb": "LoadBalancers",
    "aws_lb_target_group": "TargetGroups",
    "aws_alb_target_group": "TargetGroups",
    "aws_lb_listener": "Listeners",
    "aws_alb_listener": "Listeners",
    "aws_lb_listener_rule": "Rules",
    "aws_alb_listener_rule": "Rules",
}
_ATTACHMENTS = ("aws_lb_target_group_attachment", "aws_alb_target_group_attachment")
_ARNS = {
    "LoadBalancers": "LoadBalancerArn",
    "TargetGroups": "TargetGroupArn",
    "Listeners": "ListenerArn",
    "Rules": "RuleArn",
}
# Arguments -> the field of `aws elbv2 describe-*`, or the attribute, that they set.
_FIELDS = {
    "default_action": "DefaultActions",
    "action": "Actions",
    "condition": "Conditions",
    "listener_arn": "ListenerArn",
    "load_balancer_arn": "LoadBalancerArn",
    "port": "Port",
    "priority": "Priority",
    "protocol": "Protocol",
    "target_type": "TargetType",
}
_CHECK = {
    "enabled": "HealthCheckEnabled",
    "healthy_threshold": "HealthyThresholdCount",
    "interval": "HealthCheckIntervalSeconds",
    "path": "HealthCheckPath",
    "port": "HealthCheckPort",
    "protocol": "HealthCheckProtocol",
    "timeout": "HealthCheckTimeoutSeconds",
    "unhealthy_threshold": "UnhealthyThresholdCount",
}
_ATTRIBUTES = {
    "client_keep_alive": "client_keep_alive.seconds",
    "deregistration_delay": "deregistration_delay.timeout_seconds",
    "enable_cross_zone_load_balancing": "load_balancing.cross_zone.enabled",
    "idle_timeout": "idle_timeout.timeout_seconds",
    "load_balancing_algorithm_type": "load_balancing.algorithm.type",
    "load_balancing_anomaly_mitigation": "load_balancing.algorithm.anomaly_mitigation",
    "load_balancing_cross_zone_enabled": "load_balancing.cross_zone.enabled",
    "preserve_client_ip": "preserve_client_ip.enabled",
    "slow_start": "slow_start.duration_seconds",
}
_SILENT = frozenset(
    """
    alpn_policy certificate_arn connection_termination customer_owned_ipv4_pool desync_mitigation_mode
    drop_invalid_header_fields enable_deletion_protection enable_http2
    enable_tls_version_and_cipher_suite_headers enable_waf_fail_open enable_xff_client_port
    enable_zonal_shift internal ip_address_type lambda_multi_value_headers_enabled name_prefix
    preserve_host_header protocol_version proxy_protocol_v2 region security_groups ssl_policy
    subnet_mapping subnets tags tags_all timeouts vpc_id
    xff_header_processing_mode
    """.split()  # noqa: SIM905
)

MOST_DEEP = 20  # nested modules through which a reference is followed


def read_terraform(file: str, documents: list[Any], unread: list[Unread]) -> list[Upstream]:
    """Return the load balancers of a plan. Values known only after it is applied, such as ARNs, are replaced
    by following the references in its configuration, also through modules. Raises ImportFault."""
    described: list[Any] = []
    for document in documents:
        plan = Node(document, file)
        root = plan.inside("configuration").inside("root_module")
        described += _Plan(root, unread).described(plan.inside("planned_values").inside("root_module"))
    return read_aws(file, described, unread)


def _table(line: int, **fields: Any) -> Table:
    found = Table(fields)
    found.line, found.lines = line, {}
    return found


class _Plan:
    """The resources of a plan, with the references in their configuration."""

    def __init__(self, configuration: Node, unread: list[Unread]) -> None:
        self.unread = unread
        self.expressions = dict(_configured(configuration))
        self.addresses: set[str] = set()

    def described(self, module: Node) -> list[Any]:
        """Return the resources as the documents of `aws elbv2 describe-*`."""
        lists: dict[str, list[Any]] = {name: [] for name in _ARNS}
        health: dict[str, list[Any]] = {}
        attributes = []
        resources = list(_planned(module))
        self.addresses = {one.text("address") for one in resources}
        for one in resources:
            kind, address = one.text("type"), one.text("address")
            values = self._known(
                one.inside("values").value, self.expressions.get(_plain(address), {}), address
            )
            if kind in _ATTACHMENTS:
                group = str(values.pop("target_group_arn", ""))
                target = _table(one.line, Id=values.get("target_id") or address, Port=values.get("port"))
                health.setdefault(group, []).append(_table(one.line, Target=target))
            elif kind in _LISTS:
                where = _LISTS[kind]
                found, given = self._resource(where, one, values)
                lists[where].append(found)
                if given:
                    attributes.append(_table(one.line, **{_ARNS[where]: address, "Attributes": given}))
            else:
                self.unread.append(Unread(one.file, one.line, address, kind))
        of_groups = [
            _table(0, TargetGroupArn=group, TargetHealthDescriptions=some) for group, some in health.items()
        ]
        return [_table(module.line, **lists), *of_groups, *attributes]

    def _resource(self, where: str, one: Node, values: dict[str, Any]) -> tuple[Table, list[Any]]:
        """Return a resource and its attributes."""
        address = one.text("address")
        found = _table(one.line, **{_ARNS[where]: address})
        name = values.pop("name", None) or address.rpartition(".")[2]
        if where == "LoadBalancers":
            found.update(LoadBalancerName=name, Type=values.pop("load_balancer_type", None) or "application")
        elif where == "TargetGroups":
            found.update(TargetGroupName=name)
            for check in _several(values.pop("health_check", None)):
                found.update({_CHECK[key]: value for key, value in check.items() if key in _CHECK})
                if check.get("matcher"):
                    found["Matcher"] = _table(one.line, HttpCode=check["matcher"])
        attributes = {_ATTRIBUTES[key]: values.pop(key) for key in list(values) if key in _ATTRIBUTES}
        for sticky in _several(values.pop("stickiness", None)):
            attributes |= _stickiness(sticky)
        for failover in _several(values.pop("target_failover", None)):
            attributes |= {f"target_failover.{key}": value for key, value in failover.items()}
        for key in list(values):
            if key in _FIELDS:
                value = values.pop(key)
                shape = {"default_action": _action, "action": _action, "condition": _condition}.get(key)
                found[_FIELDS[key]] = [shape(part) for part in _several(value)] if shape else value
        for key, value in values.items():
            if key not in _SILENT and value not in (None, "", [], {}, False):
                text = f"{address}.{key}: {brief(value)}"
                self.unread.append(Unread(one.file, one.line, text, f"{one.text('type')}.{key}"))
        texts = {key: _text(value) for key, value in attributes.items() if value is not None}
        return found, [_table(one.line, Key=key, Value=text) for key, text in texts.items() if text]

    def _known(self, values: Mapping[str, Any], expressions: Any, address: str) -> dict[str, Any]:
        """Return values in which unknown ones are replaced by the addresses that they refer to."""
        known: dict[str, Any] = dict(values)
        for key, expression in expressions.items() if isinstance(expressions, dict) else ():
            if isinstance(expression, dict) and known.get(key) is None and expression.get("references"):
                if found := self._referred(expression["references"], address):
                    known[key] = found
            elif isinstance(expression, list) and isinstance(known.get(key, []), list):
                parts = known.get(key) or [{}] * len(expression)
                known[key] = [
                    self._known(part, inner, address) if isinstance(part, dict) else part
                    for part, inner in zip(parts, expression, strict=False)
                ]
        return known

    def _referred(self, references: list[Any], address: str) -> str:
        """Return the address of the resource referred to; empty if the plan does not say."""
        return self._followed(references, "".join(re.findall(r"module\.[^.]+\.", address)))

    def _followed(self, references: Any, module: str, depth: int = 0) -> str:
        """Follow references in a module: to its resources, to its variables, set by its caller, and to the
        outputs of modules that it calls."""
        for reference in references if isinstance(references, list) and depth < MOST_DEEP else ():
            parts = str(reference).split(".")
            found = ""
            if len(parts) >= 2 and parts[0] == "var":
                caller = re.sub(r"module\.[^.]+\.\Z", "", module)
                found = self._through(f"{module}var.{parts[1]}", caller, depth)
            elif len(parts) >= 3 and parts[0] == "module":
                called = f"{module}module.{parts[1]}."
                found = self._through(f"{called}output.{parts[2]}", called, depth)
            elif len(parts) >= 2 and parts[0].startswith("aws_"):
                found = self._planned_at(module + ".".join(parts[:2]))
            if found:
                return found
        return ""

    def _through(self, name: str, module: str, depth: int) -> str:
        expression = self.expressions.get(_plain(name))
        references = expression.get("references") if isinstance(expression, dict) else None
        return self._followed(references, module, depth + 1)

    def _planned_at(self, wanted: str) -> str:
        if wanted in self.addresses:
            return wanted
        return next((there for there in sorted(self.addresses) if _plain(there) == _plain(wanted)), "")


def _planned(module: Node) -> Iterator[Node]:
    yield from module.each("resources")
    for child in module.each("child_modules"):
        yield from _planned(child)


def _configured(module: Node, before: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the address and the expressions of each resource of a configuration, and of each module's
    variables and outputs."""
    for one in module.each("resources"):
        yield before + _plain(one.text("address")), one.raw("expressions") or {}
    for name, output in module.inside("outputs").value.items():
        yield f"{before}output.{name}", output.get("expression") if isinstance(output, dict) else None
    calls = module.inside("module_calls")
    for name in calls.value:
        for variable, expression in calls.inside(name).inside("expressions").value.items():
            yield f"{before}module.{name}.var.{variable}", expression
        yield from _configured(calls.inside(name).inside("module"), f"{before}module.{name}.")


def _plain(address: str) -> str:
    """Return an address without the numbers and keys of count and for_each."""
    return re.sub(r"\[[^\]]*\]", "", address)


def _several(value: Any) -> list[dict[str, Any]]:
    """Return the blocks of an argument."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _stickiness(block: Mapping[str, Any]) -> dict[str, Any]:
    kind, seconds = block.get("type") or "lb_cookie", block.get("cookie_duration")
    on = block.get("enabled")
    found: dict[str, Any] = {"stickiness.enabled": True if on is None else on, "stickiness.type": kind}
    if kind in ("lb_cookie", "app_cookie"):
        found[f"stickiness.{kind}.duration_seconds"] = seconds
    if name := block.get("cookie_name"):
        found["stickiness.app_cookie.cookie_name"] = name
    return found


def _action(block: dict[str, Any]) -> Table:
    found = _table(0, Type=block.get("type"), Order=block.get("order"))
    found["TargetGroupArn"] = block.get("target_group_arn")
    for forward in _several(block.get("forward")):
        groups = [
            _table(0, TargetGroupArn=one.get("arn"), Weight=one.get("weight"))
            for one in _several(forward.get("target_group"))
        ]
        found["ForwardConfig"] = _table(0, TargetGroups=groups)
        for sticky in _several(forward.get("stickiness")):
            found["ForwardConfig"]["TargetGroupStickinessConfig"] = _table(0, Enabled=sticky.get("enabled"))
    for redirect in _several(block.get("redirect")):
        found["RedirectConfig"] = _camel(redirect)
    for fixed in _several(block.get("fixed_response")):
        found["FixedResponseConfig"] = _camel(fixed)
    return found


def _condition(block: dict[str, Any]) -> Table:
    for name in ("host_header", "path_pattern", "http_request_method", "source_ip"):
        for one in _several(block.get(name)):
            return _table(
                0, Field=name.replace("_", "-"), Values=one.get("values"), RegexValues=one.get("regex_values")
            )
    for one in _several(block.get("http_header")):
        config = _table(0, HttpHeaderName=one.get("http_header_name"), Values=one.get("values"))
        return _table(0, Field="http-header", HttpHeaderConfig=config)
    if pairs := _several(block.get("query_string")):
        values = [_table(0, Key=one.get("key"), Value=one.get("value")) for one in pairs]
        return _table(0, Field="query-string", QueryStringConfig=_table(0, Values=values))
    return _table(0, Field=next((name for name, value in block.items() if value), "nothing"))


def _camel(block: Mapping[str, Any]) -> Table:
    """Return a block with names in AWS's spelling: status_code becomes StatusCode."""
    named = {"".join(part.title() for part in key.split("_")): value for key, value in block.items()}
    return _table(0, **named)
