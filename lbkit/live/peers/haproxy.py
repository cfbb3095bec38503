"""HAProxy as the front of an experiment."""

from __future__ import annotations

import csv
import signal
import socket
import threading
from collections.abc import Iterator
from math import inf
from pathlib import Path
from typing import Any, ClassVar

from lbkit.core.health.watch import HealthRules
from lbkit.core.retry import Retry
from lbkit.experiment import Experiment, Policy
from lbkit.live.peers import haproxy_health as health
from lbkit.live.peers.base import Peer
from lbkit.live.peers.errors import PeerError
from lbkit.live.peers.haproxy_routing import HaproxyRouting
from lbkit.live.peers.health import milliseconds
from lbkit.live.peers.retrying import CONNECT, RetryWays, timeouts_of
from lbkit.live.peers.support import Difference, Member
from lbkit.live.telling import of_show_stat
from lbkit.metrics.store import Scrape


def bounded(avalanche: bool, factor: int) -> str:
    """Return the lines of consistent hashing; naming the hash function alone turns avalanche off."""
    ring = "balance {key}\n  hash-type consistent" + ("" if avalanche else " sdbm")
    return f"{ring}\n  hash-balance-factor {factor}" if factor else ring


SCALE = 10  # of weights on the ring: with 16 points a unit of weight, that gives the 160 points of ours
DRAWN_TWICE = "servers are drawn from a hash ring, and the same one may be drawn twice"


def on_ring(draws: int) -> Policy:
    """Return the policy that draws servers as HAProxy does, with the weights that are rendered."""
    return Policy("haproxy_random", {"draws": draws, "scale": SCALE})


