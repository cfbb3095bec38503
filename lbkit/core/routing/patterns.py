r"""Texts that rules look for: globs, and regular expressions with a bound on the time they can take.

Python's `re` tries one way after another to divide a text among the repeats of a pattern. In (a+)+b each a
may belong to the inner or the outer repeat, so thirty of them have a billion ways, and one request keeps a
processor busy for hours (ReDoS). So there are two limits, and together they bound the time of every match:

1. A text longer than LONGEST is refused with an error answer. It must not count as "does not match":
   a rule that protects a path could then be evaded by a long one.
2. A pattern with more than MOST_WAYS ways through a text of that length is refused when it is read. A
   repeat of one character has LONGEST + 1 ways, or one way if what follows it cannot begin with that
   character, as in [0-9]+/. Alternatives add up, unless their first characters differ. What stands side by
   side multiplies. A repeat of a group without an upper bound, or of one that can be empty, references to
   groups and lookarounds are refused.

So one repeat may overlap with what follows it, but not two: /.*[.]php is accepted, /.*/.*[.]php is not, and
any number of /[^/]+/ is. A way costs a few steps for each character at most.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable
from re import _constants as c  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import Any

LONGEST = 1000  # characters of a text that a regular expression looks at
MOST_WAYS = 20_000  # room for one repeat that overlaps with what follows it, and some alternatives
LONGEST_PATTERN = 500  # characters

# Sets of characters: code points up to 255, and one number for all beyond.
_BEYOND = 256
_ALL = frozenset(range(_BEYOND + 1))
_CATEGORIES = {
    c.CATEGORY_DIGIT: r"\d",
    c.CATEGORY_NOT_DIGIT: r"\D",
    c.CATEGORY_SPACE: r"\s",
    c.CATEGORY_NOT_SPACE: r"\S",
    c.CATEGORY_WORD: r"\w",
    c.CATEGORY_NOT_WORD: r"\W",
}


class TooLong(Exception):
    """Raised for a text that is longer than what a regular expression may look at."""


class SafeRegex:
    """A regular expression that the whole text must match, in bounded time. Raises ValueError, see above."""

    def __init__(self, pattern: str) -> None:
        if len(pattern) > LONGEST_PATTERN:
            raise ValueError(f"has {len(pattern)} characters: use at most {LONGEST_PATTERN}")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # "possible nested set": likely a mistake
                # A path may have a line end in it, and must not evade a rule by it: DOTALL.
                self._regex = re.compile(pattern, re.DOTALL)
                tree = _parser.parse(pattern, re.DOTALL)
        except (re.error, RecursionError, OverflowError, Warning) as error:
            raise ValueError(f"is {pattern!r}, no regular expression: {error}") from None
        ways, _, _ = _Counter(bool(self._regex.flags & re.IGNORECASE)).sequence(tree, frozenset())
        if ways > MOST_WAYS:
            raise ValueError(
                f"is {pattern!r}: its repeats overlap, so a text could be matched in too many ways; let each "
                "repeat end at a character that it does not contain, such as [^/]+/"
            )
        self.pattern = pattern
        self.groups = self._regex.groups
        self.names = frozenset(self._regex.groupindex)

    def match(self, text: str) -> re.Match[str] | None:
        """Return the match of the whole text, or None. Raises TooLong."""
        if len(text) > LONGEST:
            raise TooLong(f"longer than {LONGEST} characters")
        return self._regex.fullmatch(text)


def _join(ways: Iterable[int]) -> int:
    return min(sum(ways), MOST_WAYS + 1)


class _Counter:
    """Counts the ways through parts of a pattern.

    Each method gets the characters that may `follow`, and returns the ways, the characters that the part may
    begin with, and whether it can be empty."""

    def __init__(self, ignore_case: bool) -> None:
        self.ignore_case = ignore_case

    def sequence(self, items: Iterable[Any], follow: frozenset[int]) -> tuple[int, frozenset[int], bool]:
        ways, empty = 1, True
        for operator, argument in reversed(list(items)):
            own, first, may_be_empty = self.item(operator, argument, follow)
            ways = min(ways * own, MOST_WAYS + 1)
            follow = first | follow if may_be_empty else first
            empty = empty and may_be_empty
        return ways, follow, empty

    def item(self, operator: Any, argument: Any, follow: frozenset[int]) -> tuple[int, frozenset[int], bool]:
        if operator in (c.MAX_REPEAT, c.MIN_REPEAT, c.POSSESSIVE_REPEAT):
            low, high, items = argument
            return self.repeat(operator, low, high, items, follow)
        if operator is c.SUBPATTERN:
            _, added, _, items = argument
            if added & re.IGNORECASE:
                self.ignore_case = True  # from here on: it only makes the count higher
            return self.sequence(items, follow)
        if operator is c.BRANCH:
            parts = [self.sequence(branch, follow) for branch in argument[1]]
            if sum(empty for _, _, empty in parts) > 1:
                raise ValueError("has several alternatives that can be empty: leave all but one out")
            firsts = frozenset[int]().union(*(first for _, first, _ in parts))
            differ = len(firsts) == sum(len(first) for _, first, _ in parts)  # so at most one goes on
            ways = [ways for ways, _, _ in parts]
            return max(ways) if differ else _join(ways), firsts, any(empty for _, _, empty in parts)
        if operator is c.AT:  # ^, $, \b
            return 1, frozenset(), True
        if (chars := self.characters(operator, argument)) is not None:
            return 1, chars, False
        what = {c.ASSERT: "a lookaround", c.ASSERT_NOT: "a lookaround", c.GROUPREF: "a reference to a group"}
        raise ValueError(f"has {what.get(operator, 'a construct')} that rules do not support; leave it out")

    def repeat(
        self, operator: Any, low: int, high: Any, items: Any, follow: frozenset[int]
    ) -> tuple[int, frozenset[int], bool]:
        chars = self.characters(*items[0]) if len(items) == 1 else None
        if chars is not None:
            certain = low == high or operator is c.POSSESSIVE_REPEAT or not chars & follow
            ways = 1 if certain else min(int(high), LONGEST) - min(low, LONGEST) + 1
            return ways, chars, low == 0
        if high is c.MAXREPEAT or operator is c.POSSESSIVE_REPEAT:
            raise ValueError(
                "repeats a group without an upper bound, which can take for ever: use one character class, "
                "such as [a-z/]+, or a bound, such as (...){0,3}"
            )
        _, first, empty = self.sequence(items, frozenset())
        once, _, _ = self.sequence(items, first | follow)  # another round may follow, too
        if empty:
            raise ValueError(
                "repeats a group that can be empty: leave out the repeat, or what makes it empty"
            )
        ways, power = 0, once**low if low < 64 else MOST_WAYS + 1
        for _ in range(low, high + 1):
            ways = _join((ways, power))
            power = min(power * once, MOST_WAYS + 1)
            if ways > MOST_WAYS:
                break
        return ways, first, low == 0

    def characters(self, operator: Any, argument: Any) -> frozenset[int] | None:
        """Return the characters that a part matches one of; None if it is not one character."""
        found: frozenset[int] | None = None
        if operator is c.LITERAL:
            found = frozenset({min(argument, _BEYOND)})
        elif operator is c.NOT_LITERAL:
            found = _ALL - ({argument} if argument < _BEYOND else set())
        elif operator is c.ANY:
            found = _ALL
        elif operator is c.IN:
            found = self._class(argument)
        return _ALL if found is not None and self.ignore_case else found

    @staticmethod
    def _class(items: Any) -> frozenset[int]:
        found: set[int] = set()
        negated = False
        for operator, argument in items:
            if operator is c.NEGATE:
                negated = True
            elif operator is c.LITERAL:
                found.add(min(argument, _BEYOND))
            elif operator is c.RANGE:
                found.update(range(argument[0], min(argument[1], _BEYOND) + 1))
                found.update({_BEYOND} if argument[1] >= _BEYOND else ())
            else:
                one = re.compile(_CATEGORIES[argument])
                found.update(code for code in range(_BEYOND) if one.match(chr(code)))
                found.add(_BEYOND)
        return (_ALL - found) | {_BEYOND} if negated else frozenset(found)


def glob(pattern: str) -> re.Pattern[str]:
    """Return what `*` stands for any text in. The whole text has to match; time is linear in the text.

    After each piece between two stars the first place where it fits is as good as any other, so the search
    commits to it: an atomic group, (?>...)."""
    head, *pieces = [re.escape(piece) for piece in pattern.split("*")]
    if not pieces:
        return re.compile(head)
    *middle, tail = pieces
    return re.compile("(?s)" + head + "".join(f"(?>.*?{piece})" for piece in middle) + ".*" + tail)
