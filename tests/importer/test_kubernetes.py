"""Kubernetes objects: pods behind Services, and which rule decides."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from needs import need_module

from lbkit import Sticky, run
from lbkit.core.routing import Answered, RouteTable, Sample
from lbkit.importer import Imported, ImportFault, read_config

need_module("yaml")

CORPUS = Path(__file__).with_name("corpus")


def imported(name: str, upstream: str | None = None) -> Imported:
    return read_config(CORPUS / name, upstream)


def written(tmp_path: Path, text: str) -> Imported:
    path = tmp_path / "objects.yaml"
    path.write_text(text)
    return read_config(path)


def decided(found: Imported, target: str = "/", host: str = "shop.example.org", **more: Any) -> str:
    assert found.experiment.routing
    way = RouteTable(found.experiment.routing).route(Sample(target, host=host, **more))
    if isinstance(way, Answered):
        return " ".join([str(way.reply.status), *(value for _, value in way.reply.fields)])
    return way.pool


def test_an_ingress() -> None:
    found = imported("shop.yaml")
    assert (found.upstream, found.skipped) == ("shop", ["web", "api"])
    assert [(s.name, s.pool, s.zone) for s in found.experiment.servers] == [
        ("web-1", "default", ""),
        ("web-2", "default", ""),
        ("web-3", "default", ""),
        ("10.1.0.4", "api", "a"),  # the other one is not ready
    ]
    assert decided(found, "/") == decided(found, "/api/login") == decided(found, "/apis") == "default"
    assert decided(found, "/api/users") == decided(found, "/api") == "api"
    assert decided(found, "/", host="other.example.org") == "404"
    checks = found.experiment.policy.health and found.experiment.policy.health.checks
    assert checks
    assert (checks.interval, checks.timeout, checks.rise, checks.fall) == (5, 1, 1, 2)
    assert checks.probe.path == "/ready"
    assert found.experiment.policy.drain
    assert found.experiment.policy.drain.timeout == 45


def test_what_of_objects_is_not_understood_is_listed() -> None:
    assert imported("shop.yaml").report()[-4:] == [
        "not in the experiment (3 lines):",
        "  shop.yaml, line 69: ConfigMap settings",
        "  shop.yaml, line 15: spec.publishNotReadyAddresses: True",
        "  shop.yaml, line 51: annotation nginx.ingress.kubernetes.io/limit-rps",
    ]


def test_a_service() -> None:
    found = imported("shop.yaml", "web")
    policy = found.experiment.policy
    assert (policy.algorithm, policy.sticky) == ("random", Sticky("source", idle=10_800))
    assert len(found.experiment.servers) == 3


def test_an_httproute() -> None:
    found = imported("route.yaml")
    assert decided(found, "/old/a?b") == "301 https://new.example.org/new/a?b"
    assert decided(found, "/grpc") == "501"  # a filter that is not known: nothing else gets these requests
    assert decided(found, "/") == "404"
    assert found.experiment.routing
    cart = [rule for rule in found.experiment.routing.rules if rule.name.startswith("rule 0")]
    assert [rule.when.header for rule in cart] == [{"X-Beta": "yes"}, {}]
    assert cart[0].rewrite
    assert (cart[0].rewrite.set, cart[0].rewrite.remove) == ({"X-Area": "cart"}, ("X-Debug",))
    assert found.report()[-3:] == [
        "  route.yaml, line 15: spec.rules[0].filters[1]: filter RequestMirror",
        "  route.yaml, line 19: spec.rules[0].timeouts",
        "  route.yaml, line 25: spec.rules[2]: filter ExtensionRef",
    ]
    result = run(found.experiment.but(duration=60))
    new = result.counts["cart-next-1"] + result.counts["cart-next-2"]
    assert new / sum(result.counts.values()) == pytest.approx(0.1, abs=0.03)


@pytest.mark.parametrize("name", ["shop.yaml", "route.yaml"])
def test_what_is_imported_runs(name: str) -> None:
    found = imported(name)
    result = run(found.experiment.but(duration=20))
    assert set(result.status) <= {200, 301, 404}
    assert max(result.utilisation.values()) < 0.9
    assert type(found.experiment).from_toml(found.experiment.to_toml()) == found.experiment


ROUTE = """
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: r}
spec:
  rules:
