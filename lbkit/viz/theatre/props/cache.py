"""The cache in front: what is on its shelf, how old it is, and what it has done for each request.

What is on the shelf is known of recorded runs only. Columns are in order of time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from heapq import heappop, heappush
from math import inf, isnan
from typing import Any, NamedTuple

from lbkit.caching import Caching, Served
from lbkit.core.cache import Verdict
from lbkit.recorded import REFRESH, CacheLookup
from lbkit.result import Result
from lbkit.viz.theatre.plain import numbered, seconds
from lbkit.viz.theatre.window import Window
from lbkit.workload import path_name

MOST = 2_000  # answers that are kept, and fetches
MOST_SAID = 2_000  # captions
HOW = tuple(how.name.lower() for how in Served)
# As far as they follow from what became of a request.
VERDICTS = {
    Served.PASSED: Verdict.BYPASS.value,
    Served.MISS: Verdict.MISS.value,
    Served.HIT: Verdict.HIT.value,
    Served.STALE: Verdict.STALE.value,
    Served.VALIDATED: Verdict.VALIDATE.value,
    Served.COLLAPSED: Verdict.MISS.value,
}
ASKING = (Verdict.MISS.value, Verdict.VALIDATE.value)


class Fetch(NamedTuple):
    """What servers are asked for, by a client's request or `behind` its back."""

    at: float
    end: float
    key: str
    request: int  # row of the Result
    behind: bool


def cache(result: Result, part: Window) -> dict[str, Any] | None:
    """Return the cache of a run that has one."""
    rules = result.experiment.cache
    if rules is None or "cache" not in result.columns or not len(result):
        return None
    recorded = "lookups" in result.extra
    lookups = result.extra["lookups"] if recorded else list(_lookups(result))
    kept = [one for one in result.extra.get("kept", ()) if one.gone >= part.start and one.at <= part.end]
    fetched = _fetches(result, lookups) if recorded else []
    fetches = [one for one in fetched if one.end >= part.start and one.at <= part.end]
    most = max(len(kept), len(fetches))
    kept, fetches = kept[:MOST], fetches[:MOST]
    request_of = numbered(part.rows)
    here = [look for look in lookups if look.request in request_of]
    keys = sorted({one.key for one in (*kept, *fetches, *here)}, key=lambda key: (len(key), key))
    number_of = {key: number for number, key in enumerate(keys)}
    return {
        "kind": "cache",
        "place": "door",
        "title": _title(rules),
        "keys": keys,
        "room": rules.rules.max_bytes,
        "how": list(HOW),
        "before": _before(result, lookups, part),
        "cells": _columns("key cell from to", _cells([*kept, *fetches], number_of)),
        "kept": _columns(
            "key at gone size fresh usable why",
            (
                (number_of[k.key], seconds(k.at), seconds(k.gone), k.size, *map(seconds, k[3:5]), k.why)
                for k in kept
            ),
        ),
        "fetches": _columns(
            "key at end request behind",
            (
                (number_of[f.key], seconds(f.at), seconds(f.end), request_of.get(f.request), f.behind)
                for f in fetches
            ),
        ),
        "lookups": _columns(
            "at until request key how",
            (
                (seconds(at), seconds(until), request_of[look.request], number_of[look.key], how)
                for look, at, until, how in _waits(result, here)
            ),
        ),
        "captions": list(_captions(result, here, request_of)),
        "notes": list(_notes(recorded, most)),
    }


def _notes(recorded: bool, most: int) -> Iterator[str]:
    """Yield what is left out."""
    if not recorded:
        yield "cache: what is in it is not recorded: only what became of requests"
    if most > MOST:
        yield f"cache: the first {MOST:,d} of {most:,d} answers that it keeps"


def _lookups(result: Result) -> Iterator[CacheLookup]:
    """Yield lookups as they follow from the rows, where they were not recorded."""
    kinds, mixed = result.experiment.traffic.mix, "kind" in result.columns
    for row, code in sorted(enumerate(result.cache), key=lambda pair: result.arrival[pair[0]]):
        how, path = Served(code), result.path[row]
        if how is Served.PASSED and result.backend[row] < 0:
            continue  # a limit has denied it, say: it never came to the cache
        key = kinds[result.kind[row]].target(path) if mixed else path_name(path)
        yield CacheLookup(result.arrival[row], row, key, VERDICTS[how], how is Served.COLLAPSED)


def _title(rules: Caching) -> str:
    limits, said = rules.rules, [rules.control or "by the servers' Cache-Control"]
    if limits.stale_while_revalidate:
        said.append(f"stale for {limits.stale_while_revalidate:g} s more, while it is fetched again")
    return f"cache: {', '.join(said)}"


def _columns(names: str, rows: Iterable[Sequence[Any]]) -> dict[str, list[Any]]:
    made = list(rows)
    return {name: [row[number] for row in made] for number, name in enumerate(names.split())}


# -- what servers are asked for ------------------------------------------------------------------


