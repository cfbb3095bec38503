"""How well a firewall tells attacks from harmless requests: rates over two corpora, as rows and a table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TypeVar

R = TypeVar("R")


class Rate(NamedTuple):
    """How many requests of a kind were refused, of how many."""

    kind: str
    hostile: bool
    refused: int
    total: int

    @property
    def share(self) -> float:
        return self.refused / self.total if self.total else float("nan")


def rates(
    refuses: Callable[[R], bool], attacks: Iterable[tuple[str, R]], harmless: Iterable[tuple[str, R]]
) -> list[Rate]:
    """Return a row for each kind of attack and of harmless request, and one for all of each.

    `refuses` is the firewall, this one or another. The corpora are pairs of a kind and a request."""
    rows = []
    for hostile, corpus in ((True, attacks), (False, harmless)):
        counts: dict[str, list[int]] = {}
        for kind, request in corpus:
            count = counts.setdefault(kind, [0, 0])
            count[0] += refuses(request)
            count[1] += 1
        its = [Rate(kind, hostile, refused, total) for kind, (refused, total) in counts.items()]
        rows += [*its, Rate("all", hostile, sum(r.refused for r in its), sum(r.total for r in its))]
    return rows


def table(engines: Sequence[tuple[str, Sequence[Rate]]]) -> str:
    """Return the rates of engines side by side, as lines of text. All have seen the same corpora."""
    width = max([8, *(len(name) for name, _ in engines)]) + 2
    lines = [f"{'':24}{'requests':>10}" + "".join(f"{name:>{width}}" for name, _ in engines)]
    for i, first in enumerate(engines[0][1] if engines else ()):
        label = f"{'detected' if first.hostile else 'false alarms'}, {first.kind}"
        shares = "".join(f"{f'{rows[i].share:.0%}':>{width}}" for _, rows in engines)
        lines.append(f"{label:24}{first.total:>10}{shares}")
    return "\n".join(lines)
