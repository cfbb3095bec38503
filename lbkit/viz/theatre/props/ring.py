"""The hash ring: where keys are on it, which server has each, and which move when servers come and go.

Algorithms without a ring have the owners of keys only.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from lbkit.core import algorithms
from lbkit.events import Action
from lbkit.experiment import Experiment
from lbkit.recorded import MOST_MEMBERSHIPS, Decision
from lbkit.result import Result
from lbkit.viz.style import SERVERS, server_look
from lbkit.viz.theatre.plain import numbered, seconds
from lbkit.viz.theatre.props.membership import DERIVED, is_known, keys_of, memberships_of
from lbkit.viz.theatre.props.ownership import NOBODY, Epoch, cause, must_move, owners_of
from lbkit.viz.theatre.window import Window

MOST_KEYS = 100  # that can be told apart
MOST_EPOCHS = 200
MOST_POINTS = 120  # that can be told apart on the ring
STEPS = ((12, 720), (60, 180), (MOST_EPOCHS, 60))  # of a ring with more points: fewer, the more epochs


def ring(result: Result, part: Window) -> dict[str, Any] | None:
    """Return the ring, or the table of owners, of a run with an algorithm that goes by keys."""
    experiment = result.experiment
    if not _goes_by_keys(experiment) or not is_known(result):
        return None
    key_of, memberships = keys_of(result), memberships_of(result)
    often = Counter(key_of[row] for row in part.rows if row in key_of)
    keys = [key for key, _ in often.most_common(MOST_KEYS)]
    made = owners_of(experiment, memberships, keys)
    if not keys or not made:
        return None
    moving = _shown(made, part)
    shown = moving[:MOST_EPOCHS]
    number_of = {key: number for number, key in enumerate(keys)}
    overflows = _overflows(result, part, made, {row: number_of.get(key) for row, key in key_of.items()})
    notes = [*_notes(experiment, shown, len(often), len(keys)), *_ends(result, moving, overflows)]
    return {
        "kind": "ring",
        "place": "floor",
        "title": _title(experiment, shown, len(keys)),
        "keys": keys,
        "of": [number_of.get(key_of.get(row, ""), NOBODY) for row in part.rows],
        "colours": [server_look(n).colour for n in range(len(experiment.leaves))],
        "turns": [n // len(SERVERS) for n in range(len(experiment.leaves))],
        "epochs": _plain(shown, [server.name for server in experiment.leaves]),
        "overflows": overflows,
        "notes": notes,
    }


def _goes_by_keys(experiment: Experiment) -> bool:
    """Return whether an algorithm of the run goes by keys, and all are known: a learner may have forgotten
    one of their own."""
    later = (event.algorithm for event in experiment.timeline if event.action is Action.SWITCH)
    used, known = {experiment.policy.algorithm, *later}, algorithms()
    return used <= known.keys() and any(known[name].keyed for name in used)


def _shown(made: Sequence[Epoch], part: Window) -> list[Epoch]:
    """Return the epochs from the one at the start of the film on; of many, those in which keys move."""
    first = max(0, bisect_right([epoch.at for epoch in made], part.start) - 1)
    shown = [epoch for epoch in made[first:] if epoch.at <= part.end]
    if len(shown) > MOST_EPOCHS:
        pairs = pairwise(shown)
        shown = shown[:1] + [now for before, now in pairs if before.owners != now.owners]
    return shown


def _steps(shown: Sequence[Epoch]) -> int:
    return next(steps for most, steps in STEPS if len(shown) <= most)


def _title(experiment: Experiment, shown: Sequence[Epoch], keys: int) -> str:
    by = experiment.policy.keyed_by
    points = next((len(epoch.points) for epoch in shown if epoch.points), 0)
    what = f"hash ring, {points:,d} points" if points else "owners"
    return f"{what}: {keys} keys (by {by})"


def _plain(shown: Sequence[Epoch], names: Sequence[str]) -> list[dict[str, Any]]:
    steps = _steps(shown)
    plain = []
    for before, epoch in zip([None, *shown], shown, strict=False):
        now = {
            "at": seconds(epoch.at),
            "policy": epoch.algorithm,
            "members": list(epoch.members),
            "owners": epoch.owners,
            "places": [None if place is None else round(place, 5) for place in epoch.places],
            "slots": epoch.slots,
            "arcs": _arcs(epoch.arcs, steps),
            "points": _short(epoch.points) if len(epoch.points) <= MOST_POINTS else [],
            "moved": [],
            "expected": None,
            "why": "",
        }
        if before:
            pairs = enumerate(zip(before.owners, epoch.owners, strict=True))
            now["moved"] = [key for key, (old, new) in pairs if old != new and NOBODY not in (old, new)]
            now["expected"] = (
                round(must_move(before, epoch), 4) if before.algorithm == epoch.algorithm else None
            )
            now["why"] = cause(before, epoch, names)
        plain.append(now)
    return plain


def _arcs(arcs: Sequence[tuple[float, int]], steps: int) -> list[list[float]]:
    """Return neighbours of one owner as one arc; of more arcs than can be seen, the owner at each step."""
    if len(arcs) > steps // 2:
        begins = [begin for begin, _ in arcs]
        middles = ((step + 0.5) / steps for step in range(steps))
        owners = [arcs[bisect_right(begins, middle) - 1][1] for middle in middles]
        arcs = [(step / steps, owner) for step, owner in enumerate(owners)]
    return _short(
        [arc for before, arc in zip([(0.0, NOBODY), *arcs], arcs, strict=False) if before[1] != arc[1]]
    )


def _short(places: Sequence[tuple[float, int]]) -> list[list[float]]:
    return [[round(place, 5), owner] for place, owner in places]


def _overflows(
    result: Result, part: Window, made: Sequence[Epoch], key_of: dict[int, int | None]
) -> dict[str, list[Any]]:
    """Return the decisions for which a key's own server was full: with bounded loads, its score, the room
    left, was 0."""
    request_of, times = numbered(part.rows), [epoch.at for epoch in made]
    found: dict[str, list[Any]] = {"at": [], "request": [], "owner": [], "chosen": []}
    decisions: Sequence[Decision] = result.extra.get("decisions", ())
    for decision in decisions:
        key = key_of.get(decision.request)
        if key is None or decision.request not in request_of or decision.server < 0:
            continue
        owner = made[bisect_right(times, decision.at) - 1].owners[key]
        bounded = decision.why.scores and not decision.why.best
        full = bounded and decision.why.scores.get(result.backends[owner], 1) <= 0
        if full and owner not in (NOBODY, decision.server):
            row = (seconds(decision.at), request_of[decision.request], owner, decision.server)
            for column, value in zip(found.values(), row, strict=True):
                column.append(value)
    return found


def _notes(experiment: Experiment, shown: Sequence[Epoch], often: int, keys: int) -> Iterator[str]:
    """Yield what is left out."""
    if keys < often:
        yield f"ring: the {keys} most requested of {often:,d} keys"
    most = max(len(epoch.points) for epoch in shown)
    if most > MOST_POINTS:
        yield f"ring: {most:,d} points are too many to see; arcs are drawn in steps of 1/{_steps(shown)}"
    if experiment.policy.balancers > 1:
        yield f"ring: the first of {experiment.policy.balancers} balancers"
    if len(experiment.pools) > 1:
        yield f"ring: of the pool {experiment.pools[0]} only"


def _ends(result: Result, moving: Sequence[Epoch], overflows: dict[str, list[Any]]) -> Iterator[str]:
    """Yield what is known of the beginning of the run only, or follows from other things."""
    recorded = result.extra.get("memberships")
    if len(moving) > MOST_EPOCHS or len(recorded or ()) == MOST_MEMBERSHIPS:
        last = moving[:MOST_EPOCHS][-1]
        count = min(len(moving), MOST_EPOCHS)
        yield f"ring: its first {count} changes; after {last.at:.3g} s it is not up to date"
    decisions, attempts = (result.extra.get(name, ()) for name in ("decisions", "attempts"))
    if overflows["at"] and len(decisions) < len(attempts):
        yield f"ring: requests that went past a full server are counted until {decisions[-1].at:.3g} s"
    if recorded is None:
        yield DERIVED