"""


def test_matches_decide_by_how_precise_they_are(tmp_path: Path) -> None:
    rules = """
    - {matches: [{path: {value: /a}}], backendRefs: [{name: short}]}
    - {matches: [{path: {value: /a/b}}], backendRefs: [{name: long}]}
    - {matches: [{path: {type: Exact, value: /a/b}}], backendRefs: [{name: exact}]}
    - {matches: [{path: {value: /a/b}, method: PUT}], backendRefs: [{name: method}]}
    - {matches: [{path: {value: /a/b}, queryParams: [{name: q, value: "1"}]}], backendRefs: [{name: query}]}
    - {matches: [{path: {type: RegularExpression, value: "/v[0-9]+/x"}}], backendRefs: [{name: regex}]}
    - {backendRefs: [{name: rest}]}
    """
    found = written(tmp_path, ROUTE + rules)
    pools = {pool: pool for pool in found.experiment.pools} | {"rest": "default"}
    for target, pool in {
        "/a/c": "short",
        "/a/b/c": "long",
        "/a/b": "exact",
        "/a/b/c?q=1": "query",
        "/v12/x": "regex",
        "/z": "rest",
    }.items():
        assert decided(found, target) == pools[pool], target
    assert decided(found, "/a/b/c", method="PUT") == "method"


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ("{filters: [{type: CORS, cors: {}}], backendRefs: [{name: a}]}", "filter CORS"),
        ("{backendRefs: [{name: a, kind: Bucket}]}", "a backend of kind Bucket"),
        ("{backendRefs: [{name: a, filters: [{type: X}]}]}", "filters of one backend"),
        ("{backendRefs: []}", "no backend"),
        ("{matches: [{path: {type: Fuzzy, value: /}}], backendRefs: [{name: a}]}", "paths by Fuzzy"),
        (
            "{filters: [{type: RequestRedirect, requestRedirect: {port: 81}}]}",
            "a redirect by the same scheme, which is not known here",
        ),
    ],
)
def test_a_rule_without_counterpart_is_listed(tmp_path: Path, rule: str, why: str) -> None:
    found = written(tmp_path, f"{ROUTE}\n    - {rule}\n    - {{backendRefs: [{{name: b}}]}}")
    assert why in " ".join(map(str, found.unread))


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ("{path: {type: ReplaceFullPath, replaceFullPath: /new}}", "/new"),
        ("{path: {type: ReplacePrefixMatch, replacePrefixMatch: /new}}", "/new{rest}"),
    ],
)
def test_rewrites(tmp_path: Path, change: str, path: str) -> None:
    filters = f"filters: [{{type: URLRewrite, urlRewrite: {change}}}]"
    found = written(
        tmp_path,
        f"{ROUTE}\n    - {{matches: [{{path: {{value: /a}}}}], {filters}, backendRefs: [{{name: b}}]}}",
    )
    assert found.experiment.routing
    rewrite = found.experiment.routing.rules[0].rewrite
    assert rewrite
    assert rewrite.path == path


def test_a_list_as_kubectl_prints_it(tmp_path: Path) -> None:
    found = written(
        tmp_path,
        """
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Endpoints
  metadata: {name: db}
  subsets: [{addresses: [{ip: 10.0.0.1}, {ip: 10.0.0.2}]}]
- apiVersion: v1
  kind: Service
  metadata: {name: db}
  spec: {clusterIP: None}
