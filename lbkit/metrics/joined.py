"""Runs that follow each other, as one: a month of metrics, without a month of requests in memory."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence

from lbkit.metrics.names import is_counter
from lbkit.metrics.store import Store


def joined(stores: Iterable[Store]) -> Store:
    """Return the scrapes of one store after another. Each begins at the last scrape of the one before, and
    its counters go on from there, as if nothing had been restarted.

    Raises ValueError without any store, and for stores of different series."""
    several = list(stores)
    if not several:
        raise ValueError("stores are none: give at least one")
    tables = [{(name, of): values for name, of, values in store} for store in several]
    if any(table.keys() != tables[0].keys() for table in tables):
        raise ValueError("stores have different series: join runs of the same servers only")
    made = Store(_times(several))
    for name, of in tables[0]:
        values = array("d", tables[0][name, of])
        for table in tables[1:]:
            before = values[-1] if is_counter(name) else 0.0
            values.extend(before + value for value in table[name, of][1:])
        made.add(name, of, values)
    return made


def _times(stores: Sequence[Store]) -> array[float]:
    times = array("d", stores[0].times)
    for store in stores[1:]:
        shift = times[-1] - store.times[0]
        times.extend(at + shift for at in store.times[1:])
    return times
