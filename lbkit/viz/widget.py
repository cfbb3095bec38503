"""Figures that are redrawn in place, and callbacks that run in the notebook's event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import anywidget
import ipywidgets as widgets
import plotly
import plotly.graph_objects as go
import plotly.offline
import traitlets


class Script(anywidget.AnyWidget):
    """Plotly's script, sent to the page once: it has 5 MB, so all figures share it."""

    _esm = "export default {}"
    source = traitlets.Unicode().tag(sync=True)


@cache
def script() -> Script:
    return Script(source=plotly.offline.get_plotlyjs())


class FigureView(anywidget.AnyWidget):
    """A plotly figure in a notebook; `show` replaces it by another.

    plotly's own FigureWidget sends the 5 MB script with every figure and an update as many
    messages; here an update is one message, 10 to 20 ms from Python to the screen."""

    _esm = Path(__file__).with_name("figure.js")
    script = traitlets.Instance(Script).tag(sync=True, **widgets.widget_serialization)
    version = traitlets.Unicode(plotly.__version__).tag(sync=True)
    spec = traitlets.Unicode("{}").tag(sync=True)
    number = traitlets.Int(0).tag(sync=True)  # of the figure shown

    def __init__(self, figure: go.Figure | None = None, **layout: Any) -> None:
        super().__init__(script=script(), layout=layout)
        self.show(figure or go.Figure())

    def show(self, figure: go.Figure) -> None:
        with self.hold_sync():
            self.spec = figure.to_json(validate=False)
            self.number += 1


def on_main(function: Callable[..., object]) -> Callable[..., None]:
    """Return a callback for widgets that calls `function` in the loop that is running now.

    JupyterLab runs widget callbacks on threads with loops of their own, where they could not share servers,
    queues or tasks with a cell. Without a running loop, as in a plain script, `function` is called directly.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        call: Callable[..., object] = function
    else:
        call = partial(loop.call_soon_threadsafe, function)

    def callback(*arguments: Any) -> None:
        call(*arguments)

    return callback
