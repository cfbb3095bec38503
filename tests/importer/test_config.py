from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from attrs import evolve
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from needs import need_module

from lbkit import Experiment, Policy, Server, presets, run
from lbkit.core.backend import whole_weights
from lbkit.core.health import CheckRules, HealthRules, MaxFailsRules, Probe
from lbkit.importer import Imported, ImportFault, read_config
from lbkit.importer.found import Unread, grouped

ALL = presets.nginx().retries  # as many as there are servers

NGINX = """
user www-data;
worker_processes auto;
http {
  gzip on;
  limit_req_zone $binary_remote_addr zone=one:10m rate=1r/s;
  upstream app {
    least_conn;
    zone app 64k;
    keepalive 32;
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
  option redispatch 1
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
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
        return path

    return write


def servers(found: Imported) -> list[tuple[str, float, int]]:
    return [(s.name, s.weight, s.priority) for s in found.experiment.servers]


# -- nginx ---------------------------------------------------------------------------------------


def test_nginx(written) -> None:
    need_module("crossplane")
    found = read_config(written(NGINX))
    passive = HealthRules(max_fails=MaxFailsRules(2, 10))
    assert found.experiment.policy == Policy("nginx_least_connections", retries=2, health=passive)
    assert servers(found) == [("10.0.0.1:8080", 3, 0), ("10.0.0.2:8080", 1, 0), ("10.0.0.3:8080", 0, 0)]
    assert (found.upstream, found.skipped) == ("app", ["images"])
    unread = {(one.line, one.text) for one in found.unread}
    assert {(5, "gzip on"), (10, "keepalive 32")} < unread
    said = "\n".join(found.report())
    assert said.startswith("app: 3 servers, nginx_least_connections\nnot imported: images (choose with")
    assert "some.conf, line 5: gzip on" in said
    assert "listen" not in said
    assert run(found.experiment.but(duration=2)).error_rate == 0


@pytest.mark.parametrize(
    ("options", "rules", "note"),
    [
        (("max_fails=3 fail_timeout=1m30s",) * 2, MaxFailsRules(3, 90), ""),
        (("fail_timeout=5",) * 2, MaxFailsRules(1, 5), ""),
        (("max_fails=0",) * 2, None, ""),
        (("", ""), None, ""),
        (("max_fails=3", ""), MaxFailsRules(3, 10), "u: its servers differ in their passive checks; all are"),
    ],
)
def test_nginx_passive_checks_become_health_rules(written, options, rules, note: str) -> None:
    need_module("crossplane")
    found = read_config(written(f"upstream u {{ server a {options[0]}; server b {options[1]}; }}"))
    health = found.experiment.policy.health
    assert (health and health.max_fails) == rules
    assert any(one.startswith(note) for one in found.notes) or not note
    assert not found.unread


def test_a_server_that_is_down_is_neither_in_the_capacity_nor_in_the_rate(written) -> None:
    need_module("crossplane")
    one = Server("a").capacity
    found = read_config(written("upstream u { server a; server b; server c down; server d backup; }"))
    assert found.experiment.traffic.arrivals.rate == pytest.approx(0.7 * 2 * one)
    assert servers(found)[2] == ("c", 0, 0)


def test_each_location_sets_the_tries_of_its_own_upstream(written) -> None:
    need_module("crossplane")
    images = read_config(written(NGINX), "images").experiment
    assert images.policy == Policy("nginx_ring", key="uri", retries=ALL)
    text = """
    http {
      proxy_next_upstream_tries 2;
      upstream a { server a1; } upstream b { server b1; } upstream c { server c1; } upstream d { server d1; }
      server {
        location /a { proxy_pass http://a/x; }
        location /b { proxy_next_upstream_tries 0; proxy_pass http://b; }
        location /c { proxy_next_upstream off; proxy_pass https://c:443; }
        location /d { fastcgi_pass d; fastcgi_next_upstream_tries 5; }
      }
    }
    """
    path = written(text)
    assert [read_config(path, name).experiment.policy.retries for name in "abcd"] == [1, ALL, 0, 4]


def test_backup_is_the_next_level_of_priority(written) -> None:
    need_module("crossplane")
    found = read_config(written("upstream u { least_conn; server a; server b; server c backup; }"))
    assert servers(found) == [("a", 1, 0), ("b", 1, 0), ("c", 1, 1)]
    result = run(found.experiment.but(duration=5))
    assert result.counts["c"] == 0
    assert result.counts["a"] > 0 < result.counts["b"]
    assert found.experiment.policy.options["inner"] == "nginx_least_connections"


@pytest.mark.parametrize(
    ("directive", "policy"),
    [
        ("", presets.nginx()),
        ("ip_hash;", presets.nginx("ip_hash")),
        ("least_conn;", presets.nginx("least_conn")),
        ("hash $request_uri;", presets.nginx("hash")),
        ("hash $http_x_user consistent;", evolve(presets.nginx("hash_consistent"), key="header:x-user")),
        ("hash $cookie_sid;", evolve(presets.nginx("hash"), key="cookie:sid")),
        ("hash $arg_id;", evolve(presets.nginx("hash"), key="query:id")),
        ("hash $remote_addr consistent;", evolve(presets.nginx("hash_consistent"), key="client")),
        ("random;", presets.nginx("random")),
        ("random two least_conn;", presets.nginx("random_two")),
        ("least_time header;", presets.nginx("least_time")),
    ],
)
def test_each_nginx_algorithm_is_nginx_own_version(written, directive: str, policy: Policy) -> None:
    need_module("crossplane")
    path = written(f"http {{ upstream u {{ {directive} server a; server b weight=3; }} }}")
    assert read_config(path).experiment.policy == policy


def test_a_weight_with_random_is_used(written) -> None:
    need_module("crossplane")
    found = read_config(written("upstream u { random; server a weight=9; server b; }"))
    assert run(found.experiment.but(duration=20)).shares["a"] == pytest.approx(0.9, abs=0.05)


def test_workers_without_a_zone_balance_each_for_itself(written) -> None:
    need_module("crossplane")
    text = "worker_processes 4; http { upstream u { %s server a; } }"
    assert read_config(written(text % "")).experiment.policy.balancers == 4
    assert read_config(written(text % "zone u 64k;")).experiment.policy.balancers == 1


@pytest.mark.parametrize("name", ["conf.d/app.conf", "sites-available/app"])
def test_a_fragment(written, name: str) -> None:
    need_module("crossplane")
    text = "upstream app { server a; }\nserver { listen 80; location / { proxy_pass http://app; } }\n"
    assert servers(read_config(written(text, name))) == [("a", 1, 0)]


def test_directives_over_lines_a_byte_order_mark_and_windows_line_ends(written) -> None:
    need_module("crossplane")
    text = "\ufeffupstream app\r\n{\r\n  # two\r\n  server a\r\n    weight=2;\r\n  server 'b';\r\n}\r\n"
    found = read_config(written(text))
    assert servers(found) == [("a", 2, 0), ("b", 1, 0)]
    assert found.unread == []


def test_includes(written) -> None:
    need_module("crossplane")
    written("upstream in_folder { server a; }", "etc/conf.d/app.conf")
    written("upstream elsewhere { server b; }", "other.conf")
    text = (
        "http {\n include mime.types;\n include conf.d/*.conf;\n include nothing/*.conf;\n"
        " include /etc/hosts;\n include ../*.conf;\n include some.conf;\n}"
    )
    found = read_config(written(text, "etc/some.conf"))
    assert (found.upstream, found.skipped) == ("in_folder", [])
    assert [(one.line, one.text) for one in found.unread] == [
        (2, "include mime.types (not there)"),
        (5, "include /etc/hosts (outside the file's folder)"),
        (6, "include other.conf (outside the file's folder)"),
        (7, "include some.conf (has been read already)"),
    ]


@pytest.mark.parametrize("name", ["/etc/nginx/a**b.conf", "a**b.conf"])
def test_an_include_that_is_no_pattern_is_named(written, name: str) -> None:
    need_module("crossplane")
    found = read_config(written(f"http {{ include {name}; upstream u {{ server a; }} }}"))
    assert [one.text for one in found.unread] == [f"include {name} (no name of a file)"]


def test_variables_and_sockets_as_addresses_get_names_that_engines_can_use(written) -> None:
    need_module("crossplane")
    text = """upstream u {
      server ${HOST}:80; server unix:/run/a.sock; server "we'b:80" weight=$W; server a; server a;
    }"""
    found = read_config(written(text))
    assert found.addresses == {
        "HOST-:80": "${HOST}:80",
        "unix:-run-a.sock": "unix:/run/a.sock",
        "we-b:80": "we'b:80",
        "a": "a",
        "a-2": "a",
    }
    assert [one.text for one in found.unread] == ["server we'b:80 weight=$W"]


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("upstream u { server a; server b;\n", 1, "a brace is missing"),
        ("upstream u { server a;\n server b }\n", 2, "server b (no ; after it)"),
        ("upstream u { server a; }\n}\nupstream v { server b; }", 2, 'unexpected "}"'),
        ("upstream u { server a;\n keepalive 'x; }\n", 2, "keepalive"),
    ],
)
def test_what_is_broken_is_listed_and_the_rest_imported(written, text: str, where: int, what: str) -> None:
    need_module("crossplane")
    found = read_config(written(text))
    assert found.addresses["a"] == "a"
    assert any(one.line == where and what in one.text for one in found.unread), found.unread


def test_what_nginx_prints_with_all_its_files(written) -> None:
    need_module("crossplane")
    text = """nginx: the configuration file /etc/nginx/nginx.conf syntax is ok
# configuration file /etc/nginx/nginx.conf:
http {
  include mime.types;
  proxy_next_upstream_tries 2;
  include /etc/nginx/conf.d/*.conf;
  include /etc/nginx/lost.conf;
}
# configuration file /etc/nginx/mime.types:
types { text/html html; }
# configuration file /etc/nginx/conf.d/app.conf:
upstream app { server a; server b; }
server { location / { proxy_pass http://app; } }
"""
    found = read_config(written(text))
    assert servers(found) == [("a", 1, 0), ("b", 1, 0)]
    assert found.experiment.policy.retries == 1
    assert [one.text for one in found.unread] == ["include /etc/nginx/lost.conf (not printed)"]


def test_tables_of_values_are_not_directives(written) -> None:
    need_module("crossplane")
    text = "types { text/html html; }\nmap $uri $pool { ~^/api api; default web; }\nupstream u { server a; }"
    assert [one.text for one in read_config(written(text)).unread] == ["map $uri $pool"]


def test_failures_after_which_the_simulator_does_not_try_again_are_listed(written) -> None:
    need_module("crossplane")
    text = "upstream u { server a; }\nproxy_next_upstream error timeout http_502 non_idempotent;"
    assert [one.text for one in read_config(written(text)).unread] == [
        "proxy_next_upstream http_502 non_idempotent"
    ]


@pytest.mark.parametrize("target", ["http://APP", "http://$pool", "https://app/path"])
def test_a_location_finds_its_upstream(written, target: str) -> None:
    need_module("crossplane")
    text = f"upstream app {{ server a; }}\nserver {{ proxy_next_upstream_tries 2; proxy_pass {target}; }}"
    assert read_config(written(text)).experiment.policy.retries == 1


def test_a_number_of_workers_that_is_not_in_the_file_is_said(written) -> None:
    need_module("crossplane")
    found = read_config(written("worker_processes auto;\nupstream app { server a; }"))
    assert found.experiment.policy.balancers == 1
    assert "worker_processes auto without a zone in app" in found.notes[0]


@pytest.mark.parametrize(
    "text",
    [
        "upstream u { server a; }\n" + "http {" * 5000 + "}" * 5000,
        'upstream u { server a; }\ninclude **x; include "a\0b"; include [; include ..; include;',
    ],
)
def test_hostile_files_are_imported_as_far_as_they_go(written, text: str) -> None:
    need_module("crossplane")
    found = read_config(written(text))
    assert servers(found) == [("a", 1, 0)]
    assert found.unread


def test_files_that_include_each_other_come_to_an_end(written) -> None:
    need_module("crossplane")
    for i in range(12):
        written(f"include *.conf; upstream u{i} {{ server a; }}", f"{i}.conf")
    found = read_config(written("include *.conf; upstream u { server a; }"))
    assert set(found.skipped) | {found.upstream} == {"u", *(f"u{i}" for i in range(12))}
    assert len(found.skipped) == 12
    assert "upstreams are named" in found.notes[-1]


# -- HAProxy -------------------------------------------------------------------------------------


def test_haproxy(written) -> None:
    found = read_config(written(HAPROXY, "haproxy.cfg"))
    checks = CheckRules(interval=2, timeout=2, start="up", probe=Probe("tcp"))
    policy = evolve(presets.haproxy("leastconn"), retries=2, health=HealthRules(checks=checks))
    assert found.experiment.policy == policy
    assert servers(found) == [("a", 30, 0), ("b", 10, 0), ("c", 0, 0)]
    assert found.addresses["b"] == "10.0.0.2:8080"
    said = {one.text for one in found.unread}
    assert {"maxconn 1000", "timeout connect 5s", "server a maxconn 50"} < said
    assert not [text for text in said if "inter" in text or "check" in text]
    images = read_config(written(HAPROXY, "haproxy.cfg"), "images").experiment
    assert images.policy == evolve(presets.haproxy("uri_consistent"), retries=2)


CHECKED = """
defaults
  option httpchk GET /up
  timeout check 500ms
backend b
  http-check send meth HEAD uri /ready ver HTTP/1.1 hdr Host shop hdr X-A 1
  http-check expect status 200-299
  http-check expect rstring never
  default-server inter 4s fastinter 1s downinter 8000 rise 3 fall 5 port 81
  server a 10.0.0.1:80 check
  server b 10.0.0.2:80 check
  server c 10.0.0.3:80 check backup
"""


def test_haproxys_checks_become_health_rules(written) -> None:
    found = read_config(written(CHECKED, "haproxy.cfg"))
    probe = Probe("http", "HEAD", "/ready", "shop", "200-299", headers={"X-A": "1"}, port=81)
    assert found.experiment.policy.health == HealthRules(
        checks=CheckRules(4, 0.5, 3, 5, 1, 8, start="up", probe=probe)
    )
    assert [one.text for one in found.unread] == ["http-check expect rstring never"]
    assert not [note for note in found.notes if "check" in note]


@pytest.mark.parametrize(
    ("options", "note"),
    [
        (("check", ""), "b: its servers differ in their checks"),
        (("check inter 1s", "check inter 2s"), "b: its servers differ in their checks"),
        (("check inter soon",) * 2, "b is imported without its checks: inter soon is not a time"),
        (("check rise some",) * 2, "b is imported without its checks: rise some is not a whole number"),
        (("check rise 0",) * 2, "b is imported without its checks: rise is 0"),
        (("check inter 100ms",) * 2, "b: timeout check of 0.5 s is imported as 0.1 s"),
    ],
)
def test_checks_that_we_have_not_are_noted(written, options: tuple[str, str], note: str) -> None:
    text = "backend b\n  timeout check 500ms\n" + "".join(
        f"  server s{i} 10.0.0.{i}:80 {option}\n" for i, option in enumerate(options)
    )
    found = read_config(written(text, "haproxy.cfg"))
    assert any(one.startswith(note) for one in found.notes), found.notes


def test_a_server_without_checks_has_no_health_rules(written) -> None:
    text = "backend b\n  default-server check\n  option httpchk\n  server a 10.0.0.1:80 no-check\n"
    assert read_config(written(text, "haproxy.cfg")).experiment.policy.health is None


BACKEND = "backend b\n  balance {}\n  server a 10.0.0.1:80\n  server b 10.0.0.2:80\n"


@pytest.mark.parametrize(
    ("balance", "policy"),
    [
        ("roundrobin", presets.haproxy("roundrobin")),
        ("static-rr", presets.haproxy("static-rr")),
        ("leastconn", presets.haproxy("leastconn")),
        ("first", Policy("first_available", {"limit": presets.UNLIMITED}, retries=0)),
        ("source", presets.haproxy("source")),
        ("uri", presets.haproxy("uri")),
        ("uri whole", evolve(presets.haproxy("uri"), key="uri")),
        ("random", presets.haproxy("random")),
        ("random(10)", Policy("haproxy_random", {"draws": 10}, retries=0)),
        ("url_param id", Policy("haproxy_map", key="query:id", retries=0)),
        ("hdr(X-User)", Policy("haproxy_map", key="header:X-User", retries=0)),
        ("hash req.cook(sid)", Policy("haproxy_map", key="cookie:sid", retries=0)),
    ],
)
def test_each_haproxy_algorithm_is_haproxys_own_version(written, balance: str, policy: Policy) -> None:
    assert read_config(written(BACKEND.format(balance))).experiment.policy == policy


@pytest.mark.parametrize(
    "text",
    [
        "backend b\n hash-type consistent\n balance source\n server a a:1\n",
        "backend b\n balance source\n hash-type consistent\n server a a:1\n",
        "defaults\n hash-type consistent\nbackend b\n balance source\n server a a:1\n",
        "defaults\n balance source\nbackend b\n hash-type consistent\n server a a:1\n",
    ],
)
def test_hash_type_may_stand_anywhere(written, text: str) -> None:
    assert read_config(written(text)).experiment.policy == presets.haproxy("source_consistent")


def test_a_bounded_ring_with_a_named_function(written) -> None:
    text = "backend b\n balance uri\n hash-type consistent sdbm\n hash-balance-factor 150\n server a a:1\n"
    policy = read_config(written(text)).experiment.policy
    assert policy == Policy("haproxy_ring", {"factor": 150, "avalanche": False}, key="path", retries=0)


@pytest.mark.parametrize(
    ("lines", "retries"),
    [
        ("retries 3", 0),
        ("retries 3\n option redispatch", 1),
        ("option redispatch", 1),
        ("retries 3\n option redispatch 1", 3),
        ("retries 4\n option redispatch 2", 2),
        ("retries 0\n option redispatch", 0),
        ("retries 3\n redispatch", 1),
        ("option redispatch\n no option redispatch", 0),
    ],
)
def test_only_redispatch_sends_a_retry_elsewhere(written, lines: str, retries: int) -> None:
    found = read_config(written(f"backend b\n balance roundrobin\n {lines}\n server a a:1\n"))
    assert found.experiment.policy.retries == retries


def test_each_defaults_section_is_for_the_proxies_after_it_or_that_name_it(written) -> None:
    text = """
defaults one
  balance leastconn
  default-server weight 5
backend a
  server a a:1
defaults two
  balance source
backend b
  server b b:1
backend c from one
  server c c:1
defaults
backend d
  server d d:1
"""
    path = written(text)
    found = {name: read_config(path, name) for name in "abcd"}
    assert [f.experiment.policy.algorithm for f in found.values()] == [
        "haproxy_least_connections",
        "haproxy_map",
        "haproxy_least_connections",
        "fast_round_robin",
    ]
    assert [servers(f)[0][1] for f in found.values()] == [5, 1, 5, 1]


@pytest.mark.parametrize(
    "section",
    ["ring r", "peers p", "mailers m", "resolvers d", "cache c", "program p", "userlist u", "global"],
)
def test_other_sections_end_the_one_before(written, section: str) -> None:
    text = f"backend b\n balance leastconn\n server a a:1\n{section}\n server x x:1\n retries 9\n"
    found = read_config(written(text))
    assert servers(found) == [("a", 1, 0)]
    assert [one.text for one in found.unread] == ["server x x:1", "retries 9"]


def test_default_server_and_templates(written) -> None:
    text = (
        "backend b\n balance leastconn\n default-server weight 7 disabled sni x\n"
        " server-template web 1-5 site:80 enabled\n server z z:1\n"
        " server-template y 2 site:81 weight 1 enabled\n"
    )
    found = read_config(written(text))
    assert servers(found) == [
        *((f"web{i}", 7, 0) for i in range(1, 6)),
        ("z", 0, 0),
        ("y1", 1, 0),
        ("y2", 1, 0),
    ]
    assert [str(one) for one in found.unread] == [
        "some.conf, line 4: server-template web sni x",
        "some.conf, line 5: server z sni x",
        "some.conf, line 6: server-template y sni x",
    ]


def test_backups_of_haproxy_come_one_after_the_other(written) -> None:
    text = "backend b\n balance leastconn\n{} server a a:1\n server b b:1 backup\n server c c:1 backup\n"
    assert [p for *_, p in servers(read_config(written(text.format(""))))] == [0, 1, 2]
    all_backups = text.format(" option allbackups\n")
    assert [p for *_, p in servers(read_config(written(all_backups)))] == [0, 1, 1]


def test_weight_0_and_disabled_get_nothing(written) -> None:
    text = "backend b\n balance roundrobin\n server a a:1\n server b b:1 weight 0\n server c c:1 disabled\n"
    found = read_config(written(text))
    assert [w for _, w, _ in servers(found)] == [1, 0, 0]
    assert found.experiment.traffic.arrivals.rate == pytest.approx(0.7 * Server("a").capacity)
    assert set(run(found.experiment.but(duration=2)).counts.values()) > {0}


def test_an_unbalanced_quote_loses_its_line_only(written) -> None:
    found = read_config(written("backend b\n server 'a a:1\n server b b:1\n"))
    assert servers(found) == [("b", 1, 0)]
    assert found.unread == [Unread("some.conf", 2, "server 'a a:1")]


def test_our_own_haproxy_configuration() -> None:
    found = read_config(Path(__file__).parents[2] / "docker/etc/haproxy.cfg")
    names = [*(f"backend{i}" for i in range(1, 9)), "slow"]
    assert [s.name for s in found.experiment.servers] == names
    checks = CheckRules(interval=1, timeout=1, start="up", probe=Probe(method="GET", path="/health"))
    assert found.experiment.policy == evolve(presets.haproxy("leastconn"), health=HealthRules(checks=checks))


def test_first_fills_a_server_up_to_its_maxconn(written) -> None:
    text = (
        "backend b\n balance first\n default-server maxconn 9\n"
        " server a a:1 maxconn 3\n server c c:1 maxconn 3\n server d d:1 backup"
    )
    policy = read_config(written(text)).experiment.policy
    assert policy.options["options"] == {"limit": 3}


def test_first_with_different_maxconn_takes_the_largest(written) -> None:
    text = "backend b\n balance first\n server a a:1 maxconn 3\n server c c:1 maxconn 4\n server d d:1"
    found = read_config(written(text))
    assert found.experiment.policy.options == {"limit": 4}
    assert "largest maxconn" in found.notes[0] + found.notes[1]


def test_an_algorithm_that_is_not_known_is_not_that_of_the_defaults(written) -> None:
    found = read_config(
        written("defaults\n balance leastconn\nbackend b\n balance rdp-cookie\n server a a:1")
    )
    assert found.experiment.policy == presets.haproxy("roundrobin")
    assert found.notes[0] == "b: balance rdp-cookie is unknown; imported as roundrobin"


def test_what_balances_connections_is_said(written) -> None:
    need_module("crossplane")
    haproxy = read_config(written("defaults\n mode tcp\nbackend b\n balance leastconn\n server a a:1"))
    nginx = read_config(written("stream { upstream b { server a; } }"))
    assert "b balances connections (mode tcp)" in haproxy.notes[0]
    assert "b balances connections (it is in stream)" in nginx.notes[0]


# -- both ----------------------------------------------------------------------------------------

# Our algorithm, as it is rendered -> the program's own version, as it is read.
OWN = {
    "nginx": {
        "weighted_round_robin": "weighted_round_robin",
        "least_connections": "nginx_least_connections",
        "consistent_hash": "nginx_ring",
        "power_of_two": "power_of_choices",
    },
    "haproxy": {
        "weighted_round_robin": "fast_round_robin",
        "least_connections": "haproxy_least_connections",
        "consistent_hash": "haproxy_ring",
        "power_of_two": "haproxy_random",
    },
}


@pytest.mark.parametrize("program", OWN)
def test_what_we_render_we_read(written, program: str) -> None:
    need_module("crossplane")
    need_module("uvicorn")
    need_module("locust")
    from lbkit.live import render

    servers = [Server("a", weight=3), Server("b"), Server("c", weight=2)]
    for algorithm, own in OWN[program].items():
        experiment = Experiment(servers, policy=Policy(algorithm, retries=2))
        again = read_config(written(render(experiment, program))).experiment
        weights = whole_weights({s.name: s.weight for s in again.servers})
        assert list(weights.values()) == [3, 1, 2]
        assert (again.policy.algorithm, again.policy.retries) == (own, 2)
        assert again.policy.keyed_by == experiment.policy.keyed_by


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("http { server { listen 80; } }", "no upstream or backend with servers in it: give a file with one"),
        ("backend b\n  server 'a", "with one .not understood: some.conf, line 2: server 'a"),
        (
            "http { include /etc/nginx/x.conf; }",
            "outside the file's folder.*; `nginx -T` prints a configuration",
        ),
        ("hello world\n", "neither nginx's nor HAProxy's configuration"),
        ("", "neither nginx's nor HAProxy's configuration"),
        ("\0\1\2\xff", "neither nginx's nor HAProxy's configuration"),
        ("upstream u { server a down; }", "all servers of u are down, disabled or of weight 0"),
    ],
)
def test_what_cannot_be_imported_is_explained(written, text: str, why: str) -> None:
    need_module("crossplane")
    with pytest.raises(ImportFault, match=why):
        read_config(written(text))


@pytest.mark.parametrize("number", ["²", "٣", "9" * 5000, "-1", "1e3", "$N", "999999999"])
def test_what_is_no_usable_number_is_listed(written, number: str) -> None:
    need_module("crossplane")
    nginx = written(
        f"worker_processes {number};\nproxy_next_upstream_tries {number};\n"
        f"upstream u {{ server a weight={number}; zone z 1m; }}"
    )
    haproxy = written(
        f"backend b\n retries {number}\n hash-balance-factor {number}\n balance random({number})\n"
        f" option redispatch {number}\n server a a:1 weight {number}\n server-template t {number} a:1\n",
        "haproxy.cfg",
    )
    for path, lines in ((nginx, {2, 3}), (haproxy, {2, 3, 6, 7})):
        found = read_config(path)
        assert servers(found) == [("a", 1, 0)]
        assert {one.line for one in found.unread} == lines
        assert (
            run(found.experiment.but(traffic=evolve(found.experiment.traffic, duration=1.0))).error_rate == 0
        )


def test_an_upstream_that_is_not_there(written) -> None:
    with pytest.raises(ImportFault, match="no upstream 'x': there are app, images"):
        read_config(written(HAPROXY), "x")


WORDS = [
    *NGINX.split(),
    *HAPROXY.split(),
    "'",
    '"',
    "{",
    "}",
    ";",
    "\n",
    "\n",
    "#",
    "backup",
    "1-5",
    "defaults\n",
]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(WORDS)).map(" ".join) | st.text())
def test_any_text_is_imported_or_refused(written, text: str) -> None:
    need_module("crossplane")
    path = written("")
    path.write_text(text, encoding="utf-8", errors="replace")
    with suppress(ImportFault):
        assert read_config(path).experiment.servers


def test_unread_lines_are_grouped_by_directive() -> None:
    unread = [Unread("a", i, f"gzip {i}") for i in range(1, 7)] + [Unread("b", 1, "user www")]
    assert grouped(unread) == ["gzip: 6 lines (a:1, a:2, a:3, a:4 and 2 more)", "b, line 1: user www"]


def test_options_of_servers_are_grouped_by_option() -> None:
    unread = [Unread("a", i, f"server s{i} {o}", f"server {o}") for i in (1, 2) for o in ("check", "fall 3")]
    assert grouped(unread) == ["server check: 2 lines (a:1, a:2)", "server fall 3: 2 lines (a:1, a:2)"]


def test_the_first_line_of_a_report_names_servers_in_reserve_and_the_algorithm(written) -> None:
    text = "".join(
        f"backend b{i}\n balance leastconn\n server a a:1\n server c c:1 backup\n" for i in range(30)
    )
    first, second, *_ = read_config(written(text)).report()
    assert first == "b0: 2 servers (1 backup), haproxy_least_connections"
    assert second.endswith("b20 and 9 more (choose with --upstream NAME)")


def test_included_files_are_found_in_a_copy_of_nginxs_folder(tmp_path: Path) -> None:
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d/web.conf").write_text("upstream web { server 10.0.0.1:80; }")
    main = tmp_path / "nginx.conf"
    main.write_text("http { include /etc/nginx/conf.d/*.conf; include /etc/nginx/mime.types; }")
    found = read_config(main)
    assert [server.name for server in found.experiment.leaves] == ["10.0.0.1:80"]
    assert [one.text for one in found.unread] == ["include /etc/nginx/mime.types (outside the file's folder)"]
    assert "nginx -T" in found.report()[-1]


@pytest.mark.parametrize(
    ("logs", "form"),
    [
        ("log_format a '$remote_addr ' '$request'; access_log /a.log a;", "$remote_addr $request"),
        ("log_format a escape=json '$request'; access_log /a.log a;", "$request"),
        ("log_format a '$request'; access_log /a.log;", ""),
        ("log_format a '1'; log_format b '2'; access_log /a a; access_log /b b;", ""),
    ],
)
def test_the_format_of_the_access_log_is_known_if_there_is_one(tmp_path: Path, logs: str, form: str) -> None:
    main = tmp_path / "nginx.conf"
    main.write_text(f"http {{ {logs} upstream web {{ server 10.0.0.1:80; }} }}")
    assert read_config(main).log_format == form
