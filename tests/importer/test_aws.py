"""Load balancers of AWS: definitions of our own, and those that moto describes as AWS would."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from needs import need_module

from lbkit import Policy, aws, run
from lbkit.core.routing import Answered, Fixed, Redirect, RouteTable, Sample, Split, ToPool
from lbkit.experiment import Layer4
from lbkit.importer import Imported, ImportFault, read_config
from lbkit.importer.found import Unread
from lbkit.importer.intrinsics import Values
from lbkit.importer.nodes import Node

need_module("yaml")

CORPUS = Path(__file__).with_name("corpus")


def imported(name: str, upstream: str | None = None) -> Imported:
    return read_config(CORPUS / name, upstream)


def written(tmp_path: Path, *documents: dict[str, Any]) -> Imported:
    path = tmp_path / "elb.json"
    path.write_text("\n".join(json.dumps(one, indent=2, default=str) for one in documents))
    return read_config(path)


def decided(found: Imported, target: str = "/", **more: Any) -> str:
    assert found.experiment.routing
    way = RouteTable(found.experiment.routing).route(Sample(target, **more))
    if isinstance(way, Answered):
        return " ".join([str(way.reply.status), *(value for _, value in way.reply.fields)])
    return way.pool


# -- our own definitions ----------------------------------------------------------------------------------


def test_an_alb() -> None:
    found = imported("alb.json")
    assert found.upstream == "shop:80"
    assert [(s.name, s.pool, s.weight, s.zone) for s in found.experiment.servers] == [
        ("i-0a:8080", "default", 1, ""),
        ("i-0b:8080", "default", 0, ""),  # draining
        ("10.0.1.7:9000", "api", 1, "eu-central-1a"),
    ]
    policy = found.experiment.policy
    assert policy.algorithm == "least_connections"
    assert policy.drain
    assert policy.drain.timeout == 60
    checks = policy.health and policy.health.checks
    assert checks
    assert (checks.interval, checks.timeout, checks.rise, checks.fall) == (10, 4, 3, 2)
    assert (checks.probe.path, checks.probe.expect) == ("/health", "200-299")


def test_an_albs_rules_decide_by_priority() -> None:
    found = imported("alb.json")
    assert found.experiment.routing
    assert [rule.name for rule in found.experiment.routing.rules] == [
        "priority 10",
        "priority 20",
        "priority 30",
        "priority 30 #2",
    ]
    assert decided(found, "/api/x?y=1", host="OLD.example.org") == "301 https://new.example.org/api/x?y=1"
    assert decided(found, "/api/x", host="old.example.org", method="POST") in ("api", "default")
    bot = {"headers": {"User-Agent": "a ROBOT"}}
    assert decided(found, "/?q=anything", **bot) == decided(found, "/?PAGE=1&page=91", **bot) == "403"
    assert decided(found, "/?page=9", **bot) == decided(found, "/?q=1") == decided(found, "/api") == "default"
    shares = next(r.then for r in found.experiment.routing.rules if r.name == "priority 20")
    assert shares == Split({"api": 9, "default": 1}, key="client")


def test_what_of_an_alb_is_not_understood_is_listed() -> None:
    report = imported("alb.json").report()
    assert report[0] == "shop:80: 3 servers, least_connections; 4 rules, 2 pools"
    assert "note: api has other attributes: all groups get those of web" in report
    assert report[-3:] == [
        "not in the experiment (2 lines):",
        "  alb.json, line 118: idle.of.the.future: 7",
        "  alb.json, line 73: Rules[2].Actions[0]: authenticate-oidc (no counterpart)",
    ]


def test_an_nlb() -> None:
    found = imported("nlb.json")
    assert found.experiment.layer4 == Layer4(proxy_protocol=True)
    assert found.experiment.policy == aws.nlb_policy(cross_zone=True, source_ip=True)
    assert found.experiment.routing is None
    assert "  nlb.json, line 18: proxy_protocol_v2.enabled: true" in found.report()


def test_a_cloudformation_template() -> None:
    found = imported("stack.yaml")
    assert found.upstream == "test-balancer:80"
    assert [s.name for s in found.experiment.servers] == ["Tasks-1:80", "Tasks-2:80", "Tasks-3:80"]
    policy = found.experiment.policy
    assert policy.sticky == aws.lb_cookie(600)
    assert policy.drain
    assert policy.drain.timeout == 45  # a parameter
    assert decided(found, "/shop/a") == decided(found, "/shop") == "default"
    assert decided(found, "/shops") == "404"
    assert found.report()[-2:] == [
        "  stack.yaml, line 7: Resources.Network: AWS::EC2::VPC",
        "  stack.yaml, line 13: Fn::ImportValue: only a deployment knows its value",
    ]


def test_a_template_in_json_is_the_same(tmp_path: Path) -> None:
    from lbkit.importer.documents import read_documents

    template = read_documents("stack.yaml", (CORPUS / "stack.yaml").read_text())[0]
    assert written(tmp_path, template).experiment.policy == imported("stack.yaml").experiment.policy


TEMPLATE = {
    "AWSTemplateFormatVersion": "2010-09-09",
    "Parameters": {
        "Stage": {"Type": "String", "Default": "prod"},
        "Zones": {"Type": "CommaDelimitedList", "Default": "a,b"},
        "Unset": {"Type": "String"},
    },
    "Conditions": {
        "IsProd": {"Fn::Equals": [{"Ref": "Stage"}, "prod"]},
        "IsTest": {"Fn::Not": [{"Condition": "IsProd"}]},
        "Both": {"Fn::And": [{"Condition": "IsProd"}, {"Condition": "IsTest"}]},
        "Either": {"Fn::Or": [{"Condition": "IsProd"}, {"Condition": "Unknown"}]},
        "Unknown": {"Fn::Equals": [{"Ref": "Unset"}, "x"]},
        "Circle": {"Fn::Not": [{"Condition": "Circle"}]},
    },
    "Mappings": {"Delays": {"prod": {"seconds": 60}, "test": {"seconds": 0}}},
}


@pytest.mark.parametrize(
    ("value", "found", "unknown"),
    [
        ({"Ref": "Stage"}, "prod", ""),
        ({"Ref": "Resource"}, "Resource", ""),
        ({"Ref": "Unset"}, None, "Ref Unset"),
        ({"Fn::GetAtt": ["Group", "TargetGroupName"]}, "Group", ""),
        ({"Fn::Sub": "${Stage}-${Group.Name}-${!Stage}"}, "prod-Group-${Stage}", ""),
        ({"Fn::Sub": ["${x}-${Stage}", {"x": {"Fn::Select": [0, {"Ref": "Zones"}]}}]}, "a-prod", ""),
        ({"Fn::Sub": ["${x}", {"x": "web"}]}, "web", ""),
        ({"Fn::Join": ["-", ["a", {"Ref": "Stage"}]]}, "a-prod", ""),
        ({"Fn::Join": ["-", ["a", {"Fn::ImportValue": "b"}]]}, None, "Fn::ImportValue"),
        ({"Fn::Select": [1, {"Ref": "Zones"}]}, "b", ""),
        ({"Fn::Select": ["9", {"Ref": "Zones"}]}, None, "Fn::Select"),
        ({"Fn::Split": [",", "a,b"]}, ["a", "b"], ""),
        ({"Fn::FindInMap": ["Delays", {"Ref": "Stage"}, "seconds"]}, 60, ""),
        ({"Fn::FindInMap": ["Delays", "none", "seconds"]}, None, "Fn::FindInMap"),
        ({"Fn::If": ["IsProd", 1, 2]}, 1, ""),
        ({"Fn::If": ["IsTest", 1, 2]}, 2, ""),
        ({"Fn::If": ["Both", 1, 2]}, 2, ""),
        ({"Fn::If": ["Either", 1, 2]}, 1, "Ref Unset"),
        ({"Fn::If": ["Unknown", 1, 2]}, 1, "condition Unknown: taken as true"),
        ({"Fn::If": ["Circle", 1, 2]}, 1, "condition Circle: taken as true"),
        ({"Fn::If": ["IsTest", 1, {"Ref": "AWS::NoValue"}]}, None, ""),
        ([1, {"Fn::If": ["IsTest", 2, {"Ref": "AWS::NoValue"}]}], [1], ""),
        ({"Fn::Base64": "x"}, None, "Fn::Base64"),
    ],
)
def test_functions_of_a_template(value: Any, found: Any, unknown: str) -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/intrinsic-function-reference.html"""
    unread: list[Unread] = []
    assert Values(Node(TEMPLATE, "stack.json"), unread).plain(value) == found
    assert unknown in " ".join(map(str, unread))
    assert bool(unread) == bool(unknown)


