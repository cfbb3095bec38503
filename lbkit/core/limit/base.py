"""The base class of all limiters, and the registry that finds them by name.

A limiter is a rule: the state of a key after a request, if the request is admitted at all.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable
from math import inf
from types import GetSetDescriptorType
from typing import Any, ClassVar, Final, NamedTuple, Self

from mypy_extensions import mypyc_attr

from lbkit.core.contract import check_name
from lbkit.core.options import number, option_faults
from lbkit.core.text import did_you_mean

_registry: dict[str, type[Limiter]] = {}

State = Any  # of a key; each kind of limiter has its own. Never changed in place
new_tuple: Final = tuple.__new__  # makes a Decision without keywords, in half the time
MAX_KEYS: Final = 1_000_000
# Sums of costs may fall short by their last digits.
TINY: Final = 1e-9
# Seconds by which a request may be early. Times are floats: those since 1970 are a quarter of a microsecond
# apart, and a request that comes exactly when it may would be denied as often as not.
TOLERANCE: Final = 1e-6
LOOKS: Final = 4  # keys examined for one that may be forgotten


class Decision(NamedTuple):
    """A limiter's decision on one request. Times are in seconds from now."""

    allowed: bool
    limit: float  # the cost that is admitted at once
    remaining: float  # the cost that would still be admitted now
    retry_after: float = 0.0  # until the same request would be admitted; 0 if it is
    reset_after: float = 0.0  # until all of `limit` is available again
    delay: float = 0.0  # wait before an admitted request goes on


@mypyc_attr(allow_interpreted_subclasses=True)
class Limiter:
    """Limits the cost admitted for each key. A subclass defines `step`: the state of a key after a request.

    `now` is in seconds, of any origin; if the clock jumps back, time goes on from where it was. Times are
    exact to a microsecond (`TOLERANCE`), up to 4e9 s. A denial changes nothing. At most `max_keys` keys have
    a state: a new key takes the place of one with a state that is over; without one, all new keys share one
    state. A flood of new keys never resets an existing limit.
    """

    name: ClassVar[str] = ""
    limit: float  # the highest cost that can be admitted
    limit_name: ClassVar[str] = "limit"  # its name among the options
    max_keys: int
    _states: dict[Hashable, State]
    _order: list[Hashable]  # keys with a state, as the hand of the clock goes over them
    _hand: int
    _latest: float
    _shift: float  # seconds by which a clock that jumped back is behind

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        # Here, so that a subclass may have an __init__ that calls no super().
        self = super().__new__(cls)
        self._states, self._order, self._hand = {}, [], 0
        self._latest, self._shift = -inf, 0.0
        self.limit, self.max_keys = of_class(cls, "limit", inf), of_class(cls, "max_keys", MAX_KEYS)
        return self

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "name" not in vars(cls):
            cls.name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).lower()
        check_name(cls)
        if not cls.__name__.startswith("_") and cls.step is not Limiter.step:
            _registry[cls.name] = cls

    # -- the rule -------------------------------------------------------------------------

    def step(self, state: State, now: float, cost: float) -> State:
        """Return the key's state after the request if it is admitted, None if it is denied.

        `state` is None for a key without one. Changes nothing."""
        raise NotImplementedError

    def granted(self, after: State, now: float, cost: float) -> Decision:
        """Return the decision on a request that led to this state."""
        return Decision(True, self.limit, 0.0)

    def denied(self, before: State, now: float, cost: float) -> Decision:
        """Return the decision on a request that this state did not admit."""
        return Decision(False, self.limit, 0.0)

    def over(self, state: State, now: float) -> bool:
        """Return whether this state is the same as none, so that the key may be forgotten."""
        return False

    # -- decisions ---------------------------------------------------------------------------
    # `allows` and `admit` begin alike: a shared function would take a fifth of the time of a decision.

    def allows(self, key: Hashable, now: float, cost: float = 1) -> bool:
        """Admit or deny a request of `key`: `admit` without the details, in half the time.

        Raises ValueError for a cost that can never be admitted."""
        if not 0 <= cost <= self.limit:
            fits(cost, self.limit, self.limit_name)  # raises with the reason
        now += self._shift
        if now < self._latest:
            now = self._jumped_back(now)
        self._latest = now
        before = self._states.get(key)
        if before is None:
            return self._newcomer(key, now, cost)[1] is not None
        after = self.step(before, now, cost)
        if after is None:
            return False
        self._states[key] = after
        return True

    def admit(self, key: Hashable, now: float, cost: float = 1) -> Decision:
        """Admit or deny a request of `key`; return the decision, with what remains and when to retry.

        Raises ValueError for a cost that can never be admitted."""
        if not 0 <= cost <= self.limit:
            fits(cost, self.limit, self.limit_name)
        now += self._shift
        if now < self._latest:
            now = self._jumped_back(now)
        self._latest = now
        before = self._states.get(key)
        if before is None:
            before, after = self._newcomer(key, now, cost)
        else:
            after = self.step(before, now, cost)
            if after is not None:
                self._states[key] = after
        return self.denied(before, now, cost) if after is None else self.granted(after, now, cost)

    def would(self, key: Hashable, now: float, cost: float = 1) -> Decision:
        """Return what `admit` would; changes nothing."""
        fits(cost, self.limit, self.limit_name)
        now = max(now + self._shift, self._latest)
        before = self._states.get(key)
        if before is None and len(self._order) >= self.max_keys:
            # Only `admit` looks for a place to take: until then new keys have the shared state.
            before = self._states.get(STRANGERS)
        after = self.step(before, now, cost)
        return self.denied(before, now, cost) if after is None else self.granted(after, now, cost)

    def _jumped_back(self, now: float) -> float:
        """Note by how much the clock is behind from now on; return the time to go on with."""
        self._shift += self._latest - now
        return self._latest

    def _newcomer(self, key: Hashable, now: float, cost: float) -> tuple[State, State]:
        """Return the states before and after a request of a key without one."""
        states, order = self._states, self._order
        place = len(order) if len(order) < self.max_keys else self._vacate(now)
        if place is None:
            key = STRANGERS
        before = states.get(key)
        after = self.step(before, now, cost)
        if after is None:
            return before, None
        states[key] = after
        if place == len(order):
            order.append(key)
        elif place is not None:
            order[place] = key
        return before, after

    def _vacate(self, now: float) -> int | None:
        """Forget a key with a state that is over and return its place; None if LOOKS keys have none."""
        for _ in range(LOOKS):
            self._hand = (self._hand + 1) % len(self._order)
            key = self._order[self._hand]
            state = self._states.get(key)
            if state is None or self.over(state, now):
                self._states.pop(key, None)
                self._order[self._hand] = VACANT
                return self._hand
        return None

    def __len__(self) -> int:
        """The number of keys with a state."""
        return len(self._states)


