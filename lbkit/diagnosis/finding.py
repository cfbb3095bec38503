"""A finding: a name for what went wrong, of whom, when, and the numbers that show it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """`server`: which one, or empty if it is about all. `start` to `end`: seconds of the run."""

    name: str
    server: str
    start: float
    end: float
    evidence: str

    @property
    def when(self) -> str:
        return f"{self.start:.3g} s to {self.end:.3g} s"

    @property
    def what(self) -> str:
        """The finding without its evidence."""
        of = f" {self.server}" if self.server else ""
        return f"{self.name}{of}, {self.when}"

    def __str__(self) -> str:
        return f"{self.what}: {self.evidence}"