def test_a_resource_whose_condition_does_not_hold_is_left_out(tmp_path: Path) -> None:
    def listener(port: int, condition: str) -> dict[str, Any]:
        properties = {"Port": port, "Protocol": "TCP", "DefaultActions": [{**FORWARD, "TargetGroupArn": "G"}]}
        return {
            "Type": "AWS::ElasticLoadBalancingV2::Listener",
            "Condition": condition,
            "Properties": properties,
        }

    group = {"Type": "AWS::ElasticLoadBalancingV2::TargetGroup", "Properties": {"Protocol": "TCP"}}
    resources = {"G": group, "T": listener(81, "IsTest"), "P": listener(80, "IsProd")}
    found = written(tmp_path, {**TEMPLATE, "Resources": resources})
    assert (found.upstream.rpartition(":")[2], found.skipped) == ("80", [])
    assert not found.unread


@pytest.mark.parametrize(
    ("protocol", "check", "timeout", "expect"),
    [
        ("HTTP", {}, 5, "200"),
        ("TCP", {"HealthCheckProtocol": "HTTP"}, 6, "200-399"),
        ("TCP", {"HealthCheckProtocol": "HTTP", "Matcher": {"HttpCode": "200-499"}}, 6, "200-499"),
        ("GENEVE", {"HealthCheckProtocol": "HTTP"}, 5, "200-399"),
    ],
)
def test_what_checks_by_http_expect(
    tmp_path: Path, protocol: str, check: dict[str, Any], timeout: float, expect: str
) -> None:
    """https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_Matcher.html"""
    group = {**TARGETS["TargetGroups"][0], "Protocol": protocol, **check}
    health = written(tmp_path, {"TargetGroups": [group]}).experiment.policy.health
    assert health
    assert health.checks
    assert (health.checks.timeout, health.checks.probe.expect) == (timeout, expect)


