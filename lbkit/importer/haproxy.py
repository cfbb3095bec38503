"""haproxy.cfg as upstreams with HAProxy's own versions of the algorithms."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise

from attrs import evolve

from lbkit import presets
from lbkit.core.health.watch import HealthRules
from lbkit.importer.found import Unread, Upstream, as_whole, with_backups
from lbkit.importer.haproxy_balance import Balance
from lbkit.importer.haproxy_checks import Checks, server_checks

PROXIES = ("backend", "listen", "frontend", "defaults")
# A line that starts with one of these ends the section before it.
SECTIONS = (
    *PROXIES,
    *("global", "resolvers", "peers", "mailers", "ring", "cache", "program", "userlist", "fcgi-app"),
    *("http-errors", "log-forward", "log-profile", "crt-store", "traces", "acme"),
)
_IGNORED = {"bind", "default_backend"}

# Options of a server that are followed by a value, so that they are listed with it.
_WITH_VALUE = frozenset(
    """
    addr agent-addr agent-check agent-inter agent-port agent-send alpn ca-file check-alpn check-sni
    ciphers ciphersuites cookie crl-file crt downinter error-limit fall fastinter guid hash-key id init-
    addr inter log-proto maxconn maxqueue minconn namespace observe on-error on-marked-down on-marked-up
    pool-low-conn pool-max-conn pool-purge-delay port proto redir resolve-net resolve-opts resolve-
    prefer resolvers rise sigalgs slowstart sni socks4 source ssl-max-ver ssl-min-ver tcp-ut track
    usesrc verify verifyhost weight ws
    """.split()  # noqa: SIM905
)


@dataclass(frozen=True)
class _Server:
    name: str
    address: str
    options: list[str]
    line: int
    source: str  # how its line starts, for options that are not understood


@dataclass
class _Proxy:
    """A section with servers, or `defaults` for such sections."""

    name: str = ""
    mode: str = "http"
    balance: Balance = field(default_factory=Balance)
    retries: int = 3
    redispatch: int = 0  # a retry out of this many goes to another server; -1: the last one, 0: none
    all_backups: bool = False
    checks: Checks = field(default_factory=Checks)
    server_options: list[str] = field(default_factory=list)  # of `default-server`
    servers: list[_Server] = field(default_factory=list)


def read_haproxy(file: str, text: str, unread: list[Unread]) -> list[Upstream]:
    """Return the backends of a configuration, and the listen sections with servers, in their order."""
    found: list[_Proxy] = []
    defaults = _Proxy()  # of the last defaults section
    named: dict[str, _Proxy] = {}
    section, proxy = "", _Proxy()
    for number, line in enumerate(text.splitlines(), 1):
        try:
            words = shlex.split(line, comments=True)
        except ValueError:  # a quote that is not closed
            unread.append(Unread(file, number, line.strip()))
            continue
        if not words:
            continue
        if words[0] in SECTIONS:
            section = words[0]
            if section in PROXIES:
                proxy = _opened(words, defaults if section != "defaults" else _Proxy(), named)
                if section == "defaults":
                    defaults = proxy
                    named[proxy.name] = proxy
                else:
                    found.append(proxy)
            continue
        source = Unread(file, number, " ".join(words))
        if section in PROXIES and (read := _DIRECTIVES.get(words[0])):
            if not read(proxy, words[1:], number):
                unread.append(source)
        elif section in PROXIES and words[:2] in (["option", "redispatch"], ["option", "allbackups"]):
            _option(proxy, words[1:], on=True)
        elif section in PROXIES and words == ["redispatch"]:  # as it was written before HAProxy 1.3
            _option(proxy, words, on=True)
        elif section in PROXIES and proxy.checks.read(words):
            pass
        elif section in PROXIES and words[0] == "no" and words[1:2] == ["option"]:
            _option(proxy, words[2:], on=False)
        elif words[0] not in _IGNORED:
            unread.append(source)
    return [_upstream(proxy, file) for proxy in found if proxy.servers]


def _opened(words: list[str], defaults: _Proxy, named: dict[str, _Proxy]) -> _Proxy:
    """Return the proxy of a section's first line, with the values of the `defaults` that it takes."""
    name = words[1] if len(words) > 1 and words[1] != "from" else ""
    if "from" in words[:-1]:
        defaults = named.get(words[words.index("from") + 1], defaults)
    proxy = deepcopy(defaults)
    proxy.name = name or words[0]
    return proxy


# -- directives; each returns whether it was understood ------------------------------------------


def _mode(proxy: _Proxy, words: list[str], line: int) -> bool:
    proxy.mode = " ".join(words)
    return bool(words)


def _balance(proxy: _Proxy, words: list[str], line: int) -> bool:
    return proxy.balance.take_balance(words)


def _hash_type(proxy: _Proxy, words: list[str], line: int) -> bool:
    return proxy.balance.take_hash_type(words)


def _hash_balance_factor(proxy: _Proxy, words: list[str], line: int) -> bool:
    return proxy.balance.take_factor(words)


def _retries(proxy: _Proxy, words: list[str], line: int) -> bool:
    number = as_whole(words[0]) if words else None
    if number is not None:
        proxy.retries = number
    return number is not None


def _default_server(proxy: _Proxy, words: list[str], line: int) -> bool:
    proxy.server_options = [*proxy.server_options, *words]
    return True


def _server(proxy: _Proxy, words: list[str], line: int) -> bool:
    if len(words) < 2:
        return False
    _add_server(proxy, words, line, f"server {words[0]}")
    return True


