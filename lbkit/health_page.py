"""The health pages of a server: `/health`, and `/health/detail` with the states of its dependencies.

Simulated servers and the processes of a fleet have the same pages."""

from __future__ import annotations

import json
from collections.abc import Mapping

OK, DEGRADED, FAILED = "ok", "degraded", "failed"
STATES = (OK, DEGRADED, FAILED)  # of a dependency

PATH = "/health"
DETAIL = "/health/detail"


def page(path: str, healthy: bool, dependencies: Mapping[str, str]) -> tuple[int, bytes]:
    """Return the status and the JSON body of a health page.

    `/health` is shallow: the state of the process only. `/health/detail` is deep: it adds the state of each
    dependency, and is 503 if any has failed. A degraded dependency leaves the server healthy; a stricter
    probe can look for a text in the body, such as `"database": "ok"`."""
    if path != DETAIL:
        return _page(healthy, {})
    return _page(healthy and FAILED not in dependencies.values(), dependencies)


def _page(healthy: bool, dependencies: Mapping[str, str]) -> tuple[int, bytes]:
    body = {"status": "healthy" if healthy else "unhealthy", **dependencies}
    return 200 if healthy else 503, json.dumps(body).encode()
