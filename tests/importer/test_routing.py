"""nginx's locations and HAProxy's ACLs as rules: what decides in which order, and what is listed instead."""

from __future__ import annotations

import tomllib
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from needs import need_module

from lbkit.core.routing import Answered, RouteTable, Sample
from lbkit.importer import ImportedRouting, ImportFault, read_routing

need_module("crossplane")

UPSTREAMS = """
upstream app { server 10.0.0.1:8080 weight=3; server 10.0.0.2:8080; }
upstream api { server 10.0.1.1:8080; }
upstream img { server img1; }
"""


def imported(text: str, tmp_path: Path, name: str = "some.conf", section: str = "") -> ImportedRouting:
    path = tmp_path / name
    path.write_text(text)
    return read_routing(path, section)


def nginx(text: str, tmp_path: Path) -> ImportedRouting:
    return imported(f"{UPSTREAMS} server {{ {text} }}", tmp_path)


def decided(found: ImportedRouting, target: str, **more: object) -> str:
    """Return the pool as the file calls it, or status and place."""
    way = RouteTable(found.routing).route(Sample(target, **more))  # type: ignore[arg-type]
    if isinstance(way, Answered):
        return " ".join([str(way.reply.status), *(value for _, value in way.reply.fields)])
    return found.default if way.pool == "default" else way.pool


def unread(found: ImportedRouting) -> list[str]:
    return [one.text for one in found.unread]


def test_locations_decide_in_the_order_of_nginx(tmp_path: Path) -> None:
    found = nginx(
        """
        location / { proxy_pass http://app; }
        location /api { proxy_pass http://api; }
        location ^~ /img/ { proxy_pass http://img; }
        location = /api { return 404; }
        location ~ \\.png$ { return 403; }
        location /img/raw/ { proxy_pass http://app; }
        """,
        tmp_path,
    )
    assert not found.unread
    assert decided(found, "/") == "app"
    assert decided(found, "/api") == "404"
    assert decided(found, "/apis") == "api"  # nginx's prefixes are of texts
    assert decided(found, "/api/a.png") == "403"
    assert decided(found, "/img/a.png") == "img"
    assert decided(found, "/img/raw/a.png") == "403"  # the longer prefix is without ^~
    assert decided(found, "/img/raw/a.jpg") == "app"
    assert decided(found, "/img?x=1") == "301 /img/?x=1"


def test_servers_are_told_apart_by_their_names(tmp_path: Path) -> None:
    found = imported(
        UPSTREAMS
        + """
        map $uri $side { default app; }
        server { server_name _; location / { return 404; } }
        server { server_name *.example.org; location / { proxy_pass http://app; } }
        server { server_name api.example.org; location / { proxy_pass http://api; } }
        server { server_name old.org www.old.org; return 301 https://new.org$request_uri; }
        """,
        tmp_path,
    )
    assert unread(found) == ["map $uri $side"]
    assert decided(found, "/", host="other") == "404"
    assert decided(found, "/", host="a.b.example.org") == "app"
    assert decided(found, "/", host="api.example.org:80") == "api"
    assert decided(found, "/a?b", host="www.old.org") == "301 https://new.org/a?b"


def test_what_a_location_does(tmp_path: Path) -> None:
    found = nginx(
        """
        if ($request_method = TRACE) { return 405; }
        if ($http_user_agent ~* bot) { return 403 "no bots"; }
        rewrite ^/old/(.*)$ /new/$1 permanent;
        location / { proxy_pass http://app; }
        location /v1/ { proxy_pass http://api/; }
        location = /one { proxy_pass http://api/uno; }
        location /admin { allow 10.0.0.0/8; deny all; proxy_pass http://app; }
        location /read { limit_except GET { deny all; } proxy_pass http://app; }
        location /docs { return 302 https://docs.example.org$uri; }
        location /direct { proxy_pass http://127.0.0.1:9000; }
        """,
        tmp_path,
    )
    assert not found.unread
    assert decided(found, "/", method="TRACE") == "405"
    assert decided(found, "/", headers={"User-Agent": "GoogleBot/2"}) == "403"
    assert decided(found, "/old/a/b?c=d") == "301 /new/a/b?c=d"
    table = RouteTable(found.routing)
    assert table.route(Sample("/v1/a?b")).target == b"/a?b"  # type: ignore[union-attr]
    assert table.route(Sample("/one")).target == b"/uno"  # type: ignore[union-attr]
    assert decided(found, "/admin", client="10.1.1.1") == "app"
    assert decided(found, "/admin", client="192.0.2.1") == "403"
    assert [decided(found, "/read", method=m) for m in ("GET", "HEAD", "POST")] == ["app", "app", "403"]
    assert decided(found, "/docs/x") == "302 https://docs.example.org/docs/x"
    assert decided(found, "/direct") == "127.0.0.1:9000"


