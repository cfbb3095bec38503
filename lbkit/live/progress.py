"""The progress of a live run, in a notebook or a terminal: share of its time, requests and errors so far."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

Watch = Callable[["Progress"], object]


@dataclass(frozen=True, slots=True)
class Progress:
    """What a run has done so far."""

    elapsed: float  # seconds since moment 0
    duration: float  # seconds in which requests arrive
    requests: int  # that ended
    errors: int  # of these

    @property
    def share(self) -> float:
        """The share of the time that is over, 0 to 1."""
        return min(1.0, max(0.0, self.elapsed / self.duration))

    def __str__(self) -> str:
        errors = f"{self.errors:,} error{'' if self.errors == 1 else 's'}"
        return f"{self.share:.0%} of {self.duration:g} s: {self.requests:,} requests, {errors}"


@contextmanager
def shown(name: str) -> Iterator[Watch]:
    """Yield a function that shows progress where the user is looking, and takes it away at the end.

    In a notebook that is a line below the cell, in a terminal a line on stderr; in a pipe nothing."""
    show, end = _notebook() or _terminal() or (_ignore, lambda: None)
    try:
        yield lambda progress: show(f"{name}: {progress}")
    finally:
        end()


def _ignore(_: str) -> None:
    pass


def _notebook() -> tuple[Callable[[str], object], Callable[[], object]] | None:
    ipython: Any = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    if not hasattr(shell, "kernel"):
        return None
    display: Any = ipython.display.display
    place = display({"text/plain": ""}, raw=True, display_id=True)

    def show(text: str) -> None:
        place.update({"text/plain": text}, raw=True)

    # A saved notebook must not show a run at 98 % for ever.
    return show, lambda: place.update({"text/plain": "", "text/html": ""}, raw=True)


def _terminal() -> tuple[Callable[[str], object], Callable[[], object]] | None:
    if not sys.stderr.isatty():
        return None

    def show(text: str) -> None:
        sys.stderr.write(f"\r\x1b[K{text}")  # to the start of the line, and clear it
        sys.stderr.flush()

    return show, lambda: show("")