def test_a_terraform_plan() -> None:
    found = imported("plan.json")
    assert found.upstream == "main-lb:80"
    assert [(s.name, s.pool) for s in found.experiment.servers] == [
        ("i-0:8080", "default"),
        ("i-1:8080", "default"),
        ("i-2:8080", "green"),
    ]
    assert found.experiment.routing
    assert found.experiment.routing.rules[0].then == Split({"default": 80, "green": 20}, key="")
    policy = found.experiment.policy
    assert policy.slow_start
    assert (policy.slow_start.window, policy.algorithm) == (60, "weighted_round_robin")
    assert found.report()[-2:] == [
        "  plan.json, line 17: module.net.aws_vpc.this",
        "  plan.json, line 7: idle_timeout.timeout_seconds: 30",
    ]


def test_references_of_a_plan_are_followed_through_modules(tmp_path: Path) -> None:
    """As in https://developer.hashicorp.com/terraform/internals/json-format#configuration-representation"""

    def resource(kind: str, values: dict[str, Any], module: str = "") -> dict[str, Any]:
        return {"address": f"{module}{kind}.a", "type": kind, "name": "a", "values": values}

    def expressions(kind: str, **references: str) -> dict[str, Any]:
        given = {key: {"references": [text]} for key, text in references.items()}
        return {"address": f"{kind}.a", "type": kind, "expressions": given}

    lb = {"name": "n", "load_balancer_type": "network", "enable_cross_zone_load_balancing": True}
    action = [{"type": "forward"}]
    listener = expressions("aws_lb_listener", load_balancer_arn="var.balancer")
    listener["expressions"]["default_action"] = [{"target_group_arn": {"references": ["module.group.arn"]}}]
    group = {
        "resources": [expressions("aws_lb_target_group")],
        "outputs": {
            "arn": {"expression": {"references": ["aws_lb_target_group.a.arn", "aws_lb_target_group.a"]}}
        },
    }
    edge = {"resources": [listener], "module_calls": {"group": {"module": group}}}
    called = {"module": edge, "expressions": {"balancer": {"references": ["aws_lb.a.arn", "aws_lb.a"]}}}
    root = {"resources": [expressions("aws_lb")], "module_calls": {"edge": called}}
    inner = "module.edge.module.group."
    planned = {
        "resources": [resource("aws_lb", lb)],
        "child_modules": [
            {
                "resources": [
                    resource(
                        "aws_lb_listener",
                        {"port": 80, "protocol": "TCP", "default_action": action},
                        "module.edge.",
                    )
                ],
                "child_modules": [
                    {"resources": [resource("aws_lb_target_group", {"name": "g", "protocol": "TCP"}, inner)]}
                ],
            }
        ],
    }
    found = written(
        tmp_path,
        {
            "format_version": "1.2",
            "terraform_version": "1.9",
            "planned_values": {"root_module": planned},
            "configuration": {"root_module": root},
        },
    )
    assert found.upstream == "n:80"
    assert found.experiment.policy == aws.nlb_policy(cross_zone=True)
    assert [s.name for s in found.experiment.servers] == ["g-1", "g-2"]


