"""All rate limiters on the same requests, redrawn while a slider moves."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets as widgets

from lbkit.core.limit import Decision, Limiter, make_limiter, play
from lbkit.viz import limits
from lbkit.viz.widget import ControlPanel

SECONDS = 4.0  # length of the time axis
WINDOW = 1.0


def steady(count: int) -> list[float]:
    return [(i + 0.5) * SECONDS / count for i in range(count)]


def burst(count: int) -> list[float]:
    """Half of the requests at once, the others evenly spaced."""
    half = count // 2
    return sorted([1.2 + 0.01 * i for i in range(half)] + steady(max(1, count - half)))


def boundary(count: int) -> list[float]:
    """Requests just before and just after a full second: a fixed window admits both halves."""
    half = count // 2
    return [2.0 - 0.01 * (half - i) for i in range(half)] + [2.0 + 0.01 * i for i in range(count - half)]


def chance(count: int) -> list[float]:
    """Poisson arrivals, as from many independent clients."""
    rng = random.Random(7)
    return sorted(rng.random() * SECONDS for _ in range(count))


PATTERNS: dict[str, Callable[[int], list[float]]] = {
    "chance": chance,
    "steady": steady,
    "a burst": burst,
    "around a boundary": boundary,
}


def limiters(rate: float, burst: float) -> dict[str, Limiter]:
    """Return a limiter of each kind with `rate` a second in the long run, and about `burst` at once."""
    options: dict[str, dict[str, Any]] = {
        "token_bucket": {"rate": rate, "burst": burst},
        "gcra": {"rate": rate, "burst": burst},
        "leaky_bucket": {"rate": rate, "capacity": burst},
        "leaky_queue": {"rate": rate, "capacity": burst},
        "nginx_limit": {"rate": rate, "burst": max(0, int(burst) - 1), "delay": int(burst) // 2},
        "fixed_window": {"limit": rate, "window": WINDOW},
        "sliding_log": {"limit": rate, "window": WINDOW},
        "sliding_counter": {"limit": rate, "window": WINDOW},
    }
    return {kind: make_limiter(kind, **values) for kind, values in options.items()}


class LimiterPanel(ControlPanel):
    """Sliders for rate, burst and traffic; `played` has the decisions on the screen, by kind of limiter."""

    def __init__(self, rate: int = 5, burst: int = 5, requests: int = 40, pattern: str = "chance") -> None:
        controls = {
            "rate": widgets.IntSlider(rate, 1, 20, description="rate"),
            "burst": widgets.IntSlider(burst, 1, 20, description="burst"),
            "requests": widgets.IntSlider(requests, 2, 120, description="requests"),
            "pattern": widgets.Dropdown(options=list(PATTERNS), value=pattern, description="pattern"),
        }
        self.played: dict[str, Sequence[tuple[float, Decision]]] = {}
        super().__init__(controls, "lbkit-limiter-panel")

    def draw(self) -> None:
        values = self.values
        arrivals = PATTERNS[values["pattern"]](values["requests"])
        made = limiters(values["rate"], values["burst"])
        self.played = {kind: play(limiter, arrivals) for kind, limiter in made.items()}
        self.view.show(limits.marks(self.played))
        self.summary.value = f"{limits.extremes(self.played)}."
