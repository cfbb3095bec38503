"""The candidates' configurations: each does the same for a request, one worker each, and keeps connections.

lbkit's proxy adds Via, X-Forwarded-* and Forwarded, so nginx and HAProxy are told to do so, too.
"""

from __future__ import annotations

import sys

from benchmarks.proxy.lab import Config
from lbkit.live.peers.nginx import stream_module

LBKIT = """
listen = "127.0.0.1:@port"
[[backends]]
address = "127.0.0.1:@b1"
[[backends]]
address = "127.0.0.1:@b2"
[[backends]]
address = "127.0.0.1:@b3"
"""
LBKIT_L4 = """
mode = "{mode}"
listen = "127.0.0.1:@port"
[[backends]]
address = "127.0.0.1:@echo"
"""
NGINX = """
{top}
daemon off; pid @file.pid; error_log stderr crit; worker_processes 1;
events { worker_connections 4096; }
http {
  {log} keepalive_requests 100000000; types { text/html html; }
  client_body_temp_path @folder; proxy_temp_path @folder;
  fastcgi_temp_path @folder; uwsgi_temp_path @folder; scgi_temp_path @folder;
  upstream backends {
    server 127.0.0.1:@b1; server 127.0.0.1:@b2; server 127.0.0.1:@b3;
    keepalive 64; keepalive_requests 100000000;
  }
  {http}
  server {
    listen 127.0.0.1:@port {listen};
    location / {
      proxy_pass http://backends; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_set_header Host $host; proxy_set_header Via "1.1 nginx";
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Forwarded-Host $host;
      proxy_set_header Forwarded "for=$remote_addr;host=\\"$host\\";proto=$scheme";
    }
  }
}
"""
NGINX_L4 = """
{top}
daemon off; pid @file.pid; error_log stderr crit; worker_processes 1;
events { worker_connections 4096; }
stream { server { listen 127.0.0.1:@port {listen}; proxy_pass 127.0.0.1:@echo; } }
"""
HAPROXY_TOP = """
global
  nbthread 1
  maxconn 4096
defaults
  mode {mode}
  timeout connect 5s
  timeout client 60s
  timeout server 60s
"""
HAPROXY = """
  http-reuse always
{top}
frontend f
  bind 127.0.0.1:@port {bind}
  option forwardfor
  http-request set-header X-Forwarded-Proto %[ssl_fc,iif(https,http)]
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  http-request add-header Via "1.1 haproxy"
  http-request set-header Forwarded for=%[src];host="%[req.hdr(host)]";proto=%[ssl_fc,iif(https,http)]
  default_backend b
backend b
  balance roundrobin
{backend}
  server s1 127.0.0.1:@b1
  server s2 127.0.0.1:@b2
  server s3 127.0.0.1:@b3
"""
HAPROXY_L4 = """
listen relay
  bind 127.0.0.1:@port
  server echo 127.0.0.1:@echo
"""


def with_slots(template: str, **slots: str) -> str:
    """Like str.format, for texts that are full of braces."""
    for name, text in slots.items():
        template = template.replace("{" + name + "}", text)
    return template


def lbkit(more: str = "", *needs: str, top: str = "") -> Config:
    return Config((sys.executable, "-m", "lbkit", "proxy", "@file"), top + LBKIT + more, needs)


def lbkit_l4(mode: str) -> Config:
    return lbkit()._replace(text=with_slots(LBKIT_L4, mode=mode))


def nginx(
    listen: str = "", http: str = "", top: str = "", file: str = "", log: str = "access_log off;"
) -> Config:
    text = with_slots(NGINX, listen=listen, http=http, top=top, log=log)
    return Config(("nginx", "-c", "@file", "-p", "@folder"), text, ("nginx",), file)


def nginx_l4(listen: str = "") -> Config:
    return nginx()._replace(text=with_slots(NGINX_L4, listen=listen, top=stream_module()))


def haproxy(bind: str = "", backend: str = "", top: str = "") -> Config:
    text = with_slots(HAPROXY_TOP + HAPROXY, mode="http", bind=bind, backend=backend, top=top)
    return Config(("haproxy", "-f", "@file"), text, ("haproxy",))


def two_workers() -> dict[str, Config]:
    """Each program with two workers in place of one."""
    return {
        "lbkit": lbkit(top="workers = 2"),
        "nginx": _instead(nginx(), "worker_processes 1", "worker_processes 2"),
        "haproxy": _instead(haproxy(), "nbthread 1", "nbthread 2"),
    }


def _instead(config: Config, this: str, that: str) -> Config:
    return config._replace(text=config.text.replace(this, that))


def haproxy_l4() -> Config:
    return haproxy()._replace(text=with_slots(HAPROXY_TOP + HAPROXY_L4, mode="tcp"))


def aiohttp() -> Config:
    backends = (f"http://127.0.0.1:@b{i}" for i in (1, 2, 3))
    return Config((sys.executable, "-m", "benchmarks.proxy.aiohttp_proxy", "@port", *backends))
