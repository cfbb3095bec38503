"""The sentence of a scene's step, and the buttons that lead to the next one and back."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from lbkit.viz.widget import Photographed, module


class Narrator(Photographed, anywidget.AnyWidget):
    """Says a sentence, and which step it is of how many. In a saved notebook it leaves the sentence."""

    _esm = module("labels.js", "narrator.js")
    _css = Path(__file__).with_name("narrator.css")
    text = traitlets.Unicode().tag(sync=True)
    step = traitlets.Int(1).tag(sync=True)
    count = traitlets.Int(1).tag(sync=True)
    next = traitlets.Unicode("next").tag(sync=True)  # on the button; none without text

    def __init__(self, count: int) -> None:
        super().__init__(count=count)
        self._press: Callable[[int], object] = lambda way: None

    def on_button(self, press: Callable[[int], object]) -> None:
        """Call `press` with 1 when a reader wants the next step, and with -1 for the one before."""
        self._press = press

    def say(self, text: str, step: int, button: str) -> None:
        with self.hold_sync():
            self.text, self.step, self.next = text, step, button
        self.picture = f"<p><b>{escape(text)}</b></p>"
        for function in self._on_still:
            function()

    def _received(self, widget: object, message: Any, buffers: object) -> None:
        match message:
            case {"go": "back" | "next" as way}:
                self._press(-1 if way == "back" else 1)
