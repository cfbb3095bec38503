"""What a simulation records on request (`run(..., record=True)`): each attempt of each request, and the
reasons of the first decisions."""

from __future__ import annotations

from typing import NamedTuple

from lbkit.core.balance.base import Why

KINDS = ("first", "retry", "hedge")
FIRST, RETRY, HEDGE = KINDS


class Attempt(NamedTuple):
    """A request at one server. Times are in seconds from the start of the run; nan: not, or not yet."""

    request: int  # row of the Result
    server: int  # index into the `backends` of the Result
    at: float  # when the balancer picked the server
    start: float  # when a worker began with it
    end: float  # when the server was done with it: completed, refused, lost or told to stop
    kind: str = FIRST
    outcome: str = ""  # ok, failed, timeout, left, cancelled, unfinished


class Decision(NamedTuple):
    """A pick, and the reason that the algorithm gave before it."""

    at: float
    request: int  # row of the Result
    server: int  # index into the `backends` of the Result; -1: there was none to pick
    why: Why