@pytest.mark.parametrize("name", ["alb.json", "nlb.json", "stack.yaml", "plan.json"])
def test_what_is_imported_runs(name: str) -> None:
    found = imported(name)
    result = run(found.experiment.but(duration=20))
    assert result.counts[found.experiment.servers[0].name] > 0
    assert not set(result.status) - {200, 301, 403, 404}
    busiest = max(result.utilisation[s.name] for s in found.experiment.servers if s.weight)
    assert busiest < 0.9
    assert type(found.experiment).from_toml(found.experiment.to_toml()) == found.experiment


# -- moto -------------------------------------------------------------------------------------------------


@pytest.fixture
def elb(monkeypatch: pytest.MonkeyPatch):
    """A client of an AWS that is in this process, with a network of two zones."""
    need_module("moto")
    import boto3
    from moto import mock_aws

    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        ec2 = boto3.client("ec2")
        vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        subnets = [
            ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{i}.0/24", AvailabilityZone=f"eu-central-1{zone}")[
                "Subnet"
            ]["SubnetId"]
            for i, zone in enumerate("ab")
        ]
        client = boto3.client("elbv2")
        client.vpc, client.subnets = vpc, subnets
        yield client


def group(elb: Any, name: str, *addresses: str, protocol: str = "HTTP", **more: Any) -> str:
    made = elb.create_target_group(
        Name=name, Protocol=protocol, Port=8080, VpcId=elb.vpc, TargetType="ip", **more
    )
    arn: str = made["TargetGroups"][0]["TargetGroupArn"]
    elb.register_targets(TargetGroupArn=arn, Targets=[{"Id": one, "Port": 8080} for one in addresses])
    return arn


def balancer(elb: Any, kind: str = "application") -> str:
    made = elb.create_load_balancer(Name="edge", Subnets=elb.subnets, Type=kind, Scheme="internal")
    arn: str = made["LoadBalancers"][0]["LoadBalancerArn"]
    return arn


def described(elb: Any, arn: str, *groups: str) -> list[dict[str, Any]]:
    """Return what `aws elbv2 describe-*` prints of a load balancer."""
    listeners = elb.describe_listeners(LoadBalancerArn=arn)
    outputs = [elb.describe_load_balancers(LoadBalancerArns=[arn]), listeners]
    outputs += [elb.describe_rules(ListenerArn=one["ListenerArn"]) for one in listeners["Listeners"]]
    outputs.append(elb.describe_target_groups(TargetGroupArns=list(groups)))
    for one in groups:
        for describe in (elb.describe_target_health, elb.describe_target_group_attributes):
            outputs.append({"TargetGroupArn": one, **describe(TargetGroupArn=one)})
    outputs.append(elb.describe_load_balancer_attributes(LoadBalancerArn=arn))
    return [{key: value for key, value in one.items() if key != "ResponseMetadata"} for one in outputs]


