"""A check for every lab in which a balancer is written: the kit's own promises hold, whatever happens."""

from __future__ import annotations

from collections.abc import Callable

from lbkit.core import Balancer
from lbkit.core.conformance import MOST, Event, Play, random_history
from lbkit.core.contract import AlgorithmError
from lbkit.core.laws import Violation
from lbkit.course.task import Wrong

HINT = (
    "it may be the same fault as one above; if all is well there, think of retries, and of servers that leave"
)


def in_any_history(make: Callable[[], Balancer], histories: int = 10) -> None:
    """Play random histories against balancers that `make` makes. Raises Wrong, with what came last."""
    for seed in range(histories):
        play = Play(make)
        for event in random_history(seed):
            may = ", ".join(b.name for b in play.pool.eligible)
            try:
                play.through([event])
            except Violation as broken:
                raise Wrong(f"{broken.expected}, {told(event)}", broken.happened, HINT) from None
            except AlgorithmError as broken:
                where = f"{broken.what}; {broken.place}: `{broken.source}`"
                raise Wrong(f"one of {may or 'no server'}, {told(event)}", where, HINT) from None


def told(event: Event) -> str:
    """Return what an event was, for a message."""
    kind, *about = event
    if kind != "acquire":
        return (
            "after an end or a change of the pool"
            if kind in ("release", "switch")
            else f"after a change ({kind})"
        )
    key, tried = about
    others = ", ".join(f"b{i}" for i in range(MOST) if i in tried)
    return f"for a request of {key or 'an empty key'}" + (f" that was at {others} already" if others else "")
