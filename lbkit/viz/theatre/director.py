"""The director: what a viewer does to a simulated run while watching it, and the film that follows.

The past stays as it was, and the future is computed anew: an intervention at second `at` is an event of the
experiment, or a burst of its traffic, and changes nothing before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from lbkit.arrivals import Burst
from lbkit.core.options import number
from lbkit.events import Action, Event
from lbkit.experiment import Experiment, check_experiment
from lbkit.result import Result
from lbkit.run import run
from lbkit.viz.theatre.deeds import deed
from lbkit.viz.theatre.film import Film, film
from lbkit.viz.theatre.lanes import MOST_LANED, Lanes

TOGETHER = 20  # requests in a second on the screen, of a client that sends several at once
KNOBS = frozenset({"slow", "weight"})  # set, not done: of several settings at one moment the last holds


class Intervention(NamedTuple):
    """What the viewer does at second `at`: a name in ACTS, and how."""

    at: float
    what: str
    how: dict[str, Any]


class Take(NamedTuple):
    """A version of the run: what was done so far, and what became of it."""

    interventions: tuple[Intervention, ...]
    experiment: Experiment
    result: Result
    film: Film


class Director:
    """A simulated experiment that can be interfered with. `film` is the present one.

    director = Director(experiment)
    director.act("kill", 3.2, server="s1")  # returns the next film
    director.undo()
    """

    def __init__(self, experiment: Experiment, **window: Any) -> None:
        """`window`: start, duration and most, as of `film`."""
        check_experiment(experiment)
        self._window = window
        result = _result(experiment)
        # All films have the same lanes, also for clients that send nothing until the viewer has them flood.
        self._lanes = Lanes([*result.client, *range(min(experiment.traffic.clients, MOST_LANED))])
        self._takes = [self._take((), experiment, result)]

    @property
    def film(self) -> Film:
        return self._takes[-1].film

    @property
    def result(self) -> Result:
        return self._takes[-1].result

    @property
    def experiment(self) -> Experiment:
        """The experiment with all interventions so far, to run or to save."""
        return self._takes[-1].experiment

    @property
    def interventions(self) -> tuple[Intervention, ...]:
        return self._takes[-1].interventions

    def act(self, what: str, at: float, **how: Any) -> Film:
        """Interfere at second `at`; return the next film. What was done for a later moment is dropped.
        A speed or weight that is set again at the same moment replaces the one before, as while one drags it.

        The names, and what they need: kill, revive, drain, undrain: server; slow: server and factor; weight:
        server and weight; switch: policy, and its options; send: client, and for several requests and rate.
        Raises ValueError for what is not possible; nothing changes then."""
        number(0, at=at)
        if what == "send":
            how = {"client": None, **how}
        deed(what, ACTS, 2, how)
        if what == "send":
            how = {"rate": TOGETHER / self.film.pace, **how, "client": self._client(how.get("client"))}
        new = Intervention(at, what, how)
        again = what in KNOBS and _named(new) == _named(*self.interventions[-1:])  # the same drag, and undo
        takes = self._takes[:-1] if again else self._takes
        done = (*(one for one in takes[-1].interventions if one.at <= at), new)
        experiment = self._takes[0].experiment
        for one in done:
            try:
                experiment = ACTS[one.what](experiment, one.at, **one.how)
            except TypeError as error:
                raise ValueError(f"{one.what} at {one.at:g} s: {error}") from None
        self._takes = [*takes, self._take(done, experiment, _result(experiment))]
        return self.film

    def _client(self, named: Any) -> Any:
        """Return a client, given by its number, or by the name of its lane."""
        clients = self.film.clients
        lane = next((i for i, client in enumerate(clients) if client["name"] == named), None)
        everyone = range(self.experiment.traffic.clients)
        return named if lane is None else next(c for c in everyone if self._lanes.of(c) == lane)

    def undo(self) -> Film:
        """Take the last intervention back, if there was one; return the film before it."""
        if len(self._takes) > 1:
            self._takes.pop()
        return self.film

    def _take(self, done: tuple[Intervention, ...], experiment: Experiment, result: Result) -> Take:
        return Take(done, experiment, result, film(result, lanes=self._lanes, **self._window))


def _result(experiment: Experiment) -> Result:
    """Return what becomes of an experiment; with tiers, not every attempt is recorded."""
    return run(experiment) if experiment.tiers else run(experiment, record=True)


def _named(done: Intervention | None = None) -> tuple[Any, ...]:
    """Return what says whether another intervention turns the same knob of the same server, again."""
    return (done.at, done.what, done.how.get("server")) if done else ()


# -- what can be done ----------------------------------------------------------------------------


def _event(experiment: Experiment, event: Event) -> Experiment:
    return experiment.but(events=(*experiment.events, event))


def _happens(action: Action) -> Callable[..., Experiment]:
    """Return what has an action happen to a server."""

    def happens(experiment: Experiment, at: float, server: str) -> Experiment:
        return _event(experiment, Event(at, action, server))

    return happens


def _slow(experiment: Experiment, at: float, server: str, factor: float) -> Experiment:
    return _event(experiment, Event(at, Action.SLOW, server, factor))


def _weight(experiment: Experiment, at: float, server: str, weight: float) -> Experiment:
    return _event(experiment, Event(at, Action.SET_WEIGHT, server, weight))


def _switch(experiment: Experiment, at: float, policy: str, **options: Any) -> Experiment:
    return _event(experiment, Event(at, Action.SWITCH, algorithm=policy, options=options))


def _send(
    experiment: Experiment, at: float, client: int, requests: int = 1, rate: float = 100.0
) -> Experiment:
    burst = Burst(at, client, requests, rate)
    return experiment.but(bursts=(*experiment.traffic.bursts, burst))


ACTS: dict[str, Callable[..., Experiment]] = {
    "kill": _happens(Action.CRASH),
    "revive": _happens(Action.RECOVER),
    "drain": _happens(Action.DRAIN),
    "undrain": _happens(Action.UNDRAIN),
    "slow": _slow,
    "weight": _weight,
    "switch": _switch,
    "send": _send,
}
