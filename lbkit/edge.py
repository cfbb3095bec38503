"""Rate limits and admission as data, and their decisions, for the simulator and the proxy."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from math import inf
from typing import Any

import attrs
from attrs import field, frozen

from lbkit.checks import number, one_of, whole, word
from lbkit.core.contract import FAILURES, method_failed
from lbkit.core.gate import CLASSES, Gate
from lbkit.core.key import RequestView, key_of
from lbkit.core.limit import Decision, InFlight, Limiter, limiters
from lbkit.core.limit.several import limiter_of
from lbkit.core.options import named_fields, option_faults
from lbkit.core.queues import QUEUES, Item
from lbkit.core.scope import GLOBAL, client_key, is_below, plain_path
from lbkit.core.shedding import AdmissionControlRules

TOO_MANY, UNAVAILABLE = 429, 503  # HTTP statuses of requests that are not admitted


def valid_path(instance: Any, attribute: attrs.Attribute[Any], value: str) -> None:
    """An attrs validator: a path."""
    if not (isinstance(value, str) and value.startswith("/")):
        raise ValueError(f"{attribute.name} is {value!r}: a path begins with /")


def valid_key(instance: Any, attribute: attrs.Attribute[Any], value: str) -> None:
    """An attrs validator: a key as in a Policy, or "global"."""
    if value != GLOBAL:
        key_of(value)


def _checked(name: str, spec: Mapping[str, Any]) -> Limiter:
    """Return the limiter that `spec` describes. Raises ValueError with a line for each wrong option."""
    if not isinstance(spec, Mapping):
        raise ValueError(f'{name} is {spec!r}: use a table such as {{kind = "token_bucket", rate = 10}}')
    options = dict(spec)
    cls = limiters().get(str(options.pop("kind", "")))
    if faults := list(option_faults(cls, options) if cls else ()):
        raise ValueError("\n".join(f"{name}: {fault}" for fault in faults))
    try:
        return limiter_of(spec)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _limiter(instance: Any, attribute: attrs.Attribute[Any], value: Mapping[str, Any]) -> None:
    limiter = _checked(attribute.name, value)
    if isinstance(limiter, InFlight):
        raise ValueError(f"{attribute.name}: {limiter.name} limits requests at once: use admission.limit")
    if limiter.limit < 1:
        raise ValueError(f"{attribute.name}: its limit is {limiter.limit:g}, so no request could be admitted")


@named_fields
@frozen
class RateLimit:
    """A rate limit on `path` and all below it, counted separately for each `key`.

    `limiter`: kind and options, as in {kind = "token_bucket", rate = 10, burst = 20}; with leaky_queue,
    or nginx_limit and its delay, requests are held instead of denied. `key`: as in a Policy, or "global";
    IPv6 addresses count by their /`prefix`, as each client has billions of them. `name`: the policy name in
    the response header fields.
    """

    limiter: Mapping[str, Any] = field(validator=_limiter)
    key: str = field(default="client", validator=valid_key)
    path: str = field(default="/", validator=valid_path)
    prefix: int = field(default=64, validator=whole(1))
    name: str = field(default="default")

    @name.validator
    def _name(self, attribute: object, value: str) -> None:
        if not re.fullmatch(r"[A-Za-z0-9_-]+", value):
            raise ValueError(f"name is {value!r}: use letters, digits, - and _")


About = Sequence[tuple[RateLimit, Limiter, str]]  # the rules that apply to a request, each with its key


class Rules:
    """Rate limits with their state. A request needs every rule that applies; if one denies, none is used."""

    def __init__(self, rules: Sequence[RateLimit]) -> None:
        self.rules = [(rule, limiter_of(rule.limiter), client_key(rule.key, rule.prefix)) for rule in rules]

        self._by_path = any(rule.path != "/" for rule in rules)

    def about(self, request: RequestView) -> About:
        """Return the rules that apply to a request, each with its key."""
        path = plain_path(request.target) if self._by_path else "/"
        return [
            (rule, limiter, key(request)) for rule, limiter, key in self.rules if is_below(path, rule.path)
        ]

    def decide(self, about: About, now: float) -> list[Decision]:
        """Return the decision of each rule. Raises AlgorithmError if a limiter of your own fails."""
        limiter: Any = None
        try:
            if len(about) == 1:
                ((_, limiter, key),) = about
                return [limiter.admit(key, now)]
            decisions = []
            for _, limiter, key in about:
                decisions.append(limiter.would(key, now))
            if all(decision.allowed for decision in decisions):
                for _, limiter, key in about:
                    limiter.allows(key, now)
            return decisions
        except FAILURES as error:
            raise method_failed(limiter, "step", error) from None


def _in_flight(instance: Any, attribute: attrs.Attribute[Any], value: Mapping[str, Any] | None) -> None:
    if value is None:
        return
    limiter = _checked(attribute.name, value)
    if not isinstance(limiter, InFlight):
        raise ValueError(f"{attribute.name}: {limiter.name} counts requests a second: use concurrency_limit")
    lowest = getattr(limiter, "min_limit", inf)  # an adaptive limit may fall to this and stay
    if min(limiter.limit_of(""), lowest) < 1:
        raise ValueError(f"{attribute.name}: below 1 nothing goes through: use 1 or more")
    for name in limiter.shares:
        if name not in CLASSES:
            raise ValueError(f"{attribute.name}: shares of {name!r}: use {', '.join(CLASSES)}")


@named_fields
@frozen
class Admission:
    """Admission control in front of the backends.

    `limit`: requests at once: {kind = "concurrency_limit", limit = 100}, or aimd or gradient, which adapt;
    with `shares`, lower classes are shed before it is full. `rate`: requests a second, `burst` at once.
    Both are optional. Up to `max_queue` requests wait, at most `timeout` seconds; after that, and
    when the `queue` ("fifo", "lifo", "codel" with its `target` and `interval`, "fair" by `key`, "priority")
    is full, they are answered 503. `control`: while many requests fail, a share is answered 503 at once, and
    the backends can recover (Envoy's admission control). `priorities`: the
    class of each path: high, normal (the default) or low; the longest matching path counts. You set them:
    a client cannot choose its own priority. Requests that have waited for half the timeout get a share of the
    slots, whatever their class.
    """

    limit: Mapping[str, Any] | None = field(default=None, validator=_in_flight)
    rate: float | None = field(default=None, validator=attrs.validators.optional(number(0, above=True)))
    burst: float = field(default=1.0, validator=number(1))
    queue: str = field(default="fifo", validator=word(QUEUES))
    max_queue: int = field(default=100, validator=whole(0))
    timeout: float = field(default=1.0, validator=number(0, above=True))
    key: str = field(default="client", validator=valid_key)
    prefix: int = field(default=64, validator=whole(1))
    priorities: Mapping[str, str] = field(factory=dict)
    target: float = field(default=0.005, validator=number(0, above=True))  # seconds
    interval: float = field(default=0.1, validator=number(0, above=True))  # seconds
    control: AdmissionControlRules | None = field(
        default=None, validator=attrs.validators.optional(one_of(AdmissionControlRules))
    )

    @priorities.validator
    def _classes(self, attribute: Any, value: Mapping[str, str]) -> None:
        for path, name in value.items():
            if not path.startswith("/") or name not in CLASSES:
                raise ValueError(f"priorities: {path!r} is {name!r}: use a path, and {', '.join(CLASSES)}")

    def gate(self, slack: float = 0.0, rng: random.Random | None = None) -> Gate:
        """Return the Gate. `slack`: seconds that timers may be late; what they release then goes at once.

        `rng` draws which requests `control` rejects."""
        limiter = None if self.limit is None else limiter_of(self.limit)
        assert limiter is None or isinstance(limiter, InFlight)
        rate = self.rate or inf
        burst = self.burst if rate == inf else self.burst + rate * slack
        options = {"priority": (CLASSES, self.timeout / 2), "codel": (self.target, self.interval)}
        queue = QUEUES[self.queue](*options.get(self.queue, ()))
        control = self.control.control(rng or random.Random()) if self.control else None
        return Gate(queue, limiter, rate, burst, self.max_queue, self.timeout, control)

    def read(self) -> Callable[[RequestView, Any, float], Item]:
        """Return the function that makes an Item of a request and a handle of yours."""
        key = client_key(self.key, self.prefix)
        longest_first = sorted(self.priorities.items(), key=lambda entry: -len(entry[0]))

        def item(request: RequestView, what: Any, now: float) -> Item:
            priority = "normal"
            if longest_first:
                path = plain_path(request.target)
                priority = next((name for top, name in longest_first if is_below(path, top)), priority)
            return Item(what, key(request), 1.0, priority, now)

        return item
