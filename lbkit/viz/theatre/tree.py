"""The tiers of a film, and what each layer notices of a failure."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf
from typing import Any

from lbkit.events import OUTAGES, Action
from lbkit.result import Result
from lbkit.table import duration
from lbkit.tier import Node, Tier, leaves
from lbkit.viz.theatre.plain import seconds

AT_THE_ENTRANCE = "requests that no server answered are refused at the entrance here, whichever layer did it"


def tiers(servers: tuple[Node, ...], depth: int = 1, first: int = 0, above: int = -1) -> list[dict[str, Any]]:
    """Return the tiers as plain data, each before those below it.

    `first`, `last`: the numbers of its first server, and of its last; `above`: the number of the tier that it
    is in, -1 if it is in none; `asked`: whether clients only ask it, as a name server."""
    found: list[dict[str, Any]] = []
    number = first
    for node in servers:
        count = len(leaves([node]))
        if isinstance(node, Tier):
            inside = above + 1 + len(found)
            found.append(
                {
                    "name": node.name,
                    "depth": depth,
                    "above": above,
                    "first": number,
                    "last": number + count - 1,
                    "asked": node.ttl is not None,
                }
            )
            found += tiers(node.servers, depth + 1, number, inside)
        number += count
    return found


def notices(result: Result) -> list[dict[str, Any]]:
    """Return what the layers notice of each node that crashes or hangs, in order of time: `at` and `text`."""
    if not result.layers:
        return []
    timeline = result.experiment.timeline
    found: list[dict[str, Any]] = []
    for event in timeline:
        if event.action not in OUTAGES:
            continue
        later = (e.at for e in timeline if e.server == event.server and e.at > event.at and _ends(e.action))
        until = min(later, default=inf)
        found += _of(result, event.server, event.action, event.at, until)
    return sorted(found, key=lambda notice: float(notice["at"]))


def _ends(action: Action) -> bool:
    return action is Action.RECOVER or action in OUTAGES


def _of(result: Result, node: str, action: Action, at: float, until: float) -> Iterator[dict[str, Any]]:
    said = "crashes" if action is Action.CRASH else "hangs"
    yield {"at": seconds(at), "text": f"{node} {said}"}
    broken = node
    for layer in result.layers.path_to(node):
        failure, out = layer.first_failure(node, at, until), layer.taken_out(node, at, until)
        after = f"after {broken} {said}"
        if failure < inf:
            text = f"{layer.title} sees a request fail at {node}, {duration(failure - at)} {after}"
            yield {"at": seconds(failure), "text": text}
        if out < inf:
            text = f"{layer.title} takes {node} out of service, {duration(out - at)} {after}"
            yield {"at": seconds(out), "text": text}
        node = layer.name
