"""Pictures of what went wrong, as data: shown as text in a terminal and as HTML in a notebook."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, ClassVar

WIDE = 60  # characters of a time axis, and steps of a sequence that are shown
SVG_WIDTH, ROW_HEIGHT, LABEL_WIDTH = 640, 26, 120  # pixels


class Picture:
    """The base: `kind` names it in JSON."""

    kind: ClassVar[str]

    def text(self) -> str:
        raise NotImplementedError

    def html(self) -> str:
        raise NotImplementedError

    def data(self) -> dict[str, Any]:
        return {"kind": self.kind} | vars(self)


@dataclass(frozen=True)
class Steps(Picture):
    """Two sequences above each other, step by step, with the first difference marked."""

    kind: ClassVar[str] = "steps"
    expected: Sequence[str]
    happened: Sequence[str]

    @property
    def differs(self) -> int:
        """The number of the first step that differs; the length of the shorter one if none does."""
        pairs = zip(self.expected, self.happened, strict=False)
        shorter = min(len(self.expected), len(self.happened))
        return next((i for i, (one, other) in enumerate(pairs) if one != other), shorter)

    def shown(self) -> tuple[int, list[tuple[str, Sequence[str]]]]:
        """Return the number of the first step shown, and the rows: around the first difference."""
        begin = (
            max(0, self.differs - WIDE // 2) if max(map(len, (self.expected, self.happened))) > WIDE else 0
        )
        rows = [("expected", self.expected), ("happened", self.happened)]
        return begin, [(label, steps[begin : begin + WIDE]) for label, steps in rows]

    def text(self) -> str:
        begin, rows = self.shown()
        width = max(len(step) for _, steps in rows for step in steps or [""])
        lines = [
            f"{label}: {' '.join(step.ljust(width) for step in steps)}".rstrip() for label, steps in rows
        ]
        return "\n".join([*lines, " " * (10 + (self.differs - begin) * (width + 1)) + "^"])

    def html(self) -> str:
        begin, rows = self.shown()
        mark = self.differs - begin
        lines = []
        for label, steps in rows:
            cells = "".join(
                f'<td class="{"lbkit-here" if i == mark else ""}">{escape(step)}</td>'
                for i, step in enumerate(steps)
            )
            lines.append(f'<tr><th scope="row">{label}</th>{cells}</tr>')
        return f'<table class="lbkit-steps">{"".join(lines)}</table>'


@dataclass(frozen=True)
class Times(Picture):
    """Marks on a time axis, in seconds, a row for each label."""

    kind: ClassVar[str] = "times"
    rows: Mapping[str, Sequence[float]]
    end: float
    shaded: tuple[float, float] | None = None  # a stretch of time that matters

    def text(self) -> str:
        labels = max(len(label) for label in self.rows)
        lines = []
        for label, times in self.rows.items():
            line = ["·"] * (WIDE + 1)
            for at in times:
                line[self._column(at, WIDE)] = "|"
            lines.append(f"{label:>{labels}} {''.join(line)}")
        if self.shaded:
            first, last = (self._column(at, WIDE) for at in self.shaded)
            lines.append(" " * (labels + 1 + first) + "^" * max(1, last - first + 1))
        return "\n".join([*lines, f"{'':>{labels}} 0{f'{self.end:.3g} s':>{WIDE}}"])

    def _column(self, at: float, width: int) -> int:
        return round(min(max(at / self.end, 0.0), 1.0) * width)

    def html(self) -> str:
        width = SVG_WIDTH - LABEL_WIDTH - 20
        height = ROW_HEIGHT * len(self.rows) + 24
        parts = []
        if self.shaded:
            first, last = (LABEL_WIDTH + self._column(at, width) for at in self.shaded)
            parts.append(
                f'<rect class="lbkit-shade" x="{first}" y="0" width="{max(2, last - first)}" '
                f'height="{height - 24}"/>'
            )
        for row, (label, times) in enumerate(self.rows.items()):
            y = ROW_HEIGHT * row + ROW_HEIGHT // 2
            parts.append(f'<text x="0" y="{y + 4}">{escape(label)}</text>')
            parts.append(f'<line x1="{LABEL_WIDTH}" y1="{y}" x2="{LABEL_WIDTH + width}" y2="{y}"/>')
            for at in times:
                x = LABEL_WIDTH + self._column(at, width)
                parts.append(f'<line class="lbkit-mark" x1="{x}" y1="{y - 8}" x2="{x}" y2="{y + 8}"/>')
        parts.append(f'<text x="{LABEL_WIDTH}" y="{height - 6}">0</text>')
        parts.append(
            f'<text x="{LABEL_WIDTH + width}" y="{height - 6}" text-anchor="end">{self.end:.3g} s</text>'
        )
        shape = f'width="{SVG_WIDTH}" height="{height}" role="img" aria-label="{escape(self.words())}"'
        return f'<svg class="lbkit-times" {shape}>{"".join(parts)}</svg>'

    def words(self) -> str:
        """Return the times in words, for readers who cannot see the marks."""
        rows = [
            f"{label}: {', '.join(f'{at:.3g} s' for at in times) or 'none'}"
            for label, times in self.rows.items()
        ]
        shaded = ["from {:.3g} to {:.3g} s is marked".format(*self.shaded)] if self.shaded else []
        return "; ".join([*rows, *shaded])


@dataclass(frozen=True)
class Shares(Picture):
    """A bar for each name, twice: as expected, or as it was before, and as it happened."""

    kind: ClassVar[str] = "shares"
    expected: Mapping[str, float]
    happened: Mapping[str, float]
    labels: Sequence[str] = ("expected", "happened")

    def rows(self) -> list[tuple[str, str, float]]:
        """Return name, label and value of each bar."""
        pairs = list(zip(self.labels, (self.expected, self.happened), strict=True))
        names = dict.fromkeys([*self.expected, *self.happened])
        return [(name, label, values.get(name, 0.0)) for name in names for label, values in pairs]

    def _bars(self, width: int) -> list[tuple[str, str, float, int]]:
        rows = self.rows()
        most = max((value for *_, value in rows), default=0.0) or 1.0
        return [(name, label, value, round(width * value / most)) for name, label, value in rows]

    def text(self) -> str:
        bars = self._bars(WIDE // 2)
        names = max(len(name) for name, *_ in bars)
        labels = max(map(len, self.labels))
        return "\n".join(
            f"{name:>{names}} {label:<{labels}} {'█' * length}{' ' * bool(length)}{value:g}"
            for name, label, value, length in bars
        )

    def html(self) -> str:
        return (
            '<table class="lbkit-steps">'
            + "".join(
                f"<tr><th>{escape(name)}</th><th>{escape(label)}</th><td style='text-align:left'>"
                f'<span class="lbkit-bar" style="width:{length}px"></span> {value:g}</td></tr>'
                for name, label, value, length in self._bars(SVG_WIDTH // 3)
            )
            + "</table>"
        )


KINDS: dict[str, type[Picture]] = {cls.kind: cls for cls in (Steps, Times, Shares)}


def picture_from(data: dict[str, Any]) -> Picture:
    """Return the picture that `data()` describes."""
    fields = dict(data)
    return KINDS[fields.pop("kind")](**fields)