def test_an_alb_as_moto_describes_it(elb: Any, tmp_path: Path) -> None:
    web = group(elb, "web", "10.0.0.10", "10.0.1.10", HealthCheckPath="/health", UnhealthyThresholdCount=3)
    api = group(elb, "api", "10.0.0.20")
    wanted = {
        "stickiness.enabled": "false",
        "deregistration_delay.timeout_seconds": "25",
        "load_balancing.algorithm.type": "least_outstanding_requests",
    }
    for arn in (web, api):
        attributes = [{"Key": key, "Value": value} for key, value in wanted.items()]
        elb.modify_target_group_attributes(TargetGroupArn=arn, Attributes=attributes)
    lb = balancer(elb)
    forward = {"Type": "forward", "TargetGroupArn": web}
    listener = elb.create_listener(LoadBalancerArn=lb, Protocol="HTTP", Port=80, DefaultActions=[forward])
    arn = listener["Listeners"][0]["ListenerArn"]

    def rule(priority: int, conditions: list[dict[str, Any]], action: dict[str, Any]) -> None:
        elb.create_rule(ListenerArn=arn, Priority=priority, Conditions=conditions, Actions=[action])

    path = {"Field": "path-pattern", "PathPatternConfig": {"Values": ["/api/*", "/v?/users"]}}
    rule(20, [path], {"Type": "forward", "TargetGroupArn": api})
    hosts = {"Field": "host-header", "HostHeaderConfig": {"Values": ["*.old.org", "a-*.org"]}}
    rule(
        10,
        [hosts],
        {
            "Type": "redirect",
            "RedirectConfig": {
                "Protocol": "HTTPS",
                "Port": "8443",
                "Host": "new.org",
                "StatusCode": "HTTP_302",
            },
        },
    )
    sources = {"Field": "source-ip", "SourceIpConfig": {"Values": ["192.0.2.0/24"]}}
    fixed = {"StatusCode": "403", "ContentType": "text/plain", "MessageBody": "no"}
    rule(5, [sources], {"Type": "fixed-response", "FixedResponseConfig": fixed})
    shares = [{"TargetGroupArn": web, "Weight": 1}, {"TargetGroupArn": api, "Weight": 3}]
    beta = {"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "X-Beta", "Values": ["y*"]}}
    rule(30, [beta], {"Type": "forward", "ForwardConfig": {"TargetGroups": shares}})

    found = written(tmp_path, *described(elb, lb, web, api))
    assert found.upstream == "edge:80"
    assert {(s.name, s.pool) for s in found.experiment.servers} == {
        ("10.0.0.10:8080", "default"),
        ("10.0.1.10:8080", "default"),
        ("10.0.0.20:8080", "api"),
    }
    policy = found.experiment.policy
    assert policy.algorithm == "least_connections"
    assert policy.drain
    assert policy.drain.timeout == 25
    checks = policy.health and policy.health.checks
    assert checks
    assert (checks.interval, checks.timeout, checks.rise, checks.fall) == (30, 5, 5, 3)
    assert checks.probe.path == "/health"
    assert decided(found, "/", client="192.0.2.9") == "403"
    assert decided(found, "/x?y", host="a-b.org") == decided(found, "/x?y", host="c.old.org:81")
    assert decided(found, "/x?y", host="c.old.org") == "302 https://new.org:8443/x?y"
    assert decided(found, "/api/1") == decided(found, "/v1/users") == "api"
    assert decided(found, "/v12/users") == "default"
    assert found.experiment.routing
    assert found.experiment.routing.rules[-1].then == Split({"default": 1, "api": 3}, key="")
    assert not [str(one) for one in found.unread]
    result = run(found.experiment.but(duration=20))
    assert result.counts["10.0.0.20:8080"] > 0


@pytest.mark.parametrize("crosses", ["true", "false"])
def test_an_nlb_as_moto_describes_it(elb: Any, tmp_path: Path, crosses: str) -> None:
    target = group(elb, "tcp", "10.0.0.10", "10.0.1.10", protocol="TCP")
    lb = balancer(elb, "network")
    attribute = {"Key": "load_balancing.cross_zone.enabled", "Value": crosses}
    elb.modify_load_balancer_attributes(LoadBalancerArn=lb, Attributes=[attribute])
    forward = {"Type": "forward", "TargetGroupArn": target}
    elb.create_listener(LoadBalancerArn=lb, Protocol="TCP", Port=443, DefaultActions=[forward])
    found = written(tmp_path, *described(elb, lb, target))
    assert found.experiment.layer4
    assert found.experiment.policy.algorithm == "cross_zone"
    assert found.experiment.policy.options["across"] is (crosses == "true")
    assert run(found.experiment.but(duration=5)).error_rate == 0


# -- what is wrong -----------------------------------------------------------------------------------------

LISTENER = {"ListenerArn": "l", "LoadBalancerArn": "a/b/c", "Port": 80, "Protocol": "HTTP"}
TARGETS = {"TargetGroups": [{"TargetGroupArn": "tg", "TargetGroupName": "web"}]}


def listening(*actions: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"Listeners": [{**LISTENER, "DefaultActions": list(actions)}], **TARGETS, **more}


FORWARD = {"Type": "forward", "TargetGroupArn": "tg"}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"TargetGroups": 5}, "line 2: TargetGroups is 5: use a list"),
        ({"TargetGroups": ["tg"]}, "TargetGroups[0] is 'tg': use a mapping"),
        ({"Listeners": [{**LISTENER, "Port": [1]}]}, "Port is [1]: use a text"),
        (listening({"Type": "forward", "TargetGroupArn": "gone"}), "'gone': use a target group of the file"),
        (
            listening(FORWARD, Rules=[{"Priority": "first", "Conditions": [], "Actions": []}]),
            "Rules[0].Priority is 'first': use a number",
        ),
        ({"TargetHealthDescriptions": []}, "TargetHealthDescriptions of which target group? There are 0"),
        (
            {**TARGETS, "Attributes": [{"Key": "slow_start.duration_seconds", "Value": "5"}]},
            "attributes of web: slow_start is 5: ALB takes 0 (off) or 30 to 900 seconds",
        ),
        (
            {**TARGETS, "Attributes": [{"Key": "deregistration_delay.timeout_seconds", "Value": "soon"}]},
            "deregistration_delay.timeout_seconds is 'soon': use a number",
        ),
        (
            {
                **TARGETS,
                "Attributes": [
                    {"Key": "stickiness.enabled", "Value": "true"},
                    {"Key": "load_balancing.cross_zone.enabled", "Value": "false"},
                ],
            },
            "ALB has none while cross-zone is off",
        ),
        (
            {"TargetGroups": [{"TargetGroupArn": "t", "Matcher": {"HttpCode": "all"}}]},
            "expect is 'all': use statuses",
        ),
        (
            {"LoadBalancers": [{"LoadBalancerArn": "a/b/c", "Type": "classic"}], **listening(FORWARD)},
            "Type is 'classic': use application, network or gateway",
        ),
    ],
)
def test_a_wrong_definition_is_one_clear_line(tmp_path: Path, document: dict[str, Any], message: str) -> None:
    with pytest.raises(ImportFault) as caught:
        written(tmp_path, document)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("condition", "why"),
    [
        ({"Field": "cookie"}, "a condition on cookie"),
        ({"Field": "path-pattern"}, "a condition on path-pattern without values"),
        ({"Field": "path-pattern", "Values": ["*a*b*c"]}, "its repeats overlap"),
        ({"Field": "query-string", "QueryStringConfig": {"Values": [{"Value": "x"}]}}, "any parameter"),
        ({"Field": "source-ip", "Values": ["10.0.0.1/8"]}, "has host bits set"),
        ({"Field": "http-request-method", "Values": ["get"]}, "the method get"),
    ],
)
def test_a_rule_with_another_condition_is_listed(tmp_path: Path, condition: dict[str, Any], why: str) -> None:
    rule = {"Priority": "1", "Conditions": [condition], "Actions": [FORWARD]}
    found = written(tmp_path, listening(FORWARD, Rules=[rule]))
    assert found.experiment.routing is None
    assert why in str(found.unread[0])


