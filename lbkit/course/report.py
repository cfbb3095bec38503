"""The report on a learner's code: each property, its points, and for a missing one what happened."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from html import escape
from typing import Any

from lbkit.course.limits import NOT_RUN
from lbkit.course.own_code import NOT_WRITTEN
from lbkit.course.pictures import Picture, picture_from
from lbkit.course.task import Check, Task

HIDDEN = "a hidden check"
WITHHELD = "a check of the instructor's has failed; its message is not shown"

STYLE = """<style>
.lbkit-report { line-height: 1.45; max-width: 60em; }
.lbkit-report .lbkit-check { margin: 0.35em 0; padding-left: 1.6em; text-indent: -1.6em; }
.lbkit-report .lbkit-wrong { margin: 0.1em 0 0.6em 1.6em; padding-left: 0.7em;
  border-left: 3px solid #C80004; }
.lbkit-report .lbkit-wrong p { margin: 0.15em 0; }
.lbkit-report .lbkit-points { opacity: 0.7; }
.lbkit-report pre { opacity: 0.8; }
.lbkit-steps { border-collapse: collapse; margin: 0.4em 0; }
.lbkit-steps th { text-align: left; font-weight: normal; padding-right: 1em; }
.lbkit-steps td { text-align: center; padding: 0 0.45em; font-family: monospace; }
.lbkit-steps td.lbkit-here { outline: 2px solid #C80004; }
.lbkit-bar { display: inline-block; height: 0.7em; background: #1458B9; }
.lbkit-times { display: block; margin: 0.4em 0; font-size: 12px; }
.lbkit-times text { fill: currentColor; }
.lbkit-times line { stroke: currentColor; stroke-opacity: 0.3; }
.lbkit-times line.lbkit-mark { stroke: #1458B9; stroke-opacity: 1; stroke-width: 2; }
.lbkit-times .lbkit-shade { fill: #C80004; fill-opacity: 0.18; }
</style>"""


@dataclass
class Run:
    """The results of checks, as data; `problem` if the code cannot even be read; and what it printed."""

    results: list[dict[str, Any]] = field(default_factory=list)
    problem: str = ""
    printed: str = ""


@dataclass(frozen=True)
class Outcome:
    """What became of one check."""

    name: str
    says: str
    points: int
    passed: bool
    expected: str = ""
    happened: str = ""
    hint: str = ""
    picture: Picture | None = None

    @property
    def got(self) -> int:
        return self.points if self.passed else 0

    def lines(self) -> list[str]:
        """Return what is to be said about it, a line each, without the picture."""
        if self.passed:
            return []
        said = [("expected", self.expected), ("happened", self.happened), ("hint", self.hint)]
        return [f"{label}: {text}" for label, text in said if text]


@dataclass(frozen=True)
class Report:
    """The outcomes of all checks; in a notebook it shows itself."""

    title: str
    file: str
    outcomes: tuple[Outcome, ...]
    problem: str = ""  # why the code could not even be run
    printed: str = ""  # the end of what it printed
    note: str = ""  # what else the learner should know: not of the code

    @property
    def points(self) -> int:
        return sum(outcome.got for outcome in self.outcomes)

    @property
    def of(self) -> int:
        return sum(outcome.points for outcome in self.outcomes)

    @property
    def solved(self) -> bool:
        return not self.problem and all(outcome.passed for outcome in self.outcomes)

    @property
    def failed(self) -> list[str]:
        return [outcome.name for outcome in self.outcomes if not outcome.passed]

    @property
    def headline(self) -> str:
        return f"{self.title}: {self.points} of {self.of} points"

    def text(self) -> str:
        """Return the report as plain text."""
        lines = [f"{self.headline}  ({self.file})"]
        if self.problem:
            return "\n".join([*lines, f"  not checked: {self.problem}", *self._end()])
        for outcome in self.outcomes:
            mark = "✓" if outcome.passed else "✗"
            lines.append(f"  {mark} {outcome.says}  [{outcome.got}/{outcome.points}]")
            lines += [f"      {line}" for line in outcome.lines()]
            if outcome.picture:
                lines += [f"        {line}" for line in outcome.picture.text().splitlines()]
        return "\n".join([*lines, *self._end()])

    def _end(self) -> list[str]:
        """Return the lines below the checks."""
        printed = [f"    {line}" for line in self.printed.splitlines()]
        lines = ["  your code printed:", *printed] if printed else []
        return [*lines, f"  {self.note}"] if self.note else lines

    def _repr_html_(self) -> str:
        parts = [STYLE, f"<b>{escape(self.headline)}</b>"]
        if self.problem:
            parts.append(f'<div class="lbkit-wrong"><p>not checked: {_code(self.problem)}</p></div>')
        for outcome in () if self.problem else self.outcomes:
            mark = "✓" if outcome.passed else "✗"
            parts.append(
                f'<div class="lbkit-check">{mark} {_code(outcome.says)} '
                f'<span class="lbkit-points">{outcome.got}/{outcome.points}</span></div>'
            )
            if not outcome.passed:
                said = "".join(f"<p>{_code(line)}</p>" for line in outcome.lines())
                picture = outcome.picture.html() if outcome.picture else ""
                parts.append(f'<div class="lbkit-wrong">{said}{picture}</div>')
        if self.printed:
            parts.append(f"your code printed:<pre>{escape(self.printed)}</pre>")
        if self.note:
            parts.append(f"<p>{escape(self.note)}</p>")
        return f'<div class="lbkit-report">{"".join(parts)}</div>'

    def __repr__(self) -> str:
        return self.text()

    def json(self) -> str:
        """Return the report for machines."""
        checks = [
            vars(outcome)
            | {"got": outcome.got, "picture": outcome.picture.data() if outcome.picture else None}
            for outcome in self.outcomes
        ]
        return json.dumps(
            {
                "lab": self.title, "file": self.file, "points": self.points, "of": self.of,
                "problem": self.problem, "checks": checks,
            },
            indent=2,
        )  # fmt: skip


def _code(text: str) -> str:
    """Return a text as HTML, with what is in backquotes as code."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if i % 2 else part for i, part in enumerate(parts))


def report(task: Task, checks: Iterable[Check], run: Run, file: str) -> Report:
    """Return the report on a run. Of hidden checks it tells the number only."""
    results = {result["name"]: result for result in run.results}
    outcomes = tuple(_outcome(check, results.get(check.name)) for check in checks)
    return Report(task.title, file, outcomes, run.problem or _same_for_all(run), run.printed)


def _same_for_all(run: Run) -> str:
    """Return the fault that ends all checks alike, as with code that is not written yet, or ""."""
    faults = [fault for result in run.results if (fault := result.get("fault", "")) != NOT_RUN]
    alike = len(set(faults)) == 1 or all(fault.startswith(NOT_WRITTEN) for fault in faults)
    return faults[0] if faults and alike and len(run.results) > 1 else ""


def _outcome(check: Check, result: dict[str, Any] | None) -> Outcome:
    if result is None:
        return Outcome(check.name, check.says, check.points, False)
    if check.hidden:
        happened = "" if result["passed"] else WITHHELD
        return Outcome("hidden", HIDDEN, check.points, result["passed"], happened=happened)
    if result["passed"]:
        return Outcome(check.name, check.says, check.points, True)
    picture = picture_from(result["picture"]) if result["picture"] else None
    said = (result["expected"], result["happened"], result["hint"])
    return Outcome(check.name, check.says, check.points, False, *said, picture)
