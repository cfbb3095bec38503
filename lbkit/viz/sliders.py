"""The controls of the playground: a table of them, in groups, and the widgets made from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ipywidgets as widgets

from lbkit.viz.scenario import LIMITS, VARIABILITY, Settings


@dataclass(frozen=True, slots=True)
class Control:
    """What a slider is called, what its tooltip says, and its step."""

    label: str
    tip: str
    step: float = 1


# Group -> the fields of Settings in it.
GROUPS: dict[str, dict[str, Control]] = {
    "Servers": {
        "servers": Control("servers", "how many servers share the requests"),
        "unequal": Control(
            "unequal speeds",
            "how much slower the slowest server is than the fastest; 0 %: all are alike",
            0.01,
        ),
        "failures": Control(
            "failures", "servers that crash after a third of the time, and are back after two thirds"
        ),
    },
    "Requests": {
        "load": Control("load", "the work that requests need, as a share of what all servers can do", 0.01),
        "variability": Control(
            "variability",
            "how much the work differs from request to request; none: always the same; medium: exponential",
        ),
        "clients": Control(
            "clients", "how many clients send them; matters to algorithms that hash the client's address", 5
        ),
    },
    "Chance": {
        "seed": Control("seed", "another number is other traffic of the same kind"),
    },
}
WIDE = 296  # pixels of the column


def controls(settings: Settings) -> dict[str, Any]:
    """Return a slider for each of the settings, by its name."""
    return {
        name: slider(name, what, getattr(settings, name))
        for group in GROUPS.values()
        for name, what in group.items()
    }


def slider(name: str, what: Control, value: Any) -> Any:
    """Return the slider of a setting."""
    look = {
        "description": what.label,
        "tooltip": what.tip,
        "style": {"description_width": "104px"},
        "layout": {"width": f"{WIDE}px", "margin": "0 2px"},
    }
    if name == "variability":
        return widgets.SelectionSlider(options=list(VARIABILITY), value=value, **look)
    low, high = LIMITS[name]
    if isinstance(value, int) and isinstance(what.step, int):
        return widgets.IntSlider(value, low, high, what.step, **look)
    return widgets.FloatSlider(value, min=low, max=high, step=what.step, readout_format=".0%", **look)


def grouped(sliders: Mapping[str, Any], *below: Any) -> widgets.VBox:
    """Return the column of all sliders in their groups, with `below` at its end."""
    rows: list[Any] = []
    for group, names in GROUPS.items():
        heading = widgets.Label(group, style={"font_weight": "600"}, layout={"height": "24px", "margin": "0"})
        rows += [heading, *(sliders[name] for name in names)]
    return widgets.VBox([*rows, *below], layout={"flex": f"0 0 {WIDE + 4}px"})
