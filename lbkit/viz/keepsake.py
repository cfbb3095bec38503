"""A box with the text of a setting, into which another one can be pasted."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from html import escape

import ipywidgets as widgets

from lbkit.viz.scenario import Settings
from lbkit.viz.setting import to_text
from lbkit.viz.style import FAILED_TEXT
from lbkit.viz.widget import on_main


class Keepsake(widgets.VBox):  # type: ignore[misc]
    """The text of a setting, and a button that calls `restore` with what the text has become.

    A ValueError of `restore` is shown beside the button."""

    def __init__(self, restore: Callable[[str], object]) -> None:
        self._restore = restore
        self._shown = ""
        self.text = widgets.Textarea(
            layout={"width": "99%", "height": "240px"}, tooltip="the text of this setting"
        )
        self.button = widgets.Button(
            description="restore",
            icon="upload",
            tooltip="set the sliders and the policies to what the text says",
        )
        self.message = widgets.HTML()
        super().__init__([self.text, widgets.HBox([self.button, self.message])])
        self.button.on_click(on_main(lambda _: self.restore()))

    def show(self, settings: Settings, policies: Iterable[str]) -> None:
        """Show the text of a setting, unless it was shown already: somebody may be changing it."""
        text = to_text(settings, policies)
        if text != self._shown:
            self._shown = self.text.value = text
            self.message.value = ""

    def restore(self) -> None:
        """Restore what the text says, or show why that is not possible."""
        try:
            self._restore(self.text.value)
        except ValueError as error:
            self.message.value = f'<span style="color: {FAILED_TEXT}">{escape(str(error))}</span>'
        else:
            self.message.value = ""
