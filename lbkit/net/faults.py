"""What goes wrong in a proxy that goes on: each kind is printed once, and counted."""

from __future__ import annotations

import errno
import sys
import traceback
from collections import Counter

from lbkit.core import AlgorithmError


class Faults:
    """Faults by kind, such as the line of an algorithm that raises."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._lines: dict[str, str] = {}  # kind -> the message of the first

    def report(self, what: str) -> None:
        """Count a fault; call it within the exception's handler. `what` says which part of the proxy failed.

        The first of a kind is printed with its traceback. An AlgorithmError says by itself what is wrong."""
        error = sys.exception()
        if isinstance(error, AlgorithmError):
            kind, line = f"{error.algorithm} at {error.place}", str(error)
        else:
            kind, line = what, f"{what}: {type(error).__name__}: {error}" if error else what
        self._counts[kind] += 1
        if self._lines.setdefault(kind, line) is not line:
            return
        if error is None or isinstance(error, AlgorithmError) or _scarce(error):
            say(line)
        else:
            say(what)
            traceback.print_exc()

    def lines(self) -> list[str]:
        """Return a line for each kind, with how often it happened."""
        return [
            f"{self._lines[kind]} ({count:,} times)" if count > 1 else self._lines[kind]
            for kind, count in self._counts.items()
        ]


def _scarce(error: BaseException) -> bool:
    """Return whether descriptors ran out: the message says all that there is to know."""
    return isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE)


def say(what: str) -> None:
    """Print a line on standard error."""
    print(f"lbkit proxy: {what}", file=sys.stderr, flush=True)
