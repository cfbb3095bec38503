"""A film of a run: what happened to each request, and when; data that the stage plays.

Times are in seconds from the start of the run. It is made from the rows of any Result, of every engine; with
`run(..., record=True)` it has every attempt of every request, and the reasons of the first decisions.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from lbkit.core.options import number, whole
from lbkit.core.text import shown
from lbkit.experiment import Experiment
from lbkit.recorded import KINDS, Attempt, Try
from lbkit.result import Result
from lbkit.viz.style import title
from lbkit.viz.theatre.attempts import attempts, simplified
from lbkit.viz.theatre.captions import captions
from lbkit.viz.theatre.cast import cast
from lbkit.viz.theatre.happenings import Happening, happenings
from lbkit.viz.theatre.lanes import Lanes
from lbkit.viz.theatre.outcomes import OUTCOMES, UNFINISHED, outcomes
from lbkit.viz.theatre.plain import numbered, seconds
from lbkit.viz.theatre.props import Prop, props
from lbkit.viz.theatre.routes import pools, rule_of, rules
from lbkit.viz.theatre.tree import AT_THE_ENTRANCE, notices, tiers
from lbkit.viz.theatre.window import Window, window

VERSION = 1
MOST = 5_000  # requests of a film: about a megabyte
FLIGHT = 0.3  # seconds on the screen, at the usual speed, from one place to the next

Column = list[Any]
Caption = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Film:
    """What happened, by time; `requests` and `attempts` are columns. `to_json`: as the stage reads it."""

    title: str
    engine: str
    policy: str
    start: float  # seconds of the run at which the film begins
    end: float
    pace: float  # seconds of the run in a second on the screen, at the usual speed
    flight: float  # seconds of the run in which a request is drawn on its way; the run itself has none
    clients: list[dict[str, Any]]
    servers: list[dict[str, Any]]
    requests: dict[str, Column]
    attempts: dict[str, Column]
    tries: dict[str, Column]  # of clients that have sent a request several times
    states: list[dict[str, Any]]
    captions: list[dict[str, Any]]
    notes: list[str]
    props: list[Prop] = field(default_factory=list)
    rules: list[dict[str, str]] = field(default_factory=list)  # of content switching
    pools: list[dict[str, str]] = field(default_factory=list)  # of servers, where there are several
    tiers: list[dict[str, Any]] = field(default_factory=list)  # balancers below each other
    notices: list[dict[str, Any]] = field(default_factory=list)  # what they notice of failures
    outcomes: tuple[str, ...] = OUTCOMES
    kinds: tuple[str, ...] = KINDS
    version: int = VERSION

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), allow_nan=False, separators=(",", ":"))


def film(
    result: Result,
    start: float = 0.0,
    duration: float | None = None,
    most: int = MOST,
    lanes: Lanes | None = None,
) -> Film:
    """Return the film of a result, or of `duration` seconds of it from `start` on, with at most `most`
    requests; `notes` says what is left out.

    `lanes`: of clients, where several films are to have the same ones. Raises ValueError for what is no
    Result, and for a wrong option."""
    if not isinstance(result, Result):
        raise ValueError(f"result is {shown(result)}: use a Result, as from run(experiment)")
    number(0, start=start)
    whole(1, most=most)
    if duration is not None:
        number(0, above=True, duration=duration)
    experiment = result.experiment
    part = window(result, start, duration, most)
    ended = outcomes(result)
    lanes = lanes or Lanes(result.client[row] for row in part.rows)
    pace = usual_pace(experiment)
    others = props(result, part)
    return Film(
        title=headline(result),
        engine=result.engine,
        policy=result.policy,
        start=round(part.start, 6),
        end=round(part.end, 6),
        pace=pace,
        flight=round(FLIGHT * pace, 6),
        clients=lanes.named,
        servers=cast(experiment),
        requests=_requests(result, part.rows, lanes, ended) | rule_of(result, part.rows),
        tries=_tries(result.extra.get("tries", ()), part.rows),
        attempts=_attempts(attempts(result, ended), part.rows),
        states=_states(result, part),
        captions=_captions(captions(result, part.rows), others),
        notes=[
            *part.notes,
            *simplified(result),
            *([AT_THE_ENTRANCE] if experiment.tiers else []),
            *result.faults,
            *(n for p in others for n in p.pop("notes", ())),
        ],
        props=others,
        rules=rules(experiment),
        pools=pools(experiment),
        tiers=tiers(experiment.servers),
        notices=notices(result),
    )


def headline(result: Result) -> str:
    """Return what stands above the stage of a result."""
    return title_of(result.experiment, result.policy)


def title_of(experiment: Experiment, policy: str) -> str:
    count = len(experiment.leaves)
    return f"{experiment.name or title(policy)}, {count} server{'s' * (count != 1)}"


def usual_pace(experiment: Experiment) -> float:
    """Return the mean service time, to one digit."""
    times = [server.service.mean / server.speed for server in experiment.leaves]
    return float(f"{sum(times) / len(times):.1g}")


def _requests(result: Result, rows: Sequence[int], lanes: Lanes, ended: Sequence[str]) -> dict[str, Column]:
    end, status = result.end, result.status
    return {
        "row": list(rows),
        "sent": [seconds(result.arrival[row]) for row in rows],
        "answered": [None if ended[row] == UNFINISHED else seconds(end[row]) for row in rows],
        "client": [lanes.of(result.client[row]) for row in rows],
        "size": [_size(result, row) for row in rows],
        "status": [status[row] for row in rows],
        "outcome": [OUTCOMES.index(ended[row]) for row in rows],
    }


def _size(result: Result, row: int) -> float:
    """Return the work of a request in mean service times; 1 where it is not known."""
    servers = result.experiment.leaves
    server, work = max(0, result.backend[row]), result.service[row]
    service = servers[server].service
    if demands := result.extra.get("demands"):
        return float(round(service.quantile(demands[row]) / service.mean, 3))
    return float(round(work * servers[server].speed / service.mean, 3)) if work > 0 else 1.0


def _attempts(made: Iterable[Attempt], rows: Sequence[int]) -> dict[str, Column]:
    number_of = numbered(rows)
    here = [attempt for attempt in made if attempt.request in number_of]
    return {
        "request": [number_of[attempt.request] for attempt in here],
        "server": [attempt.server for attempt in here],
        "at": [seconds(attempt.at) for attempt in here],
        "start": [seconds(attempt.start) for attempt in here],
        "end": [seconds(attempt.end) for attempt in here],
        "kind": [KINDS.index(attempt.kind) for attempt in here],
        "outcome": [OUTCOMES.index(attempt.outcome) for attempt in here],
    }


def _tries(tries: Iterable[Try], rows: Sequence[int]) -> dict[str, Column]:
    number_of = numbered(rows)
    here = sorted((one for one in tries if one.request in number_of), key=lambda one: one.sent)
    return {
        "request": [number_of[one.request] for one in here],
        "sent": [seconds(one.sent) for one in here],
        "ended": [seconds(one.ended) for one in here],
    }


def _captions(made: Sequence[Caption], others: Iterable[Prop]) -> list[Caption]:
    """Return captions in order of time, those of props among them."""
    said = (caption for prop in others for caption in prop.pop("captions", ()))
    return sorted([*said, *made], key=lambda caption: caption["at"])


def _states(result: Result, part: Window) -> list[dict[str, Any]]:
    """Return what happens to servers before the end; also before the start, as it may last."""
    names = [*result.backends, *(tier.name for tier in result.experiment.tiers)]
    number_of = {name: number for number, name in enumerate(names)}  # tiers come after the servers
    found = happenings(result.experiment, result.changes, result.history)
    return [state_of(h, number_of.get(h.server)) for h in found if h.at <= part.end]


def state_of(happening: Happening, server: int | None) -> dict[str, Any]:
    """Return a state; without a server it is the balancer's."""
    plain = happening._asdict()
    return {**plain, "at": seconds(max(0.0, happening.at)), "server": server}
