"""What stands at the entrance, as data, and what it decides, in the simulator as in the proxy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
from attrs import field, frozen

from lbkit.core.key import Asked, key_of
from lbkit.core.limit import Decision, InFlight, Limiter
from lbkit.core.limit.several import limiter_of
from lbkit.core.scope import EVERYBODY, is_below, plain_path, whose
from lbkit.distributions import whole

TOO_MANY, UNAVAILABLE = 429, 503  # HTTP statuses of those who are not let in


def a_path(instance: Any, attribute: attrs.Attribute[Any], value: str) -> None:
    """A validator."""
    if not value.startswith("/"):
        raise ValueError(f"{attribute.name} is {value!r}: a path begins with /")


def a_key(instance: Any, attribute: attrs.Attribute[Any], value: str) -> None:
    """A validator."""
    if value != EVERYBODY:
        key_of(value)


def _limiter(instance: Any, attribute: attrs.Attribute[Any], value: Mapping[str, Any]) -> None:
    try:
        limiter = limiter_of(value)
    except ValueError as error:
        raise ValueError(f"{attribute.name}: {error}") from None
    if isinstance(limiter, InFlight):
        raise ValueError(f"{attribute.name}: {limiter.name} is about how many at once: use admission.limit")


@frozen
class RateLimit:
    """A rule: requests to `path` and what is below it are limited, for each `key` by itself.

    `limiter`: its kind and options, as in {kind = "token_bucket", rate = 10, burst = 20}; with leaky_queue,
    or nginx_limit and its delay, requests are held instead of denied. `key`: as in a Policy, or "everybody";
    clients with IPv6 addresses count by their /`prefix`, since each has billions of them. `name`: what the
    client is told.
    """

    limiter: Mapping[str, Any] = field(validator=_limiter)
    key: str = field(default="client", validator=a_key)
    path: str = field(default="/", validator=a_path)
    prefix: int = field(default=64, validator=whole(1))
    name: str = field(default="default", validator=attrs.validators.matches_re(r"[A-Za-z0-9_-]+"))


About = Sequence[tuple[RateLimit, Limiter[Any], str]]  # rules about a request, and whose it is to each


class Rules:
    """Rate limits at work. A request goes if every rule that is about it lets it; else none is used up."""

    def __init__(self, rules: Sequence[RateLimit]) -> None:
        self.rules = [(rule, limiter_of(rule.limiter), whose(rule.key, rule.prefix)) for rule in rules]

        self._by_path = any(rule.path != "/" for rule in rules)

    def about(self, request: Asked) -> About:
        path = plain_path(request.target) if self._by_path else "/"
        return [
            (rule, limiter, key(request)) for rule, limiter, key in self.rules if is_below(path, rule.path)
        ]

    def decide(self, about: About, now: float) -> list[Decision]:
        """What each rule says. Raises ValueError from a learner's own limiter only."""
        decisions = [limiter.would(key, now) for _, limiter, key in about]
        if all(decision.allowed for decision in decisions):
            for _, limiter, key in about:
                limiter.allows(key, now)
        return decisions
