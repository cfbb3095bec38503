"""A design as data: the parts that a learner chooses, and the experiment that they make for a company."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import attrs
from attrs import field, frozen
from attrs.validators import optional

from lbkit.caching import Caching
from lbkit.checks import ExperimentError, one_of, several, text, whole, word
from lbkit.core.balance import Balancer
from lbkit.core.health import HealthRules
from lbkit.core.options import named_fields
from lbkit.core.retry import Retry
from lbkit.core.text import shown, unknown
from lbkit.edge import Admission, RateLimit
from lbkit.experiment import Experiment, Policy, Server
from lbkit.gameday.company import Company
from lbkit.gameday.incident import Farm, events_of
from lbkit.geography import Geography

NEAREST, ANYWHERE = "nearest", "anywhere"
ACCESS = 0.01  # round trip of a customer's access line, seconds


def _counts(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if not isinstance(value, Mapping) or not value:
        raise ValueError(f"{attribute.name} is {shown(value)}: use a table such as {{'europe': 3}}")
    for region, count in value.items():
        if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= 100:
            raise ValueError(f"{attribute.name}.{region} is {shown(count)}: use a whole number from 0 to 100")
    if not any(value.values()):
        raise ValueError(f"{attribute.name}: there are none; give a region at least one")


def _limits(what: RateLimit | Iterable[RateLimit]) -> tuple[RateLimit, ...]:
    return several(what)


def _algorithm(what: str | type[Balancer]) -> str:
    return what.name if isinstance(what, type) and issubclass(what, Balancer) else what


@named_fields
@frozen
class Design:
    """A design: how many `servers` in which region, and everything in front of them.

    `across`: "nearest" sends customers to the nearest region that is up, "anywhere" has one balancer for the
    servers of all regions. `algorithm`: which of those servers; a name, or a class of your own, with its
    `options`. `health`, `retries` and `retry` as in Policy; `limits`, `cache` and `admission` as in
    Experiment. Raises ValueError."""

    servers: Mapping[str, int] = field(validator=_counts)
    across: str = field(default=ANYWHERE, validator=word((NEAREST, ANYWHERE)))
    algorithm: str = field(default="round_robin", converter=_algorithm, validator=text(empty=False))
    options: Mapping[str, Any] = field(factory=dict, validator=one_of(Mapping))
    health: HealthRules | None = field(default=None, validator=optional(one_of(HealthRules)))
    retries: int = field(default=0, validator=whole(0))
    retry: Retry | None = field(default=None, validator=optional(one_of(Retry)))
    limits: tuple[RateLimit, ...] = field(default=(), converter=_limits)
    cache: Caching | None = field(default=None, validator=optional(one_of(Caching)))
    admission: Admission | None = field(default=None, validator=optional(one_of(Admission)))

    def but(self, **changes: Any) -> Design:
        """Return a copy with other parts. Raises TypeError for an unknown one."""
        known = [f.name for f in attrs.fields(Design)]
        for name in changes:
            if name not in known:
                raise TypeError(unknown(name, known, "part"))
        return attrs.evolve(self, **changes)

    def farm(self, company: Company) -> Farm:
        """Return the servers of each region in use. Raises ValueError for a region that there is not."""
        for region in self.servers:
            if region not in company.regions:
                raise ValueError(f"servers: {unknown(region, company.regions, 'region')}")
        used = {region: count for region, count in self.servers.items() if count}
        work: dict[str, Any] = {"workers": company.workers, "service": company.work}
        return {
            region: [Server(f"{region}-{i}", zone=region, **work) for i in range(1, count + 1)]
            for region, count in used.items()
        }

    def policy(self, company: Company) -> Policy:
        """Return how a server is chosen, and what follows failures.

        Without health rules nothing notices a region that is down, and "nearest" sends customers there."""
        algorithm, options, health = self.algorithm, dict(self.options), self.health
        if self.across == NEAREST:
            places = {"regions": company.regions, "clients": company.customers, "inner": algorithm}
            algorithm, health = "geographic", health or HealthRules()
            options = {**places, "options": options} if options else places
        return Policy(algorithm, options, retries=self.retries, retry=self.retry, health=health)

    def experiment(self, company: Company, seed: int = 1, name: str = "") -> Experiment:
        """Return the company's game day with this design, for any engine.

        Raises ValueError where parts do not fit together, which names them."""
        if not isinstance(company, Company):
            raise ValueError(f"company is {shown(company)}: use a Company")
        farm = self.farm(company)
        try:
            return Experiment(
                [server for servers in farm.values() for server in servers],
                company.traffic,
                self.policy(company),
                events_of(company.incidents, farm),
                seed=seed,
                name=name,
                limits=self.limits,
                admission=self.admission,
                cache=self.cache,
                geography=Geography(company.regions, company.customers, access=ACCESS),
            )
        except ExperimentError as fault:
            raise ValueError(f"design: {fault}") from None

    def cost(self, company: Company) -> float:
        """Return what an hour costs at the company's prices."""
        farm, prices = self.farm(company), company.prices
        servers = sum(map(len, farm.values()))
        return servers * prices.server + (len(farm) - 1) * prices.region + bool(self.cache) * prices.cache
