"""The films of a running session: the one that the page begins with, and that of its end."""

from __future__ import annotations

import time
from typing import Any

from lbkit.core import algorithms
from lbkit.result import Result
from lbkit.viz.style import policy_look
from lbkit.viz.theatre.cast import cast
from lbkit.viz.theatre.film import FLIGHT, MOST, Film, film, title_of, usual_pace
from lbkit.viz.theatre.lanes import Lanes
from lbkit.viz.theatre.props.limiter import unplayed
from lbkit.viz.theatre.session import Session

DELAY = 0.5  # seconds that the stage is behind
LIVE_FLIGHT = 0.15  # seconds; with the above, a request is known before it sets off
PATIENCE = 30  # tenths of a second
KEPT = 1500  # requests, on the page
REQUESTS = ("row", "sent", "answered", "client", "size", "status", "outcome")
ATTEMPTS = ("request", "server", "at", "start", "end", "kind", "outcome")


def opening(session: Session, lanes: Lanes) -> Film:
    """Return the film that the page adds requests to. Its clock is that of the run."""
    experiment, now = session.experiment, round(max(0.0, session.elapsed), 6)
    return Film(
        title=title_of(experiment, experiment.policy.algorithm),
        engine=session.on,
        policy=experiment.policy.algorithm,
        start=now,
        end=now,
        pace=1.0,
        flight=LIVE_FLIGHT,
        clients=lanes.named,
        servers=cast(experiment),
        requests={name: [] for name in REQUESTS},
        attempts={name: [] for name in ATTEMPTS},
        tries={"request": [], "sent": [], "ended": []},
        states=[],
        captions=[],
        notes=[],
        props=unplayed(experiment, lanes.named),
    )


def clock_of(session: Session) -> dict[str, Any]:
    """Return how the stage follows, and at what pace it plays what was kept."""
    pace = usual_pace(session.experiment)
    return {"delay": DELAY, "most": KEPT, "pace": pace, "flight": round(FLIGHT * pace, 6)}


def hands_of(session: Session) -> dict[str, Any]:
    """Return what hands can do; what was done to a real process cannot be undone."""
    return {"policies": sorted(session.algorithms(session.on)), "undo": False}


def live_spec(session: Session, opening: Film) -> dict[str, Any]:
    """Return what the stage plays: a film to which requests are added."""
    hands = hands_of(session)
    colours = {name: policy_look(name).colour for name in (*algorithms(), *hands["policies"], session.policy)}
    return {"films": [opening.to_dict()], "colours": colours, "hands": hands, "live": clock_of(session)}


def closing(result: Result) -> Film:
    """Return the film of a session's result; of a long one, its last part."""
    late = sorted(result.arrival)[-MOST:]
    return film(result, start=0.0 if len(late) == len(result) else late[0])


def result_of(session: Session) -> Result:
    """Return its result, although it may be stopping just now, while nothing in it can be asked."""
    for _ in range(PATIENCE):
        try:
            return session.result()
        except Exception:
            time.sleep(0.1)
    return session.result()
