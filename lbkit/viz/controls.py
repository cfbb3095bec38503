"""Controls made from plain values: sliders, checkboxes and menus, with labels and tooltips."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import floor, log10
from typing import Any

import ipywidgets as widgets

from lbkit.core.text import shown, unknown
from lbkit.viz.style import title

Labels = Mapping[str, "str | tuple[str, str]"]
NO_LABELS: Labels = {}
STEPS = 50  # of a slider of fractions, at most
ROOM, LETTER = 230, 7  # pixels of a control beside its label, and of a letter of it


def checked_labels(labels: Labels, names: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Return `labels`, by argument, as pairs of a label and a tooltip ("" without one).

    `names`: the arguments that have a control. Raises ValueError for any other, and for what is no text."""
    known, found = list(names), {}
    for name, said in labels.items():
        if name not in known:
            raise ValueError(f"labels: {unknown(name, known, 'control')}")
        pair = (said, "") if isinstance(said, str) else said
        if not isinstance(pair, tuple) or len(pair) != 2 or not all(isinstance(text, str) for text in pair):
            raise ValueError(f"labels: {name} is {shown(said)}: use a text, or (label, tooltip)")
        found[name] = pair
    return found


def control(name: str, what: Any, label: str = "", tip: str = "") -> Any:
    """Return the control of an argument; without `label` it shows the argument's name.

    Raises ValueError for what is no range, list of words, True or False."""
    label = label or title(name)
    look: dict[str, Any] = {"description": label, "tooltip": tip or None}
    if isinstance(what, bool):
        return widgets.Checkbox(what, indent=False, layout={"width": "auto"}, **look)
    # By default a label has 80 pixels, and the rest of it is cut off.
    look |= {
        "style": {"description_width": "auto"},
        "layout": {"width": f"{ROOM + LETTER * len(label)}px"},
    }
    if isinstance(what, list) and what and all(isinstance(word, str) for word in what):
        return widgets.Dropdown(options=what, **look)
    if isinstance(what, tuple) and is_range(what):
        lowest, highest, first = what
        if all(isinstance(value, int) for value in what):
            return widgets.IntSlider(first, lowest, highest, **look)
        step = meeting(first - lowest, round_step((highest - lowest) / STEPS))
        return widgets.FloatSlider(first, min=lowest, max=highest, step=step, **look)
    raise ValueError(f"{name} is {what!r}: use (lowest, highest, first), True, False or a list of words")


def meeting(distance: float, step: float) -> float:
    """Return a step, or a part of it, so that a slider can stand at the first value."""
    parts = (step / part for part in (1, 2, 4, 5, 10))
    return next((p for p in parts if abs(distance / p - round(distance / p)) < 1e-6), step)


def round_step(least: float) -> float:
    """Return the first of 1, 2 and 5, and their tenths, hundredths and so on, that is not below `least`."""
    power = 10.0 ** floor(log10(least))
    return float(f"{next(n for n in (1, 2, 5, 10) if n * power >= least * 0.999) * power:.3g}")


def is_range(what: Sequence[Any]) -> bool:
    """Return whether these are three numbers, the third one between the others."""
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in what)
    return len(what) == 3 and numbers and what[0] < what[1] and what[0] <= what[2] <= what[1]
