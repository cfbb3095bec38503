"""Caddy as the front of an experiment."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

from lbkit.experiment import Policy
from lbkit.live.peers.base import Difference, Peer
from lbkit.live.peers.errors import PeerError
from lbkit.live.peers.process import fetch


def first(limit: int) -> str:
    """Return the lines of `first`. Without `max_fails`, even 0 failures make a server unhealthy."""
    return f"first\n    unhealthy_request_count {limit}\n    max_fails 1"


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
        "first_available": lambda b: first(b.limit),
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

    @classmethod
    def check(cls, policy: Policy) -> None:
        super().check(policy)
        if policy.sticky and policy.algorithm != "random":
            raise PeerError(
                "caddy chooses at random for new sessions before 2.7: use policy.algorithm = 'random'"
            )

    def balance(self) -> str:
        rules = self.policy.sticky
        return super().balance() if rules is None else f"cookie {rules.cookie} {self.session_key()}".rstrip()

    def notes(self) -> list[str]:
        notes = super().notes()
        if self.policy.sticky:
            notes.append("its cookie has no HttpOnly and no SameSite, and servers see it")
            notes.append("sessions do not stay on a server that drains")
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
        proxy = f"""reverse_proxy {ready} {{
    lb_policy {policy}
    lb_retries {self.policy.retries}
    lb_try_interval 0s
    # The load plays many clients from one address and names them in X-Forwarded-For.
    # Only loopback is believed.
    trusted_proxies 127.0.0.0/8
    transport http {{
      dial_timeout 5s
      keepalive_idle_conns_per_host 256
    }}
  }}"""
        return f"""\
# {self.policy.algorithm} in Caddy.
{{
  admin 127.0.0.1:{self.admin_port}
  auto_https off
  log {{
    level ERROR
  }}
}}
http://:{self.port} {{
  bind 127.0.0.1
  {proxy if ready else "respond 503"}
}}
"""

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