@pytest.mark.parametrize(
    ("config", "then"),
    [
        # The listener is on port 80, which stays: most often a mistake.
        ({"Protocol": "HTTPS", "StatusCode": "HTTP_301"}, Redirect("https://{host}:80{path}{query}", 301)),
        ({"Protocol": "HTTPS", "Port": "443"}, Redirect("https://{host}{path}{query}", 302)),
        ({"Protocol": "HTTP", "Host": "x.org"}, Redirect("http://x.org{path}{query}", 302)),
        ({"Protocol": "HTTPS", "Port": "444"}, Redirect("https://{host}:444{path}{query}", 302)),
        ({"Path": "/new/#{path}", "Query": "a=b"}, Redirect("/new{path}?a=b", 302)),
        ({"Path": "/only", "Query": ""}, Redirect("/only", 302)),
        ({"Host": "x.org"}, None),
        ({"Protocol": "HTTPS", "Path": "/#{host}/#{path}"}, None),
    ],
)
def test_redirects(tmp_path: Path, config: dict[str, str], then: Redirect | None) -> None:
    rule = {
        "Priority": "1",
        "Conditions": [{"Field": "path-pattern", "Values": ["/x"]}],
        "Actions": [{"Type": "redirect", "RedirectConfig": config}],
    }
    found = written(tmp_path, listening(FORWARD, Rules=[rule]))
    assert found.experiment.routing
    made = found.experiment.routing.rules[0].then
    if then is None:
        assert isinstance(made, Fixed)
        assert made.status == 501
        assert found.unread
    else:
        assert made == then