def of_class(cls: type, name: str, default: Any) -> Any:
    """Return what a class has for its objects, as `limit = 5` in a learner's; no slot of a compiled class."""
    value = getattr(cls, name, default)
    return default if isinstance(value, GetSetDescriptorType) else value


STRANGERS = ("strangers",)  # the shared state of new keys; not a text, so not a real key
VACANT = ("vacant",)


def limiters() -> dict[str, type[Limiter]]:
    """Return every limiter by name, your own included."""
    return dict(sorted(_registry.items()))


def make_limiter(name: str, /, **options: Any) -> Limiter:
    """Return a new limiter of the kind `name`. Raises ValueError for an unknown name or option."""
    try:
        cls = _registry[name]
    except KeyError:
        hint = did_you_mean(name, _registry, joint="") or f"there are {', '.join(sorted(_registry))}"
        raise ValueError(f"no limiter {name!r}: {hint}") from None
    try:
        return cls(**options)
    except TypeError as error:
        faults = "; ".join(option_faults(cls, options)) or error
        raise ValueError(f"limiter {name!r} does not take these options: {faults}") from None


def positive(**values: Any) -> None:
    """Raise ValueError for the first value that is not above 0 and finite, with its name."""
    number(0, above=True, **values)


def fits(cost: float, limit: float, what: str) -> None:
    """Raise ValueError for a cost that is negative, no number, or above the limit: never admitted."""
    if not 0 <= cost <= limit:
        if cost > limit:
            raise ValueError(f"cost is {cost:g}: the {what} is {limit:g}, so it could never be admitted")
        raise ValueError(f"cost is {cost:g}: use 0 or more")


def play(limiter: Limiter, arrivals: Iterable[float], key: str = "") -> list[tuple[float, Decision]]:
    """Return the decision on a request at each of these moments, one after the other."""
    return [(now, limiter.admit(key, now)) for now in arrivals]