def _fetches(result: Result, lookups: Sequence[CacheLookup]) -> list[Fetch]:
    """Return what the cache has fetched."""
    _, last = _attempts(result)
    found = []
    for look, _, until, how in _waits(result, lookups):
        row = look.request
        if look.verdict in ASKING and (not look.follows or how == Served.MISS):
            end = max(result.end[row], last.get(row, 0.0))
            found.append(Fetch(until if look.follows else look.at, end, look.key, row, False))
    key_of = {look.request: look.key for look in lookups}
    for attempt in result.extra["attempts"]:
        if attempt.kind == REFRESH and attempt.request in key_of:
            delay = result.experiment.leaves[attempt.server].delay
            end = inf if isnan(attempt.end) else attempt.end + delay
            found.append(Fetch(attempt.at, end, key_of[attempt.request], attempt.request, True))
    return sorted(found)


def _attempts(result: Result) -> tuple[dict[int, float], dict[int, float]]:
    """Return when the first attempt of each request's own began, and when the last one ended."""
    first: dict[int, float] = {}
    last: dict[int, float] = {}
    for attempt in result.extra.get("attempts", ()):
        if attempt.kind != REFRESH:
            first.setdefault(attempt.request, attempt.at)
            last[attempt.request] = inf if isnan(attempt.end) else attempt.end
    return first, last


def _waits(
    result: Result, lookups: Iterable[CacheLookup]
) -> Iterator[tuple[CacheLookup, float, float, Served]]:
    """Yield each lookup, when it was, until when its request waited for another, and what became of it."""
    first, _ = _attempts(result)
    for look in lookups:
        how = Served(result.cache[look.request])
        until = first.get(look.request, result.end[look.request]) if look.follows else look.at
        yield look, look.at, max(look.at, until), how


# -- the shelf -----------------------------------------------------------------------------------


def _cells(
    spans: Sequence[Any], number_of: dict[str, int]
) -> list[tuple[int, int, float | None, float | None]]:
    """Return the places on the shelf: the first that is free is a key's from its first fetch until nothing is
    left of it. `spans`: of answers and fetches, in any order."""
    stays: dict[str, list[list[float]]] = {}
    for at, end, key in sorted((s.at, s.gone if hasattr(s, "gone") else s.end, s.key) for s in spans):
        mine = stays.setdefault(key, [])
        if mine and at <= mine[-1][1] + 1e-9:
            mine[-1][1] = max(mine[-1][1], end)
        else:
            mine.append([at, end])
    free: list[int] = []
    busy: list[tuple[float, int]] = []  # until when, and the number
    found = []
    for at, end, key in sorted((at, end, key) for key, mine in stays.items() for at, end in mine):
        while busy and busy[0][0] <= at:
            heappush(free, heappop(busy)[1])
        cell = heappop(free) if free else len(busy)
        heappush(busy, (end, cell))
        found.append((number_of[key], cell, seconds(at), seconds(end)))
    return found


# -- what became of requests -----------------------------------------------------------------------


def _before(result: Result, lookups: Iterable[CacheLookup], part: Window) -> dict[str, int]:
    """Return what the cache has done for requests that are over before the film."""
    rows = set(part.rows)
    found = Counter(
        HOW[result.cache[k.request]] for k in lookups if k.at < part.start and k.request not in rows
    )
    return dict(found)


def _captions(
    result: Result, lookups: Iterable[CacheLookup], request_of: dict[int, int]
) -> Iterator[dict[str, Any]]:
    """Yield why the cache answers, or lets a request wait; servers have captions of their own."""
    kept = result.extra.get("kept", ())
    newest: dict[str, Any] = {}  # by key: the answer that is in the cache
    coming, said = 0, 0
    for look in lookups:
        while coming < len(kept) and kept[coming].at <= look.at:
            newest[kept[coming].key] = kept[coming]
            coming += 1
        text = _why(look, newest.get(look.key), Served(result.cache[look.request]))
        if not text or said >= MOST_SAID:
            continue
        said += 1
        yield {
            "at": seconds(look.at),
            "request": request_of[look.request],
            "chosen": None,
            "where": "cache",
            "text": text,
            "rule": text,
            "scores": {},
            "best": "",
            "place": None,
            "places": 0,
            "near": [],
        }


def _why(look: CacheLookup, found: Any, how: Served) -> str:
    if look.follows:
        return f"{look.key} is being fetched already: it waits for that answer"
    if look.verdict not in (Verdict.HIT.value, Verdict.STALE.value):
        return ""
    if not found:  # not recorded
        return f"{look.key} is there" + (", but stale" if how is Served.STALE else "")
    age = f"{look.key} is {look.at - found.at:.3g} s old"
    if how is Served.STALE:
        return f"{age}, stale for {look.at - found.fresh:.3g} s: served as it is, while it is fetched again"
    return f"{age}, fresh for {found.fresh - look.at:.3g} s more"
