"""What each balancer in a tree saw of a run: its requests, failures, retries and time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import inf, nan
from typing import Any, NamedTuple

from lbkit.core.state_change import StateChange
from lbkit.table import duration, html

ENTRANCE = "entrance"  # what texts call the experiment's own balancer
UNKNOWN = -1  # a count that a program does not report
MOST_SEEN = 100_000  # failures that a layer keeps with their times; counts include the rest


class Seen(NamedTuple):
    """A failure that a layer saw at second `at`: a failed attempt at `node`, or its answer of 500 or more."""

    at: float
    node: str


class Layer(NamedTuple):
    """One balancer: a tier, or the experiment's own with an empty name. A count is -1 if it is not known.

    `requests` arrived here and `failed` of them got no good answer; `own` of these got the balancer's own
    answer, as none came from below. `attempts` were sent to nodes below. `seconds` is the mean time from a
    request's arrival here to its answer; `added` is what this layer adds to the layers and servers below by
    network, queues and retries. Times of `seen` failures and state `changes` are seconds from the start.
    """

    name: str
    above: str | None  # the layer above; None for the experiment's own balancer
    depth: int  # 0 for the experiment's own
    below: tuple[str, ...]  # the nodes that it balances
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
        """Return the second within [since, until] when it first saw `node` fail; inf if it did not."""
        return min((s.at for s in self.seen if s.node == node and since <= s.at <= until), default=inf)

    def taken_out(self, node: str, since: float, until: float = inf) -> float:
        """Return the second within [since, until] when a health rule took `node` out; inf if none did."""
        times = (c.at for c in self.changes if c.backend == node and c.takes_out and since <= c.at <= until)
        return min(times, default=inf)


class Layers(tuple[Layer, ...]):
    """The layers of a run, each before those below it; a notebook shows them as a table."""

    def __getitem__(self, which: Any) -> Any:
        """Return a layer by its index or name ("" or "entrance": the experiment's own). Raises KeyError."""
        if not isinstance(which, str):
            return super().__getitem__(which)
        found = [layer for layer in self if which in (layer.name, layer.title)]
        if not found:
            raise KeyError(f"no layer {which!r}: there are {', '.join(layer.title for layer in self)}")
        return found[0]

    def path_to(self, node: str) -> list[Layer]:
        """Return the layers above a node, the lowest first. Raises KeyError for an unknown node."""
        above = [layer for layer in self if node in layer.below]
        if not above:
            known = ", ".join(name for layer in self for name in layer.below)
            raise KeyError(f"no node {node!r}: there are {known}")
        path = [above[0]]
        while path[-1].above is not None:
            path.append(self[path[-1].above])
        return path

    def _repr_html_(self) -> str:
        return html(HEAD, rows(self), texts=["layer"])

    def __repr__(self) -> str:
        return "\n".join("  ".join(row) for row in (HEAD, *rows(self)))


HEAD = ("layer", "requests", "failed", "its own answers", "retries", "failures seen", "mean", "added")


def rows(layers: Sequence[Layer]) -> Iterator[tuple[str, ...]]:
    """Yield a row of texts for each layer, indented by its depth."""
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
