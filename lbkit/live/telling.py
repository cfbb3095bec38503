"""What a proxy or program tells of itself, as series of the metrics of `lbkit.metrics`.

What a program does not tell has no series, and nothing is put in its place.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from lbkit.metrics.names import (
    BYTES,
    CLASSES,
    CLIENTS,
    IN_FLIGHT,
    NO_BACKEND,
    REQUESTS,
    RETRIES,
    UP,
    WEIGHT,
)
from lbkit.metrics.store import Labels, Scrape, labels
from lbkit.net.workers.figures import merge_backends
from lbkit.net.workers.report import Process, report
from lbkit.net.workers.samples import scrape

NO_LABELS: Labels = ()


def of_proxy(proxy: Any) -> Scrape:
    """Return the series of lbkit's own proxy, at layer 7 or 4; call it in the proxy's thread."""
    told = report(Process(proxy, proxy.pool, proxy.config, {}))
    counts = told["counts"]
    clients = {CLIENTS.name: {NO_LABELS: float(told["clients"])}}
    return {**scrape(counts, merge_backends([told], []).values()), **clients}


def of_stub_status(stats: Mapping[str, int], asked: int) -> Scrape:
    """Return the series of nginx: sums over all servers, and no status codes; nothing without `stats`.

    `asked`: how many of its requests have been for the status itself."""
    if not stats:
        return {}
    # Of connections: "reading" and "writing" have a request, one of them the one that asks.
    running = stats["reading"] + stats["writing"] - 1
    return {
        REQUESTS.name: {NO_LABELS: float(stats["requests"] - asked)},
        IN_FLIGHT.name: {NO_LABELS: float(max(0, running))},
        CLIENTS.name: {NO_LABELS: float(max(0, stats["active_connections"] - 1))},
    }


# Of rows of HAProxy's `show stat` (its management guide, 9.1): metric -> how its value follows from a row.
# https://docs.haproxy.org/2.6/management.html#9.1
_GAUGES: dict[str, Callable[[Mapping[str, str]], float]] = {
    IN_FLIGHT.name: lambda row: _number(row, "scur"),
    RETRIES.name: lambda row: _number(row, "wretr"),
    BYTES.name: lambda row: _number(row, "bin") + _number(row, "bout"),
    WEIGHT.name: lambda row: _number(row, "weight"),
    UP.name: lambda row: float(row["status"].startswith(("UP", "no check"))),
}


def of_show_stat(rows: Iterable[Mapping[str, str]], servers: Mapping[str, object]) -> Scrape:
    """Return the series of HAProxy: its durations are means only, so there are none.

    `rows`: of `show stat`, of the blocks with the servers; at layer 4 they have no status codes."""
    found: dict[str, dict[Labels, float]] = {}
    all_of_block: Counter[str] = Counter()  # answers by class, also those that no server gave
    for row in rows:
        name = row["svname"]
        whole = name == "BACKEND"
        if not whole and name not in servers:
            continue
        for code in CLASSES if row.get("hrsp_2xx") else ():
            count = _number(row, f"hrsp_{code}") if code[0].isdigit() else _number(row, "hrsp_other")
            all_of_block[code] += int(count if whole else -count)
            if not whole:
                found.setdefault(REQUESTS.name, {})[labels(backend=name, code=code)] = count
        if not whole:
            for metric, of in _GAUGES.items():
                found.setdefault(metric, {})[labels(backend=name)] = of(row)
    for code, count in all_of_block.items():
        found[REQUESTS.name][labels(backend=NO_BACKEND, code=code)] = float(max(0, count))
    return found


def _number(row: Mapping[str, str], column: str) -> float:
    return float(row.get(column) or 0)
