"""What a program can do of an experiment: its algorithms, checks, notes and whole weights."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, ClassVar

from attrs import evolve

from lbkit.core import Balancer, make_balancer
from lbkit.core.backend import whole_weights
from lbkit.core.health.watch import HealthRules
from lbkit.core.sticky import Sticky
from lbkit.experiment import Experiment, Policy
from lbkit.live.peers.compressing import Compressing
from lbkit.live.peers.errors import PeerError
from lbkit.live.peers.health import HealthWays
from lbkit.live.peers.retrying import RetryWays, timeouts_of
from lbkit.live.peers.routing import blocks


@dataclass
class Member:
    """A server in the program's configuration."""

    name: str
    address: str  # host:port
    weight: float
    pool: str = "default"  # rules of content switching choose among pools
    state: str = "ready"  # "ready", "drain" (no new requests) or "out" (not added yet, or removed)


@dataclass(frozen=True)
class Difference:
    """An algorithm that a program carries out in a way of its own."""

    why: str
    percent: int  # of mean latency, at most: four servers at 65 % load, equal ones and one twice as fast
    # The policy with which the simulator does the same, from the algorithm with its options.
    simulated: Callable[[Any], Policy]


class Support:
    """The tables of a program: the parts of an experiment that it supports, refuses or does differently."""

    name: ClassVar[str]
    programs: ClassVar[tuple[str, ...]]  # possible names of its executable
    reload_signal: ClassVar[signal.Signals | None] = None  # reloads the configuration without losing requests
    # lbkit's algorithm -> the program's configuration for it, with {key} for the key that is hashed; or a
    # function of the algorithm with its options that returns it. Others are not supported.
    algorithms: ClassVar[Mapping[str, str | Callable[[Any], str]]]
    KEYS: ClassVar[Mapping[str, str]] = {}  # kind of key -> the program's name for it
    own_ways: ClassVar[Mapping[str, Difference]] = {}  # of these algorithms
    alternatives: ClassVar[Mapping[str, str]] = {}  # unsupported algorithm -> why, and what to use
    # Parts of an experiment that this program does not support, or does differently.
    differences: ClassVar[tuple[str, ...]] = ()
    keeps_abandoned: ClassVar[bool] = False  # whether a server does not see that a client has left
    start_hints: ClassVar[Mapping[str, str]] = {}  # its message when something is missing -> what to do
    max_weight: ClassVar[int] = 1000
    codings: ClassVar[tuple[str, ...]] = ("gzip",)  # for compression
    draws_by_weight: ClassVar[bool] = False  # in power of two choices
    many_balancers: ClassVar[bool] = False  # whether several of its processes may balance
    default_block: ClassVar[str] = "backends"  # the name of the block of servers
    layers: ClassVar[tuple[int, ...]] = (7,)  # 4: it forwards connections unread
    ends_drains = False  # whether it cuts off requests at a drain's timeout
    # Way of sticky sessions -> the fields of Sticky that the program does not follow there.
    sticky_ways: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    health_ways: ClassVar[HealthWays] = HealthWays()
    retry_ways: ClassVar[RetryWays] = RetryWays()

    experiment: Experiment
    policy: Policy
    layer: int
    members: dict[str, Member]

    @property
    def names_clients(self) -> bool:
        """Whether connections begin with a PROXY header."""
        layer4 = self.experiment.layer4
        return layer4 is not None and layer4.proxy_protocol

    def balance(self) -> str:
        """Return the lines that choose the algorithm. Raises PeerError for a key that it does not support."""
        key = self.policy.keyed_by
        line = self.algorithms[self.policy.algorithm]
        text = line if isinstance(line, str) else line(self._balancer())
        if "{key}" not in text:
            return text
        kind, _, name = key.partition(":")
        if kind not in self.KEYS:
            raise PeerError(f"{self.name} cannot hash by {key!r} here: it can by {', '.join(self.KEYS)}")
        if self.layer == 4 and key != "client":
            raise PeerError(f"{self.name} cannot hash by {key} on layer 4: it sees addresses only")
        return text.replace("{key}", self.KEYS[kind].replace("{name}", self.field_name(name)))

    @staticmethod
    def field_name(name: str) -> str:
        """Return the name of a header, cookie or parameter as the configuration writes it."""
        return name

    def _balancer(self) -> Balancer:
        return make_balancer(self.policy.algorithm, **self.policy.options)

    # -- checks against the experiment -------------------------------------------------------------

    @classmethod
    def check(cls, policy: Policy) -> None:
        """Raise PeerError if the program does not support the policy."""
        name = policy.algorithm
        if name not in cls.algorithms:
            why = cls.alternatives.get(name, f"{cls.name} has no such algorithm")
            have = ", ".join(cls.algorithms)
            raise PeerError(f"{cls.name} cannot do {name!r}: {why}. It can do {have}")
        if callable(line := cls.algorithms[name]):
            line(make_balancer(name, **policy.options))  # raises for options that it does not have
        if policy.health:
            cls.check_health(policy.health)
        if policy.drain and not cls.ends_drains:
            raise PeerError(
                f"{cls.name} drains without a time limit here: use lbkit's proxy, or policy.drain=None"
            )
        if policy.retry:
            cls.retry_ways.check(cls.name, policy.retry)
        if policy.sticky:
            cls.check_sticky(policy.sticky)
        if policy.balancers > 1 and not cls.many_balancers:
            raise PeerError(
                f"{cls.name} runs as one balancer here: policy.balancers is {policy.balancers}, use 1"
            )

    @classmethod
    def check_health(cls, rules: HealthRules) -> None:
        """Raise PeerError if the program does not support these health rules."""
        cls.health_ways.check(cls.name, rules)

    @classmethod
    def check_sticky(cls, rules: Sticky) -> None:
        """Raise PeerError if the program does not support these sticky sessions."""
        if rules.how not in cls.sticky_ways:
            can = f"it can do {', '.join(cls.sticky_ways)}; or " if cls.sticky_ways else ""
            raise PeerError(
                f"{cls.name} has no sticky sessions by {rules.how!r} here: {can}use lbkit's proxy"
            )
        usual = Sticky()
        for field in cls.sticky_ways[rules.how]:
            if getattr(rules, field) != getattr(usual, field):
                raise PeerError(
                    f"{cls.name} cannot do sticky.{field} with {rules.how!r} here: "
                    f"leave it at {getattr(usual, field)!r}, or use lbkit's proxy"
                )

    def session_key(self) -> str:
        """Return the secret of sticky sessions in letters that need no quotes; empty without one."""
        rules = self.policy.sticky
        return sha256(rules.secret.encode()).hexdigest() if rules and rules.secret else ""

    def check_routing(self) -> None:
        """Raise PeerError if the program does not support the rules of content switching."""
        if self.experiment.routing:
            raise PeerError(f"{self.name} has no routing here: use nginx, haproxy or lbkit's proxy")

    def blocks(self) -> dict[str, str]:
        """Return the name of the block of servers for each pool."""
        return blocks(self.experiment.pools, self.default_block)

    def members_of(self, pool: str) -> list[Member]:
        return [member for member in self.members.values() if member.pool == pool]

    def check_limits(self) -> None:
        """Raise PeerError if the program does not support the rate limits."""
        if self.experiment.limits:
            raise PeerError(f"{self.name} has no rate limits here: use nginx, or lbkit's proxy for all kinds")

    def check_cache(self) -> None:
        """Raise PeerError if the program does not support the cache."""
        if self.experiment.cache:
            raise PeerError(f"{self.name} has no cache here: use nginx, or lbkit's proxy for all of it")

    @property
    def compressing(self) -> Compressing:
        """The words for compression. Raises PeerError for codings that the program does not have."""
        return Compressing(self.name, self.experiment.compression, self.codings)

    def check_tls(self) -> None:
        """Raise PeerError if the program does not support TLS as the experiment has it."""

    def check_firewall(self) -> None:
        """Raise PeerError if the program does not support the firewall."""
        if self.experiment.firewall:
            raise PeerError(
                f"{self.name} has no firewall here: use nginx with firewall.engine = 'modsecurity',"
                " or lbkit's proxy"
            )

    def notes(self) -> list[str]:
        """Return the differences between the program and the experiment."""
        notes = list(self.differences)
        if self.layer == 4:
            notes.insert(
                0, "layer 4: connections are balanced, not requests, and X-Forwarded-For is not read"
            )
        if difference := self.own_ways.get(self.policy.algorithm):
            same = self.simulated()
            options = ", ".join(f"{name}={value}" for name, value in same.options.items())
            notes.append(
                f"{self.policy.algorithm} is not quite the simulator's: {difference.why}; mean latency is off"
                f" by up to {difference.percent} %."
                f" {same.algorithm}{f' ({options})' if options else ''} simulates it"
            )
        if self.keeps_abandoned and self.experiment.traffic.patience:
            notes.append(
                f"{self.name} waits for the answer when a client has left: servers do not see it,"
                " and `wasted` lacks their work"
            )
        if self.experiment.routing:
            notes.append(
                f"{self.name} splits by another hash, so other clients are on each side; only lbkit's proxy"
                " reads every path, parameter and repeated field in the rules' normal form"
            )
        if timeouts_of(self.policy.retry).first_byte is not None:
            notes.append(f"{self.name}'s limit for the first byte also holds for pauses within an answer")
        if self.policy.slow_start or self.policy.panic:
            notes.append(f"{self.name} has no slow start and no panic here")
        if self.draws_by_weight and self.policy.algorithm in ("power_of_two", "power_of_choices"):
            weights = set(self.weights().values())
            if len(weights) > 1 and not getattr(self._balancer(), "weighted", False):
                notes.append(
                    f"{self.name} also draws by weight; lbkit draws uniformly, and divides load by weight"
                )
        if scaled := self.scaled_weights():
            notes.append(f"weights are whole numbers here: {scaled}")
        return notes

    def simulated(self) -> Policy:
        """Return the policy with which the simulator picks as this program does under the current one."""
        difference = self.own_ways.get(self.policy.algorithm)
        if difference is None:
            return self.policy
        same = difference.simulated(self._balancer())
        return evolve(self.policy, algorithm=same.algorithm, options=same.options)

    def weights(self) -> dict[str, int]:
        """Return whole weights in proportion; all 1 if the algorithm ignores weights."""
        if not weighted(self.policy.algorithm):
            return dict.fromkeys(self.members, 1)
        return whole_weights({m.name: m.weight for m in self.members.values()}, self.max_weight)

    def scaled_weights(self) -> str:
        """Return the whole weights as a text if they differ from the experiment's; else an empty one."""
        whole = self.weights()
        same = all(whole[m.name] == m.weight for m in self.members.values())
        if same or not weighted(self.policy.algorithm):
            return ""
        return ", ".join(f"{name} {weight}" for name, weight in whole.items())


def weighted(algorithm: str) -> bool:
    """Return whether an algorithm uses weights: plain round robin, random and modulo do not."""
    return algorithm not in ("round_robin", "random", "ip_hash", "modulo_hash")
