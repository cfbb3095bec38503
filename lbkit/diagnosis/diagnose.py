"""Looks for every kind of trouble in a result."""

from __future__ import annotations

from dataclasses import dataclass

from lbkit.core.text import shown
from lbkit.diagnosis.finding import Finding
from lbkit.diagnosis.rules import RULES
from lbkit.diagnosis.windows import Windows
from lbkit.result import Result
from lbkit.table import html

NOTHING = "nothing found"
COLUMNS = ("finding", "server", "when", "evidence")


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The findings, the earliest first; as text, a line for each, or that there are none."""

    findings: tuple[Finding, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """What was found, each name once."""
        return tuple(dict.fromkeys(finding.name for finding in self.findings))

    @property
    def brief(self) -> str:
        """The findings without their evidence, in one line."""
        return "; ".join(finding.what for finding in self.findings) or NOTHING

    def _repr_html_(self) -> str:
        """Return a table with a row for each finding, or a line that there is none."""
        if not self.findings:
            return f"<p>{NOTHING}</p>"
        body = ([one.name, one.server or "all", one.when, one.evidence] for one in self.findings)
        return html(COLUMNS, body, COLUMNS)

    def __str__(self) -> str:
        return "\n".join(map(str, self.findings)) or NOTHING


def diagnose(result: Result) -> Diagnosis:
    """Return what the rows of a run show: overload, a saturated, slow or failing server, an unfair split, a
    flapping check, a server that is down, a retry storm, coordinated omission, an outage.

    Only what lasts counts, at least three fiftieths of the run: short runs, and troubles that are short
    compared with the run, show nothing. Raises ValueError for what is no Result."""
    if not isinstance(result, Result):
        raise ValueError(f"result is {shown(result)}: use a Result, as from run(experiment)")
    windows = Windows(result)
    found = [finding for rule in RULES for finding in rule(windows)]
    return Diagnosis(tuple(sorted(found, key=lambda finding: (finding.start, finding.name))))
