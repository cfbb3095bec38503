"""Faults of a running proxy: each kind is printed once, and counted."""

from __future__ import annotations

import errno
import sys
import traceback
from collections import Counter

from lbkit.core import AlgorithmError


class Faults:
    """Faults by kind, such as the line of an algorithm that raises.

    `print_algorithms`: whether failures of the algorithm are printed; a live engine sets it False, as its
    Result reports them."""

    def __init__(self) -> None:
        self.print_algorithms = True
        self._counts: Counter[str] = Counter()
        self._lines: dict[str, str] = {}  # kind -> the message of the first

    def report(self, what: str) -> None:
        """Count a fault; call it in the exception's handler. `what` names the part of the proxy that failed.

        The first of a kind is printed with its traceback; an AlgorithmError needs none."""
        self._count(what, sys.exception())

    def note(self, what: str) -> None:
        """Count a fault without an exception, whatever is being handled meanwhile; print it if it is new.

        A compiled coroutine that was woken with an exception hands it on as the one being handled."""
        self._count(what, None)

    def _count(self, what: str, error: BaseException | None) -> None:
        if isinstance(error, AlgorithmError):
            kind, line = f"{error.algorithm} at {error.place}", str(error)
        else:
            kind, line = what, f"{what}: {type(error).__name__}: {error}" if error else what
        self._counts[kind] += 1
        if kind in self._lines:
            return
        self._lines[kind] = line
        if isinstance(error, AlgorithmError):
            if self.print_algorithms:
                say(line)
        elif error is None or _scarce(error):
            say(line)
        else:
            say(what)
            traceback.print_exc()

    def lines(self) -> list[str]:
        """Return a line for each kind, with its count."""
        return [
            f"{self._lines[kind]} ({count:,} times)" if count > 1 else self._lines[kind]
            for kind, count in self._counts.items()
        ]


def _scarce(error: BaseException) -> bool:
    """Return whether descriptors ran out, which needs no traceback."""
    return isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE)


def say(what: str) -> None:
    """Print a line on standard error."""
    print(f"lbkit proxy: {what}", file=sys.stderr, flush=True)
