"""A browser without a network: it reaches one server on this machine and nothing else."""

from __future__ import annotations

from typing import Any


def forbid_others(context: Any, base: str) -> list[str]:
    """Let a context or page of the browser reach only what begins with `base`.

    Returns a list that gets the addresses that it asked for elsewhere."""
    outside: list[str] = []

    def guard(route: Any) -> None:
        if route.request.url.startswith(base):
            route.continue_()
        else:
            outside.append(route.request.url)
            route.abort()

    context.route("**/*", guard)
    return outside
