"""nginx.conf, or a fragment of it, as upstreams with nginx's own versions of the algorithms."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path

from attrs import evolve

from lbkit import presets
from lbkit.core.health.max_fails import MaxFailsRules
from lbkit.core.health.watch import HealthRules
from lbkit.experiment import Policy
from lbkit.importer.found import Unread, Upstream, as_whole, with_backups
from lbkit.importer.nginx_files import Directive, read_directives

# What hands requests to an upstream, each with directives of its own for what follows a failure.
_PASS = ("proxy_pass", "fastcgi_pass", "uwsgi_pass", "scgi_pass", "grpc_pass", "memcached_pass")
MOST_WORKERS = 1000
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}  # units of times
_UNLIMITED = presets.nginx().retries
# Understood elsewhere, or of no meaning for balancing.
_IGNORED = {"events", "worker_processes", "listen", "server_name", "types", "default_type"}
# Blocks of values, not of directives.
_TABLES = {"map", "geo", "split_clients", "match", "charset_map", "types"}
# The failures after which another server is tried; here, those after which there is no answer.
_FAILURES = {"error", "timeout"}

# nginx variable -> key; of names with a prefix, the rest is the name of the field.
_KEYS = {
    "$remote_addr": "client",
    "$binary_remote_addr": "client",
    "$uri": "path",
    "$document_uri": "path",
    "$request_uri": "uri",
}
_NAMED_KEYS = {"$http_": "header", "$cookie_": "cookie", "$arg_": "query"}


@dataclass(frozen=True)
class _Retry:
    """What follows a failed attempt: `proxy_next_upstream` and `proxy_next_upstream_tries`."""

    enabled: bool = True
    tries: int = 0  # 0: no limit

    @property
    def retries(self) -> int:
        if not self.enabled:
            return 0
        return self.tries - 1 if self.tries else _UNLIMITED


@dataclass
class _Found:
    """What a configuration says about upstreams."""

    unread: list[Unread]
    upstreams: list[tuple[Directive, bool]] = field(default_factory=list)  # and whether it is in stream { }
    uses: dict[str, list[_Retry]] = field(default_factory=dict)  # upstream, "$" for a variable -> retries
    workers: str = "1"
    formats: dict[str, str] = field(default_factory=dict)  # log_format, by name
    logs: set[str] = field(default_factory=set)  # formats of access logs

    @property
    def log_format(self) -> str:
        """The format of all access logs; empty if there are several, or only nginx's own."""
        used = [text for name, text in self.formats.items() if name in self.logs]
        return used[0] if len(used) == 1 else ""

    def retries(self, upstream: str) -> list[int]:
        """Return the retries of all that pass requests to an upstream, without repetition."""
        uses = self.uses.get(upstream.lower()) or self.uses.get("$") or [_Retry()]
        return list(dict.fromkeys(use.retries for use in uses))


def read_nginx(path: Path, unread: list[Unread]) -> list[Upstream]:
    """Return the upstreams of a configuration and the files that it includes, in their order.

    Included files outside the folder of `path` are named, not read. Raises ImportFault without crossplane."""
    found = _Found(unread)
    _walk(read_directives(path, unread), dict.fromkeys(_PASS, _Retry()), False, found)
    upstreams = [_upstream(block, stream, found) for block, stream in found.upstreams]
    return [replace(upstream, log_format=found.log_format) for upstream in upstreams]


# -- where requests are passed on ----------------------------------------------------------------


def _walk(directives: list[Directive], inherited: dict[str, _Retry], stream: bool, found: _Found) -> None:
    """Collect the upstream blocks, and the retries of the locations that pass requests to each."""
    retry = dict(inherited)
    passes: list[tuple[str, str]] = []
    blocks: list[Directive] = []
    for d in directives:
        if d.name == "upstream" and d.block is not None:
            found.upstreams.append((d, stream))
        elif d.name in _PASS and len(d.words) > 1:
            passes.append((d.name, d.words[1]))
        elif d.name == "worker_processes" and len(d.words) > 1:
            found.workers = d.words[1]
        elif d.name == "log_format" and len(d.words) > 2:
            found.formats[d.words[1]] = "".join(
                word for word in d.words[2:] if not word.startswith("escape=")
            )
        elif d.name == "access_log" and len(d.words) > 2:
            found.logs.add(d.words[2])
        elif _retry(d, retry, found.unread) or d.name in _IGNORED:
            pass
        elif d.block is None or d.name in _TABLES:
            found.unread.append(d.unread())
        else:
            blocks.append(d)
    for kind, target in passes:
        if name := re.match(r"(?:\w+://)?([^/:$]+|\$)", target):
            found.uses.setdefault(name[1].lower(), []).append(retry[kind])
    for d in blocks:
        _walk(d.block or [], retry, stream or d.name == "stream", found)


