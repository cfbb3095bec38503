"""The pages on which a server reports its health: `/health`, and `/health/detail` with its dependencies.

The simulator's checks and the processes of a fleet have the same pages."""

from __future__ import annotations

import json
from collections.abc import Mapping

OK, DEGRADED, FAILED = "ok", "degraded", "failed"
STATES = (OK, DEGRADED, FAILED)  # of a dependency

PATH = "/health"
DETAIL = "/health/detail"


def page(path: str, healthy: bool, dependencies: Mapping[str, str]) -> tuple[int, bytes]:
    """Return the status and the JSON body of a health page.

    `/health` says whether the process works (shallow). `/health/detail` has the state of each dependency
    beside the server's (deep): 503 if any has failed. A degraded one leaves the server healthy; a probe that
    is stricter looks for a text in the body, such as `"database": "ok"`."""
    if path != DETAIL:
        return _page(healthy, {})
    return _page(healthy and FAILED not in dependencies.values(), dependencies)


def _page(healthy: bool, dependencies: Mapping[str, str]) -> tuple[int, bytes]:
    body = {"status": "healthy" if healthy else "unhealthy", **dependencies}
    return 200 if healthy else 503, json.dumps(body).encode()
