"""The style of figures: one look for each policy and backend, the same in every figure.

The colours are those of Okabe and Ito, which colour-blind readers can distinguish, without their yellow,
which is invisible on white. After the last colour the dash changes, so a look is a colour and a dash.
Backgrounds are transparent and texts mid-grey: readable on light and dark pages.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from zlib import crc32

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#9A7FD1")
DASHES = ("solid", "dot", "dash", "dashdot")
PATTERNS = ("", ".", "/", "x")  # bars have no dashes
INK = "#7B828C"
GRID = "rgba(128,136,146,0.22)"
DOWN = "#B5463C"
HEAT = ((0.0, "rgba(86,180,233,0.08)"), (0.35, "#56B4E9"), (0.7, "#0072B2"), (1.0, "#D55E00"))

# The first six are often side by side. Other policies, your own included, get a dash.
POLICIES = (
    "random",
    "round_robin",
    "power_of_two",
    "weighted_round_robin",
    "least_response_time",
    "least_connections",
    "consistent_hash",
    "ip_hash",
)


ENGINES = ("sim", "live", "nginx", "haproxy", "apache", "caddy", "docker")


@dataclass(frozen=True, slots=True)
class Look:
    """The colour, dash and pattern of a policy or backend."""

    colour: str
    dash: str = "solid"
    pattern: str = ""

    @property
    def line(self) -> dict[str, Any]:
        return {"color": self.colour, "dash": self.dash, "width": 2}

    @property
    def marker(self) -> dict[str, Any]:
        return {"color": self.colour, "pattern": {"shape": self.pattern, "fgopacity": 0.5, "size": 6}}


def look(number: int) -> Look:
    """Return look number `number`; after 28 they repeat."""
    turn = number // len(COLOURS) % len(DASHES)
    return Look(COLOURS[number % len(COLOURS)], DASHES[turn], PATTERNS[turn])


def policy_look(name: str, before: int = 0) -> Look:
    """Return a policy's look, which depends on its name only: the same in every figure and session.

    `before`: how often the figure shows this policy already; each time gets the same colour, another dash."""
    if name in POLICIES:
        number = POLICIES.index(name)
    else:
        number = 2 * len(COLOURS) + crc32(name.encode()) % (2 * len(COLOURS))
    return look(number + before * len(COLOURS))


def engine_look(name: str) -> Look:
    """Return an engine's look, for figures that compare engines."""
    return look(ENGINES.index(name) if name in ENGINES else len(ENGINES))


def title(name: str) -> str:
    """Return a name as readers write it: `power_of_two` is "power of two"."""
    return name.replace("_", " ")


def axis(name: str = "", **more: Any) -> dict[str, Any]:
    """Return an axis with its title, which includes the unit."""
    return {
        "title": {"text": name, "standoff": 6},
        "gridcolor": GRID,
        "linecolor": GRID,
        "zerolinecolor": GRID,
        "ticks": "",
        "automargin": True,
        **more,
    }


def layout(name: str = "", height: int = 340, **more: Any) -> dict[str, Any]:
    """Return the layout of all figures."""
    return {
        "title": {"text": name, "font": {"size": 15}, "x": 0, "xref": "container", "pad": {"l": 8}},
        "template": {},  # plotly's own is 7 kB a figure
        "height": height,
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"color": INK, "size": 12, "family": "system-ui, sans-serif"},
        "margin": {"l": 56, "r": 16, "t": 40 if name else 16, "b": 72},
        "legend": {"orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom", "x": 0},
        "hoverlabel": {"font": {"size": 12}},
        "bargap": 0.25,
        **more,
    }
