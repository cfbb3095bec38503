"""What every rate limiter is: a rule that says what a request does to a state, if it is admitted at all."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable
from difflib import get_close_matches
from math import inf
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

_registry: dict[str, type[Limiter[Any]]] = {}

S = TypeVar("S")  # a key's state; never changed in place
new_tuple = tuple.__new__  # a Decision without the detour through its keywords: half of what one costs
MAX_KEYS = 1_000_000
# Sums of floats may fall short by their last digits: whoever comes exactly when told is admitted.
TINY = 1e-9
LOOKS = 4  # keys looked at for one that may be forgotten


class Decision(NamedTuple):
    """What a limiter says of one request. Times are in seconds from now."""

    allowed: bool
    limit: float  # how much is admitted at once
    remaining: float  # how much would still be
    retry_after: float = 0.0  # until the same request would be admitted; 0 if it is
    reset_after: float = 0.0  # until nothing is left of what was used
    delay: float = 0.0  # admitted, but only after so long


class Limiter(Generic[S]):
    """Admits so much of each key. A subclass says in `step` what a request does to a key's state.

    `now` is in seconds, of any origin; if the clock jumps back, time goes on from where it was. A denial
    changes nothing. At most `max_keys` keys have a state: a new one takes the place of one whose state is
    over, and if there is none, all newcomers share one state. So nobody is forgiven because many others came.
    """

    name: ClassVar[str] = ""
    limit: float = inf  # the highest cost that can ever be admitted
    limit_name: ClassVar[str] = "limit"  # what a user calls it
    max_keys: int = MAX_KEYS
    _states: dict[Hashable, S]
    _order: list[Hashable]  # keys with a state, for the hand that looks for one to forget
    _hand: int
    _latest: float
    _shift: float  # what a clock that jumped back is behind

    def __new__(cls, *args: Any, **kwargs: Any) -> Limiter[S]:
        # Here, so that a subclass may have an __init__ that calls no super().
        self = super().__new__(cls)
        self._states, self._order, self._hand = {}, [], 0
        self._latest, self._shift = -inf, 0.0
        return self

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "name" not in cls.__dict__:
            cls.name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).lower()
        if not cls.__name__.startswith("_") and cls.step is not Limiter.step:
            _registry[cls.name] = cls

    # -- the rule -------------------------------------------------------------------------

    def step(self, state: S | None, now: float, cost: float) -> S | None:
        """The key's state after a request that is admitted, or None: it is denied.

        `state` is None for a key that has none. Changes nothing."""
        raise NotImplementedError

    def granted(self, after: S, now: float, cost: float) -> Decision:
        """What to say of a request that led to this state."""
        return Decision(True, self.limit, 0.0)

    def denied(self, before: S | None, now: float, cost: float) -> Decision:
        """What to say of one that this state did not admit."""
        return Decision(False, self.limit, 0.0)

    def over(self, state: S, now: float) -> bool:
        """Whether this state is as good as none."""
        return False

    # -- for everybody -----------------------------------------------------------------------
    # `allows` and `admit` begin alike: a function for both would cost a fifth of what a decision takes.

    def allows(self, key: str, now: float, cost: float = 1) -> bool:
        """Whether a request of `key` may go: `admit` without the details, in half the time.

        Raises ValueError for a cost that can never be admitted."""
        now += self._shift
        if now < self._latest:
            now = self._jumped_back(now)
        self._latest = now
        before = self._states.get(key)
        if before is None:
            return self._newcomer(key, now, cost)[1] is not None
        after = self.step(before, now, cost)
        if after is None or cost < 0:
            if not 0 <= cost <= self.limit:
                fits(cost, self.limit, self.limit_name)  # says what is wrong
            return False
        self._states[key] = after
        return True

    def admit(self, key: str, now: float, cost: float = 1) -> Decision:
        """Whether a request of `key` may go, how much is left, and when to come again.

        Raises ValueError for a cost that can never be admitted."""
        now += self._shift
        if now < self._latest:
            now = self._jumped_back(now)
        self._latest = now
        before = self._states.get(key)
        if before is None:
            before, after = self._newcomer(key, now, cost)
        else:
            after = self.step(before, now, cost)
            if after is None or cost < 0:
                if not 0 <= cost <= self.limit:
                    fits(cost, self.limit, self.limit_name)
            else:
                self._states[key] = after
        return self.denied(before, now, cost) if after is None else self.granted(after, now, cost)

    def would(self, key: str, now: float, cost: float = 1) -> Decision:
        """What `admit` would say; changes nothing."""
        now = max(now + self._shift, self._latest)
        before = self._states.get(key)
        if before is None and len(self._order) >= self.max_keys:
            # Whether somebody's place is free is only known when it is taken: look at the strangers' state.
            before = self._states.get(STRANGERS)
        after = self.step(before, now, cost)
        if after is None or cost < 0:
            fits(cost, self.limit, self.limit_name)
        return self.denied(before, now, cost) if after is None else self.granted(after, now, cost)

    def _jumped_back(self, now: float) -> float:
        """From here on this clock is behind by so much more."""
        self._shift += self._latest - now
        return self._latest

    def _newcomer(self, key: Hashable, now: float, cost: float) -> tuple[S | None, S | None]:
        """The states before and after a request of a key that has none."""
        states, order = self._states, self._order
        place = len(order) if len(order) < self.max_keys else self._vacate(now)
        if place is None:
            key = STRANGERS
        before = states.get(key)
        after = self.step(before, now, cost)
        if after is None or cost < 0:
            fits(cost, self.limit, self.limit_name)
            return before, None
        states[key] = after
        if place == len(order):
            order.append(key)
        elif place is not None:
            order[place] = key
        return before, after

    def _vacate(self, now: float) -> int | None:
        """The place of somebody whose state is over, and is forgotten; None if a few looks find nobody."""
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
        """Keys that have a state."""
        return len(self._states)


STRANGERS = ("strangers",)  # no text, so no key is it
VACANT = ("vacant",)


def limiters() -> dict[str, type[Limiter[Any]]]:
    """Every limiter by name, a learner's own among them."""
    return dict(sorted(_registry.items()))


def make_limiter(name: str, /, **options: Any) -> Limiter[Any]:
    """The limiter called `name`. Raises ValueError for a name or option that there is not."""
    try:
        cls = _registry[name]
    except KeyError:
        near = get_close_matches(name, _registry, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(sorted(_registry))}"
        raise ValueError(f"no limiter {name!r}: {hint}") from None
    try:
        return cls(**options)
    except TypeError as error:
        raise ValueError(f"limiter {name!r} does not take these options: {error}") from None


def positive(**values: float) -> None:
    """Raises ValueError that names the first one that is not above 0, or infinite."""
    for name, value in values.items():
        if not 0 < value < inf:
            raise ValueError(f"{name} is {value}: use a number above 0")


def fits(cost: float, limit: float, what: str) -> None:
    """Raises ValueError for a cost that is negative, or above what can ever be admitted at once."""
    if not 0 <= cost <= limit:
        if cost > limit:
            raise ValueError(f"cost is {cost:g}: the {what} is {limit:g}, so it could never be admitted")
        raise ValueError(f"cost is {cost}: use 0 or more")


def play(limiter: Limiter[Any], arrivals: Iterable[float], key: str = "") -> list[tuple[float, Decision]]:
    """What it says to a request at each of these moments, one after the other."""
    return [(now, limiter.admit(key, now)) for now in arrivals]
