"""Calls the code of learners.

This module is never compiled: the watchdog looks for its frames, and a compiled caller would reject a wrong
result with a message of its own.
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
    """Replaces an algorithm that had to be interrupted: each pick raises the same error at once."""

    def __init__(self, error: AlgorithmError) -> None:
        self.error = error
        self.name = error.algorithm  # type: ignore[misc] # of this one object

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        raise self.error.again()


def interrupted(error: AlgorithmError) -> Balancer:
    """Return a balancer whose picks raise this error."""
    return _Interrupted(error)