class Haproxy(Peer):
    """https://docs.haproxy.org/2.6/configuration.html"""

    name = "haproxy"
    default_block = "servers"
    programs = ("haproxy",)
    reload_signal = signal.SIGUSR2
    algorithms: ClassVar = {
        "round_robin": "balance roundrobin",
        "weighted_round_robin": "balance roundrobin",
        "fast_round_robin": "balance roundrobin",
        "static_round_robin": "balance static-rr",
        "first_available": "balance first",
        "least_connections": "balance leastconn",
        "haproxy_least_connections": "balance leastconn",
        "ip_hash": "balance source\n  hash-type map-based",
        "modulo_hash": "balance {key}\n  hash-type map-based",
        "haproxy_map": "balance {key}\n  hash-type map-based",
        "consistent_hash": "balance {key}\n  hash-type consistent",
        "bounded_hash": lambda b: bounded(True, round(100 * b.factor)),
        "haproxy_ring": lambda b: bounded(b.avalanche, b.factor),
        "random": "balance random(1)",
        "weighted_random": "balance random(1)",
        "power_of_two": "balance random(2)",
        "haproxy_random": lambda b: f"balance random({b.draws})",
        "power_of_choices": lambda b: f"balance random({b.choices})",
    }
    own_ways: ClassVar = {
        "weighted_round_robin": Difference(
            "turns are dealt out in another order", 1, lambda b: Policy("fast_round_robin")
        ),
        "least_connections": Difference(
            "the new request counts, and idle servers come first",
            1,
            lambda b: Policy("haproxy_least_connections"),
        ),
        "weighted_random": Difference(
            "a server's share is its part of a hash ring, which is uneven", 8, lambda b: on_ring(1)
        ),
        "power_of_two": Difference(DRAWN_TWICE, 9, lambda b: on_ring(2)),
        "power_of_choices": Difference(DRAWN_TWICE, 8, lambda b: on_ring(b.choices)),
    }
    alternatives: ClassVar = {"least_response_time": "it has no algorithm that looks at response times"}
    differences = (
        "the number of servers that a request tried is not reported",
        "at a crash, a request on a connection that was used before is sent once more even without retries",
    )
    KEYS: ClassVar = {
        "client": "source",
        "path": "uri",
        "uri": "uri whole",
        "header": "hdr({name})",
        "cookie": "hash req.cook({name})",
        "query": "url_param {name}",
    }
    max_weight = 256
    ends_drains = True
    draws_by_weight = True
    # These use its ring.
    ON_RING: ClassVar = {
        "random",
        "weighted_random",
        "power_of_two",
        "power_of_choices",
        "consistent_hash",
        "bounded_hash",
    }
    layers = (7, 4)
    # Our state -> HAProxy's. In "drain" it takes the requests of sessions, in "maint" none.
    STATES: ClassVar = {"ready": "ready", "drain": "drain", "out": "maint"}
    sticky_ways: ClassVar = {
        "insert": ("gone",),
        "rewrite": ("gone", "idle", "life"),
        "prefix": ("gone", "idle", "life"),
        "learn": ("gone", "life"),
        "source": ("gone", "life"),
    }

    # https://docs.haproxy.org/2.6/configuration.html#retry-on
    retry_ways = RetryWays(("connect", "first_byte"), (401, 403, 404, 408, 425, 500, 501, 502, 503, 504))
    health_ways = health.WAYS

    def __init__(self, experiment: Experiment, layer: int = 7) -> None:
        super().__init__(experiment, layer)
        self._deadlines: dict[str, threading.Timer] = {}  # of the servers that drain
        self._faults: list[str] = []

    @classmethod
    def check_health(cls, rules: HealthRules) -> None:
        super().check_health(rules)
        health.check(rules)

    def weights(self) -> dict[str, int]:
        weights = super().weights()
        scale = SCALE if self.policy.algorithm in self.ON_RING else getattr(self._balancer(), "scale", 1)
        scale = min(scale, self.max_weight // max(weights.values(), default=1))
        return {name: weight * scale for name, weight in weights.items()}

    def config(self) -> str:
        balance = self.balance()
        http = """
  # The load plays many clients from one address and names them in this header. Only loopback is believed.
  http-request set-src hdr(X-Forwarded-For) if { src 127.0.0.0/8 }
  http-request set-header X-Forwarded-For %[src]
  http-request disable-l7-retry unless { method GET HEAD PUT DELETE OPTIONS TRACE }  # not idempotent"""
        reuse = "  http-reuse always         # connections to servers are shared by all clients\n"
        retries = self.policy.retry or Retry()
        times = timeouts_of(retries)
        after = "" if times.first_byte is None else " response-timeout"
        after += "".join(f" {status}" for status in retries.statuses)
        retry_on = f"  retry-on conn-failure empty-response{after}  # not only when no connection is made\n"
        if self.layer == 4:
            http = reuse = retry_on = ""
        leave = ""
        if self.experiment.traffic.patience:
            leave = "  option abortonclose       # a client that leaves takes its request with it\n"
        rules, securing = self.policy.health, self.securing
        routing = self._routing()
        return f"""\
# {self.policy.algorithm} in HAProxy. One thread, as lbkit's proxy has one.
global
  nbthread 1
  maxconn 4096
  stats socket {self.folder}/admin.sock mode 600 level admin  # for drain, weights and statistics
{securing.haproxy_global()}{health.global_lines(rules)}
defaults
  mode {"http" if self.layer == 7 else "tcp"}
  timeout connect {milliseconds(times.connect or CONNECT)}
  timeout client 60s
  timeout server {milliseconds(times.first_byte or 60)}
  retries {self.policy.retries}
{retry_on}  option redispatch 1       # the retry may go to another server
{leave}{reuse}{self.compressing.haproxy()}
frontend clients
  bind 127.0.0.1:{self.port}{securing.haproxy_bind()}{" accept-proxy" if self.names_clients else ""}{http}
{routing.lines() if routing else ""}  default_backend {self.default_block}
{self._backends(balance)}"""

    def _backends(self, balance: str) -> str:
        """Return a section for each pool."""
        weights, text = self.weights(), ""
        for pool, block in self.blocks().items():
            servers = "".join(f"{self._server(m, weights[m.name])}\n" for m in self.members_of(pool))
            checks = health.backend_lines(self.policy.health, self.layer)
            text += f"\nbackend {block}\n  {balance}\n{checks}{self._sticky()}{servers}"
        return text

    def _routing(self) -> HaproxyRouting | None:
        rules = self.experiment.routing
        return HaproxyRouting(rules, self.blocks()) if rules else None

    def check_routing(self) -> None:
        if not self.experiment.routing:
            return
        if self.layer == 4:
            raise PeerError("HAProxy reads no requests on layer 4, so it has no routing there")
        if routing := self._routing():
            routing.lines()  # raises for what HAProxy does not have

    def _sticky(self) -> str:
        """Return the lines of sticky sessions."""
        rules = self.policy.sticky
        if rules is None:
            return ""
        if rules.table:
            kind = "ip" if rules.how == "source" else "string len 128"
            expire = "" if rules.idle == inf else f" expire {milliseconds(rules.idle)}"
            table = f"  stick-table type {kind} size {rules.size}{expire}\n"
            if rules.how == "source":
                return f"{table}  stick on src\n"
            cookie = f"cook({rules.cookie})"
            # Also the requests, so that a session that has moved stays where it is.
            return f"{table}  stick on req.{cookie}\n  stick store-response res.{cookie}\n"
        words = ["cookie", rules.cookie, rules.how]
        if rules.how == "insert":
            words += ["indirect", "nocache"]
            words += ["httponly"] if rules.http_only else []
            words += ["secure"] if rules.secure else []
            words += ["attr", f"SameSite={rules.same_site}"] if rules.same_site else []
            words += [] if rules.idle == inf else ["maxidle", milliseconds(rules.idle)]
            words += [] if rules.life == inf else ["maxlife", milliseconds(rules.life)]
        if rules.secret:  # values are hashes of address and key, which clients cannot make up
            return f"  {' '.join([*words, 'dynamic'])}\n  dynamic-cookie-key {self.session_key()}\n"
        return f"  {' '.join(words)}\n"

    def _server(self, member: Member, weight: int) -> str:
        line = f"  server {member.name} {member.address} weight {weight}"
        if limit := self._most_at_once(member):
            line += f" maxconn {limit}"
        rules = self.policy.sticky
        if rules and not rules.table and not rules.secret:
            line += f" cookie {member.name}"
        return line if member.state == "ready" else line + " disabled"

    def _most_at_once(self, member: Member) -> int:
        """Return how many requests a server may have at once; 0 for any number."""
        limits = []
        if self.policy.algorithm == "first_available":
            limits.append(max(1, round(self._balancer().limit * member.weight)))  # type: ignore[attr-defined]
        if self.policy.health and self.policy.health.max_in_flight:
            limits.append(self.policy.health.max_in_flight)
        return min(limits, default=0)

    def read_line(self, line: str, at: float) -> None:
        if told := health.told(line):
            name, state, why = told
            self._changes.add(at, name, "check", state, why)

    def notes(self) -> list[str]:
        notes = [*super().notes(), *health.notes(self.policy.health)]
        if self.experiment.compression:
            notes.append("it compresses answers of any length, at a level of its own")
        rules = self.policy.sticky
        if rules is None or rules.table:
            return notes
        said = []
        if not rules.secret:
            said.append(
                "without sticky.secret its cookies have servers' names, which clients can read and choose"
            )
        if rules.how == "insert" and (rules.idle < inf or rules.life < inf):
            said.append("the times in its cookies are not signed: a client can prolong its session")
        return [*notes, *said]

    def command(self, program: str, path: Path) -> list[str]:
        return [program, "-W", "-db", "-f", str(path)]  # master and worker, in the foreground

    def apply(self, member: Member) -> None:
        """Apply a change by the runtime socket: at once, without a restart."""
        state = self.STATES[member.state]
        if state == "drain" and self.policy.sticky and not self.policy.sticky.drain:
            state = "maint"  # running requests finish there, too
        self._runtime(f"set server {self._at(member.name)} state {state}")
        for name, weight in self.weights().items():
            self._runtime(f"set server {self._at(name)} weight {weight}")

    def _at(self, name: str) -> str:
        """Return a server as commands name it."""
        return f"{self.blocks()[self.members[name].pool]}/{name}"

    # -- drains -------------------------------------------------------------------------------

    def drain(self, name: str) -> None:
        self._cancel(name)
        super().drain(name)
        rules = self.policy.drain
        if rules and rules.timeout < inf:
            timer = self._deadlines[name] = threading.Timer(rules.timeout, self._cut, (name,))
            timer.daemon = True
            timer.start()

    def _cut(self, name: str) -> None:
        """End a server's sessions at the drain timeout, which HAProxy itself does not have."""
        if self.members[name].state == "drain":
            try:
                self._runtime(f"shutdown sessions server {self._at(name)}")
            except (OSError, PeerError) as error:
                self._faults.append(f"{name} still drains: {error}")

    def undrain(self, name: str) -> None:
        self._cancel(name)
        super().undrain(name)

    def stop(self) -> None:
        for name in list(self._deadlines):
            self._cancel(name)
        super().stop()

    def _cancel(self, name: str) -> None:
        if timer := self._deadlines.pop(name, None):
            timer.cancel()

    def faults(self) -> list[str]:
        return list(self._faults)

    def _runtime(self, command: str) -> str:
        """Return the answer of the runtime socket. Raises PeerError with HAProxy's objection, OSError."""
        with socket.socket(socket.AF_UNIX) as admin:
            admin.settimeout(5)
            admin.connect(str(self.folder / "admin.sock"))
            admin.sendall(command.encode() + b"\n")
            answer = b""
            while piece := admin.recv(65536):
                answer += piece
        text = answer.decode().strip()
        if text and not text.startswith("#"):
            raise PeerError(f"haproxy: {command!r}: {text}")
        return text

    def stats(self) -> dict[str, Any]:
        servers = {
            row["svname"]: {"in_flight": int(row["scur"] or 0), "picks": int(row["stot"] or 0)}
            for row in self._show_stat()
            if row["svname"] in self.members
        }
        return {"servers": servers}

    untold = "HAProxy's `show stat` has means of durations only: no percentiles follow from them."

    def metrics(self) -> Scrape:
        return of_show_stat(self._show_stat(), self.members)

    def _show_stat(self) -> Iterator[dict[str, str]]:
        """Yield the rows of the blocks with servers."""
        lines = self._runtime("show stat").lstrip("# ").splitlines()
        blocks = self.blocks().values()
        yield from (row for row in csv.DictReader(lines) if row["pxname"] in blocks)
