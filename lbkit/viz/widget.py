"""Figures that are redrawn in place, what they leave in a saved notebook, and callbacks in its event loop."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache, partial
from html import escape
from pathlib import Path
from typing import Any
from weakref import WeakMethod

import anywidget
import ipywidgets as widgets
import plotly
import plotly.graph_objects as go
import plotly.offline
import traitlets

from lbkit.viz.alt_text import alt_text
from lbkit.viz.late import OpenedLate
from lbkit.viz.sketch import Sketch
from lbkit.viz.style import FAILED_CSS, FOCUS_CSS, INK_CSS


def module(*names: str, folder: Path = Path(__file__).parent) -> str:
    """Return one script of several files, of which only the last exports."""
    return "\n".join((folder / name).read_text(encoding="utf-8") for name in names)


# Script and Feed are data without code of their own, so they are no AnyWidgets: one of those that has not
# started within two seconds, as on a busy machine, is never told of changes, and a figure would stay empty.


class Script(widgets.Widget):  # type: ignore[misc]
    """Plotly's script, sent to the page once: it has 5 MB, so all figures share it."""

    source = traitlets.Unicode().tag(sync=True)


@cache
def script() -> Script:
    return Script(source=plotly.offline.get_plotlyjs())


# While the widget lives, its picture is hidden; in a reopened notebook, the place where the widget was.
STYLE = """<style>
.jp-OutputArea-child:has(.lbkit-figure, .lbkit-words) + .jp-OutputArea-child:has(.lbkit-still),
.jp-OutputArea-child:not(:has(.lbkit-figure, .lbkit-words)):has(+ .jp-OutputArea-child .lbkit-still) {
  display: none;
}
.lbkit-still img { max-width: 100%; vertical-align: top; }
</style>"""


class LeavesPictures:
    """A widget that leaves pictures and texts in a saved notebook, where the widget itself is gone when it is
    reopened.

    The output of the widget is followed by one of HTML, which is hidden as long as the widget lives. The
    browser takes the pictures, some 20 kB each, when a figure rests; texts alone are left at once."""

    def _ipython_display_(self) -> None:
        from IPython.display import display

        show: Any = display
        bundle: Any = self._repr_mimebundle_()  # type: ignore[attr-defined]
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})  # anywidget's has both
        show(data, metadata=metadata, raw=True)
        self._places: list[Any] = [*getattr(self, "_places", ()), show(EMPTY, raw=True, display_id=True)]
        figures = figures_in(self)
        for figure in figures:
            figure.on_still(self._leave)
        if not figures:
            self._leave()
            for text in texts_in(self):
                text.observe(self._leave, "value")

    def _leave(self, _: object = None) -> None:
        for place in self._places:
            place.update({"text/html": still(self), "text/plain": ""}, raw=True)


EMPTY = {"text/html": "", "text/plain": ""}


BLANK = go.Figure(
    layout={
        "template": {},
        "xaxis": {"visible": False},
        "yaxis": {"visible": False},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
    }
)


class Feed(widgets.Widget):  # type: ignore[misc]
    """What several figures show: what is new for some of them is one message."""

    specs = traitlets.Dict().tag(sync=True)  # place of a figure -> [number, JSON, its text]

    def show(self, figures: Mapping[FigureView, go.Figure | Sketch]) -> None:
        """Replace the figures of these views."""
        news = {
            view.place: [view.number + 1, as_json(figure), alt_text(figure)]
            for view, figure in figures.items()
        }
        self.specs = self.specs | news
        for view in figures:
            view.blank = False


def as_json(figure: go.Figure | Sketch) -> str:
    return figure.to_json() if isinstance(figure, Sketch) else str(figure.to_json(validate=False))


class Photographed(LeavesPictures, OpenedLate):
    """A widget with a script that sends a picture of it at rest, and words for those who cannot see it."""

    blank = False  # nothing to see yet
    picture = ""  # the last one the browser took, as the HTML of an image

    def __init__(self, **traits: Any) -> None:
        self._on_still: list[Callable[[], object]] = []
        super().__init__(**traits)
        self.on_msg(self._received)  # type: ignore[attr-defined]

    def on_still(self, function: Callable[[], object]) -> None:
        """Call `function` when there is another picture."""
        if function not in self._on_still:
            self._on_still.append(function)

    def _received(self, _: object, content: Any, __: object) -> None:
        match content:
            case {"still": str(uri), "width": int() | float() as width, "words": str(words)} if (
                uri.startswith("data:")
            ):
                self.picture = f'<img src="{escape(uri)}" width="{width:.0f}" alt="{escape(words)}">'
                for function in self._on_still:
                    function()


