"""What a figure shows, in words, for readers who cannot see it: computed from its data.

Most figures need nothing for that: their title is the finding, and each line, bar or row is read out with its
main figures. A figure whose coordinates say nothing, such as a drawing, has its own words as the layout's
`meta={"alt": ...}`; the title comes first in any case.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape, unescape
from itertools import islice
from math import isfinite
from numbers import Real
from typing import Any, Protocol

from lbkit.viz.style import INK_CSS, duration

WARNING = "\u26a0"
MOST = 8  # series, values or marks that are read out; of the others, the number
DURATION = re.compile(r"[\d.,]+ (s|ms|µs)")


class Drawn(Protocol):
    """A plotly figure, or a sketch of one."""

    @property
    def data(self) -> Any: ...
    @property
    def layout(self) -> Any: ...


def alt_text(figure: Drawn) -> str:
    """Return a few sentences: the title, what the axes show, each series with its main figures, the marks."""
    layout = plain(figure.layout)
    traces = [plain(trace) for trace in figure.data]
    parts = [words(layout.get("title", {}).get("text", ""))]
    texts = (words(mark.get("text", "")) for mark in layout.get("annotations") or ())
    marks = list(dict.fromkeys(text for text in texts if re.search(r"\w", text)))
    if own := (layout.get("meta") or {}).get("alt"):
        parts += [words(own), listed([text for text in marks if text.startswith(WARNING)])]
    else:
        series = [text for trace in traces if (text := described(trace, layout))]
        parts.append(": ".join(filter(None, (axes(layout), listed(series)))))
        parts.append(f"Marked: {listed(marks)}" if series and marks else listed(marks))
    return " ".join(f"{part.rstrip('.')}." for part in parts if part)


def as_html(figure: Drawn) -> str:
    """Return the text as HTML that only screen readers get, to be put beside a figure.

    With it comes the style that a figure's letters need on light and dark pages."""
    text = f'<div class="lbkit-alt" role="img" aria-label="{escape(alt_text(figure))}"></div>'
    return f"<style>{INK_CSS}</style>{text}"


def plain(part: Any) -> dict[str, Any]:
    """Return a part of a figure as a dict, with dicts and lists inside."""
    return part if isinstance(part, dict) else dict(part.to_plotly_json())


def words(text: Any) -> str:
    """Return a text without tags and entities, in one line."""
    return " ".join(unescape(re.sub(r"<[^<>]*>", " ", str(text))).split())


def listed(texts: Sequence[str], between: str = "; ") -> str:
    more = f"{between}{len(texts) - MOST} more" if len(texts) > MOST else ""
    return between.join(texts[:MOST]) + more


def axes(layout: Mapping[str, Any]) -> str:
    """Return what is shown against what, as far as axes have titles."""
    y, x = (words((layout.get(name) or {}).get("title", {}).get("text", "")) for name in ("yaxis", "xaxis"))
    return f"{y} against {x}" if x and y else x or y


# -- series ---------------------------------------------------------------------------------------------


def described(trace: Mapping[str, Any], layout: Mapping[str, Any]) -> str:
    """Return what one trace shows; nothing for one that only decorates."""
    return KINDS.get(trace.get("type", "scatter"), scatter)(trace, layout)


def scatter(trace: Mapping[str, Any], layout: Mapping[str, Any]) -> str:
    """Return a line's or the marks' ends and extremes or, where the axes are hidden, its texts."""
    xs, ys = (list(trace[name]) if trace.get(name) is not None else [] for name in ("x", "y"))
    name, (x_axis, y_axis) = label(trace), (axis_of(trace, layout, name) for name in ("x", "y"))
    ys = rows_of(ys, y_axis)
    texts = [words(text) for text in several(trace.get("text")) if text]
    if hidden(x_axis) and hidden(y_axis):
        return named(name, listed(texts, ", "))
    if not xs or not (name or texts):
        return ""
    if not any(map(is_number, ys)):  # rows of a table, or of measurements
        if not any(map(is_number, xs)):
            pairs = [f"{words(y)} {words(x)}" for x, y in zip(xs, ys, strict=False) if None not in (x, y)]
            return named(name, listed(pairs, ", ")) if pairs else ""
        if len(set(ys)) == 1:
            return named(name or words(ys[0]), span(xs, x_axis))
        return named(name, values(ys, xs, x_axis))
    if not any(map(is_number, xs)):
        return named(name, values(xs, ys, y_axis))
    return named(name, span(ys, y_axis))


