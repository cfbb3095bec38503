from __future__ import annotations

import pytest
from needs import need_module

need_module("ipywidgets")

from lbkit.viz.controls import control


@pytest.mark.parametrize(
    "what",
    [
        (0.5, 5.0, 2.0),
        (0.1, 0.5, 0.4),
        (0.2, 10.2, 8.0),
        (0.1, 1.0, 0.6),
        (0.0, 1e-3, 2e-4),
        (0.1, 1.0, 0.25),
    ],
)
def test_a_slider_has_round_steps_that_meet_its_first_value(what: tuple[float, float, float]) -> None:
    slider = control("think", what)
    steps = (slider.value - slider.min) / slider.step
    assert steps == pytest.approx(round(steps))
    assert 20 <= (slider.max - slider.min) / slider.step <= 100


def test_a_long_label_has_the_room_that_it_needs() -> None:
    short, long = (control("rate", (1, 9, 5), label) for label in ("", "requests that arrive in a second"))
    assert (short.description, long.style.description_width) == ("rate", "auto")
    widths = [int(made.layout.width.removesuffix("px")) for made in (short, long)]
    assert widths[1] - widths[0] == 7 * (len(long.description) - len("rate"))
