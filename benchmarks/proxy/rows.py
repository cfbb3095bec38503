"""What is compared: a row is a load, and the programs that carry it, each set up to do the same.

The first of a row is lbkit's. An `aim` is how many times another's processor time it may need.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from benchmarks.proxy.heads import Heads
from benchmarks.proxy.lab import PAGE, Config
from benchmarks.proxy.loads import Connections, Echoes, Http, Load
from benchmarks.proxy.programs import (
    aiohttp,
    haproxy,
    haproxy_l4,
    lbkit,
    lbkit_l4,
    nginx,
    nginx_l4,
    two_workers,
)
from benchmarks.proxy.quic import Quic
from lbkit.extensions import compiled


@dataclass(frozen=True)
class Row:
    load: Load
    programs: Mapping[str, Config]
    aims: Mapping[str, float] = field(default_factory=dict)


PLAIN = {"lbkit": lbkit(), "nginx": nginx(), "haproxy": haproxy()}

CERTIFICATE = '[tls]\n[[tls.certificates]]\ncert = "@cert"'
TLS = {
    "lbkit": lbkit(CERTIFICATE, "cert"),
    "nginx": nginx("ssl", http="ssl_certificate @cert; ssl_certificate_key @cert;"),
    "haproxy": haproxy("ssl crt @cert"),
}
HTTP2 = {"lbkit": lbkit("[http2]", "http2"), "nginx": nginx("http2"), "haproxy": haproxy("proto h2")}

HTTP2_TLS = {
    "lbkit": lbkit("[http2]\n" + CERTIFICATE, "cert", "http2"),
    "nginx": nginx("ssl http2", http="ssl_certificate @cert; ssl_certificate_key @cert;"),
    "haproxy": haproxy("ssl crt @cert alpn h2"),
}
# Debian's nginx (1.22) and HAProxy (2.6) have no HTTP/3: compare with the rows of TLS, which is in it, too.
HTTP3 = {"lbkit": lbkit("[http3]\n" + CERTIFICATE, "cert", "http3")}

CACHE = {
    "lbkit": lbkit("[cache]"),
    "nginx": nginx(
        http="proxy_cache_path @folder/cache keys_zone=c:10m use_temp_path=off; proxy_cache c;"
        "proxy_cache_lock on; add_header Cache-Status $upstream_cache_status;"
    ),
    "haproxy": haproxy(
        top="cache c\n  total-max-size 4\n  max-age 86400",
        backend="  http-request cache-use c\n  http-response cache-store c",
    ),
}

# gzip at level 6, zlib's default. HAProxy's own (libslz) has no levels: it is faster, and compresses less.
GZIP = {
    "lbkit": lbkit("[compression]"),
    "nginx": nginx(http="gzip on; gzip_comp_level 6; gzip_proxied any; gzip_http_version 1.0;"),
    "haproxy": haproxy(backend="  compression algo gzip\n  compression type text/html"),
}
CODINGS = {"br": "brotli", "zstd": "zstd"}  # which the others have in modules that Debian does not ship

# ModSecurity with the requests' part of the OWASP Core Rule Set, at paranoia 1, on both.
MODULE = "/usr/lib/nginx/modules/ngx_http_modsecurity_module.so"  # Debian: libnginx-mod-http-modsecurity
FIREWALL = {
    "lbkit": lbkit('[firewall]\nmode = "block"\nengine = "modsecurity"', "modsecurity"),
    "nginx": nginx(
        top=f"load_module {MODULE};",
        http="modsecurity on; modsecurity_rules_file @folder/rules;",
        file=MODULE,
    ),
    "signatures": lbkit('[firewall]\nmode = "block"'),  # lbkit's own engine
}
BROWSER = (
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0",
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    "Accept-Language: en-GB,en;q=0.9,de;q=0.8",
    "Accept-Encoding: gzip, deflate, br, zstd",
    "Cookie: sid=jahsdjkh2387; theme=dark; _ga=GA1.2.123.456",
    'Sec-CH-UA: "Chromium";v="130", "Not?A_Brand";v="99"',
    "Sec-Fetch-Site: same-origin",
    "Referer: https://a.example/list?page=3&sort=price",
)
FORM = "/some/path/page.html?id=17&page=2&q=red+shoes"

# What a proxy does besides. nginx stays as it is where it has nothing of the kind: it counts failures always.
CHECKS = {
    "lbkit": lbkit("[policy.health.checks]\n"),
    "nginx": nginx(),
    "haproxy": haproxy(backend="  option httpchk GET /\n  default-server check"),
}
SESSIONS = {
    "lbkit": lbkit('[policy.sticky]\nhow = "insert"'),
    "nginx": nginx(),
    "haproxy": haproxy(backend="  cookie route insert indirect nocache dynamic\n  dynamic-cookie-key secret"),
}
RETRIES = {
    "lbkit": lbkit(
        "[policy.retry]\nstatuses = [502, 503]\n[policy.retry.budget]\n"
        "[policy.retry.timeouts]\nfirst_byte = 5.0\ntotal = 10.0"
    ),
    "nginx": nginx(
        http="proxy_next_upstream error timeout http_502 http_503; proxy_next_upstream_tries 2;"
        "proxy_read_timeout 5s;"
    ),
    "haproxy": haproxy(backend="  retry-on all-retryable-errors\n  retries 1\n  option redispatch"),
}
BREAKERS = {
    "lbkit": lbkit("[policy.health.breaker]\n"),
    "nginx": nginx(),
    "haproxy": haproxy(
        backend="  option httpchk GET /\n"
        "  default-server check observe layer7 error-limit 50 on-error mark-down"
    ),
}
FILTERS = {
    "lbkit": lbkit(
        '[[rate_limits]]\nlimiter = {kind = "token_bucket", rate = 1000000, burst = 1000000}',
        top='access_log = "@folder/lbkit.log"\nhide = ["Server"]',
    ),
    "nginx": nginx(
        log="access_log @folder/nginx.log combined;",
        http="proxy_hide_header Server;"
        "limit_req_zone $binary_remote_addr zone=l:1m rate=1000000r/s;"
        "limit_req zone=l burst=1000000 nodelay;",
    ),
}

TCP = {"lbkit": lbkit_l4("tcp"), "nginx": nginx_l4(), "haproxy": haproxy_l4()}
UDP = {"lbkit": lbkit_l4("udp"), "nginx": nginx_l4("udp")}  # HAProxy has no UDP


def compressed(coding: str) -> Http:
    return Http("/page.html", fields=(f"Accept-Encoding: {coding}",), connections=8, coded=True)


ROWS = {
    "plain": Row(Http(), PLAIN | {"aiohttp": aiohttp()}, {"nginx": 1.6}),
    "same heads": Row(Heads(varied=False), PLAIN, {"nginx": 1.25 if compiled() else 1.5}),
    "different heads": Row(Heads(varied=True), PLAIN, {"nginx": 1.45 if compiled() else 1.7}),
    "two workers": Row(Http(), two_workers()),
    "checks": Row(Http(), CHECKS),
    "sessions": Row(Http(), SESSIONS),
    "retries": Row(Http(), RETRIES),
    "breakers": Row(Http(), BREAKERS),
    "log, limit, hide": Row(Http(), FILTERS),
    "new connections": Row(Connections(), PLAIN),
    "TLS": Row(Http(tls=True, connections=8), TLS),
    "TLS, new connections": Row(Connections(tls=True), TLS),
    "TLS, resumed": Row(Connections(tls=True, resumed=True), TLS),
    "HTTP/2": Row(Http(http2=True, connections=8, streams=8), HTTP2),
    "HTTP/2, TLS": Row(Http(tls=True, http2=True, connections=4, streams=8), HTTP2_TLS),
    "HTTP/3": Row(Quic(), HTTP3),
    "HTTP/3, new clients": Row(Quic(new=True), HTTP3),
    "HTTP/3, page": Row(Quic("/page.html", size=PAGE), HTTP3),
    "cache hit": Row(Http("/cached"), CACHE),
    "page": Row(Http("/page.html", connections=8), PLAIN),  # 16 KiB, as it is
    "gzip": Row(compressed("gzip"), GZIP),
    **{
        coding: Row(compressed(coding), {"lbkit": lbkit(f'[compression]\ncodings = ["{coding}"]', needs)})
        for coding, needs in CODINGS.items()
    },
    "browser": Row(Http(FORM, fields=BROWSER), PLAIN),  # what the firewall looks at, without one
    "firewall": Row(Http(FORM, fields=BROWSER), FIREWALL),
    "TCP, 64 bytes": Row(Echoes(64), TCP, {"haproxy": 1.3}),
    "TCP, 16 KiB": Row(Echoes(16 * 1024), TCP, {"haproxy": 1.3}),
    "UDP, 64 bytes": Row(Echoes(64, udp=True), UDP),
}
