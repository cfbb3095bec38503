"""Breaks a node of an experiment during a run: which layer notices, after how long, and what is lost?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import inf

from lbkit.checks import several
from lbkit.core.options import number as check_number
from lbkit.core.text import shown, unknown
from lbkit.events import Action, Event, as_action
from lbkit.experiment import Experiment
from lbkit.result import Result, good
from lbkit.run import run
from lbkit.table import duration, html
from lbkit.tier import Node, Tier

BREAKS = (Action.CRASH, Action.HANG)


@dataclass(frozen=True)
class Notice:
    """What one layer above a broken node noticed. Times are seconds after the break; inf means never.

    `failure`: when a request first failed at `node`. `out`: when health rules took `node` out of service.
    `failures`: how many failures it saw from the break until the recovery."""

    layer: str
    node: str  # the node right below this layer, on the path to the broken one
    failure: float
    out: float
    failures: int

    @property
    def first(self) -> float:
        """When the layer first noticed anything, in seconds after the break; inf if it never did."""
        return min(self.failure, self.out)

    def __str__(self) -> str:
        said = []
        if self.failure < inf:
            said.append(f"a request failed at {self.node} {_after(self.failure)}")
        if self.out < inf:
            said.append(f"it took {self.node} out {_after(self.out)}")
        return f"{self.layer}: {' and '.join(said) or 'noticed nothing'}"


@dataclass(frozen=True)
class Broken:
    """The outcome of a run in which `node` broke at second `at` and recovered at second `until`.

    `lost`: requests without a good answer that arrived after the break, until the end of the run. `came`: all
    requests that arrived while the node was broken. `notices`: of the layers above it, the lowest first."""

    node: str
    action: Action
    at: float
    until: float
    result: Result
    notices: tuple[Notice, ...]
    lost: int
    came: int
    last: float  # when the last lost request arrived, in seconds after the break; 0 if none was lost

    @property
    def first(self) -> Notice | None:
        """The layer that noticed first; None if none did."""
        noticed = [notice for notice in self.notices if notice.first < inf]
        return min(noticed, key=lambda notice: notice.first, default=None)

    @property
    def found(self) -> Notice | None:
        """The layer whose health rules first took out the node, or one above it; None if none did."""
        took = [notice for notice in self.notices if notice.out < inf]
        return min(took, key=lambda notice: notice.out, default=None)

    def __str__(self) -> str:
        if not self.first:
            noticed = "no layer noticed"
        else:
            noticed = f"{self.first.layer} noticed first, {_after(self.first.first)}"
        took = (
            f"; {self.found.layer} took {self.found.node} out after {duration(self.found.out)}"
            if self.found
            else ""
        )
        lost = f"{self.lost:,d} of {self.came:,d} requests were lost"
        until = f", the last {duration(self.last)} after the break" if self.lost else ""
        return f"{self.node} {_DONE[self.action]}: {noticed}{took}; {lost}{until}"

    def __repr__(self) -> str:
        return "\n".join([str(self), *(f"  {notice}" for notice in self.notices)])


def _after(seconds: float) -> str:
    return f"after {duration(seconds)}" if seconds else "at once"


_DONE = {Action.CRASH: "crashes", Action.HANG: "hangs"}


def what_if(
    experiment: Experiment,
    node: str,
    action: Action | str = Action.CRASH,
    at: float | None = None,
    until: float | None = None,
    on: str = "sim",
) -> Broken:
    """Break a server or tier during a run and let it recover; return the outcome.

    `action`: crash or hang. `at` and `until`: seconds, by default a quarter and two thirds of the traffic's
    duration. `on`: the engine. Raises ValueError for an unknown node or action, and what `run` raises."""
    _experiment(experiment)
    action = as_action(action)
    if action not in BREAKS:
        raise ValueError(f"action is {action.value!r}: use crash or hang")
    known = [*(tier.name for tier in experiment.tiers), *(server.name for server in experiment.leaves)]
    if node not in known:
        raise ValueError(unknown(node, known, "node"))
    length = experiment.traffic.duration
    at = length / 4 if at is None else at
    until = length * 2 / 3 if until is None else until
    check_number(0, at=at)
    check_number(0, until=until)
    if at >= length:
        raise ValueError(f"at is {at:g}: use a second before {length:g}, when the traffic ends")
    if not at < until:
        raise ValueError(f"until is {until:g}: use a second after {at:g}, when the node breaks")
    events = (*experiment.events, Event(at, action, node), Event(until, Action.RECOVER, node))
    result = run(experiment.but(events=events), on)
    rows = zip(result.arrival, result.status, strict=True)
    arrived = [(arrival, status) for arrival, status in rows if arrival >= at]
    lost = [arrival for arrival, status in arrived if not good(status)]
    return Broken(
        node,
        action,
        at,
        until,
        result,
        tuple(_notices(result, node, at, until)),
        len(lost),
        sum(arrival < until for arrival, _ in arrived),
        max(lost, default=at) - at,
    )


def _experiment(what: object) -> None:
    if not isinstance(what, Experiment):
        raise ValueError(f"experiment is {shown(what)}: use an Experiment")


def _notices(result: Result, node: str, at: float, until: float) -> Iterator[Notice]:
    for layer in result.layers.path_to(node):
        failures = sum(seen.node == node and at <= seen.at <= until for seen in layer.seen)
        failure, out = layer.first_failure(node, at, until), layer.taken_out(node, at, until)
        yield Notice(layer.title, node, failure - at, out - at, failures)
        node = layer.name


class BrokenEach(tuple[Broken, ...]):
    """The outcomes of breaking one node after another; a notebook shows them as a table."""

    def _repr_html_(self) -> str:
        return html(HEAD, map(_row, self), texts=["node", "noticed first", "taken out by"])

    def __repr__(self) -> str:
        return "\n".join(map(str, self))


HEAD = ("node", "noticed first", "after", "taken out by", "after", "lost", "% lost", "last lost after")


def _row(one: Broken) -> tuple[str, ...]:
    first, found = one.first, one.found
    return (
        one.node,
        first.layer if first else "-",
        duration(first.first) if first else "-",
        found.layer if found else "-",
        duration(found.out) if found else "-",
        f"{one.lost:,d}",
        f"{100 * one.lost / one.came:.1f}" if one.came else "-",
        duration(one.last) if one.lost else "-",
    )


def break_each(
    experiment: Experiment, nodes: Iterable[str] = (), action: Action | str = Action.CRASH
) -> BrokenEach:
    """Break each node in a run of its own; by default the first node of each layer, from the top.

    Raises ValueError, as `what_if` does."""
    _experiment(experiment)
    chosen: Iterable[str] = several(nodes) or first_of_each(experiment.servers)
    return BrokenEach(what_if(experiment, node, action) for node in chosen)


def first_of_each(servers: tuple[Node, ...]) -> list[str]:
    """Return the name of the first node of each layer, from the top."""
    names = []
    while servers:
        node = servers[0]
        names.append(node.name)
        servers = node.servers if isinstance(node, Tier) else ()
    return names
