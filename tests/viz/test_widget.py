from __future__ import annotations

import json
from typing import Any

import plotly.graph_objects as go
import pytest
from needs import need_module

need_module("ipywidgets")
need_module("anywidget")

import IPython.display
import ipywidgets as widgets

from lbkit.viz.drawing import latency_axis
from lbkit.viz.widget import Feed, FigureView, Panel, Words, still


class Place:
    """What `display(..., display_id=True)` returns."""

    def __init__(self, bundle: dict[str, Any]) -> None:
        self.bundle = bundle

    def update(self, bundle: dict[str, Any], raw: bool) -> None:
        self.bundle = bundle


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[Place]:
    places: list[Place] = []

    def display(bundle: dict[str, Any], raw: bool, display_id: bool = False, metadata: Any = None) -> Place:
        assert isinstance(bundle, dict)  # as IPython's own needs it
        places.append(Place(bundle))
        return places[-1]

    monkeypatch.setattr(IPython.display, "display", display)
    return places


def take(view: FigureView, uri: str) -> None:
    """What the browser does when the figure rests."""
    view._received(view, {"still": uri, "width": 640, "words": "s1 is <slow>"}, [])


def test_a_panel_is_followed_by_the_pictures_of_its_figures_and_its_texts(shown: list[Place]) -> None:
    view, hidden = FigureView(go.Figure()), widgets.Textarea("not this")
    panel = Panel([widgets.HTML("<b>finding</b>"), widgets.Box([view]), hidden])
    panel._ipython_display_()
    widget, picture = shown
    assert "application/vnd.jupyter.widget-view+json" in widget.bundle
    assert picture.bundle["text/html"] == ""
    take(view, "data:image/webp;base64,AAAA")
    html = picture.bundle["text/html"]
    assert '<img src="data:image/webp;base64,AAAA" width="640" alt="s1 is &lt;slow&gt;">' in html
    assert "<b>finding</b>" in html
    assert "not this" not in html
    take(view, "data:image/webp;base64,BBBB")
    assert "BBBB" in picture.bundle["text/html"]
    assert "AAAA" not in picture.bundle["text/html"]


def test_a_figure_by_itself_leaves_its_picture_too(shown: list[Place]) -> None:
    view = FigureView(go.Figure())
    view._ipython_display_()
    take(view, "data:image/webp;base64,CCCC")
    assert "CCCC" in shown[1].bundle["text/html"]


def test_a_picture_is_not_taken_for_html() -> None:
    view = FigureView(go.Figure())
    take(view, 'data:"><script>')
    assert "<script>" not in still(view)


def test_a_figure_that_shows_nothing_yet_leaves_no_picture() -> None:
    view = FigureView()
    assert not json.loads(view.spec)["layout"]["xaxis"]["visible"]
    take(view, "data:image/webp;base64,AAAA")
    assert "AAAA" not in still(view)
    view.show(go.Figure())
    assert "AAAA" in still(view)


def test_an_axis_of_latencies_without_any_has_no_ticks() -> None:
    assert latency_axis([], "y")["tickvals"] == []
    assert latency_axis([{"y": [None, None]}], "y")["tickvals"] == []
    assert len(latency_axis([{"y": [None, 0.2]}], "y")["tickvals"]) > 5


def test_figures_with_one_feed_are_replaced_one_by_one_or_together() -> None:
    feed = Feed()
    one, other = FigureView(feed=feed), FigureView(feed=feed)
    one.show(go.Figure(layout={"title": {"text": "first"}}))
    assert "first" in one.spec
    assert "first" not in other.spec
    assert (one.number, other.number) == (2, 1)
    sent: list[object] = []
    feed.observe(sent.append, "specs")
    feed.show({one: go.Figure(), other: go.Figure()})
    assert (one.number, other.number, len(sent)) == (3, 2, 1)
    assert not other.blank


def test_texts_without_a_figure_are_left_at_once_and_when_they_change(shown: list[Place]) -> None:
    text = widgets.HTML("<b>before</b>")
    Words([text])._ipython_display_()
    assert "before" in shown[-1].bundle["text/html"]
    text.value = "after"
    assert "after" in shown[-1].bundle["text/html"]
