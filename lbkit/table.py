"""Results as rows of text, and as HTML tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any, Protocol


class Summarised(Protocol):
    """What a row of a comparison is made of: a Result."""

    @property
    def warnings(self) -> tuple[str, ...]: ...

    def summary(self) -> dict[str, Any]: ...


# Column of a comparison -> (key in summary(), factor, format).
TABLE: Mapping[str, tuple[str, float | None, str]] = {
    "policy": ("policy", None, ""),
    "engine": ("engine", None, ""),
    "requests": ("requests", 1, ",d"),
    "req/s": ("throughput", 1, ",.0f"),
    "errors %": ("error_rate", 100, ".2f"),
    "mean ms": ("mean", 1e3, ".1f"),
    "wait ms": ("waiting", 1e3, ".1f"),
    "slowdown": ("slowdown", 1, ".2f"),
    "p50 ms": ("p50", 1e3, ".1f"),
    "p95 ms": ("p95", 1e3, ".1f"),
    "p99 ms": ("p99", 1e3, ".1f"),
    "p99.9 ms": ("p99.9", 1e3, ".1f"),
    "fair by count": ("fairness", 1, ".3f"),
    "fair by capacity": ("fairness_by_capacity", 1, ".3f"),
    "busiest %": ("busiest", 100, ".0f"),
}


def rows(results: Iterable[Summarised]) -> list[list[str]]:
    """Return a row of texts for each result, in the columns of TABLE."""
    summaries = [r.summary() for r in results]
    return [
        [s[key] if factor is None else format(s[key] * factor, form) for key, factor, form in TABLE.values()]
        for s in summaries
    ]


def cautions(results: Sequence[Summarised]) -> list[str]:
    """Return the warnings of the results, each once, with the policies that it is about unless it is all."""
    policies: dict[str, list[str]] = {}
    for result in results:
        for text in result.warnings:
            policies.setdefault(text, []).append(result.summary()["policy"])
    return [
        text if len(about) == len(results) else f"{', '.join(dict.fromkeys(about))}: {text}"
        for text, about in policies.items()
    ]


def table(results: Sequence[Summarised]) -> str:
    """Return an HTML table with a row for each result, and below it the warnings."""
    texts = {name for name, (_, factor, _) in TABLE.items() if factor is None}
    return html(TABLE, rows(results), texts, [f"\u26a0 {text}" for text in cautions(results)])


def html(
    head: Iterable[str], body: Iterable[Iterable[str]], texts: Iterable[str] = (), notes: Iterable[str] = ()
) -> str:
    """Return an HTML table, with `notes` below it. The columns in `texts` are flush left, others right."""
    names, left = list(head), set(texts)

    def line(tag: str, cells: Iterable[str]) -> str:
        # Text to the left, numbers to the right, whatever the style of the page.
        sides = ("left" if name in left else "right" for name in names)
        return "".join(
            f'<{tag} style="text-align: {side}; padding: 2px 8px; white-space: nowrap">{escape(cell)}</{tag}>'
            for side, cell in zip(sides, cells, strict=True)
        )

    lines = "".join(f"<tr>{line('td', row)}</tr>" for row in body)
    below = "".join(f'<p style="margin: 2px 8px">{escape(note)}</p>' for note in notes)
    return f"<table><thead><tr>{line('th', names)}</tr></thead><tbody>{lines}</tbody></table>{below}"