def test_split_clients_is_a_split(tmp_path: Path) -> None:
    found = imported(
        f"{UPSTREAMS} split_clients '${{remote_addr}}' $side {{ 5% api; * app; }}"
        " server { location / { proxy_pass http://$side; } }",
        tmp_path,
    )
    sides = [decided(found, "/", client=f"10.0.{i // 256}.{i % 256}") for i in range(4000)]
    assert 0.03 < sides.count("api") / 4000 < 0.07


def test_what_has_no_counterpart_is_listed_and_its_requests_go_nowhere_else(tmp_path: Path) -> None:
    found = nginx(
        """
        proxy_read_timeout 3s;
        if ($args) { return 403; }
        location / { proxy_pass http://app; }
        location /files { root /var/www; }
        location /php { fastcgi_pass 127.0.0.1:9000; }
        location /var { proxy_pass http://$backend; }
        location /mixed { proxy_set_header X-A b; proxy_pass http://api; }
        location ~ ^(/a+)+b$ { proxy_pass http://api; }
        location @name { return 404; }
        """,
        tmp_path,
    )
    for target in ("/files/x", "/php", "/var"):
        assert decided(found, target) == "501"
    assert decided(found, "/mixed") == "api"
    said = "\n".join(unread(found))
    for part in (
        "proxy_read_timeout 3s",
        "if ($args)",
        "root /var/www (no counterpart)",
        "fastcgi_pass 127.0.0.1:9000 (no counterpart)",
        "proxy_pass http://$backend ($backend is no split_clients)",
        "proxy_set_header X-A b",
        "location ~ ^(/a+)+b$ (regex repeats a group",
        "location @name",
    ):
        assert part in said
    lines = found.report()
    assert lines[0] == f"{len(found.routing.rules)} rules; 2 pools: app, api"
    assert "  some.conf, line 6: proxy_read_timeout 3s" in lines


def test_rules_that_nothing_reaches_are_left_out(tmp_path: Path) -> None:
    found = nginx("location ^~ / { proxy_pass http://app; } location ~ x { return 403; }", tmp_path)
    assert [rule.name for rule in found.routing.rules] == ["location ^~ /"]
    assert any("never reached, so left out: location ~ x" in note for note in found.notes)


def test_the_file_of_a_proxy_has_the_pools(tmp_path: Path) -> None:
    found = nginx(
        "location / { proxy_pass http://app; } location /api { proxy_pass http://api; }"
        "location /i { proxy_pass http://img; }",
        tmp_path,
    )
    data = tomllib.loads(found.to_toml())
    assert data["backends"] == [
        {"address": "10.0.0.1:8080", "name": "10.0.0.1:8080", "weight": 3.0},
        {"address": "10.0.0.2:8080", "name": "10.0.0.2:8080"},
        {"address": "10.0.1.1:8080", "name": "10.0.1.1:8080", "pool": "api"},
        {"address": "img1:80", "name": "img/img1", "pool": "img"},
    ]
    from lbkit.net.config import ProxyConfig

    assert ProxyConfig.from_dict(data).routing == found.routing


HAPROXY = """
frontend web
  bind *:80
  acl img path_beg /img/ /pictures/
  acl img path_end .png
  acl internal src 10.0.0.0/8
  acl beta hdr(X-Beta) -m found
  acl strange path_len 5
  use_backend images if img !beta
  use_backend api if { path_beg /api } { method GET POST } || { hdr(host) -i api.example.org }
  http-request deny if { path /admin } !internal
  http-request redirect scheme https code 301 if { hdr(host) old.org }
  http-request return status 200 content-type text/plain string "fine" if { path /health }
  http-request set-header X-A b
  redirect prefix https://www.example.org if { hdr(host) -i example.org }
  use_backend images if strange
  default_backend app
backend app
  server a 10.0.0.1:8080
backend api
  server b 10.0.1.1:8080
backend images
  server c 10.0.2.1:8080
"""