def _add_server(proxy: _Proxy, words: list[str], line: int, source: str) -> None:
    name, address, *options = words
    proxy.servers.append(_Server(name, address, [*proxy.server_options, *options], line, source))


def _server_template(proxy: _Proxy, words: list[str], line: int) -> bool:
    """`server-template web 1-5 host:80`: web1 to web5."""
    numbers = re.fullmatch(r"(?:([0-9]{1,6})-)?([0-9]{1,6})", words[1]) if len(words) > 2 else None
    if numbers is None:
        return False
    first, last = int(numbers[1] or 1), int(numbers[2])
    if not 0 <= last - first < 10_000:
        return False
    for number in range(first, last + 1):
        _add_server(proxy, [f"{words[0]}{number}", *words[2:]], line, f"server-template {words[0]}")
    return True


_DIRECTIVES: dict[str, Callable[[_Proxy, list[str], int], bool]] = {
    "mode": _mode,
    "balance": _balance,
    "hash-type": _hash_type,
    "hash-balance-factor": _hash_balance_factor,
    "retries": _retries,
    "default-server": _default_server,
    "server": _server,
    "server-template": _server_template,
}


def _option(proxy: _Proxy, words: list[str], on: bool) -> None:
    if words[:1] == ["allbackups"]:
        proxy.all_backups = on
    elif words[:1] == ["redispatch"]:
        interval = words[1] if len(words) > 1 and re.fullmatch(r"-?[0-9]{1,6}", words[1]) else "-1"
        proxy.redispatch = int(interval) if on else 0


# -- one backend ---------------------------------------------------------------------------------


def _upstream(proxy: _Proxy, file: str) -> Upstream:
    found = Upstream(proxy.name)
    backups = 0
    left_out: dict[Unread, None] = {}  # once for all servers of a template
    checked: list[dict[str, str] | None] = []
    for server in proxy.servers:
        weight, backup, rest = _options(server.options, proxy.balance.words[:1] == ["first"])
        words, rest = server_checks(rest)
        checked.append(words)
        left_out |= {
            Unread(file, server.line, f"{server.source} {option}", f"server {option.split()[0]}"): None
            for option in rest
        }
        # One backup at a time is in use, unless all may be.
        priority = (1 if proxy.all_backups else backups + 1) if backup else 0
        backups += backup
        found.add(server.name, server.address, weight=weight, priority=priority)
    found.unread += left_out
    if proxy.mode == "tcp":
        found.notes.append(f"{proxy.name} balances connections (mode tcp): each is a request here")
    health = _health(proxy, checked, found.notes)
    policy = proxy.balance.policy(proxy.name, partial(_first_limit, proxy, found.notes), found.notes)
    policy = evolve(policy, retries=_to_others(proxy), health=health)
    if proxy.retries and not policy.retries:
        found.notes.append(
            f"{proxy.name}: without option redispatch, its {proxy.retries} retries go to the same server"
        )
    found.policy = with_backups(found, policy)
    return found


def _health(proxy: _Proxy, checked: list[dict[str, str] | None], notes: list[str]) -> HealthRules | None:
    """Return the rules of the first server with checks, for all servers."""
    words = next((words for words in checked if words is not None), None)
    if words is None:
        return None
    said: list[str] = []
    try:
        rules = proxy.checks.rules(words, said)
    except ValueError as error:
        notes.append(f"{proxy.name} is imported without its checks: {error}")
        return None
    notes += [f"{proxy.name}: {text}" for text in said]
    if any(other != words for other in checked):
        notes.append(
            f"{proxy.name}: its servers differ in their checks; those of the first with any are taken"
        )
    return HealthRules(checks=rules)


def _options(options: list[str], used_maxconn: bool) -> tuple[float, bool, list[str]]:
    """Return weight, whether the server is a backup, and the options that were not understood."""
    weight, disabled, backup = 1.0, False, False
    rest = []
    left = iter(options)
    for option in left:
        value = next(left, "") if option in _WITH_VALUE else ""
        if option == "weight" and (number := as_whole(value, most=256)) is not None:
            weight = float(number)
        elif option in ("disabled", "enabled"):
            disabled = option == "disabled"
        elif option in ("backup", "non-backup", "no-backup"):
            backup = option == "backup"
        elif not (option == "maxconn" and used_maxconn):
            rest.append(f"{option} {value}".strip())
    return 0.0 if disabled else weight, backup, rest


def _to_others(proxy: _Proxy) -> int:
    """Return how many of the retries go to another server (`option redispatch`)."""
    if proxy.redispatch > 0:
        return proxy.retries // proxy.redispatch
    return int(proxy.redispatch < 0 and proxy.retries >= -proxy.redispatch)


def _first_limit(proxy: _Proxy, notes: list[str]) -> int:
    """Return the requests that fill a server under `balance first`: its maxconn, or no limit without one."""
    active = [s for s in proxy.servers if "backup" not in s.options] or proxy.servers
    given = [as_whole(dict(pairwise(server.options)).get("maxconn", "")) for server in active]
    limits = {number for number in given if number}
    limit = max(limits, default=presets.UNLIMITED)
    if not limits:
        notes.append(f"{proxy.name}: balance first without maxconn sends everything to one server")
    elif len({*given}) > 1:
        notes.append(f"{proxy.name}: balance first with the largest maxconn, {limit}, for all servers")
    return limit
