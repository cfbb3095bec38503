"""Props: what stands on the stage besides clients, balancer and servers, one module a kind.

A builder is given a result and the part of it that the film shows, and returns plain data, or None where the
run has nothing of its kind: `kind` (which the stage draws), `title`, its changes by time, `notes` on what is
left out, and `captions` of what it decides. `stage/prop_<kind>.js` draws it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lbkit.result import Result
from lbkit.viz.theatre.props.breaker import breaker
from lbkit.viz.theatre.props.cache import cache
from lbkit.viz.theatre.props.connections import connections
from lbkit.viz.theatre.props.gate import gate
from lbkit.viz.theatre.props.health import health
from lbkit.viz.theatre.props.limiter import limiter
from lbkit.viz.theatre.props.ring import ring
from lbkit.viz.theatre.props.shaper import shaper
from lbkit.viz.theatre.props.sticky import sticky
from lbkit.viz.theatre.window import Window

Prop = dict[str, Any]
Builder = Callable[[Result, Window], Prop | None]

BUILDERS: tuple[Builder, ...] = (
    *(limiter, shaper, gate, cache, ring),
    *(sticky, connections, health, breaker),
)


def props(result: Result, part: Window) -> list[Prop]:
    """Return the props of a film, in their order on the stage."""
    return [prop for build in BUILDERS if (prop := build(result, part))]