def bar(trace: Mapping[str, Any], layout: Mapping[str, Any]) -> str:
    """Return each bar's name and value."""
    lying = trace.get("orientation") == "h"
    names, numbers = (list(trace.get(axis) or ()) for axis in ("yx" if lying else "xy"))
    names = rows_of(names, axis_of(trace, layout, "y")) if lying else names
    return named(label(trace), values(names, numbers, axis_of(trace, layout, "x" if lying else "y")))


def heatmap(trace: Mapping[str, Any], layout: Mapping[str, Any]) -> str:
    """Return the highest value of each row, in the words of the colour bar if it has any, or all texts."""
    scale = trace.get("colorbar") or {}
    what = words((scale.get("title") or {}).get("text", ""))
    steps = dict(zip(several(scale.get("tickvals")), several(scale.get("ticktext")), strict=False))
    rows: list[str] = []
    texts = trace.get("text") if trace.get("texttemplate") else None
    for name, row in zip(trace.get("y") or (), trace.get("z") or (), strict=False):
        if texts is not None and not steps:
            cells = zip(trace.get("x") or (), texts[len(rows)], strict=False)
            rows.append(f"{words(name)} {' '.join(f'{words(x)} {words(text)}' for x, text in cells)}")
            continue
        if found := [value for value in row if is_number(value)]:
            highest = max(found)
            step = words(steps.get(highest, ""))
            rows.append(f"{words(name)} {step or f'at most {number(highest)}'}")
    return named(what or label(trace), listed(rows, ", "))


KINDS: Mapping[str, Callable[[Mapping[str, Any], Mapping[str, Any]], str]] = {"bar": bar, "heatmap": heatmap}


# -- values ---------------------------------------------------------------------------------------------


def label(trace: Mapping[str, Any]) -> str:
    """Return the name of a series; of several in a row of their own, with the row's."""
    return " ".join(filter(None, (words(trace.get("stackgroup") or ""), words(trace.get("name") or ""))))


def named(name: str, text: str) -> str:
    return f"{name}: {text}" if name and text else name or text


def rows_of(places: Sequence[Any], axis: Mapping[str, Any]) -> list[Any]:
    """Return the names that an axis has for places on it, as far as it has any."""
    texts = [words(text) for text in several(axis.get("ticktext"))]
    if any(DURATION.fullmatch(text) for text in texts):
        return list(places)
    known = dict(zip(several(axis.get("tickvals")), texts, strict=False))
    return [known.get(place, place) for place in places]


def axis_of(trace: Mapping[str, Any], layout: Mapping[str, Any], way: str) -> Mapping[str, Any]:
    name = str(trace.get(f"{way}axis") or way)
    return layout.get(f"{way}axis{name[1:]}") or {}


def hidden(axis: Mapping[str, Any]) -> bool:
    return axis.get("visible") is False


def several(value: Any) -> Iterable[Any]:
    return [] if value is None else [value] if isinstance(value, str) else value


def is_number(value: Any) -> bool:
    return isinstance(value, Real) and isfinite(value)


def number(value: Any, axis: Mapping[str, Any] | None = None) -> str:
    """Return a value in the unit of its axis: a duration, a share in percent, or as the axis title says."""
    axis = axis or {}
    if any(DURATION.fullmatch(str(text)) for text in islice(several(axis.get("ticktext")), MOST)):
        return duration(value)
    if str(axis.get("tickformat") or "").endswith("%"):
        return f"{100 * value:.3g} %"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def span(found: Iterable[Any], axis: Mapping[str, Any]) -> str:
    """Return the first and last value of a series where these are its extremes, else all four."""
    numbers = [value for value in found if is_number(value)]
    if not numbers:
        return ""
    first, last, low, high = (number(v, axis) for v in (numbers[0], numbers[-1], min(numbers), max(numbers)))
    if low == high:
        return low
    if {first, last} == {low, high}:
        return f"from {first} to {last}"
    return f"from {low} to {high}, {last} at the end"


def values(names: Sequence[Any], numbers: Sequence[Any], axis: Mapping[str, Any]) -> str:
    """Return each name with its value."""
    pairs = zip(names, numbers, strict=False)
    return listed([f"{words(name)} {number(value, axis)}" for name, value in pairs if is_number(value)], ", ")
