"""Seeds, given as a number of them or one by one."""

from __future__ import annotations

from collections.abc import Iterable

from lbkit.core.options import whole

MOST = 1000


def numbered(seeds: int | Iterable[int], least: int) -> tuple[int, ...]:
    """Return the seeds: 1, 2, ... up to a number, or those that are given, each once.

    Raises ValueError for fewer than `least`, and for what is no seed."""
    if not isinstance(seeds, Iterable):
        whole(least, MOST, seeds=seeds)
        return tuple(range(1, seeds + 1))
    chosen = tuple(dict.fromkeys(seeds))
    for seed in chosen:
        whole(0, **{"a seed": seed})
    whole(least, MOST, **{"the number of seeds": len(chosen)})
    return chosen
