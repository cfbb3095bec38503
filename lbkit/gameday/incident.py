"""The incidents of a game day: what goes wrong, and when, for whatever servers a design has."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from attrs import field, frozen

from lbkit.arrivals import Burst
from lbkit.checks import number, word
from lbkit.core.options import named_fields
from lbkit.core.options import number as check_number
from lbkit.events import Action, Event
from lbkit.server import Server

__all__ = ["KINDS", "Farm", "Incident", "events_of", "largest_first"]

Farm = Mapping[str, Sequence[Server]]  # the servers of each region that has any


class Kind(NamedTuple):
    """What an incident of this kind is called, what its `value` means, and which values make sense.

    `hits`: the servers that it happens to, of regions in order of size. None: it is in the traffic."""

    title: str
    value: str = ""
    low: float = 0.0
    high: float = 0.0
    hits: Callable[[Farm], Sequence[Server]] | None = None
    action: Action | None = None


def largest_first(farm: Farm) -> list[Sequence[Server]]:
    """Return the servers by region, the region with the most servers first."""
    return sorted(farm.values(), key=lambda servers: -len(servers))


def _first(farm: Farm) -> Sequence[Server]:
    return largest_first(farm)[0][:1]


def _last(farm: Farm) -> Sequence[Server]:
    return largest_first(farm)[0][-1:]


def _region(farm: Farm) -> Sequence[Server]:
    return largest_first(farm)[0]


KINDS: dict[str, Kind] = {
    "crash": Kind("a server crashes", hits=_first, action=Action.CRASH),
    "slow": Kind("a server is slow", "the factor on its speed", 0.001, 1, _last, Action.SLOW),
    "region": Kind("a region is down", hits=_region, action=Action.CRASH),
    "scraper": Kind("a scraper comes", "its requests a second", 0.1, 10_000),
    "rush": Kind("tickets go on sale", "the factor on the traffic", 0.1, 1000),
}


@named_fields
@frozen
class Incident:
    """From second `start` to second `end` something is wrong; `kind` is a key of KINDS.

    What happens to servers happens to the largest region: there it hurts most. `value`: see KINDS; crashes
    and regions have none. Raises ValueError."""

    kind: str = field(validator=word(KINDS))
    start: float = field(validator=number(0))
    end: float = field(validator=number(0))
    value: float | None = None

    def __attrs_post_init__(self) -> None:
        if not self.start < self.end:
            raise ValueError(f"end is {self.end:g}: use a second after the start, {self.start:g}")
        kind = KINDS[self.kind]
        if kind.value and self.value is None:
            raise ValueError(f"value is missing: {self.kind!r} needs {kind.value}")
        if not kind.value and self.value is not None:
            raise ValueError(f"value is {self.value!r}: {self.kind!r} takes none")
        if self.value is not None:
            check_number(kind.low, kind.high, value=self.value)

    @property
    def title(self) -> str:
        return KINDS[self.kind].title

    def burst(self, client: int) -> Burst | None:
        """Return the requests of a scraper, which is this client; None for another kind."""
        if self.kind != "scraper" or self.value is None:
            return None
        requests = max(1, round(self.value * (self.end - self.start)))
        return Burst(self.start, client, requests, self.value)


def events_of(incidents: Sequence[Incident], farm: Farm) -> Iterator[Event]:
    """Yield what happens to the servers of a design, in no particular order."""
    for incident in incidents:
        kind = KINDS[incident.kind]
        if kind.hits and kind.action:
            for server in kind.hits(farm):
                yield Event(incident.start, kind.action, server.name, incident.value)
                yield Event(incident.end, Action.RECOVER, server.name)
