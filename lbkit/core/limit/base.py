"""What every rate limiter is: a rule that turns a state and a request into a decision and another state."""

from __future__ import annotations

import re
from collections.abc import Hashable
from difflib import get_close_matches
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

_registry: dict[str, type[Limiter[Any]]] = {}

S = TypeVar("S")  # a key's state; never changed in place
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
        self._latest, self._shift = float("-inf"), 0.0
        return self

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "name" not in cls.__dict__:
            cls.name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).lower()
        if not cls.__name__.startswith("_"):
            _registry[cls.name] = cls

    # -- the rule -------------------------------------------------------------------------

    def step(self, state: S | None, now: float, cost: float) -> tuple[Decision, S | None]:
        """The decision, and the key's state after it; None for the state if it stays as it was.

        `state` is None for a key that has none. Raises ValueError for a cost that can never be admitted."""
        raise NotImplementedError

    def over(self, state: S, now: float) -> bool:
        """Whether this state is as good as none."""
        raise NotImplementedError

    # -- for everybody -----------------------------------------------------------------------

    def admit(self, key: str, now: float, cost: float = 1) -> Decision:
        """Whether a request of `key` may go. Raises ValueError for a cost that can never be admitted."""
        if self._shift:
            now += self._shift
        if now < self._latest:
            self._shift += self._latest - now
            now = self._latest
        self._latest = now
        state = self._states.get(key)
        if state is None:
            return self._first(key, now, cost)
        decision, after = self.step(state, now, cost)
        if after is not None:
            self._states[key] = after
        return decision

    def would(self, key: str, now: float, cost: float = 1) -> Decision:
        """What `admit` would say; changes nothing."""
        now = max(now + self._shift, self._latest)
        state = self._states.get(key)
        if state is None and len(self._order) >= self.max_keys:
            # Whether somebody's place is free is only known when it is taken: look at the strangers' state.
            state = self._states.get(STRANGERS)
        return self.step(state, now, cost)[0]

    def _first(self, key: Hashable, now: float, cost: float) -> Decision:
        """Of a key that has no state."""
        place = len(self._order)
        if place >= self.max_keys:
            found = self._forget(now)
            if found is None:
                key, place = STRANGERS, -1
            else:
                place = found
        decision, after = self.step(self._states.get(key), now, cost)
        if after is not None:
            self._states[key] = after
            if place == len(self._order):
                self._order.append(key)
            elif place >= 0:
                self._order[place] = key
        elif 0 <= place < len(self._order):
            self._order[place] = VACANT  # nobody came in for the one who was forgotten
        return decision

    def _forget(self, now: float) -> int | None:
        """Somebody's place whose state is over; None if a few looks find none."""
        for _ in range(LOOKS):
            self._hand = (self._hand + 1) % len(self._order)
            key = self._order[self._hand]
            state = self._states.get(key)
            if state is None or self.over(state, now):
                self._states.pop(key, None)
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
        if not 0 < value < float("inf"):
            raise ValueError(f"{name} is {value}: use a number above 0")


def fits(cost: float, most: float, what: str) -> None:
    """Raises ValueError for a cost that is negative, or above what can ever be admitted at once."""
    if not 0 <= cost <= most:
        if cost > most:
            raise ValueError(f"cost is {cost:g}: the {what} is {most:g}, so it could never be admitted")
        raise ValueError(f"cost is {cost}: use 0 or more")