""",
    )
    assert [s.name for s in found.experiment.servers] == ["10.0.0.1", "10.0.0.2"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("apiVersion: v1\nkind: Service\nspec: 5", "objects.yaml, line 3: spec is 5: use a mapping"),
        (
            "apiVersion: networking.k8s.io/v1\nkind: Ingress\nspec:\n  rules: {a: b}",
            "objects.yaml, line 4: spec.rules is",
        ),
        ("apiVersion: v1\nkind: ConfigMap", "no upstream or backend with servers in it"),
        (
            "apiVersion: v1\nkind: Service\nmetadata: {name: w}\nspec: {selector: {a: b}}\n---\n"
            "apiVersion: apps/v1\nkind: Deployment\n"
            "spec: {replicas: 0, template: {metadata: {labels: {a: b}}}}",
            "spec.replicas is 0: use at least 1",
        ),
        (
            "apiVersion: v1\nkind: Service\nmetadata: {name: w}\nspec: {selector: {a: b}}\n---\n"
            "apiVersion: apps/v1\nkind: Deployment\nspec: {template: {metadata: {labels: {a: b}}, spec: "
            "{containers: [{readinessProbe: {tcpSocket: {}, failureThreshold: 0}}]}}}",
            "readinessProbe: fall is 0: use a whole number",
        ),
    ],
)
def test_wrong_objects_are_one_clear_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ImportFault) as caught:
        written(tmp_path, text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


INGRESS = "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: i}\nspec:\n  rules:\n"


def ingress(tmp_path: Path, *rules: str) -> Imported:
    return written(tmp_path, INGRESS + "".join(f"    - {rule}\n" for rule in rules))


def paths(**services: str) -> str:
    """Return the `http` of a rule: the type and path of each Service."""
    parts = (kind_path.partition(" ") for kind_path in services.values())
    listed = [
        f"{{path: {path}, pathType: {kind}, backend: {{service: {{name: {name}, port: {{number: 80}}}}}}}}"
        for name, (kind, _, path) in zip(services, parts, strict=True)
    ]
    return f"http: {{paths: [{', '.join(listed)}]}}"


@pytest.mark.parametrize(
    ("kind", "path", "target", "fits"),
    [
        ("Prefix", "/", "/any/path", True),
        ("Exact", "/foo", "/foo", True),
        ("Exact", "/foo", "/bar", False),
        ("Exact", "/foo", "/foo/", False),
        ("Exact", "/foo/", "/foo", False),
        ("Prefix", "/foo", "/foo", True),
        ("Prefix", "/foo", "/foo/", True),
        ("Prefix", "/foo/", "/foo", True),
        ("Prefix", "/foo/", "/foo/", True),
        ("Prefix", "/aaa/bb", "/aaa/bbb", False),
        ("Prefix", "/aaa/bbb", "/aaa/bbb", True),
        ("Prefix", "/aaa/bbb/", "/aaa/bbb", True),
        ("Prefix", "/aaa/bbb", "/aaa/bbb/", True),
        ("Prefix", "/aaa/bbb", "/aaa/bbb/ccc", True),
        ("Prefix", "/aaa/bbb", "/aaa/bbbxyz", False),
        ("Prefix", "/aaa", "/ccc", False),
    ],
)
def test_the_paths_of_the_manual(tmp_path: Path, kind: str, path: str, target: str, fits: bool) -> None:
    """The examples of https://kubernetes.io/docs/concepts/services-networking/ingress/#examples"""
    found = ingress(tmp_path, paths(a=f"{kind} {path}"))
    assert decided(found, target) == ("default" if fits else "404")


def test_of_several_paths_the_longest_then_the_exact_one_decides(tmp_path: Path) -> None:
    """(The same table.)"""
    found = ingress(
        tmp_path, paths(top="Prefix /", a="Prefix /aaa", b="Prefix /aaa/bbb", f="Prefix /foo", x="Exact /foo")
    )
    assert [decided(found, at) for at in ("/aaa/ccc", "/aaa/bbb", "/ccc", "/foo", "/foo/x")] == [
        *("a", "b", "default", "x", "f")
    ]


