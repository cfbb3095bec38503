"""Passive checks as nginx has them: after `max_fails` failures a backend rests for `fail_timeout`."""

from __future__ import annotations

from dataclasses import dataclass

from lbkit.core.options import named_fields


@named_fields
@dataclass(frozen=True, slots=True)
class MaxFailsRules:
    """`max_fails` failed attempts take a backend out for `fail_timeout` seconds; see MaxFails.

    (nginx `server ... max_fails=1 fail_timeout=10s`; max_fails 0 turns it off. Traefik: 1 in 10 s.)
    Raises ValueError.
    """

    max_fails: int = 1
    fail_timeout: float = 10.0

    def __post_init__(self) -> None:
        if isinstance(self.max_fails, bool) or not isinstance(self.max_fails, int) or self.max_fails < 1:
            raise ValueError(f"max_fails is {self.max_fails}: use a whole number, at least 1")
        if not 0 < self.fail_timeout < float("inf"):
            raise ValueError(f"fail_timeout is {self.fail_timeout}: use seconds above 0")


class MaxFails:
    """The failures of one backend.

    As in nginx, failures count until a request succeeds that is sent more than `fail_timeout` after the last
    of them. A success before that forgives nothing: a backend that fails every second request is taken out,
    too. After the rest a single further failure takes the backend out again, and a failure during the rest
    (of a request from before) begins it anew.
    """

    __slots__ = ("_fails", "_last", "_rules", "until")

    def __init__(self, rules: MaxFailsRules) -> None:
        self._rules = rules
        self._fails = 0
        self._last = float("-inf")  # when the last failure was
        self.until: float | None = None  # out until then

    @property
    def fails(self) -> int:
        """The failures that count."""
        return self._fails

    def failed(self, now: float) -> bool:
        """Count a failed attempt; return whether it takes the backend out (it is back at `until`)."""
        self._fails += 1
        self._last = now
        if self._fails < self._rules.max_fails:
            return False
        was_in = self.until is None
        self.until = now + self._rules.fail_timeout
        return was_in

    def succeeded(self, started: float) -> None:
        """Forget the failures, if the request that succeeded was sent long enough after the last of them."""
        if started - self._last > self._rules.fail_timeout and self.until is None:
            self._fails = 0

    def back(self) -> None:
        """End the rest: the backend gets requests again."""
        self.until = None
