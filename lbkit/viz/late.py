"""Widgets that the page hears of when they are shown."""

from __future__ import annotations

from typing import Any


class OpenedLate:
    """A widget whose first message to the page has all that it shows by then: put it before AnyWidget.

    ipywidgets would open it with what its constructor was given, and send the rest as changes. Of those
    anywidget passes on none to a widget that has not started within two seconds, as on a busy machine:
    it would stay empty."""

    _wanted = False

    def open(self) -> None:
        """Tell the page of the widget, if it is shown or part of another by now."""
        if self._wanted:
            parent: Any = super()
            parent.open()

    @property
    def model_id(self) -> str:
        """The page's name of the widget, which is asked for when the widget is about to be shown."""
        parent: Any = super()
        if not self._wanted:
            self._wanted = True
            self.open()
        name: str = parent.model_id
        return name