class FigureView(Photographed, anywidget.AnyWidget):
    """A plotly figure in a notebook; `show` replaces it by another.

    plotly's own FigureWidget sends the 5 MB script with every figure and an update as many
    messages; here an update is one message, and one for all figures that share a `feed`. The browser draws
    one figure at a time, in the order in which they were made, and those out of sight now and then."""

    _esm = module("plotly.js", "labels.js", "figure.js")
    _css = INK_CSS + FAILED_CSS + FOCUS_CSS
    script = traitlets.Instance(Script).tag(sync=True, **widgets.widget_serialization)
    version = traitlets.Unicode(plotly.__version__).tag(sync=True)
    feed = traitlets.Instance(Feed).tag(sync=True, **widgets.widget_serialization)
    place = traitlets.Unicode().tag(sync=True)  # in the feed

    def __init__(self, figure: go.Figure | None = None, feed: Feed | None = None, **layout: Any) -> None:
        feed = feed or Feed()
        super().__init__(script=script(), feed=feed, place=str(len(feed.specs)), layout=layout)
        self.show(BLANK if figure is None else figure)
        self.blank = figure is None

    @property
    def number(self) -> int:
        """How many figures it has shown."""
        return int(self.feed.specs.get(self.place, [0])[0])

    @property
    def spec(self) -> str:
        """The figure that it shows, as JSON."""
        return str(self.feed.specs[self.place][1])

    @property
    def words(self) -> str:
        return str(self.feed.specs[self.place][2])

    def show(self, figure: go.Figure | Sketch) -> None:
        self.feed.show({self: figure})


class Panel(LeavesPictures, widgets.VBox):  # type: ignore[misc]
    """A column of widgets that leaves pictures of its figures, and its texts, in a saved notebook."""


class Words(Panel):
    """A panel of texts and controls, without a figure."""

    def __init__(self, children: Iterable[Any]) -> None:
        super().__init__([*children])
        self.add_class("lbkit-words")


class ControlPanel(Panel):
    """Controls with a reset button, above a figure and a text that `draw` fills when a control changes."""

    def __init__(self, controls: Mapping[str, Any], look: str) -> None:
        """`look`: the name of its CSS class."""
        self.controls = controls
        self.view = FigureView()
        self.summary = widgets.HTML()
        self.reset = reset_button(controls.values())
        row = widgets.Box([*controls.values(), self.reset], layout={"flex_flow": "row wrap"})
        super().__init__([row, self.view, self.summary])
        self.add_class(look)
        self.draw()
        changed = on_main(lambda _: self.draw())
        for control in controls.values():
            control.observe(changed, "value")

    @property
    def values(self) -> dict[str, Any]:
        """The values of the controls, by name."""
        return {name: control.value for name, control in self.controls.items()}

    def draw(self) -> None:
        """Draw for the `values`."""
        raise NotImplementedError


def parts(widget: Any) -> Iterator[Any]:
    """Yield a widget and all inside it, in the order on the screen."""
    yield widget
    for child in getattr(widget, "children", ()):
        yield from parts(child)


def figures_in(widget: Any) -> list[Photographed]:
    return [part for part in parts(widget) if isinstance(part, Photographed)]


def texts_in(widget: Any) -> list[Any]:
    return [part for part in parts(widget) if isinstance(part, widgets.HTML)]


def still(widget: Any) -> str:
    """Return the HTML of a widget that is gone: the pictures of its figures, and its texts."""
    shown = [
        part.picture if isinstance(part, Photographed) else f"<div>{part.value}</div>"
        for part in parts(widget)
        if isinstance(part, widgets.HTML) or (isinstance(part, Photographed) and not part.blank)
    ]
    return (
        f'{STYLE}<div class="lbkit-still">{"".join(shown)}<p><small>Run the cell to use it.</small></p></div>'
    )


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


def reset_button(controls: Iterable[Any], also: Callable[[], object] = lambda: None) -> widgets.Button:
    """Return a button that gives the controls back the values that they have now, and calls `also`."""
    first = [(control, control.value) for control in controls]

    def reset() -> None:
        for control, value in first:
            control.value = value
        also()

    button = widgets.Button(description="reset", icon="undo", tooltip="as at the beginning")
    button.on_click(on_main(lambda _: reset()))
    return button


def after_each_cell(method: Callable[[], object]) -> None:
    """Call a bound method after each cell of the notebook, as long as its object lives."""
    ipython: Any = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    if shell is None:
        return
    weak = WeakMethod(method)

    def call(*_: object) -> None:
        if alive := weak():
            alive()
        else:
            shell.events.unregister("post_run_cell", call)

    shell.events.register("post_run_cell", call)
