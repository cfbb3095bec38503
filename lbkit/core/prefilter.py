"""A prefilter for regular expressions: what a text must contain before a search can succeed.

Most texts are harmless, and most signatures need something that they do not have: a quote, `<`, `union`. To
look for such a piece takes a twentieth of the time of a search. The pieces are derived from the patterns, so
no table can disagree with them. (RE2's FilteredRE2 does the same for thousands of patterns.)
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from re import _parser as sre  # type: ignore[attr-defined] # private, and the same since 3.11
from typing import Any, Generic, Protocol, TypeVar

MOST_PIECES = 20  # for one pattern; with more, a search costs less
MOST_OF_A_SET = 4  # characters: [a-z] is no piece

Pieces = frozenset[str]


class HasPattern(Protocol):
    @property
    def pattern(self) -> re.Pattern[str]: ...


S = TypeVar("S", bound=HasPattern)


class Sieve(Generic[S]):
    """Patterns by their pieces, each of which is looked for once."""

    def __init__(self, patterns: Iterable[S]) -> None:
        self._patterns = list(patterns)
        found: dict[str, list[int]] = {}
        for i, one in enumerate(self._patterns):
            for piece in sorted(pieces_of(one.pattern.pattern)):
                found.setdefault(piece, []).append(i)
        self._pieces = list(found.items())

    def candidates(self, text: str) -> list[S]:
        """Return the patterns that may be found in this text, in their order."""
        there = [numbers for piece, numbers in self._pieces if piece in text]
        return [self._patterns[i] for i in sorted({i for numbers in there for i in numbers})]


@cache
def pieces_of(pattern: str) -> Pieces:
    """Return pieces of which every match has at least one; only the empty piece if none are known."""
    return _best(sre.parse(pattern)) or frozenset(("",))


def _best(parsed: Iterable[tuple[Any, Any]]) -> Pieces | None:
    """Return the most telling pieces of a sequence: any item of it must occur, so one item is enough."""
    found: list[Pieces] = []
    word = ""
    for op, value in parsed:
        if op is sre.LITERAL:
            word += chr(value)
            continue
        found.append(frozenset((word,)))
        word = ""
        found.append(_of_item(op, value) or frozenset(("",)))
    found.append(frozenset((word,)))
    best = max(found, key=_weight)
    return best if _weight(best) > 0 else None


def _of_item(op: Any, value: Any) -> Pieces | None:
    if op is sre.IN and len(value) <= MOST_OF_A_SET and all(kind is sre.LITERAL for kind, _ in value):
        return frozenset(chr(code) for _, code in value)
    if op is sre.SUBPATTERN:
        return _best(value[-1])
    if op in (sre.MAX_REPEAT, sre.MIN_REPEAT) and value[0] > 0:
        return _best(value[2])
    if op is sre.BRANCH:
        branches = [_best(branch) for branch in value[1]]
        if all(branches):
            pieces = frozenset[str]().union(*(branch or () for branch in branches))
            return pieces if len(pieces) <= MOST_PIECES else None
    return None


def _weight(pieces: Pieces) -> float:
    """Return how seldom ordinary text has one of them: long ones are rare, and so are quotes and brackets."""
    lengths = [sum(1 if char.isalnum() or char == " " else 2.5 for char in piece) for piece in pieces]
    return min(lengths) - len(pieces) / 10
