"""Typical mistakes of a lab: source/wrong.md has each as an edit of the solution, in the form of a diff.

A section has a name, `fails: ` and the checks that it fails, a sentence, and a diff without line numbers: the
solution's lines, which are there once, with "-" before those that go, and new ones, with "+". "@@" separates
places.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

SECTION = re.compile(
    r"^## (?P<name>\w+)\n\nfails: (?P<fails>[a-z0-9, -]+)\n\n(?P<says>.+?)\n\n```diff\n(?P<diff>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Mistake:
    """Code with a mistake, and the names of the checks that it has to fail; it passes all others."""

    name: str
    fails: tuple[str, ...]
    code: str


def mistakes_in(text: str, solution: str) -> dict[str, Mistake]:
    """Return the mistakes of a lab by name. Raises ValueError for an edit that does not fit the solution."""
    found: dict[str, Mistake] = {}
    for section in SECTION.finditer(text):
        name = section["name"]
        try:
            code = edited(solution, section["diff"])
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
        found[name] = Mistake(name, tuple(section["fails"].split(", ")), code)
    if len(found) != text.count("\n## "):
        raise ValueError(
            f"not all sections can be read, only {', '.join(found)}: compare them with the others"
        )
    return found


def edited(source: str, diff: str) -> str:
    """Return a text after an edit. Raises ValueError if its lines do not stand there once."""
    text = f"\n{source}"  # so that every line has an end of a line before it
    for place in diff.split("@@\n"):
        lines = place.splitlines()
        old, new = ("".join(f"\n{line[1:]}" for line in lines if line[:1] != mark) for mark in "+-")
        if (times := text.count(f"{old}\n")) != 1:
            raise ValueError(f"these lines are {times} times in the solution, not once:{old}")
        text = text.replace(f"{old}\n", f"{new}\n")
    return text[1:]