def test_a_frontend_decides_as_in_haproxy(tmp_path: Path) -> None:
    found = imported(HAPROXY, tmp_path, "haproxy.cfg")
    assert decided(found, "/x") == "app"
    assert decided(found, "/img/a") == decided(found, "/a.png") == "images"
    assert decided(found, "/img/a", headers={"X-Beta": "1"}) == "app"
    assert decided(found, "/api") == decided(found, "/apis") == "api"
    assert decided(found, "/api", method="PUT") == "app"
    assert decided(found, "/x", host="API.example.org") == "api"
    assert decided(found, "/admin") == "403"  # http-request comes before any use_backend
    assert decided(found, "/admin", client="10.1.1.1") == "app"
    assert decided(found, "/a?b", host="old.org") == "301 https://old.org/a?b"
    assert decided(found, "/health") == "200"
    assert decided(found, "/a?b", host="example.org") == "302 https://www.example.org/a?b"
    said = unread(found)
    assert "acl strange path_len 5 (asks for path_len, which has no counterpart)" in said
    assert "http-request set-header X-A b (no counterpart)" in said
    assert any(
        text.startswith("use_backend images if strange (uses strange, which asks for") for text in said
    )


def test_a_frontend_is_chosen_by_name(tmp_path: Path) -> None:
    text = HAPROXY + "\nfrontend other\n  default_backend api\n"
    assert imported(text, tmp_path, "haproxy.cfg", "other").default == "api"
    with pytest.raises(ImportFault, match="no frontend 'x': there are web, other"):
        imported(text, tmp_path, "haproxy.cfg", "x")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("use_backend api if { path_beg /a } { path_end .b }", "has two conditions on the path"),
        ("use_backend nothing", "no section nothing with servers"),
        ("use_backend api if nothing", "uses nothing, which is not known"),
        ("use_backend api if { path /a", "has a brace that is not closed"),
        ("http-request deny if { path,url_dec /a }", "converts by url_dec"),
        (
            "http-request redirect location /%[src] if { path /a }",
            "has a part of the request without counterpart",
        ),
        ("use_backend api if { hdr_beg(host) www. }", "compares hosts with beg"),
    ],
)
def test_lines_without_counterpart_say_why(line: str, why: str, tmp_path: Path) -> None:
    found = imported(
        HAPROXY.replace("  default_backend", f"  {line}\n  default_backend"), tmp_path, "haproxy.cfg"
    )
    assert any(text.startswith(line) and why in text for text in unread(found)), unread(found)


NGINX_WORDS = """
server location { } ; = ^~ ~ ~* / /a /a/ ^/a$ (.*) proxy_pass http://app http://app/b return 301 403 $uri $1
if ($host = a) rewrite permanent deny allow all 10.0.0.0/8 split_clients $x 5% * server_name *.a.org _
upstream app
""".split()  # noqa: SIM905
HAPROXY_WORDS = """
acl a b path path_beg hdr(host) -m reg str -i found use_backend app api if unless or || ! !a { } http-request
deny redirect location prefix /x (a+)+ code 301 return status string default_backend
""".split()  # noqa: SIM905
FUZZ = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@FUZZ
@given(words=st.lists(st.sampled_from(NGINX_WORDS), max_size=30))
def test_any_words_are_read_or_refused(words: list[str], tmp_path: Path) -> None:
    for text in (" ".join(words), f"{UPSTREAMS} server {{ {' '.join(words)} }}"):
        with suppress(ImportFault):
            imported(text, tmp_path)


@FUZZ
@given(lines=st.lists(st.lists(st.sampled_from(HAPROXY_WORDS), max_size=10), max_size=6))
def test_any_lines_are_read_or_refused(lines: list[list[str]], tmp_path: Path) -> None:
    more = "".join(f"  {' '.join(line)}\n" for line in lines)
    imported(HAPROXY.replace("  default_backend", f"{more}  default_backend"), tmp_path, "haproxy.cfg")