def test_the_star_of_a_host_is_one_label(tmp_path: Path) -> None:
    """https://kubernetes.io/docs/concepts/services-networking/ingress/#hostname-wildcards"""
    found = ingress(tmp_path, f'{{host: "*.foo.com", {paths(a="Prefix /")}}}')
    hosts = ["bar.foo.com", "bar.foo.com:8080", "baz.bar.foo.com", "baz.bar.foo.com:8080", "foo.com"]
    assert [decided(found, host=host) for host in hosts] == ["default", "default", "404", "404", "404"]


def test_the_star_of_a_route_is_any_number_of_labels(tmp_path: Path) -> None:
    """https://gateway-api.sigs.k8s.io/reference/spec/#hostname"""
    spec = "{hostnames: ['*.foo.com'], rules: [{backendRefs: [{name: b}]}]}"
    route = f"apiVersion: v1\nkind: HTTPRoute\nspec: {spec}"
    found = written(tmp_path, route)
    assert [decided(found, host=host) for host in ("bar.foo.com", "baz.bar.foo.com", "foo.com")] == [
        *("default", "default", "404")
    ]


SERVICE = "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: "


def test_what_local_traffic_means_is_not_imported(tmp_path: Path) -> None:
    """https://kubernetes.io/docs/reference/networking/virtual-ips/#traffic-policies"""
    local = written(tmp_path, SERVICE + "{internalTrafficPolicy: Local, externalTrafficPolicy: Local}")
    assert [one.kind for one in local.unread] == ["internalTrafficPolicy", "externalTrafficPolicy"]
    everywhere = written(tmp_path, SERVICE + "{internalTrafficPolicy: Cluster}")
    assert not everywhere.unread


def test_a_service_without_an_address_is_noted(tmp_path: Path) -> None:
    assert "clusterIP None" in " ".join(written(tmp_path, SERVICE + "{clusterIP: None}").report())


def test_affinity_lasts_three_hours_unless_it_says_otherwise(tmp_path: Path) -> None:
    """https://kubernetes.io/docs/reference/networking/virtual-ips/#session-affinity"""
    policy = written(tmp_path, SERVICE + "{sessionAffinity: ClientIP}").experiment.policy
    assert policy.sticky == Sticky("source", idle=10_800)


def test_pods_that_end_at_once_drain_at_once(tmp_path: Path) -> None:
    pods = (
        "\n---\napiVersion: v1\nkind: Deployment\nspec: {template: {metadata: {labels: {app: a}}, "
        "spec: {terminationGracePeriodSeconds: 0}}}\n---\n"
        "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {selector: {app: a}}"
    )
    found = written(tmp_path, INGRESS + f"    - {paths(a='Prefix /')}{pods}")
    assert found.experiment.policy.drain
    assert found.experiment.policy.drain.timeout < 0.01


@pytest.mark.parametrize("replicas", ["-1", "0", "1000000000"])
def test_no_number_of_pods_is_changed_without_a_word(replicas: str, tmp_path: Path) -> None:
    text = f"""\
apiVersion: apps/v1
kind: Deployment
metadata: {{name: a}}
spec: {{replicas: {replicas}, template: {{metadata: {{labels: {{a: b}}}}}}}}
---
apiVersion: v1
kind: Service
metadata: {{name: a}}
spec: {{selector: {{a: b}}}}
"""
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(ImportFault, match=f"spec.replicas is {replicas}: use at least 1, and at most 10,000"):
        read_config(tmp_path / "a.yaml")


def test_added_header_fields_are_set_and_noted(tmp_path: Path) -> None:
    """https://gateway-api.sigs.k8s.io/reference/spec/#httpheaderfilter: `add` appends to what is there."""
    change = "{type: RequestHeaderModifier, requestHeaderModifier: {add: [{name: X-A, value: b}]}}"
    found = written(tmp_path, f"{ROUTE}\n    - {{filters: [{change}], backendRefs: [{{name: b}}]}}")
    assert found.experiment.routing
    rewrite = found.experiment.routing.rules[0].rewrite
    assert rewrite
    assert rewrite.set == {"X-A": "b"}
    assert any("take the place" in note for note in found.notes)
