"""The rows of a run in columns: one row for each request, the same for all engines.

Times are in seconds from the start of the experiment.
"""

from __future__ import annotations

import csv
from array import array
from collections import Counter
from functools import cached_property
from math import nan
from operator import sub
from pathlib import Path
from typing import Any

from lbkit.caching import Served
from lbkit.edge import TOO_MANY
from lbkit.experiment import Experiment

# Column -> array type code. The order is that of exports.
COLUMNS = {
    "arrival": "d",  # when the client sent it, or was due to (open loop)
    "start": "d",  # when a server began to serve it; nan if none did
    "end": "d",  # when the client had the complete answer
    "backend": "i",  # index into `backends`; -1 if none answered
    "client": "i",
    "path": "i",
    "status": "i",  # HTTP status; 0: no answer at all
    "attempts": "i",  # backends tried
    "service": "d",  # service time in seconds
}
# Columns of some results only.
OPTIONAL = {
    "session": "i",  # number of the session, where the traffic has sessions
    "rule": "i",  # index into the rules of `routing` of the one that decided; -1 if none fitted
    "cache": "i",  # how the cache served it (`lbkit.caching.Served`), where the experiment has one
    "kind": "i",  # index into `traffic.mix` of its kind, where there is a mix
    "firewall": "i",  # id of the firewall's rule that decided to refuse it (or would, if it only monitors); 0
    "score": "i",  # the firewall's anomaly score
}
NEEDED = {
    "session": "traffic that has sessions",
    "rule": "an experiment with routing",
    "cache": "an experiment with a cache",
    "kind": "traffic with a mix",
    "firewall": "an experiment with a firewall",
    "score": "an experiment with a firewall",
}
# Columns that follow from those, for all rows; nan where no server began to serve the request.
DERIVED = {
    "latency": "seconds from arrival to the complete answer",
    "waiting": "seconds from arrival until a server begins to serve it",
    "slowdown": "latency over service time: 1 without any waiting",
}


class Columns:
    """The requests of one run. Every column is an array of the same length."""

    def __init__(
        self,
        experiment: Experiment,
        engine: str,
        columns: dict[str, array[Any]],
        extra: dict[str, Any] | None = None,
    ) -> None:
        """`columns`: all of COLUMNS and any of OPTIONAL, with rows in any order. `extra`: data of the engine.

        Raises ValueError for a missing column or columns of unequal length."""
        lengths = {name: len(columns[name]) for name in (*COLUMNS, *OPTIONAL) if name in columns}
        if not lengths.keys() >= COLUMNS.keys() or len(set(lengths.values())) > 1:
            raise ValueError(f"a result needs columns {', '.join(COLUMNS)} of one length, got {lengths}")
        self.experiment = experiment
        self.engine = engine
        self.backends = tuple(s.name for s in experiment.leaves)
        self.rules = tuple(rule.name for rule in experiment.routing.rules) if experiment.routing else ()
        self.kinds = tuple(kind.name for kind in experiment.traffic.mix)
        self.columns = columns
        self.extra = extra or {}

    def __getattr__(self, name: str) -> Any:
        if name in COLUMNS or (name in OPTIONAL and name in self.columns):
            return self.columns[name]
        if name in OPTIONAL:
            raise AttributeError(f"this Result has no {name!r}: use {NEEDED[name]}")
        raise AttributeError(f"a Result has no {name!r}")

    def __len__(self) -> int:
        return len(self.columns["arrival"])

    # -- columns that follow from others ---------------------------------------------------

    @cached_property
    def latency(self) -> array[float]:
        return array("d", map(sub, self.end, self.arrival))

    @cached_property
    def waiting(self) -> array[float]:
        return array("d", map(sub, self.start, self.arrival))

    @cached_property
    def slowdown(self) -> array[float]:
        pairs = zip(self.latency, self.service, strict=True)
        return array("d", (latency / work if work > 0 else nan for latency, work in pairs))

    # -- content switching ------------------------------------------------------------------

    def by_rule(self) -> dict[str, int]:
        """Return the requests that each rule of `routing` decided about; "" is for those that none fitted."""
        counts = Counter(self.rule)
        return {name: counts[i] for i, name in enumerate(self.rules)} | {"": counts[-1]}

    def by_kind(self) -> dict[str, int]:
        """Return the requests of each kind. Raises AttributeError for traffic without a mix."""
        counts = Counter(self.kind)
        return {name: counts[i] for i, name in enumerate(self.kinds)}

    def by_pool(self) -> dict[str, int]:
        """Return the requests that each pool of servers answered; "" is for those that no server did."""
        pool_of = [server.pool for server in self.experiment.leaves]
        found = dict.fromkeys((*self.experiment.pools, ""), 0)
        for backend, count in Counter(self.backend).items():
            found[pool_of[backend] if backend >= 0 else ""] += count
        return found

    # -- export -------------------------------------------------------------------------

    def to_dict(self) -> dict[str, list[Any]]:
        """Return all columns as lists, with names in place of numbers, for CSV, Parquet and data frames."""
        plain = {name: list(getattr(self, name)) for name in (*self.columns, *DERIVED)}
        plain["backend"] = [self.backends[b] if b >= 0 else None for b in self.backend]
        if "rule" in plain:
            plain["rule"] = [self.rules[r] if r >= 0 else None for r in self.rule]
        if "kind" in plain:
            plain["kind"] = [self.kinds[number] for number in self.kind]
        if "firewall" in plain:
            plain["firewall"] = [rule or None for rule in self.firewall]
        if "cache" in plain:
            plain["cache"] = [Served(how).name.lower() for how in self.cache]
        return plain

    def to_csv(self, path: str | Path) -> None:
        plain = self.to_dict()
        with open(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(plain)
            writer.writerows(zip(*plain.values(), strict=True))

    def to_pandas(self) -> Any:
        """Return a DataFrame with a row for each request. Raises ImportError without pandas."""
        import pandas as pd

        return pd.DataFrame(self.to_dict())


def good(status: int) -> bool:
    """Return whether a status is a good answer: also a client's error, but no 429 and no server error."""
    return 0 < status < 500 and status != TOO_MANY
