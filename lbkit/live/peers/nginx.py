"""nginx (open source) as the front of an experiment."""

from __future__ import annotations

import getpass
import os
import re
import signal
from math import inf
from pathlib import Path
from typing import Any, ClassVar

from lbkit.core.health.watch import HealthRules
from lbkit.core.retry import Retry
from lbkit.experiment import Experiment, Policy
from lbkit.live.peers.base import Peer
from lbkit.live.peers.errors import PeerError
from lbkit.live.peers.health import HealthWays, milliseconds, whole_seconds
from lbkit.live.peers.nginx_cache import NOTES as CACHE_NOTES
from lbkit.live.peers.nginx_cache import NginxCache
from lbkit.live.peers.nginx_firewall import HINT as FIREWALL_HINT
from lbkit.live.peers.nginx_firewall import NOTES as FIREWALL_NOTES
from lbkit.live.peers.nginx_firewall import NginxFirewall
from lbkit.live.peers.nginx_limits import NginxLimits, variable_name
from lbkit.live.peers.nginx_routing import NginxRouting
from lbkit.live.peers.process import fetch
from lbkit.live.peers.retrying import CONNECT, RetryWays, timeouts_of
from lbkit.live.peers.support import Difference, Member
from lbkit.live.telling import of_stub_status
from lbkit.metrics.store import Scrape

STATUS = "/lbkit-status"
_DISABLED = re.compile(r'upstream server temporarily disabled .*?, upstream: "(?:\w+://)?([^/"]+)')

# Paths of the stream module in distributions, unless it is built in.
STREAM_MODULES = (
    "/usr/lib/nginx/modules/ngx_stream_module.so",
    "/usr/lib64/nginx/modules/ngx_stream_module.so",
    "/usr/share/nginx/modules/ngx_stream_module.so",
)


def random_two(choices: int, replacement: bool) -> str:
    """Return nginx's line for power of `choices` choices."""
    if choices == 1:
        return "random;"
    if choices != 2 or replacement:
        raise PeerError("nginx draws one or two different servers: use choices 1 or 2, without replacement")
    return "random two least_conn;"


def stream_module() -> str:
    """Return the line that loads the stream module, if it is a file."""
    found = next((path for path in STREAM_MODULES if os.path.exists(path)), None)
    return f"load_module {found};\n" if found else ""


