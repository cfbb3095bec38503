"""Standard incidents as data, to be put into the runs of a service; and whole months of it, quiet or not.

The service is a small one, so that a month of it is simulated in a minute: about 0.6 requests a second of two
seconds each, on four servers. Few requests make shares noisy: a rule that is quiet here is so with more
traffic, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from lbkit.alerts.assess import Incident
from lbkit.alerts.rule import Rule
from lbkit.arrivals import Profile
from lbkit.core.health import CheckRules, HealthRules
from lbkit.core.options import number, whole
from lbkit.core.rollout import RollingDeploy
from lbkit.distributions import LogNormal
from lbkit.events import Event
from lbkit.experiment import Experiment, Policy, Traffic, servers
from lbkit.metrics import Store, joined, metrics_of
from lbkit.run import run

HOUR, DAY = 3600.0, 86400.0
# Requests a second by the hours since eight in the morning; 2 would be all that the servers can do.
OF_DAY = ((0, 0.8), (8 * HOUR, 0.9), (14 * HOUR, 0.5), (20 * HOUR, 0.3), (DAY, 0.8))
START, END = 2 * HOUR, 3 * HOUR  # of an incident, from ten o'clock on
SERVICE = Experiment(
    servers(4, service=LogNormal(2.0, cv=0.3), error_rate=0.0002, boot=20.0),
    Traffic(Profile(OF_DAY), duration=DAY),
    Policy("least_connections", health=HealthRules(checks=CheckRules(interval=10.0, timeout=5.0))),
    name="a small service",
)


@dataclass(frozen=True)
class Injected:
    """Something that happens to a service. `actions`: of events, each for a server by its number, and with a
    value if it has one; "recover" ends them. `traffic`: times the usual. `part`: how much of the time that is
    given it takes. `deploy`: a new version for all servers, which is as good as the old one.
    `actionable`: whether there is something to do about it; an alert is a false one otherwise."""

    name: str
    actions: tuple[tuple[str, int, float | None], ...] = ()
    traffic: float = 1.0
    part: float = 1.0
    deploy: bool = False
    actionable: bool = True

    def into(self, experiment: Experiment, start: float, end: float) -> tuple[Experiment, Incident]:
        """Return the experiment with this in it, and when. Raises ValueError unless it ends after it starts,
        and for arrivals other than a Profile where the traffic changes."""
        number(start, above=True, end=end)
        end = start + self.part * (end - start)
        names = [server.name for server in experiment.leaves]
        begun = [Event(start, action, names[i], value) for action, i, value in self.actions]
        over = [Event(end, "recover", name) for name in dict.fromkeys(event.server for event in begun)]
        changed = experiment.but(events=[*experiment.events, *begun, *over])
        if self.traffic != 1:
            changed = changed.but(arrivals=_surge(experiment.traffic.arrivals, start, end, self.traffic))
        if self.deploy:
            changed = changed.but(deploy=RollingDeploy(at=start, settle=10.0))
        return changed, Incident(self.name, start, end, self.actionable)


INCIDENTS = (
    Injected("crash", (("crash", 0, None),)),
    Injected("slow server", (("slow", 1, 0.2),)),
    Injected("errors", (("fail", 2, 0.5),)),
    Injected("few errors", (("fail", 2, 0.1),)),  # 2 or 3 % of all: a quarter of a tenth
    Injected("overload", traffic=3.0),
    Injected("flapping", (("flap", 3, 60.0),)),
    Injected("spike", traffic=4.0, part=1 / 120, actionable=False),  # half a minute of an hour
    Injected("deploy", deploy=True, actionable=False),
)


def _surge(arrivals: object, start: float, end: float, factor: float) -> Profile:
    """Return a profile with `factor` times its rate from `start` to `end`."""
    if not isinstance(arrivals, Profile):
        raise ValueError("arrivals: an incident of traffic needs a Profile, whose rate can change")
    before = [point for point in arrivals.points if point[0] < start]
    within = [point for point in arrivals.points if start < point[0] < end]
    after = [point for point in arrivals.points if point[0] > end]
    first, last = arrivals.at(start), arrivals.at(end)
    surge = [(start, first), *within, (end, last)]
    return Profile(
        [*before, (start, first), *((at, factor * rate) for at, rate in surge), (end, last), *after]
    )


Run = tuple[Store, Sequence[Incident]]


def incident_runs(
    incidents: Sequence[Injected] = INCIDENTS, service: Experiment = SERVICE, every: float = 30.0
) -> list[Run]:
    """Return the metrics of a run for each incident, and when it was: four hours, of which it has the third.
    `every`: seconds between scrapes."""
    runs: list[Run] = []
    for incident in incidents:
        experiment, known = incident.into(service.but(duration=4 * HOUR), START, END)
        runs.append((metrics_of(run(experiment), every), [known]))
    return runs


def month(
    days: int = 30,
    incidents: Mapping[int, Injected] | None = None,
    service: Experiment = SERVICE,
    every: float = 30.0,
    rules: Sequence[Rule] = (),
) -> Run:
    """Return the metrics of days that follow each other, and when there were incidents.

    `incidents`: by the number of the day, from 0 on; each has an hour from ten o'clock on. Every day is a
    run of its own, with its own seed, and begins without requests. With `rules`, only the metrics that they
    ask for are kept. Raises ValueError for less than a day."""
    whole(1, days=days)
    planned = incidents or {}
    if out := [day for day in planned if not 0 <= day < days]:
        raise ValueError(f"incidents has day {out[0]}: use days from 0 to {days - 1}")
    known: list[Incident] = []

    def stores() -> Iterator[Store]:
        begun = 0.0
        for day in range(days):
            experiment = service.but(seed=service.seed + day)
            if day in planned:
                experiment, one = planned[day].into(experiment, START, END)
                known.append(Incident(one.name, begun + one.start, begun + one.end, one.actionable))
            store = metrics_of(run(experiment), every)
            begun += store.times[-1]
            yield _asked(store, rules)

    return joined(stores()), known


def _asked(store: Store, rules: Sequence[Rule]) -> Store:
    """Return the series that rules ask for; all without any rule."""
    if not rules:
        return store
    asked = " ".join(rule.promql() for rule in rules)
    made = Store(store.times)
    for name, of, values in store:
        if name in asked:
            made.add(name, of, values)
    return made
