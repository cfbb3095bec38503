"""Results as rows of text, and as HTML tables."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from html import escape
from typing import Any, Protocol


class Summarised(Protocol):
    """What a row of a comparison is made of: a Result."""

    @property
    def warnings(self) -> tuple[str, ...]: ...

    def summary(self) -> dict[str, Any]: ...


UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))


def duration(seconds: Any) -> str:
    """Return a duration in the unit that people say: "850 µs", "12.5 ms", "10 s"; nan is a dash.

    `seconds`: a float, or an Interval, which is written with its half width."""
    middle = getattr(seconds, "mean", seconds)
    if middle != middle:
        return "-"
    size, unit = next((u for u in UNITS if middle >= u[0] * 0.9995), UNITS[-1])
    return f"{seconds * (1 / size):{',.0f' if middle >= 100 * size else '.3g'}} {unit}"


def number(form: str, factor: float = 1.0) -> Callable[[Any], str]:
    """Return a function that writes numbers, times `factor`, in a format; nan is a dash."""
    return lambda value: "-" if value != value else format(value * factor, form)


# Column of a comparison -> (key in summary(), how its values are written).
TABLE: Mapping[str, tuple[str, Callable[[Any], str]]] = {
    "policy": ("policy", str),
    "engine": ("engine", str),
    "requests": ("requests", number(",.0f")),
    "req/s": ("throughput", number(",.0f")),
    "good/s": ("goodput", number(",.0f")),
    "errors %": ("error_rate", number(".2f", 100)),
    "mean": ("mean", duration),
    "wait": ("waiting", duration),
    "slowdown": ("slowdown", number(".3g")),
    "p50": ("p50", duration),
    "p95": ("p95", duration),
    "p99": ("p99", duration),
    "p99.9": ("p99.9", duration),
    "fair by count": ("fairness", number(".3f")),
    "fair by capacity": ("fairness_by_capacity", number(".3f")),
    "busiest %": ("busiest", number(".0f", 100)),
}
TEXTS = [name for name, (_, write) in TABLE.items() if write is str]  # flush left; numbers are flush right


def rows(results: Iterable[Summarised]) -> list[list[str]]:
    """Return a row of texts for each result, in the columns of TABLE."""
    summaries = [r.summary() for r in results]
    return [[write(s[key]) for key, write in TABLE.values()] for s in summaries]


def cautions(results: Sequence[Summarised], but: Container[str] = ()) -> list[str]:
    """Return the warnings of the results, each once, with the policies that it is about unless it is all.

    Those in `but` are left out."""
    policies: dict[str, list[str]] = {}
    for result in results:
        for text in (text for text in result.warnings if text not in but):
            policies.setdefault(text, []).append(result.summary()["policy"])
    return [
        text if len(about) == len(results) else f"{', '.join(dict.fromkeys(about))}: {text}"
        for text, about in policies.items()
    ]


def table(results: Sequence[Summarised]) -> str:
    """Return an HTML table with a row for each result, and below it the warnings.

    The engine is left out where all ran on the same, and goodput where it is the throughput."""
    lines = [dict(zip(TABLE, row, strict=True)) for row in rows(results)]
    same = len(lines) > 1 and len({line["engine"] for line in lines}) == 1
    patient = all(line["good/s"] == line["req/s"] for line in lines)  # then every good answer is in time
    names = [name for name in TABLE if not (name == "engine" and same) and not (name == "good/s" and patient)]
    return html(
        names,
        ([line[name] for name in names] for line in lines),
        TEXTS,
        [f"\u26a0 {text}" for text in cautions(results)],
    )


def html(
    head: Iterable[str], body: Iterable[Iterable[str]], texts: Iterable[str] = (), notes: Iterable[str] = ()
) -> str:
    """Return an HTML table, with `notes` below it. The columns in `texts` are flush left, others right."""
    names, left = list(head), set(texts)

    def line(tag: str, cells: Iterable[str], more: str = "", wrap: str = "nowrap") -> str:
        # Text to the left, numbers to the right, whatever the style of the page.
        sides = ("left" if name in left else "right" for name in names)
        room = f"padding: 2px 4px; white-space: {wrap}"
        return "".join(
            f'<{tag}{more} style="text-align: {side}; {room}">{escape(cell)}</{tag}>'
            for side, cell in zip(sides, cells, strict=True)
        )

    lines = "".join(f"<tr>{line('td', row)}</tr>" for row in body)
    style = "margin: 2px 6px; white-space: normal"
    below = "".join(f'<p style="{style}">{escape(note)}</p>' for note in notes)
    top = line("th", names, ' scope="col"', "normal")
    small = "font-size: 0.92em"  # all columns fit beside JupyterLab's list of files on a small screen
    # A table that is too wide can be scrolled, also by the keyboard.
    around = f'tabindex="0" role="group" aria-label="{escape(says(names, lines.count("<tr>")))}"'
    shown = f'<table style="{small}"><thead><tr>{top}</tr></thead><tbody>{lines}</tbody></table>'
    return f'<div style="overflow-x: auto" {around}>{shown}</div>{below}'


def says(names: Sequence[str], rows: int) -> str:
    """Return what a table has, for readers who cannot see it: as they enter it, they hear this."""
    return f"{rows} row{'s' * (rows != 1)}, by {names[0]}: {', '.join(names[1:])}" if names else "nothing"
