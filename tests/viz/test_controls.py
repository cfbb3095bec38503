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
