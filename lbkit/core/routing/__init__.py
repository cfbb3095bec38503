"""Content switching as data: which pool gets a request, by what is in it, or which answer it gets at once.

paths       the path in one spelling, so that rules cannot be evaded
patterns    globs and regular expressions that are matched in bounded time
facts       what rules look at, and `Sample`: a request to ask about
conditions  `When`
templates   paths and URLs that rules write
actions     pool, split, redirect, fixed answer, maintenance page
mirror      copies for a shadow pool, and what their answers show
table       `Rule`, `Routing`, and `RouteTable` with `route` and `explain`
"""

from lbkit.core.routing.actions import (
    DEFAULT,
    Action,
    Body,
    Fixed,
    Maintenance,
    Redirect,
    Reply,
    Split,
    ToPool,
)
from lbkit.core.routing.conditions import When
from lbkit.core.routing.facts import RoutedRequest, Sample
from lbkit.core.routing.mirror import Difference, Mirror, MirrorCounts, MirrorReport, Seen
from lbkit.core.routing.table import (
    Answered,
    Explanation,
    Rewrite,
    Route,
    RouteTable,
    Routing,
    Rule,
)

__all__ = [
    "DEFAULT",
    "Action",
    "Answered",
    "Body",
    "Difference",
    "Explanation",
    "Fixed",
    "Maintenance",
    "Mirror",
    "MirrorCounts",
    "MirrorReport",
    "Redirect",
    "Reply",
    "Rewrite",
    "Route",
    "RouteTable",
    "RoutedRequest",
    "Routing",
    "Rule",
    "Sample",
    "Seen",
    "Split",
    "ToPool",
    "When",
]
