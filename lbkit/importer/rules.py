"""What the readers of content switching share: rules under construction, and expressions that search."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from lbkit.core.routing import Action, Body, Fixed, Rewrite, Rule, When

MOST_RULES = 900  # of a file; a table has at most 1000


@dataclass
class RuleList:
    """Rules in the order in which they are asked; each gets a name of its own."""

    rules: list[Rule] = field(default_factory=list)

    def add(
        self,
        name: str,
        then: Action,
        when: When | None = None,
        unless: Iterable[When] = (),
        rewrite: Rewrite | None = None,
    ) -> None:
        """Raises ValueError for what a rule cannot be."""
        if len(self.rules) >= MOST_RULES:
            raise ValueError(f"more than {MOST_RULES} rules")
        name = re.sub(r"[^ -~]", "?", name)[:100]
        unique, number, names = name, 2, {rule.name for rule in self.rules}
        while unique in names:
            unique, number = f"{name} #{number}", number + 1
        self.rules.append(Rule(unique, then, when or When(), rewrite, unless=tuple(unless)))


def anywhere(pattern: str, ignore_case: bool = False) -> str:
    """Return an expression for the whole text, of one that is searched in it. Raises ValueError.

    Rules match whole texts, nginx and HAProxy look whether an expression fits anywhere."""
    flags = "(?i)" if ignore_case else ""
    if pattern.startswith("(?i)"):
        flags, pattern = "(?i)", pattern.removeprefix("(?i)")
    pattern = re.sub(r"\(\?<(?=[A-Za-z_])", "(?P<", pattern)
    if "|" in re.sub(r"\\.|\[[^\]]*\]|\([^()]*\)", "", pattern):
        return f"{flags}.*(?:{pattern}).*"
    start = pattern.startswith("^")
    end = re.search(r"(?<!\\)(?:\\\\)*\$\Z", pattern) is not None
    inner = pattern[start : len(pattern) - end]
    return f"{flags}{'' if start else '.*'}{inner}{'' if end else '.*'}"


def not_imported(what: str) -> Fixed:
    """Return the answer in place of what has no counterpart: no other rule must get these requests."""
    return Fixed(501, Body(f"not imported: {what}\n"))
