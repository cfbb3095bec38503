"""A company as data: its customers, its budget, its promises, and the incidents of its game day."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any

import attrs
from attrs import field, frozen

from lbkit.arrivals import Burst, Profile
from lbkit.checks import number, one_of, several, text, whole
from lbkit.core.options import named_fields
from lbkit.core.options import number as check_number
from lbkit.core.text import shown, unknown
from lbkit.distributions import Exponential, Service
from lbkit.experiment import Patience, RequestKind, Traffic
from lbkit.gameday.incident import KINDS, Incident
from lbkit.gameday.measures import MEASURES
from lbkit.table import html

LOOK, BUY = "look", "buy"  # the kinds of requests: a cache can answer the first one
CURRENCY = "€"


@named_fields
@frozen
class Prices:
    """What an hour costs: a `server`, each `region` after the first, a `cache` in front of all servers."""

    server: float = field(default=10.0, validator=number(0))
    region: float = field(default=15.0, validator=number(0))
    cache: float = field(default=15.0, validator=number(0))


def _incidents(what: Incident | Iterable[Incident]) -> tuple[Incident, ...]:
    return several(what)


def _promises(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if not isinstance(value, Mapping):
        raise ValueError(f"{attribute.name} is {shown(value)}: use a table such as {{'p99': 0.5}}")
    for name, limit in value.items():
        if name not in MEASURES:
            raise ValueError(f"{attribute.name}: {unknown(name, MEASURES, 'measure')}")
        check_number(0, **{f"{attribute.name}.{name}": limit})


@named_fields
@frozen
class Company:
    """A company, and the game day that its design has to survive.

    `regions`: where it can rent servers, and `customers`: where those are, by network, both as in Geography.
    `rate`: customers' requests a second on a usual day, of which a share `browsing` can be answered by a
    cache. `work`: seconds a request. `workers`: of each server. `patience`: how long customers wait, and how
    often they click again. `length`: seconds of the game day. `promises`: limits by measure, see MEASURES;
    that of "cost" is the budget. Raises ValueError."""

    name: str = field(validator=text(empty=False))
    regions: Mapping[str, Any]
    customers: Mapping[str, Any]
    promises: Mapping[str, float] = field(validator=_promises)
    incidents: tuple[Incident, ...] = field(default=(), converter=_incidents)
    rate: float = field(default=60.0, validator=number(0, above=True))
    browsing: float = field(default=0.8, validator=number(0, 1))
    work: Service = field(factory=lambda: Exponential(0.05), validator=one_of(Service))
    workers: int = field(default=2, validator=whole(1))
    patience: Patience = field(factory=lambda: Patience(1.0, retries=2), validator=one_of(Patience))
    crowd: int = field(default=60, validator=whole(1))  # customers
    pages: int = field(default=300, validator=whole(1))
    length: float = field(default=18.0, validator=number(0, above=True))
    prices: Prices = field(factory=Prices, validator=one_of(Prices))

    def __attrs_post_init__(self) -> None:
        for i, incident in enumerate(self.incidents):
            if not isinstance(incident, Incident):
                raise ValueError(f"incidents[{i}] is {shown(incident)}: use an Incident")
            if incident.end > self.length:
                raise ValueError(f"incidents[{i}].end is {incident.end:g}: the day has {self.length:g} s")
        rushes = sorted((i for i in self.incidents if i.kind == "rush"), key=lambda i: i.start)
        if any(before.end > after.start for before, after in pairwise(rushes)):
            raise ValueError("incidents: two rushes overlap; let one end before the next begins")

    def but(self, **changes: Any) -> Company:
        """Return a copy with other fields. Raises TypeError for an unknown one."""
        known = [f.name for f in attrs.fields(Company)]
        for name in changes:
            if name not in known:
                raise TypeError(unknown(name, known, "field"))
        return attrs.evolve(self, **changes)

    @property
    def scraper(self) -> int:
        """The number of the client that is no customer: it comes as often as one, and then as an incident."""
        return self.crowd

    @property
    def traffic(self) -> Traffic:
        """The requests of the day, with rushes and scrapers."""
        mix = [RequestKind(LOOK, self.browsing), RequestKind(BUY, 1 - self.browsing, "/buy", "POST")]
        return Traffic(
            Profile([*self._profile()]),
            duration=self.length,
            clients=self.crowd + 1,
            paths=self.pages,
            path_skew=1.0,
            mix=[kind for kind in mix if kind.share],
            patience=self.patience,
            bursts=[*self._bursts()],
        )

    def _profile(self) -> Iterator[tuple[float, float]]:
        yield 0.0, self.rate
        for rush in sorted(self.incidents, key=lambda incident: incident.start):
            if rush.kind == "rush" and rush.value is not None:
                yield from [(rush.start, self.rate), (rush.start, self.rate * rush.value)]
                yield from [(rush.end, self.rate * rush.value), (rush.end, self.rate)]
        yield self.length, self.rate

    def _bursts(self) -> Iterator[Burst]:
        for incident in self.incidents:
            if burst := incident.burst(self.scraper):
                yield burst

    # -- the brief ------------------------------------------------------------------------------

    def _repr_html_(self) -> str:
        """Return the day's incidents, the promises and the prices as an HTML table."""
        rows = [("promised", title, _limit(name, self.promises[name])) for name, title in _promised(self)]
        for one in self.incidents:
            kind = KINDS[one.kind]
            value = f", {kind.value}: {one.value:g}" if one.value is not None else ""
            rows.append(("game day", f"{kind.title}{value}", f"{one.start:g} to {one.end:g} s"))
        for field_, price in attrs.asdict(self.prices).items():
            each = "each region after the first" if field_ == "region" else f"a {field_}"
            rows.append(("price", each, f"{price:g} {CURRENCY} an hour"))
        about = (
            f"{self.name}: {self.rate:g} requests a second from {self.crowd} customers, "
            f"{self.browsing:.0%} of them can be cached; a server can answer "
            f"{self.workers / self.work.mean:g} a second"
        )
        return html(("", "what", "how much"), rows, ("", "what"), [about])


def _promised(company: Company) -> Iterator[tuple[str, str]]:
    for name, measure in MEASURES.items():
        if name in company.promises:
            yield name, measure.title


def _limit(name: str, limit: float) -> str:
    measure = MEASURES[name]
    return f"at {'least' if measure.higher else 'most'} {measure.write(limit)}"


def ticket_shop(**changes: Any) -> Company:
    """Return Curtain, which sells theatre tickets in Europe and America, with its game day; or a variant.

    Raises TypeError for an unknown field, ValueError for a wrong one."""
    return Company(
        "Curtain",
        regions={"europe": {"at": (50.1, 8.7)}, "america": {"at": (38.9, -77.4)}},
        customers={
            "10.0.0.0/9": {"at": (48.9, 2.4)},  # Paris, half of the customers
            "10.128.0.0/10": {"at": (52.2, 21.0)},  # Warsaw
            "10.192.0.0/10": {"at": (40.7, -74.0)},  # New York
        },
        promises={"availability": 0.995, "p99": 0.5, "cost": 80.0, "fairness": 0.9, "goodput": 58.0},
        incidents=[
            Incident("crash", 2, 4),
            Incident("slow", 5, 7, 0.05),
            Incident("scraper", 8, 10, 120),
            Incident("region", 11, 14),
            Incident("rush", 15, 17.5, 1.6),
        ],
    ).but(**changes)