def _retry(d: Directive, retry: dict[str, _Retry], unread: list[Unread]) -> bool:
    """Change `retry` by a directive such as `proxy_next_upstream`; return whether it is one."""
    kind = d.name.removesuffix("_tries").replace("_next_upstream", "_pass")
    if kind not in _PASS or kind == d.name:
        return False
    if not d.name.endswith("_tries"):
        retry[kind] = replace(retry[kind], enabled=d.words[1:] != ["off"])
        if others := [word for word in d.words[1:] if word not in {*_FAILURES, "on", "off"}]:
            unread.append(d.unread(f"{d.name} {' '.join(others)}"))
    elif len(d.words) > 1 and (tries := as_whole(d.words[1])) is not None:
        retry[kind] = replace(retry[kind], tries=tries)
    else:
        unread.append(d.unread())
    return True


# -- one upstream --------------------------------------------------------------------------------


def _upstream(block: Directive, stream: bool, configuration: _Found) -> Upstream:
    found = Upstream(block.words[1] if len(block.words) > 1 else "upstream")
    policy = presets.nginx()
    shared = False
    passive: list[MaxFailsRules | None] = []
    for d in block.block or ():
        arguments = d.words[1:]
        if d.name == "server" and arguments:
            passive.append(_server(found, d))
        elif d.name == "zone":
            shared = True
        elif chosen := _algorithm(d, found.notes):
            policy = chosen
        else:
            found.unread.append(d.unread())
    if stream:
        found.notes.append(f"{found.name} balances connections (it is in stream): each is a request here")
    retries, *others = configuration.retries(found.name)
    if others:
        found.notes.append(
            f"{found.name} is used with different proxy_next_upstream_tries; those of its first use are taken"
        )
    policy = evolve(policy, retries=retries, health=_health(passive, found))
    workers = configuration.workers
    if not shared and (number := as_whole(workers, MOST_WORKERS) or 1) > 1:
        policy = evolve(policy, balancers=number)
        found.notes.append(
            f"{workers} worker processes without a zone in {found.name}: each balances for itself"
        )
    elif not shared and workers != "1":
        found.notes.append(
            f"worker_processes {workers} without a zone in {found.name}: each worker balances for itself, one"
            " per core; imported as a single one (policy.balancers sets it)"
        )
    found.policy = with_backups(found, policy)
    return found


def _health(passive: list[MaxFailsRules | None], found: Upstream) -> HealthRules | None:
    """Return the passive checks of the first server that names some, for all servers."""
    rules = next((rules for rules in passive if rules), None)
    if rules is None:
        return None
    if any(other != rules for other in passive):
        found.notes.append(
            f"{found.name}: its servers differ in their passive checks; all are imported with"
            f" max_fails={rules.max_fails} fail_timeout={rules.fail_timeout:g}s"
        )
    return HealthRules(max_fails=rules)


def _server(found: Upstream, d: Directive) -> MaxFailsRules | None:
    """Add a server; return its passive checks, if it names any."""
    _, address, *options = d.words
    weight, priority = 1.0, 0
    down = False
    fails: int | None = None
    rest: float | None = None
    for option in options:
        key, _, value = option.partition("=")
        if key == "weight" and (number := as_whole(value)):
            weight = float(number)
        elif option == "down":
            down = True
        elif option == "backup":
            priority = 1
        elif key == "max_fails" and (times := as_whole(value)) is not None:
            fails = times
        elif key == "fail_timeout" and (time := _seconds(value)):
            rest = time
        else:
            found.unread.append(d.unread(f"server {address} {option}", f"server {key}"))
    found.add(address, address, weight=0.0 if down else weight, priority=priority)
    if (fails is None and rest is None) or fails == 0:
        return None
    usual = MaxFailsRules()
    return MaxFailsRules(fails or usual.max_fails, rest or usual.fail_timeout)


def _seconds(text: str) -> float | None:
    """Return one of nginx's times, such as 10s or 1m30s; None for any other text."""
    if not re.fullmatch(r"([0-9]{1,9}[smhd]?)+", text):
        return None
    return sum(int(number) * _SECONDS[unit] for number, unit in re.findall(r"([0-9]+)([smhd]?)", text))


def _algorithm(d: Directive, notes: list[str]) -> Policy | None:
    """Return the policy of a directive of an upstream; None for one that chooses no algorithm."""
    match d.words:
        case ["least_conn" | "ip_hash" as name]:
            return presets.nginx(name)
        case ["random"]:
            return presets.nginx("random")
        case ["random", "two", *how]:
            if how and how[0] != "least_conn":
                notes.append(f"{d.unread()}: imported as random two least_conn")
            return presets.nginx("random_two")
        case ["least_time", _, *_]:
            return presets.nginx("least_time")
        case ["hash", variable, *how]:
            key = key_of_variable(variable)
            if not key:
                key = "client" if "addr" in variable else "uri"
                notes.append(f"{d.unread()}: imported as a hash of the {key}")
            return evolve(presets.nginx("hash_consistent" if "consistent" in how else "hash"), key=key)
        case _:
            return None


def key_of_variable(variable: str) -> str:
    """Return the key that an nginx variable stands for; empty for another variable."""
    for prefix, kind in _NAMED_KEYS.items():
        name = variable.removeprefix(prefix)
        if name != variable and name.isidentifier():
            return f"{kind}:{name.replace('_', '-') if kind == 'header' else name}"
    return _KEYS.get(variable, "")