class Nginx(Peer):
    """https://nginx.org/en/docs/http/ngx_http_upstream_module.html"""

    name = "nginx"
    programs = ("nginx",)
    reload_signal = signal.SIGHUP
    algorithms: ClassVar = {
        "round_robin": "",
        "weighted_round_robin": "",  # nginx's default is the smooth kind, with weights
        "least_connections": "least_conn;",
        "nginx_least_connections": "least_conn;",
        "ip_hash": "hash $remote_addr;",  # its own ip_hash uses three octets of four
        "nginx_ip_hash": "ip_hash;",
        "modulo_hash": "hash {key};",
        "nginx_hash": "hash {key};",
        "consistent_hash": "hash {key} consistent;",
        "nginx_ring": "hash {key} consistent;",
        "random": "random;",
        "weighted_random": "random;",
        "power_of_two": "random two least_conn;",
        "power_of_choices": lambda b: random_two(b.choices, b.replacement),
    }
    own_ways: ClassVar = {
        "least_connections": Difference(
            "ties go by smooth weighted round robin", 2, lambda b: Policy("nginx_least_connections")
        ),
    }
    alternatives: ClassVar = {
        "least_response_time": "least_time is in nginx Plus, and in open source from 1.31.0 only",
    }
    differences = (
        "at a crash, a request without an answer goes to the next server, not to the same one first",
        "drain, remove and weights need a reload: the old workers finish their requests",
    )
    KEYS: ClassVar = {
        "client": "$remote_addr",
        "path": "$uri",
        "uri": "$request_uri",
        "flow": "$remote_addr:$remote_port",
        "header": "$http_{name}",
        "cookie": "$cookie_{name}",
        "query": "$arg_{name}",
    }
    # https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_next_upstream
    retry_ways = RetryWays(("connect", "first_byte"), (403, 404, 429, 500, 502, 503, 504))
    health_ways = HealthWays(
        {"max_fails": {}, "max_in_flight": {}},
        {
            "checks": "active checks are in nginx Plus only",
            "outliers": "it counts failures of each server by itself (max_fails)",
            "breaker": "it counts failures of each server by itself (max_fails)",
        },
    )
    draws_by_weight = True
    ends_drains = True
    many_balancers = True  # each worker has its own counts
    layers = (7, 4)
    start_hints: ClassVar = {
        'unknown directive "stream"': "it has no stream module here: apt-get install libnginx-mod-stream",
        'unknown directive "modsecurity"': FIREWALL_HINT,
    }

    def __init__(self, experiment: Experiment, layer: int = 7) -> None:
        super().__init__(experiment, layer)
        self._asked = 0  # times that its status was read
        self._retiring: dict[str, set[int]] = {}  # server -> the workers that may still send it requests

    @classmethod
    def check_health(cls, rules: HealthRules) -> None:
        super().check_health(rules)
        if rules.max_fails:
            whole_seconds("nginx", "fail_timeout", rules.max_fails.fail_timeout)

    def config(self) -> str:
        return self._stream() if self.layer == 4 else self._http()

    def _stream(self) -> str:
        """Return the configuration for layer 4: nginx forwards connections unread."""
        if self.policy.algorithm == "nginx_ip_hash":
            raise PeerError("nginx has no ip_hash on layer 4: use ip_hash (hash $remote_addr)")
        algorithm, announced = self.balance(), ""
        if self.names_clients:
            announced = " proxy_protocol"
            algorithm = algorithm.replace("$remote_addr", "$proxy_protocol_addr")
        weights = self.weights()
        return f"""\
# {self.policy.algorithm} in nginx, on layer 4: connections, whatever they carry.
{stream_module()}daemon off;
worker_processes {self.policy.balancers};
{self._shutdown()}{self._user()}pid {self.folder}/nginx.pid;
error_log stderr {"warn" if self.policy.health else "error"};
events {{
  worker_connections 4096;
}}
stream {{
  upstream backends {{
{self._line(algorithm)}{"".join(self._server(m, weights[m.name]) for m in self.members.values())}\
  }}
  server {{
    listen 127.0.0.1:{self.port}{" reuseport" if self.policy.balancers > 1 else ""}{announced};
    proxy_pass backends;
    proxy_connect_timeout {milliseconds(timeouts_of(self.policy.retry).connect or CONNECT)};
    proxy_next_upstream {"on" if self.policy.retries else "off"};
    proxy_next_upstream_tries {self.policy.retries + 1};
  }}
}}
"""

    def _http(self) -> str:
        algorithm = self.balance()
        limits = self._limits()
        routing, cache, firewall = self._routing(), self._cache(), self._firewall()
        key = "$pool" if routing else ""
        securing = self.securing
        first = (firewall.use() if firewall else "") + (routing.answers() if routing else "")
        retries = self.policy.retries
        tries = "\n".join(f"    ~^{','.join(['[^,]+'] * n)}$ {n};" for n in range(2, retries + 2))
        times, read = timeouts_of(self.policy.retry), ""
        if times.first_byte is not None:
            read = f"      proxy_read_timeout {milliseconds(times.first_byte)};\n"
        after = "".join(f" http_{status}" for status in (self.policy.retry or Retry()).statuses)
        again = f"error timeout{after};\n      proxy_next_upstream_tries {retries + 1};"
        return f"""\
# {self.policy.algorithm} in nginx. Each worker decides by itself, as many as the policy has balancers.
{firewall.module() if firewall else ""}daemon off;
worker_processes {self.policy.balancers};
{self._shutdown()}{self._user()}pid {self.folder}/nginx.pid;
error_log stderr {"warn" if self.policy.health else "error"};
events {{
  worker_connections 4096;
}}
http {{
  access_log off;
  client_body_temp_path {self.folder}/body;
  proxy_temp_path {self.folder}/proxy;
  fastcgi_temp_path {self.folder}/fastcgi;
  uwsgi_temp_path {self.folder}/uwsgi;
  scgi_temp_path {self.folder}/scgi;
  keepalive_requests 1000000;

  # The load plays many clients from one address and names them in this header. Only loopback is believed.
  set_real_ip_from 127.0.0.0/8;
  real_ip_header X-Forwarded-For;
{limits.zones()}{self.compressing.nginx()}{cache.zone(self.folder) if cache else ""}
{self._upstreams(algorithm)}
  # The number of servers tried: $upstream_addr lists them with commas.
  map $upstream_addr $tries {{
    default 1;
{tries}
  }}

{routing.maps() if routing else ""}{firewall.maps() if firewall else ""}
  server {{
    listen 127.0.0.1:{self.port}{securing.nginx_listen()}{" reuseport" if self.policy.balancers > 1 else ""};
{securing.nginx_lines(self.admin_port)}\
    location / {{
{first}{limits.use()}      proxy_pass http://{"$pool" if routing else "backends"};
      proxy_http_version 1.1;          # with "Connection", this keeps connections to servers open
      proxy_set_header Connection "";
      proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_connect_timeout {milliseconds(times.connect or CONNECT)};
{read}      proxy_next_upstream {again if retries else "off;"}
{cache.use(key) if cache else ""}      add_header X-Lbkit-Attempts $tries always;
    }}
    location = {STATUS} {{
      stub_status;
    }}
  }}
}}
"""

    def _upstreams(self, algorithm: str) -> str:
        """Return a block for each pool."""
        weights, text = self.weights(), ""
        for pool, block in self.blocks().items():
            servers = "".join(self._server(m, weights[m.name]) for m in self.members_of(pool))
            text += f"""\
  upstream {block} {{
{self._line(algorithm)}{servers}\
    keepalive 256;  # idle connections kept for later
  }}
"""
        return text

    def _routing(self) -> NginxRouting | None:
        rules = self.experiment.routing
        return NginxRouting(rules, self.blocks(), self.KEYS) if rules else None

    def check_routing(self) -> None:
        if not self.experiment.routing:
            return
        if self.layer == 4:
            raise PeerError("nginx reads no requests on layer 4, so it has no routing there")
        if routing := self._routing():
            routing.maps(), routing.answers()  # raise for what nginx does not have

    def _cache(self) -> NginxCache | None:
        return NginxCache(self.experiment.cache) if self.experiment.cache else None

    def check_cache(self) -> None:
        self._cache()  # raises for what nginx does not have

    def _firewall(self) -> NginxFirewall | None:
        return NginxFirewall(self.experiment.firewall) if self.experiment.firewall else None

    def check_firewall(self) -> None:
        self._firewall()  # raises for what nginx does not have

    def check_limits(self) -> None:
        if self.experiment.limits and self.layer == 4:
            raise PeerError("nginx limits rates on layer 7 only")
        self._limits()  # raises for what nginx does not have

    def _limits(self) -> NginxLimits:
        return NginxLimits(self.experiment.limits, self.KEYS)

    @staticmethod
    def field_name(name: str) -> str:
        return variable_name(name)

    def notes(self) -> list[str]:
        notes = super().notes()
        if self.experiment.cache:
            notes += CACHE_NOTES
        if self.experiment.firewall:
            notes += FIREWALL_NOTES
        health = self.policy.health
        if health is None or health.max_fails is None:
            notes.append(
                "open source nginx has no active health checks; max_fails=0 also turns off the passive ones,"
                " so that a dead server is tried again each time, as the experiment says"
            )
        else:
            notes.append(
                "only failed connections and lost ones count for max_fails, not an answer of status 5xx;"
                " the log tells when a server is out, and its return is reckoned from fail_timeout;"
                " a reload (drain, remove, weights) forgets failures"
            )
            if len(self.members) == 1:
                notes.append("of a single server, nginx does not count failures")
        if health and health.max_in_flight:
            notes.append("when all servers have max_in_flight requests, the answer is 502, not 503")
        if self._shutdown():
            notes.append(
                "at a drain's timeout, the workers from before its reload end with all their requests,"
                " also those on other servers"
            )
        return notes

    def _shutdown(self) -> str:
        """Return the line that ends workers from before a reload, and with them the drain's requests."""
        rules = self.policy.drain
        if not rules or rules.timeout == inf:
            return ""
        return f"worker_shutdown_timeout {max(1, round(1000 * rules.timeout))}ms;  # of a drain\n"

    def _user(self) -> str:
        # As root, nginx would run its workers as a user that cannot read our folder.
        return f"user {getpass.getuser()};\n" if os.name == "posix" and os.geteuid() == 0 else ""

    @staticmethod
    def _line(text: str) -> str:
        return f"    {text}\n" if text else ""

    def _server(self, member: Member, weight: int) -> str:
        how = f"weight={weight}" if member.state == "ready" and weight else "down"
        health = self.policy.health
        if health and (rules := health.max_fails):
            how += f" max_fails={rules.max_fails} fail_timeout={int(rules.fail_timeout)}s"
        else:
            how += " max_fails=0"
        if health and health.max_in_flight:
            how += f" max_conns={health.max_in_flight}"
        return f"    server {member.address} {how};  # {member.name}\n"

    def read_line(self, line: str, at: float) -> None:
        rules = self.policy.health.max_fails if self.policy.health else None
        found = _DISABLED.search(line)
        if found and rules and (name := self.name_of(found[1])):
            self._changes.rest(at, name, rules.fail_timeout, f"{rules.max_fails} failed attempts")

    def command(self, program: str, path: Path) -> list[str]:
        return [program, "-p", str(self.folder), "-c", str(path), "-e", "stderr"]

    def drain(self, name: str) -> None:
        self._retiring[name] = {process.pid for process in self._processes()[1:]}
        super().drain(name)

    def drained(self, name: str) -> bool:
        """Return whether the workers from before the drain have ended: each finishes its requests first."""
        there = {process.pid for process in self._processes()}
        return not self._retiring.get(name, set()) & there

    untold = (
        "nginx's stub_status has sums over all servers: nothing of a single server, no status codes and no"
        " durations (its access log has them)."
    )

    def metrics(self) -> Scrape:
        return of_stub_status(self.stats(), self._asked)

    def stats(self) -> dict[str, Any]:
        """Return the counts of stub_status, over all servers; on layer 4 there are none."""
        if self.layer == 4:
            return {}
        secured = self.securing.nginx_listen()  # that port does not speak plain HTTP/1.1
        text = fetch(f"http://127.0.0.1:{self.admin_port if secured else self.port}{STATUS}")
        self._asked += 1
        active, accepts, handled, requests, reading, writing, waiting = map(int, re.findall(r"\d+", text))
        return {
            "active_connections": active,
            "accepted_connections": accepts,
            "handled_connections": handled,
            "requests": requests,
            "reading": reading,
            "writing": writing,
            "waiting": waiting,
        }
