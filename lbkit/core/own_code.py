"""Where lbkit calls the code of learners.

This module is never compiled: the watchdog looks for its frames, and compiled callers would refuse a wrong
result in words of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from lbkit.core.backend import Backend
from lbkit.core.balance.base import Balancer
from lbkit.core.contract import AlgorithmError


def call(method: Callable[..., Any], *arguments: Any) -> Any:
    return method(*arguments)


class _Interrupted(Balancer):
    """Takes the place of an algorithm that had to be interrupted: a pick raises the same error, at once."""

    def __init__(self, error: AlgorithmError) -> None:
        self.error = error
        self.name = error.algorithm  # type: ignore[misc] # of this one object

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        raise self.error.again()


def interrupted(error: AlgorithmError) -> Balancer:
    """Return a balancer whose picks raise this error."""
    return _Interrupted(error)
