"""On the stage, clients and policies are side by side: their colours as drawn, on light and dark pages."""

from __future__ import annotations

import re
from itertools import combinations, product

import pytest
from viz.colour import DEUTERANOPIA, NORMAL, PROTANOPIA, Vector, contrast, distance

from lbkit.viz.style import CLIENTS, COLOURS, OWN
from lbkit.viz.theatre.script import STAGE

THEMES = (STAGE / "theme.js").read_text(encoding="utf-8")
PARTS = [re.findall(r'(\w+): "(#\w{6})"', part) for part in re.findall(r"= \{(.+?)\};", THEMES, re.DOTALL)]
LIGHT, DARK = (dict(part) for part in PARTS[:2])
(LIFT,) = re.findall(r"mix\(part, 255, ([\d.]+)\)", THEMES)

# to each other, and to policies and failures: 0.02 is just noticeable
LEAST = {
    "normal": (NORMAL, 0.125, 0.09),
    "deuteranopia": (DEUTERANOPIA, 0.085, 0.06),
    "protanopia": (PROTANOPIA, 0.085, 0.06),
}


def lifted(colour: str) -> str:
    """Return a colour as the stage draws it on a dark page."""
    parts = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return "#" + "".join(f"{round(part + (255 - part) * float(LIFT)):02x}" for part in parts)


def drawn(dark: bool, *colours: str) -> list[str]:
    return [lifted(colour) for colour in colours] if dark else [*colours]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize(("vision", "apart", "beside"), LEAST.values(), ids=LEAST)
def test_a_client_is_taken_for_no_other_and_for_no_policy(
    vision: tuple[Vector, ...], apart: float, beside: float, dark: bool
) -> None:
    clients, policies = drawn(dark, *CLIENTS), drawn(dark, *COLOURS, OWN)
    failed = (DARK if dark else LIGHT)["failed"]
    pairs = [(*pair, apart) for pair in combinations(clients, 2)]
    pairs += [(*pair, beside) for pair in product(clients, [*policies, failed])]
    close = {
        (one, other): round(distance(one, other, vision), 3)
        for one, other, least in pairs
        if distance(one, other, vision) < least
    }
    assert close == {}


@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_stands_out_from_light_and_dark_pages(client: str) -> None:
    assert contrast(client, LIGHT["page"]) > 1.7
    assert contrast(lifted(client), DARK["page"]) > 2.6


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("letters", ["ink", "faint", "failed", "warned", "blue"])
def test_letters_on_the_stage_can_be_read(theme: dict[str, str], letters: str) -> None:
    for ground in ("page", "panel"):
        assert contrast(theme[letters], theme[ground]) >= 4.5
