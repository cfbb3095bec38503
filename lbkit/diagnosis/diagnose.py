"""Looks for every kind of trouble in a result."""

from __future__ import annotations

from dataclasses import dataclass

from lbkit.core.text import shown
from lbkit.diagnosis.finding import Finding
from lbkit.diagnosis.rules import RULES
from lbkit.diagnosis.windows import Windows
from lbkit.result import Result

NOTHING = "nothing found"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The findings, the earliest first; as text, a line for each, or that there are none."""

    findings: tuple[Finding, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """What was found, each name once."""
        return tuple(dict.fromkeys(finding.name for finding in self.findings))

    def __str__(self) -> str:
        return "\n".join(map(str, self.findings)) or NOTHING


def diagnose(result: Result) -> Diagnosis:
    """Return what the rows of a run show: overload, a saturated, slow or failing server, an unfair split, a
    flapping check, a retry storm, coordinated omission, an outage.

    Only what lasts counts, at least three fiftieths of the run: short runs, and troubles that are short
    compared with the run, show nothing. Raises ValueError for what is no Result."""
    if not isinstance(result, Result):
        raise ValueError(f"result is {shown(result)}: use a Result, as from run(experiment)")
    windows = Windows(result)
    found = [finding for rule in RULES for finding in rule(windows)]
    return Diagnosis(tuple(sorted(found, key=lambda finding: (finding.start, finding.name))))
