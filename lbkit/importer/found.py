"""What the readers of configurations find: upstreams with servers, and lines that were left out."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from attrs import evolve

from lbkit.core.routing import DEFAULT, Routing
from lbkit.experiment import Layer4, Policy, Server

MOST_SERVERS = 10_000  # of an upstream


class ImportFault(ValueError):
    """A file could not be imported; says where and why, in one line, whatever the file has in it."""

    def __init__(self, text: str) -> None:
        super().__init__(" ".join(text.splitlines()))


def printable(text: str) -> str:
    """Return the text without control characters: a log may hold escape sequences for terminals."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def as_whole(text: str, most: int = 1_000_000) -> int | None:
    """Return a whole number from 0 to `most`; None for any other text, such as a variable."""
    number = int(text) if re.fullmatch(r"[0-9]{1,9}", text) else -1
    return number if 0 <= number <= most else None


@dataclass(frozen=True)
class Unread:
    """A line that the experiment does not contain."""

    file: str
    line: int
    text: str  # as "keepalive 32", without what was understood of the line
    kind: str = ""  # what lines are grouped by; by default the first word of the text

    def __str__(self) -> str:
        return printable(f"{self.file}, line {self.line}: {self.text}")


@dataclass
class Upstream:
    """A group of servers, and the policy between them."""

    name: str
    servers: list[Server] = field(default_factory=list)
    addresses: dict[str, str] = field(default_factory=dict)  # server -> its address in the file
    policy: Policy = field(default_factory=Policy)
    routing: Routing | None = None  # among the pools of its servers
    layer4: Layer4 | None = None
    log_format: str = ""  # of its access log, as nginx's log_format writes it
    unread: list[Unread] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # what was imported as something else, and why
    numbers: dict[str, int] = field(default_factory=dict)  # name -> how many servers have had it

    def add(
        self,
        name: str,
        address: str,
        *,
        weight: float = 1.0,
        priority: int = 0,
        zone: str = "",
        pool: str = DEFAULT,
    ) -> None:
        """Add a server under a name that every engine can use; `address` is kept as it is in the file."""
        usable = re.sub(r"[^\w.:-]+", "-", name, flags=re.ASCII).strip("-:.") or "server"
        if len(self.servers) >= MOST_SERVERS:
            raise ImportFault(f"{self.name} has more than {MOST_SERVERS:,} servers: give a smaller file")
        unique = usable
        while unique in self.addresses:
            self.numbers[usable] = self.numbers.get(usable, 1) + 1
            unique = f"{usable}-{self.numbers[usable]}"
        self.addresses[unique] = address
        self.servers.append(Server(unique, weight=weight, priority=priority, zone=zone, pool=pool))


def with_backups(upstream: Upstream, policy: Policy) -> Policy:
    """Return `policy` by levels of priority, if the upstream has servers in reserve.

    Level 1 gets traffic only when nothing of level 0 is left, as nginx and HAProxy use `backup` servers."""
    if not any(server.priority for server in upstream.servers):
        return policy
    options = {"inner": policy.algorithm, "options": dict(policy.options), "overprovisioning": 1e6}
    return evolve(policy, algorithm="priority_levels", options=options)


def grouped(unread: Iterable[Unread], most_lines: int = 4, by_line: bool = False) -> list[str]:
    """Return one text for each directive among the unread lines, the most frequent first.

    `by_line`: one for each line, in their order."""
    if by_line:
        return list(dict.fromkeys(map(str, unread)))
    groups: dict[str, list[Unread]] = {}
    for one in unread:
        groups.setdefault(one.kind or one.text.partition(" ")[0], []).append(one)
    texts: list[str] = []
    for directive, ones in sorted(groups.items(), key=lambda item: -len(item[1])):
        lines = list(dict.fromkeys(f"{one.file}:{one.line}" for one in ones))
        if len(lines) == 1:
            texts += dict.fromkeys(map(str, ones))
            continue
        more = f" and {len(lines) - most_lines} more" if len(lines) > most_lines else ""
        texts.append(f"{directive}: {len(lines)} lines ({', '.join(lines[:most_lines])}{more})")
    return texts


def counted(number: int, noun: str) -> str:
    """Return "1 line", "2 lines"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
