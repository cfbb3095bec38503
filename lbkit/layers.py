"""What each balancer of a tree of them has seen of a run: its requests, failures, retries and time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from math import inf, nan
from typing import Any, NamedTuple

from lbkit.core.state_change import StateChange
from lbkit.table import duration

ENTRANCE = "entrance"  # how texts call the experiment's own balancer
UNKNOWN = -1  # of a count: a program does not tell it
MOST_SEEN = 100_000  # failures that a layer keeps with their times; the counts have all


class Seen(NamedTuple):
    """At second `at`, a layer saw an attempt at `node` fail, or an answer of 500 or more come from it."""

    at: float
    node: str


class Layer(NamedTuple):
    """One balancer: the experiment's own, with an empty name, or a tier. A count is -1 if it is not known.

    Times are in seconds from the start. `requests` came to it; `failed` of them got no good answer from it,
    `own` of these because it had no answer from below, and gave its own. `attempts` went to nodes below it.
    `seconds`: from a request's arrival here to its answer, mean; `added`: the part that is neither the layers
    below nor the servers' work, but network, queues and retries.
    """

    name: str
    above: str | None  # None: this is the experiment's own
    depth: int  # 0: the experiment's own
    below: tuple[str, ...]
    requests: int
    failed: int
    own: int
    attempts: int
    retries: int
    seconds: float = nan
    added: float = nan
    seen: tuple[Seen, ...] = ()
    changes: tuple[StateChange, ...] = ()

    @property
    def title(self) -> str:
        return self.name or ENTRANCE

    def first_failure(self, node: str, since: float, until: float = inf) -> float:
        """Return when it first saw `node` fail within [since, until]; inf if it did not."""
        return min((s.at for s in self.seen if s.node == node and since <= s.at <= until), default=inf)

    def taken_out(self, node: str, since: float, until: float = inf) -> float:
        """Return when a health rule took `node` out of service within [since, until]; inf if none did."""
        times = (c.at for c in self.changes if c.backend == node and c.takes_out and since <= c.at <= until)
        return min(times, default=inf)


class Layers(tuple[Layer, ...]):
    """The balancers of a run, each before those below it; a notebook shows them as a table."""

    def __getitem__(self, which: Any) -> Any:
        """Return a layer by its name ("" or "entrance": the experiment's own), or by its number."""
        if not isinstance(which, str):
            return super().__getitem__(which)
        found = [layer for layer in self if which in (layer.name, layer.title)]
        if not found:
            raise KeyError(f"no layer {which!r}: there are {', '.join(layer.title for layer in self)}")
        return found[0]

    def way_to(self, node: str) -> list[Layer]:
        """Return the layers above a node, the lowest first. Raises KeyError."""
        above = [layer for layer in self if node in layer.below]
        if not above:
            known = ", ".join(name for layer in self for name in layer.below)
            raise KeyError(f"no node {node!r}: there are {known}")
        way = [above[0]]
        while way[-1].above is not None:
            way.append(self[way[-1].above])
        return way

    def _repr_html_(self) -> str:
        cells = "".join(f"<th>{escape(name)}</th>" for name in HEAD)
        lines = "".join(
            "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows(self)
        )
        return f"<table><thead><tr>{cells}</tr></thead><tbody>{lines}</tbody></table>"

    def __repr__(self) -> str:
        return "\n".join("  ".join(row) for row in (HEAD, *rows(self)))


HEAD = ("layer", "requests", "failed", "its own answers", "retries", "failures seen", "mean", "added")


def rows(layers: Sequence[Layer]) -> Iterator[tuple[str, ...]]:
    """Yield the table's lines; the depth of a layer is that of its indent."""
    for layer in layers:
        yield (
            "\u2003" * layer.depth + layer.title,
            *(
                f"{n:,d}" if n >= 0 else "-"
                for n in (layer.requests, layer.failed, layer.own, layer.retries, len(layer.seen))
            ),
            duration(layer.seconds),
            duration(layer.added),
        )
