from __future__ import annotations

from pathlib import Path

import pytest
from needs import need_module

from lbkit import Experiment, Policy, Server, run
from lbkit.core.backend import whole_weights
from lbkit.importer import ImportFault, read_config

NGINX = """
user www-data;
worker_processes auto;
http {
  gzip on;
  limit_req_zone $binary_remote_addr zone=one:10m rate=1r/s;
  upstream app {
    least_conn;
    zone app 64k;
    server 10.0.0.1:8080 weight=3 max_fails=2;
    server 10.0.0.2:8080;
    server 10.0.0.3:8080 down;
  }
  upstream images {
    hash $request_uri consistent;
    server img1;
    server img2;
  }
  server {
    listen 80;
    location / { proxy_pass http://app; proxy_next_upstream_tries 3; }
    location /img { proxy_pass http://images; }
  }
}
"""

HAPROXY = """
global
  maxconn 1000
defaults
  mode http
  retries 2
  timeout connect 5s
frontend web
  bind *:80
  acl img path_beg /img
  use_backend images if img
  default_backend app
backend app
  balance leastconn
  server a 10.0.0.1:8080 weight 30 check inter 2s maxconn 50
  server b 10.0.0.2:8080 weight 10
  server c 10.0.0.3:8080 disabled
backend images
  balance uri
  hash-type consistent
  server img1 10.0.0.4:80
"""


@pytest.fixture
def written(tmp_path: Path):
    def write(text: str, name: str = "some.conf") -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def test_nginx(written) -> None:
    need_module("crossplane")
    found = read_config(written(NGINX))
    assert found.experiment.policy == Policy("least_connections", retries=2)
    assert [(s.name, s.weight) for s in found.experiment.servers] == [
        ("10.0.0.1:8080", 3),
        ("10.0.0.2:8080", 1),
        ("10.0.0.3:8080", 0),
    ]
    said = "\n".join(found.not_understood)
    for text in ("line 5: gzip on", "zone app 64k", "server 10.0.0.1:8080 max_fails=2", "limit_req_zone"):
        assert text in said
    assert "2 groups of servers (app, images): app was taken" in said
    assert "listen" not in said
    assert run(found.experiment.but(duration=2)).error_rate == 0


def test_the_other_upstream(written) -> None:
    need_module("crossplane")
    found = read_config(written(NGINX), "images")
    assert found.experiment.policy.algorithm == "consistent_hash"
    assert found.experiment.policy.keyed_by == "uri"
    assert list(found.addresses) == ["img1", "img2"]


@pytest.mark.parametrize(
    ("directive", "policy", "key"),
    [
        ("", "round_robin", "client"),
        ("ip_hash;", "nginx_ip_hash", "client"),
        ("hash $request_uri;", "nginx_hash", "uri"),
        ("hash $http_x_user consistent;", "consistent_hash", "header:x-user"),
        ("hash $cookie_sid;", "nginx_hash", "cookie:sid"),
        ("hash $remote_addr consistent;", "consistent_hash", "client"),
        ("random;", "random", "client"),
        ("random two least_conn;", "power_of_two", "client"),
        ("least_time header;", "least_response_time", "client"),
    ],
)
def test_each_nginx_algorithm(written, directive: str, policy: str, key: str) -> None:
    need_module("crossplane")
    path = written(f"http {{ upstream u {{ {directive} server a; server b; }} }}")
    found = read_config(path)
    assert (found.experiment.policy.algorithm, found.experiment.policy.keyed_by) == (policy, key)


def test_nginx_and_back(written) -> None:
    """What we render, we read."""
    need_module("crossplane")
    need_module("uvicorn")
    need_module("locust")
    from lbkit.live import render

    servers = [Server("a", weight=3), Server("b"), Server("c", weight=2)]
    for policy in ("weighted_round_robin", "least_connections", "consistent_hash", "power_of_two"):
        experiment = Experiment(servers, policy=Policy(policy, retries=2))
        for program in ("nginx", "haproxy"):
            again = read_config(written(render(experiment, program)), None).experiment
            weights = whole_weights({s.name: s.weight for s in again.servers})
            assert list(weights.values()) == [3, 1, 2]
            assert again.policy.retries == 2
            assert again.policy.algorithm == policy
            assert again.policy.keyed_by == experiment.policy.keyed_by


def test_haproxy(written) -> None:
    found = read_config(written(HAPROXY, "haproxy.cfg"))
    assert found.experiment.policy == Policy("least_connections", retries=2)
    assert [(s.name, s.weight) for s in found.experiment.servers] == [("a", 30), ("b", 10), ("c", 0)]
    assert found.addresses["b"] == "10.0.0.2:8080"
    said = "\n".join(found.not_understood)
    for text in ("maxconn 1000", "timeout connect 5s", "acl img", "server a check", "server a inter 2s"):
        assert text in said
    images = read_config(written(HAPROXY, "haproxy.cfg"), "images").experiment
    assert images.policy.algorithm == "consistent_hash"
    assert images.policy.keyed_by == "path"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("http { server { listen 80; } }", "no upstream or backend with servers"),
        ("http { upstream u { server a; }", "unexpected end of file"),
        ("backend b\n  server 'a", "line 2: No closing quotation"),
    ],
)
def test_what_cannot_be_read(written, text: str, why: str) -> None:
    need_module("crossplane")
    with pytest.raises(ImportFault, match=why):
        read_config(written(text))


def test_a_group_that_there_is_not(written) -> None:
    with pytest.raises(ImportFault, match="no group 'x': there are app, images"):
        read_config(written(HAPROXY), "x")
