"""Texts that come from outside, and what is said of names that do not exist."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

# What could end a line of a log or of a header, or steer a terminal; and halves of characters.
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029" + chr(0xD800) + "-" + chr(0xDFFF) + "]")

# Names of values that no log should have, nor a page that every user of the machine can read.
_SECRET = re.compile(r"(?i)secret|token|passw|authori[sz]ation|cookie|salt|credential|api[-_]?key")
MOST_SHOWN = 20  # values of a sequence


def is_secret(name: str) -> bool:
    """Return whether what has this name, such as a field of a file, is likely to be a secret."""
    return _SECRET.search(name) is not None and not name.endswith("_file")


def listed(names: Sequence[str]) -> str:
    """Return names as in a sentence: "a, b and c"."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def did_you_mean(name: object, known: Iterable[str], joint: str = "; ") -> str:
    """Return "; did you mean ...?" for a name that resembles a known one, else an empty text."""
    near = get_close_matches(name, list(known), n=1) if isinstance(name, str) else []
    return f"{joint}did you mean {near[0]}?" if near else ""


def unknown(name: object, known: Iterable[str], what: str = "") -> str:
    """Return the message for an unknown name, which may be no text at all.

    `what` says what it names, such as "option"."""
    known, called = list(known), (name if isinstance(name, str) and name else shown(name))
    there = f"known are {', '.join(map(str, known))}" if known else "there are none"
    return f"unknown {what}{' ' if what else ''}{called}; {there}{did_you_mean(name, known)}"


def shown(value: object) -> str:
    """Return a short text of a value, for a message."""
    return _SHORT.repr(value)


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 100


def brief(values: Sequence[object]) -> str:
    """Return a sequence as text; of a long one, as a log makes it, the ends and how many there are."""
    if len(values) <= MOST_SHOWN:
        return repr(values)
    return f"({values[0]!r}, {values[1]!r}, ..., {values[-1]!r}: {len(values):,} in all)"
