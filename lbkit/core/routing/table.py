"""A table of rules: the first that fits a request decides, and `explain` says why, without traffic."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from lbkit.core.options import named_fields
from lbkit.core.routing.actions import DEFAULT, Action, Reply, ToPool
from lbkit.core.routing.conditions import EXCEPTION, Condition, Found, When, exception
from lbkit.core.routing.facts import Facts, RoutedRequest
from lbkit.core.routing.mirror import Mirror
from lbkit.core.routing.paths import doubtful, encoded_path, normal_path
from lbkit.core.routing.patterns import TooLong
from lbkit.core.routing.templates import check_fields, check_name, template
from lbkit.core.text import CONTROL, did_you_mean

MOST_RULES = 1000
DOUBTFUL = ("normalise", "refuse", "pass")


@named_fields
@dataclass(frozen=True, slots=True)
class Rewrite:
    """Changes of a request before a backend gets it. Raises ValueError.

    `path`: a template (templates.py); the query stays. `set`: header fields, in place of any that the client
    has sent; `remove`: names of fields.
    """

    path: str = ""
    set: Mapping[str, str] = field(default_factory=dict)
    remove: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.path:
            template("path", self.path)
        check_fields("set", self.set)
        object.__setattr__(self, "remove", tuple(self.remove))
        for name in self.remove:
            check_name("remove", name)


@named_fields
@dataclass(frozen=True, slots=True)
class Rule:
    """What happens (`then`) to the requests that fit all conditions of `when`; without conditions, to all.

    `unless`: exceptions, which the rule does not fit although they fit `when`.
    `name`: for `explain` and logs; rules have different ones. Raises ValueError.
    """

    name: str
    then: Action = field(default_factory=lambda: ToPool(DEFAULT))
    when: When = field(default_factory=When)
    rewrite: Rewrite | None = None
    mirror: Mirror | None = None
    unless: tuple[When, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "unless", tuple(self.unless))
        self.conditions()
        if not self.then.pools and (self.rewrite or self.mirror):
            raise ValueError(f"then is {self.then.kind!r}, so no backend gets a request to rewrite or mirror")
        given = self._given()
        if self.rewrite and self.rewrite.path:
            template("rewrite.path", self.rewrite.path).check(given)
        if to := getattr(self.then, "to", ""):
            template("then.to", to, True).check(given)

    def conditions(self) -> list[Condition]:
        """Return the conditions, exceptions last. Raises ValueError."""
        return [*self.when.conditions(), *map(exception, self.unless)]

    def _given(self) -> frozenset[str]:
        """Return the names that every path which fits the rule gives to templates."""
        when = self.when
        ways = [frozenset({"rest"})] if when.path or when.prefix else []
        ways += [frozenset({*map(str, range(1, r.groups + 1)), *r.names}) for r in when.regexes()]
        return frozenset.intersection(*ways) if ways else frozenset()

    @property
    def pools(self) -> tuple[str, ...]:
        """The names of all pools that the rule may use."""
        return (*self.then.pools, *((self.mirror.pool,) if self.mirror else ()))


@named_fields
@dataclass(frozen=True, slots=True)
class Routing:
    """Rules over requests; the first that fits decides, and requests that none fits go to the default pool.

    `doubtful`: what becomes of a path that servers read in different ways, such as /x/..%2fadmin, //admin or
    /%2561dmin. Rules always see it in normal form; "normalise" forwards that form, too, so that the backend
    reads what the rules have read; "refuse" answers 400; "pass" forwards it as it is, for applications with
    escaped slashes in their paths. Raises ValueError.
    """

    rules: tuple[Rule, ...] = ()
    doubtful: str = "normalise"

    def __post_init__(self) -> None:
        object.__setattr__(self, "rules", tuple(self.rules))
        if self.doubtful not in DOUBTFUL:
            raise ValueError(f"doubtful is {self.doubtful!r}: use {', '.join(DOUBTFUL)}")
        if len(self.rules) > MOST_RULES:
            raise ValueError(f"rules are {len(self.rules)}: use at most {MOST_RULES}")
        names = [rule.name for rule in self.rules]
        for name in dict.fromkeys(name for name in names if names.count(name) > 1):
            raise ValueError(f"rules: two have the name {name!r}; names must differ")

    def pool_faults(self, pools: Collection[str]) -> Iterator[str]:
        """Yield a line for each pool of a rule that is not among these."""
        there = ", ".join(pools)
        for i, rule in enumerate(self.rules):
            for pool in dict.fromkeys(rule.pools):
                if pool not in pools:
                    near = did_you_mean(pool, pools)
                    yield f"routing.rules[{i}]: no backend is in the pool {pool!r}; there are {there}{near}"

    def problems(self) -> list[str]:
        """Return a line for each rule that no request can reach, as one without conditions precedes it."""
        last = next((rule.name for rule in self.rules if not rule.conditions()), None)
        names = [rule.name for rule in self.rules]
        beyond = names[names.index(last) + 1 :] if last is not None else []
        return [f"rule {name!r} is never reached: {last!r} before it has no conditions" for name in beyond]


class Route(NamedTuple):
    """The way of a request that a backend gets."""

    rule: str  # "" if none fits
    pool: str
    target: bytes  # to send to the backend
    set: tuple[tuple[str, str], ...] = ()  # header fields
    remove: tuple[str, ...] = ()
    mirror: str = ""  # the pool that gets a copy


class Answered(NamedTuple):
    """The answer to a request that no backend gets."""

    rule: str
    reply: Reply


class Step(NamedTuple):
    """What a rule says about a request."""

    rule: str
    fits: bool
    why: str


class Explanation(NamedTuple):
    """The rules up to the first that fits, and what that one does."""

    path: str  # as the rules see it
    steps: tuple[Step, ...]
    outcome: str

    def __str__(self) -> str:
        lines = [f"{'fits   ' if s.fits else 'skipped'}  {s.rule}: {s.why}" for s in self.steps]
        return "\n".join([f"path     {self.path!a}", *lines, f"outcome  {self.outcome}"])


class RouteTable:
    """Routing, ready to be asked. `rng`: for splits and mirrors by chance."""

    def __init__(self, routing: Routing, rng: random.Random | None = None) -> None:
        self.routing = routing
        self._rows: list[tuple[Rule, list[Condition]]] = [(r, r.conditions()) for r in routing.rules]
        self._draw = (rng or random.Random()).random

    def route(self, request: RoutedRequest) -> Route | Answered:
        """Return what becomes of a request."""
        doubt = self._refusal(request.target)
        if doubt:
            return doubt
        facts = Facts(request)
        try:
            for rule, conditions in self._rows:
                found: Found = {}
                for condition in conditions:
                    if not condition.holds(facts, found):
                        break
                else:
                    return self._outcome(rule, facts, found)
        except TooLong as error:
            return _too_long(condition, error)
        return Route("", DEFAULT, self._target(facts.request.target))

    def explain(self, request: RoutedRequest) -> Explanation:
        """Return what each rule says about a request, up to the first that fits. It changes nothing."""
        facts = Facts(request)
        steps: list[Step] = []

        def explanation(outcome: str) -> Explanation:
            return Explanation(facts.path, tuple(steps), outcome)

        if doubt := self._refusal(request.target):
            return explanation(f"refused, {doubt.reply.status}: {doubt.reply.body.strip()}")
        for rule, conditions in self._rows:
            found: Found = {}
            reasons = []
            try:
                for condition in conditions:
                    what, wanted, actual, holds = condition
                    if not holds(facts, found):
                        steps.append(
                            Step(rule.name, False, f"{what} is {_printable(actual(facts))}, not {wanted}")
                        )
                        break
                    reasons.append(f"{what} is {wanted}")
                else:
                    steps.append(Step(rule.name, True, ", ".join(reasons) or "it has no conditions"))
                    return explanation(self._told(rule, facts, found))
            except TooLong as error:
                steps.append(Step(rule.name, False, f"{condition.what} is {error}"))
                reply = _too_long(condition, error).reply
                return explanation(f"refused, {reply.status}: {reply.body.strip()}")
        return explanation(f"pool {DEFAULT}: no rule fits")

    def _refusal(self, target: bytes) -> Answered | None:
        if self.routing.doubtful == "refuse" and (why := doubtful(target)):
            return Answered("", Reply(400, body=f"the path has {why}\n"))
        return None

    def _target(self, target: bytes) -> bytes:
        """Return the target to forward when no rule rewrites it."""
        if self.routing.doubtful != "normalise" or target == b"*" or not doubtful(target):
            return target
        _, mark, query = target.partition(b"?")
        return encoded_path(normal_path(target)).encode() + mark + query

    def _outcome(self, rule: Rule, facts: Facts, found: Found) -> Route | Answered:
        decision = rule.then.decide(facts, found, self._draw)
        if isinstance(decision, Reply):
            return Answered(rule.name, decision)
        mirror = ""
        if rule.mirror and (rule.mirror.share == 1 or self._draw() < rule.mirror.share):
            mirror = rule.mirror.pool
        if rule.rewrite is None:
            return Route(rule.name, decision, self._target(facts.request.target), mirror=mirror)
        target = self._rewritten(rule.rewrite, facts, found)
        changes = rule.rewrite
        return Route(rule.name, decision, target, tuple(changes.set.items()), changes.remove, mirror)

    def _rewritten(self, rewrite: Rewrite, facts: Facts, found: Found) -> bytes:
        if not rewrite.path or facts.request.target == b"*":
            return self._target(facts.request.target)
        path = template("path", rewrite.path).fill(facts, found)
        _, mark, query = facts.request.target.partition(b"?")
        return path.encode() + mark + query

    def _told(self, rule: Rule, facts: Facts, found: Found) -> str:
        text = rule.then.told(facts, found)
        if rule.rewrite and rule.rewrite.path:
            text += f", as {self._rewritten(rule.rewrite, facts, found).decode('latin-1')}"
        if rule.mirror:
            text += f", copies of {rule.mirror.share:.3%} to {rule.mirror.pool}"
        return text


def _printable(text: str) -> str:
    """Return a text from a client for a terminal: on one line, and not without an end."""
    return CONTROL.sub(lambda odd: odd[0].encode("unicode_escape").decode(), text[:200])


def _too_long(condition: Condition, error: TooLong) -> Answered:
    in_target = condition.what.removeprefix(EXCEPTION).startswith(("path", "query"))
    return Answered("", Reply(414 if in_target else 431, body=f"{condition.what} is {error}\n"))
