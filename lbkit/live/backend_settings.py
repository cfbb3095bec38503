"""What can be changed in a running backend through its page /control: the defaults, and their limits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lbkit.core.text import unknown
from lbkit.experiment import Server
from lbkit.health_page import OK, STATES


def settings_of(server: Server) -> dict[str, Any]:
    """Return a server's settings when it starts."""
    return {
        "speed": server.speed,
        "error_rate": server.error_rate,
        "healthy": True,
        "size": 128,  # bytes of an answer's body
        "burn": False,  # compute instead of sleeping
        "dependencies": dict.fromkeys(server.dependencies, OK),  # name -> ok, degraded or failed
        "lose": 0.0,  # share of the requests that get no answer
        "fail": 0.0,  # share of the clients that get status 500
        "delay": 0.0,  # seconds that each way takes longer
    }


# Setting -> (does a value fit?, what fits).
SETTINGS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "speed": (lambda v: _number(v) and v > 0, "a number above 0"),
    "error_rate": (lambda v: _number(v) and 0 <= v <= 1, "a number from 0 to 1"),
    "healthy": (lambda v: isinstance(v, bool), "true or false"),
    "burn": (lambda v: isinstance(v, bool), "true or false"),
    "size": (lambda v: type(v) is int and 0 <= v <= 10_000_000, "bytes, from 0 to 10000000"),
    "dependencies": (
        lambda v: isinstance(v, dict) and all(s in STATES for s in v.values()),
        f"a table of names and {', '.join(STATES[:-1])} or {STATES[-1]}",
    ),
    "lose": (lambda v: _number(v) and 0 <= v <= 1, "a share of requests, from 0 to 1"),
    "fail": (lambda v: _number(v) and 0 <= v <= 1, "a share of clients, from 0 to 1"),
    "delay": (lambda v: _number(v) and 0 <= v <= 1e6, "seconds, from 0 to 1e+06"),
}


def check_settings(changes: Any) -> None:
    """Raises ValueError that names the setting."""
    if not isinstance(changes, dict):
        raise ValueError(f"settings must be a table of {', '.join(SETTINGS)}")
    for name, value in changes.items():
        if name not in SETTINGS:
            raise ValueError(unknown(name, SETTINGS, "setting"))
        fits, said = SETTINGS[name]
        if not fits(value):
            raise ValueError(f"{name} is {value!r}: use {said}")


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
