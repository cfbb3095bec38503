"""Apache httpd (mod_proxy_balancer) as the front of an experiment."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlencode
from xml.etree import ElementTree

from lbkit.core.health.checks import CheckRules, CheckState
from lbkit.core.health.watch import HealthRules
from lbkit.experiment import Policy
from lbkit.live.peers.base import Peer
from lbkit.live.peers.errors import PeerError
from lbkit.live.peers.health import UP_AT_START, HealthWays, milliseconds, whole_seconds
from lbkit.live.peers.process import fetch
from lbkit.live.peers.retrying import CONNECT, RetryWays, timeouts_of
from lbkit.live.peers.support import Difference, Member
from lbkit.needs import find_program

MANAGER = "/lbkit-balancer"
MODULES = (
    "mpm_event",
    "authz_core",
    "authz_host",
    "headers",
    "proxy",
    "proxy_http",
    "proxy_balancer",
    "slotmem_shm",
    "lbmethod_byrequests",
    "lbmethod_bybusyness",
    "lbmethod_bytraffic",
    "unixd",
)
# With policy.health.checks.
CHECK_MODULES = ("watchdog", "proxy_hcheck")
# Where distributions keep modules: Debian, Fedora, Homebrew.
MODULE_FOLDERS = (
    "/usr/lib/apache2/modules",
    "/usr/lib64/httpd/modules",
    "/opt/homebrew/lib/httpd/modules",
    "/usr/local/lib/httpd/modules",
)


_CHECKED = re.compile(r"Health check (ENABLING|DISABLING) http://(\S+)")
# Two ways into the error state: no connection, and a status of failonstatus.
_ERROR_STATE = re.compile(
    r"disabling worker for \(([^)]+)\)|Forcing worker \(http://([^)]+)\) into error state"
)


class Apache(Peer):
    """https://httpd.apache.org/docs/2.4/mod/mod_proxy_balancer.html"""

    name = "apache"
    programs = ("apache2", "httpd")
    reload_signal = signal.SIGUSR1
    algorithms: ClassVar = {
        "round_robin": "byrequests",
        "weighted_round_robin": "byrequests",  # the same arithmetic as smooth weighted round robin
        "least_connections": "bybusyness",
        "by_busyness": "bybusyness",
        "by_traffic": "bytraffic",
    }
    own_ways: ClassVar = {
        "least_connections": Difference(
            "weights only settle ties, in the order of smooth weighted round robin",
            1,
            lambda b: Policy("by_busyness"),
        ),
    }
    alternatives: ClassVar = {
        "ip_hash": "it keeps clients on servers by cookie only, not by address",
        "consistent_hash": "it keeps clients on servers by cookie only, not by a hash",
        "random": "it has byrequests, bytraffic, bybusyness and heartbeat",
        "power_of_two": "it has byrequests, bytraffic, bybusyness and heartbeat",
        "least_response_time": "it has byrequests, bytraffic, bybusyness and heartbeat",
    }
    keeps_abandoned = True
    differences = (
        "the number of servers that a request tried is not reported",
        "from a crash on, some requests to the dead server are answered 503 although another one is there",
    )
    max_weight = 100
    sticky_ways: ClassVar = {"insert": ("idle", "life", "secret"), "route": ("idle", "life", "secret")}
    retry_ways = RetryWays(("connect",))
    health_ways = HealthWays(
        {
            "checks": {
                "fast_interval": (None,),
                "down_interval": (None,),
                "jitter": (0,),
                "start": UP_AT_START,
                "probe.kind": ("http", "tcp"),
                "probe.method": ("GET", "HEAD", "OPTIONS"),
                "probe.host": ("",),
                "probe.headers": ({},),
                "probe.port": (None,),
            },
            "max_fails": {"max_fails": (1,)},
        },
        {
            "outliers": "one failure takes a server out (max_fails=1)",
            "breaker": "one failure takes a server out (max_fails=1)",
            "max_in_flight": "its `max` limits connections, and requests wait for one",
        },
    )
    # Our state -> its flags: D is disabled, N ignores new sessions (drain).
    STATES: ClassVar = {"ready": {"D": 0, "N": 0}, "drain": {"D": 0, "N": 1}, "out": {"D": 1, "N": 0}}

    @classmethod
    def check_health(cls, rules: HealthRules) -> None:
        super().check_health(rules)
        if rules.max_fails:
            whole_seconds("apache", "retry", rules.max_fails.fail_timeout)
        if rules.checks and rules.checks.interval <= 0.1:
            raise PeerError("apache checks at most ten times a second: use checks.interval above 0.1")

    def config(self) -> str:
        weights = self.weights()
        members = "\n".join(self._member(m, weights[m.name]) for m in self.members.values())
        return f"""\
# {self.policy.algorithm} in Apache httpd. One process with many threads, which count requests together.
{self._modules()}
ServerName lbkit
ServerRoot {self.folder}
DefaultRuntimeDir {self.folder}
PidFile {self.folder}/httpd.pid
ErrorLog /dev/stderr
LogLevel error{" proxy_hcheck:info" if self._health.checks else ""}
Listen 127.0.0.1:{self.port}
{self._user()}StartServers 1
ServerLimit 1
ThreadLimit 400
ThreadsPerChild 400
MaxRequestWorkers 400
MinSpareThreads 1
MaxSpareThreads 400
KeepAlive On
MaxKeepAliveRequests 0
{self.securing.apache_lines()}{self.compressing.apache()}\

# The load plays many clients from one address and names them in this header, which is forwarded unchanged.
ProxyAddHeaders Off
{self._expectation()}
<Proxy "balancer://servers">
{members}
  ProxySet lbmethod={self.balance()} maxattempts={self.policy.retries}{self._failures()}{self._persistence()}
</Proxy>
{self._route_header()}<Location "{MANAGER}">
  SetHandler balancer-manager
  Require ip 127.0.0.0/8
</Location>
ProxyPass "{MANAGER}" "!"
ProxyPass "/" "balancer://servers/"
"""

    def _member(self, member: Member, weight: int) -> str:
        flags = "".join(f"+{flag}" for flag, on in self._flags(member.state).items() if on)
        if not weight:
            flags = "+D"  # Apache has no weight of 0
        status = f" status={flags}" if flags else ""
        connect = timeouts_of(self.policy.retry).connect or CONNECT
        if self.policy.sticky:
            status += f" route={member.name}"
        return (
            f"  # {member.name}\n"
            f'  BalancerMember "http://{member.address}" loadfactor={max(weight, 1)}'
            f" retry={self._rest()} connectiontimeout={milliseconds(connect)}{self._checks()}{status}"
        )

    # -- health -------------------------------------------------------------------------------

    @property
    def _health(self) -> HealthRules:
        return self.policy.health or HealthRules()

    def _rest(self) -> int:
        """Return the seconds for which a failed server is left out."""
        rules = self._health.max_fails
        return int(rules.fail_timeout) if rules else 0

    def _failures(self) -> str:
        """Return the statuses that are failures, if any are."""
        return " failonstatus=500,501,502,503,504" if self._health.max_fails else ""

    def _checks(self) -> str:
        """Return the options of a member for active checks (mod_proxy_hcheck)."""
        rules = self._health.checks
        if rules is None:
            return ""
        words = [
            f"hcinterval={milliseconds(rules.interval)}",
            f"hcpasses={rules.rise}",
            f"hcfails={rules.fall}",
        ]
        if rules.probe.kind == "tcp":
            words.append("hcmethod=TCP")
        else:
            words += [f"hcmethod={rules.probe.method}", f"hcuri={rules.probe.path}", "hcexpr=passes"]
        return "".join(f" {word}" for word in words)

    def _expectation(self) -> str:
        """Return the line that says which answers pass."""
        rules = self._health.checks
        return (
            f"ProxyHCExpr passes {{{_expression(rules)}}}\n" if rules and rules.probe.kind == "http" else ""
        )

    def read_line(self, line: str, at: float) -> None:
        if checked := _CHECKED.search(line):
            if name := self.name_of(checked[2]):
                state = CheckState.UP if checked[1] == "ENABLING" else CheckState.DOWN
                self._changes.add(at, name, "check", state.label)
        elif failed := _ERROR_STATE.search(line):
            name, rest = self.name_of(failed[1] or failed[2]), self._rest()
            if name and rest:
                self._changes.rest(at, name, rest, "a failed attempt")

    def _persistence(self) -> str:
        """Return the balancer's options of sticky sessions: a cookie or a parameter names the route."""
        rules = self.policy.sticky
        if rules is None:
            return ""
        return f" stickysession={rules.cookie}" + (" nofailover=On" if rules.gone == "refuse" else "")

    def _route_header(self) -> str:
        """Return the line that gives clients their route, when that has changed."""
        rules = self.policy.sticky
        if rules is None:
            return ""
        route = ".%{BALANCER_WORKER_ROUTE}e"
        if rules.how == "route":
            return f'Header set X-Lbkit-Route "{route}" env=BALANCER_ROUTE_CHANGED\n'
        words = [f"{rules.cookie}={route}", "Path=/"]
        words += ["Secure"] if rules.secure else []
        words += ["HttpOnly"] if rules.http_only else []
        words += [f"SameSite={rules.same_site}"] if rules.same_site else []
        return f'Header add Set-Cookie "{"; ".join(words)}" env=BALANCER_ROUTE_CHANGED\n'

    def notes(self) -> list[str]:
        notes = super().notes()
        if not self._health.max_fails:
            notes.append(
                "a failed server would be skipped for 60 s; retry=0 makes it try it again each time,"
                " as the experiment says"
            )
        if self._health.checks:
            notes.append(
                "a check waits as long as a request does, 5 s for a connection and 60 s for an answer, not"
                " checks.timeout, so that a server that hangs is found late; Result.changes has its ups and"
                " downs, not each check that fails"
            )
        if self.experiment.compression:
            notes.append("it compresses answers of any length")
        rules = self.policy.sticky
        if rules is None:
            return notes
        said = [
            "its sessions have servers' names in them, which clients can read and choose",
            "servers see the cookie, or the parameter, that names the route",
        ]
        return [*notes, *said]

    def _flags(self, state: str) -> dict[str, int]:
        """Return the flags of a member's state; N lets the requests of sessions in."""
        rules = self.policy.sticky
        return self.STATES["out" if state == "drain" and rules and not rules.drain else state]

    def _modules(self) -> str:
        folder = next((f for f in MODULE_FOLDERS if os.path.isdir(f)), None)
        if folder is None:
            raise PeerError(f"apache: no modules in {', '.join(MODULE_FOLDERS)}: install apache2 or httpd")
        deflate = ("filter", "deflate") if self.experiment.compression else ()
        wanted = (
            *MODULES,
            *(CHECK_MODULES if self._health.checks else ()),
            *self.securing.apache_modules(),
            *deflate,
        )
        program = find_program(self.programs)
        built_in = (
            subprocess.run([program, "-l"], capture_output=True, text=True, timeout=10, check=False).stdout
            if program
            else ""
        )
        return "\n".join(
            f"LoadModule {name}_module {folder}/mod_{name}.so"
            for name in wanted
            if f"mod_{name}.c" not in built_in
        )

    def _user(self) -> str:
        # Apache refuses to serve as root.
        return "User nobody\nGroup nogroup\n" if os.name == "posix" and os.geteuid() == 0 else ""

    def command(self, program: str, path: Path) -> list[str]:
        return [program, "-DFOREGROUND", "-f", str(path)]

    def apply(self, member: Member) -> None:
        """Apply a change by the balancer-manager: at once, without a restart."""
        nonce = self._manager().findtext(".//{*}nonce") or ""
        for name, weight in self.weights().items():
            other = self.members[name]
            flags = dict(self._flags(other.state)) if weight else {"D": 1, "N": 0}
            form = {"b": "servers", "w": f"http://{other.address}", "nonce": nonce, "w_lf": max(weight, 1)}
            form |= {f"w_status_{flag}": on for flag, on in flags.items()}
            self._call_manager(urlencode(form).encode())

    def stats(self) -> dict[str, Any]:
        names = {f"http://{m.address}": m.name for m in self.members.values()}
        return {
            "servers": {
                names[worker.findtext("{*}name", "")]: {
                    "in_flight": int(worker.findtext("{*}busy", "0")),
                    "picks": int(worker.findtext("{*}elected", "0")),
                }
                for worker in self._manager().iterfind(".//{*}worker")
            }
        }

    def _manager(self) -> ElementTree.Element:
        """Return the state in the balancer-manager. The XML is from our own server, so it is trusted."""
        return ElementTree.fromstring(self._call_manager(b"", "?xml=1"))

    def _call_manager(self, data: bytes, query: str = "") -> str:
        url = self.url + MANAGER
        # It checks Referer against cross-site requests.
        return fetch(url + query, data or None, {"Referer": url}, self.lab.ca if self.lab else "")


def _expression(rules: CheckRules) -> str:
    """Return Apache's expression for an answer that passes."""
    statuses = " || ".join(
        f"(%{{REQUEST_STATUS}} -ge {low} && %{{REQUEST_STATUS}} -le {high})"
        for low, high in rules.probe.statuses()
    )
    if not rules.probe.body:
        return statuses
    text = re.escape(rules.probe.body).replace("/", "\\/")
    return f"({statuses}) && hc('body') =~ /{text}/"
