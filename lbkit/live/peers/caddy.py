"""Caddy as the front of an experiment."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, ClassVar

from lbkit.core.health.checks import CheckRules, CheckState
from lbkit.core.health.watch import HealthRules
from lbkit.experiment import Policy
from lbkit.live.peers.base import Peer
from lbkit.live.peers.errors import PeerError
from lbkit.live.peers.health import UP_AT_START, HealthWays, milliseconds
from lbkit.live.peers.process import fetch
from lbkit.live.peers.retrying import CONNECT, RetryWays, timeouts_of
from lbkit.live.peers.support import Difference

CHECKER = "http.handlers.reverse_proxy.health_checker.active"  # its logger


def random_choose(choices: int) -> str:
    """Return the line of `random_choose`."""
    if choices < 2:
        raise PeerError("caddy's random_choose draws at least two servers: use 2 or more choices, or random")
    return f"random_choose {choices}"


SMALL_SAMPLE = "until July 2026 a sample may be of one busy server, and there are no weights"


class Caddy(Peer):
    """https://caddyserver.com/docs/caddyfile/directives/reverse_proxy"""

    name = "caddy"
    programs = ("caddy",)
    codings = ("gzip", "zstd")
    version_arguments = ("version",)
    algorithms: ClassVar = {
        "round_robin": "round_robin",
        "least_connections": "least_conn",
        "caddy_least_connections": "least_conn",
        "ip_hash": "header X-Forwarded-For",  # its own ip_hash sees only the load's address
        "consistent_hash": "{key}",
        "rendezvous": "{key}",
        "random": "random",
        "power_of_two": "random_choose 2",
        "power_of_choices": lambda b: random_choose(b.choices),
        "caddy_random_choose": lambda b: f"random_choose {b.choose}",
        "first_available": "first",
    }
    own_ways: ClassVar = {
        "least_connections": Difference(
            "ties are drawn at random, and there are no weights",
            5,
            lambda b: Policy("caddy_least_connections"),
        ),
        "power_of_two": Difference(SMALL_SAMPLE, 99, lambda b: Policy("caddy_random_choose")),
        "power_of_choices": Difference(
            SMALL_SAMPLE, 118, lambda b: Policy("caddy_random_choose", {"choose": b.choices})
        ),
    }
    alternatives: ClassVar = {
        "weighted_round_robin": "it knows no weights before 2.8",
        "least_response_time": "it has no algorithm that looks at response times",
    }
    differences = (
        "the number of servers that a request tried is not reported",
        "a retry chooses among all servers again: after a crash it may meet the dead one once more and fail",
        "every hash is rendezvous hashing, so that ip_hash moves few clients when servers change",
        "there are no weights, and a drained server leaves the list: its running requests finish",
    )
    KEYS: ClassVar = {
        "client": "header X-Forwarded-For",
        "path": "uri_hash",
        "uri": "uri_hash",
        "header": "header {name}",
        "cookie": "cookie {name}",
    }

    sticky_ways: ClassVar = {"insert": ("idle", "life", "gone", "secure")}
    # Its response_header_timeout is no first_byte: in one case of three the retry met the slow server again.
    retry_ways = RetryWays(("connect",))
    health_ways = HealthWays(
        {
            "checks": {
                "rise": (1,),  # more from 2.9 on
                "fall": (1,),
                "fast_interval": (None,),
                "down_interval": (None,),
                "jitter": (0,),
                "start": UP_AT_START,
                "probe.kind": ("http",),
                "probe.method": ("GET",),
                "probe.expect": ("200-399", "200-299"),  # what it takes for healthy, and 2xx
            },
            "max_fails": {},
            "max_in_flight": {},
        },
        {
            "outliers": "it counts failures of each server by itself (max_fails)",
            "breaker": "it counts failures of each server by itself (max_fails)",
        },
    )

    @classmethod
    def check(cls, policy: Policy) -> None:
        super().check(policy)
        if policy.sticky and policy.algorithm != "random":
            raise PeerError(
                "caddy chooses at random for new sessions before 2.7: use policy.algorithm = 'random'"
            )

    def check_tls(self) -> None:
        tls = self.experiment.tls
        if tls and not tls.resumption:
            raise PeerError("caddy always resumes sessions here: use tls.resumption=True, or another engine")

    def balance(self) -> str:
        rules = self.policy.sticky
        return super().balance() if rules is None else f"cookie {rules.cookie} {self.session_key()}".rstrip()

    def notes(self) -> list[str]:
        notes = super().notes()
        if self.policy.sticky:
            notes.append("its cookie has no HttpOnly and no SameSite, and servers see it")
            notes.append("sessions do not stay on a server that drains")
        health = self.policy.health
        if health and health.max_fails:
            notes.append(
                "each failure counts for fail_timeout, whether requests succeed after it or not; the log does"
                " not tell when failures take a server out, so Result.changes lacks it"
            )
        if health and health.max_in_flight:
            notes.append(
                "it looks at max_in_flight before it counts the request: two that arrive together may share"
                " the last place"
            )
        if self.policy.algorithm == "first_available":
            notes.append("when every server has as many requests as the limit, the answer is 503")
        if self.policy.keyed_by.startswith("cookie:") and "{key}" in str(
            self.algorithms[self.policy.algorithm]
        ):
            notes.append(
                "it sets the cookie itself: a client without one, or with another's, gets a random server"
            )
        return notes

    def config(self) -> str:
        policy = self.balance()
        ready = " ".join(m.address for m in self.members.values() if m.state == "ready")
        connect = timeouts_of(self.policy.retry).connect or CONNECT
        proxy = f"""reverse_proxy {ready} {{
    lb_policy {policy}
    lb_retries {self.policy.retries}
    lb_try_interval 0s
{self._health()}\
    # The load plays many clients from one address and names them in X-Forwarded-For.
    # Only loopback is believed.
    trusted_proxies 127.0.0.0/8
    transport http {{
      dial_timeout {milliseconds(connect)}
      keepalive_idle_conns_per_host 256
    }}
  }}"""
        return f"""\
# {self.policy.algorithm} in Caddy.
{{
  admin 127.0.0.1:{self.admin_port}
  auto_https off
{self.securing.caddy_options()}\
  log {{
    level ERROR
  }}
{self._log()}\
}}
{"https" if self.experiment.tls else "http"}://:{self.port} {{
  bind 127.0.0.1
{self.securing.caddy_lines()}{self.compressing.caddy()}\
  {proxy if ready else "respond 503"}
}}
"""

    def _health(self) -> str:
        """Return the lines of active and passive checks."""
        rules = self.policy.health or HealthRules()
        lines = _checks(rules.checks) if rules.checks else []
        limits = [self._balancer().limit] if self.policy.algorithm == "first_available" else []  # type: ignore[attr-defined]
        limits += [rules.max_in_flight] if rules.max_in_flight else []
        if limits:
            lines.append(f"unhealthy_request_count {min(limits)}")
        if rules.max_fails:
            lines.append(f"fail_duration {milliseconds(rules.max_fails.fail_timeout)}")
            lines += [f"max_fails {rules.max_fails.max_fails}", "unhealthy_status 5xx"]
        elif limits:
            lines.append("max_fails 1  # of none that are counted: with 0, servers are never healthy")
        return "".join(f"    {line}\n" for line in lines)

    def _log(self) -> str:
        """Return the lines that have the checks' log in JSON, if there are any."""
        if not (self.policy.health and self.policy.health.checks):
            return ""
        return f"""\
  log checks {{
    output stderr
    format json
    level INFO
    include {CHECKER}
  }}
"""

    def read_line(self, line: str, at: float) -> None:
        """Note changes of servers. Caddy logs each check that fails, but only the first that passes again."""
        if f'"logger":"{CHECKER}"' not in line:
            return
        try:
            event = json.loads(line)
        except ValueError:  # a line that was cut off
            return
        if name := self.name_of(event.get("host", "")):
            up = event["msg"] == "host is up"
            state = CheckState.UP if up else CheckState.DOWN
            self._changes.add(at, name, "check", state.label, "" if up else _reason(event))

    def command(self, program: str, path: Path) -> list[str]:
        return [program, "run", "--adapter", "caddyfile", "--config", str(path)]

    def reload(self) -> None:
        """Reload by the admin API: running requests finish under the old configuration."""
        fetch(
            f"http://127.0.0.1:{self.admin_port}/load",
            self.config().encode(),
            {"Content-Type": "text/caddyfile"},
        )

    def set_weight(self, name: str, weight: float) -> None:
        raise PeerError("caddy knows no weights before 2.8: use another engine")

    def stats(self) -> dict[str, Any]:
        """Return the requests in flight; Caddy has no totals by server."""
        upstreams = json.loads(fetch(f"http://127.0.0.1:{self.admin_port}/reverse_proxy/upstreams"))
        names = {m.address: m.name for m in self.members.values()}
        return {
            "servers": {
                names[u["address"]]: {"in_flight": u["num_requests"]}
                for u in upstreams
                if u["address"] in names
            }
        }


def _checks(rules: CheckRules) -> list[str]:
    """Return the lines of active checks."""
    probe = rules.probe
    lines = [
        f"health_uri {_quoted(probe.path)}",
        f"health_interval {milliseconds(rules.interval)}",
        f"health_timeout {milliseconds(rules.timeout)}",
    ]
    if probe.port:
        lines.append(f"health_port {probe.port}")
    if probe.expect == "200-299":
        lines.append("health_status 2xx")
    if probe.body:
        lines.append(f"health_body {_quoted(re.escape(probe.body))}")
    headers = {**({"Host": probe.host} if probe.host else {}), **probe.headers}
    if headers:
        lines += ["health_headers {", *(f"  {n} {_quoted(v)}" for n, v in headers.items()), "}"]
    return lines


def _quoted(text: str) -> str:
    """Return a text as one word of a Caddyfile."""
    if "`" not in text and ('"' in text or "\\" in text):
        return f"`{text}`"  # between these, every sign stands for itself
    return '"' + text.replace('"', '\\"') + '"'


def _reason(event: dict[str, Any]) -> str:
    """Return why a check failed, without the address that the error repeats."""
    return str(event.get("error", event["msg"])).rpartition(": ")[2]