def test_a_listener_of_several_is_chosen_by_name(tmp_path: Path) -> None:
    second = {**LISTENER, "ListenerArn": "m", "Port": 8080, "DefaultActions": [FORWARD]}
    document = listening({"Type": "redirect", "RedirectConfig": {"Protocol": "HTTPS"}})
    document["Listeners"].append(second)
    found = written(tmp_path, document)
    assert found.upstream == "b:8080"  # the first with servers
    assert found.experiment.policy == aws.alb_policy(checks=found.experiment.policy.health.checks)  # type: ignore[union-attr]


def test_a_gateway_load_balancer(tmp_path: Path) -> None:
    document = {
        "LoadBalancers": [{"LoadBalancerArn": "g", "LoadBalancerName": "inspect", "Type": "gateway"}],
        "Listeners": [{"ListenerArn": "l", "LoadBalancerArn": "g", "DefaultActions": [FORWARD]}],
        "TargetGroups": [{**TARGETS["TargetGroups"][0], "Protocol": "GENEVE", "Port": 6081}],
        "Attributes": [
            {"Key": "stickiness.enabled", "Value": "true"},
            {"Key": "stickiness.type", "Value": "source_ip_dest_ip"},
            {"Key": "target_failover.on_unhealthy", "Value": "rebalance"},
        ],
    }
    found = written(tmp_path, document)
    assert found.upstream == "inspect"
    assert found.experiment.policy == aws.gwlb_policy(stickiness=2)
    assert "target_failover.on_unhealthy: rebalance" in str(found.unread)


json_values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-5, 500),
        st.sampled_from(["", "tg", "forward", "HTTP", "/x*", "10"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                [
                    *(
                        "Listeners",
                        "Rules",
                        "TargetGroups",
                        "Attributes",
                        "TargetHealthDescriptions",
                        "Actions",
                    ),
                    *(
                        "DefaultActions",
                        "TargetGroupArn",
                        "Type",
                        "Key",
                        "Value",
                        "Conditions",
                        "Field",
                        "Values",
                    ),
                    *("Priority", "Port", "Protocol", "Matcher", "HttpCode", "Target", "Id", "ForwardConfig"),
                ]
            ),
            inner,
            max_size=5,
        ),
    ),
    max_leaves=25,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(
    document=st.dictionaries(
        st.sampled_from(["Listeners", "Rules", "TargetGroups", "Attributes", "TargetHealthDescriptions"]),
        json_values,
        min_size=1,
    )
)
def test_any_json_is_imported_or_refused_in_one_line(tmp_path: Path, document: dict[str, Any]) -> None:
    try:
        outcome = written(tmp_path, document).report()[0]
    except ImportFault as fault:
        outcome = str(fault)
    assert outcome
    assert "\n" not in outcome


def test_policies_are_equal_where_the_file_says_nothing(tmp_path: Path) -> None:
    found = written(tmp_path, listening(FORWARD))
    assert found.experiment.policy == aws.alb_policy()
    assert isinstance(found.experiment.policy, Policy)
    assert ToPool("default") not in [r.then for r in getattr(found.experiment.routing, "rules", ())]
