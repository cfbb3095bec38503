"""The requests that came to the gate, as a simulation has recorded them, and how full it was."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from math import inf
from typing import Any, NamedTuple

from lbkit.core.gate import Refusal
from lbkit.recorded import ADMITTED, ENDED, GATE, LEFT, Passage
from lbkit.viz.theatre.plain import seconds

DENIED = "denied"  # by a rate limit that holds requests
HOWS = (ADMITTED, DENIED, LEFT, *(why.value for why in Refusal))


class Entry(NamedTuple):
    """A request that waits from `at` to `out`, if it waits, and how that ended."""

    at: float
    row: int
    out: float  # inf: it still waits when the run ends
    how: str
    priority: str = ""


class Level(NamedTuple):
    """How it is from `at` on."""

    at: float
    running: int
    limit: float  # requests at once; inf: none
    waiting: int
    chance: float  # of a rejection by admission control
    refused: int  # so far


def entries(passages: Sequence[Passage]) -> list[Entry]:
    """Return the requests at the gate in order of their coming."""
    found: list[Entry] = []
    waiting: defaultdict[int, list[int]] = defaultdict(list)  # request -> numbers of its entries
    for passage in passages:
        if passage.what == GATE:
            waiting[passage.request].append(len(found))
            found.append(Entry(passage.at, passage.request, inf, ADMITTED, passage.priority))
        elif passage.what in HOWS and waiting[passage.request]:
            number = waiting[passage.request].pop()
            found[number] = found[number]._replace(out=passage.at, how=passage.what)
    return found


def levels(passages: Sequence[Passage]) -> list[Level]:
    """Return how full the gate is after each moment at which something happened."""
    found: list[Level] = []
    running = waiting = refused = 0
    for passage in passages:
        if passage.what in (ADMITTED, ENDED):
            running += 1 if passage.what == ADMITTED else -1
        if passage.what == GATE:
            waiting += 1
        elif passage.what in HOWS:
            waiting -= 1
            refused += passage.what not in (ADMITTED, LEFT)
        if passage.what == GATE or passage.what == ENDED or passage.what in HOWS:
            now = Level(passage.at, running, passage.limit, waiting, passage.chance, refused)
            if found and found[-1].at == now.at:
                found.pop()
            found.append(now)
    return found


def columns(shown: Sequence[Entry], number_of: dict[int, int], classes: Sequence[str] = ()) -> dict[str, Any]:
    """Return entries as columns; `how` is an index into HOWS, `priority` one into `classes`."""
    return {
        "at": [seconds(entry.at) for entry in shown],
        "request": [number_of[entry.row] for entry in shown],
        "out": [seconds(entry.out) for entry in shown],
        "how": [HOWS.index(entry.how) for entry in shown],
        "priority": [classes.index(entry.priority) if entry.priority in classes else 0 for entry in shown],
    }
