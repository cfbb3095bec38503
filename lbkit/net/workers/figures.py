"""The reports of several processes as one: states, sums of counts, and the last minutes.

Pure: reports come in, tables for the admin interface go out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

from lbkit.core.histogram import between, quantile
from lbkit.net.workers.report import STATES, Report, added_up

BREAKERS = ("open", "half open", "closed")
SAMPLES = 150  # of the past that are kept
RECENT = 30  # samples over which rates and latencies are taken
EVERY = 5  # samples after which a histogram of latencies is kept: these take more memory
QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}


def merge_backends(serving: Iterable[Report], retiring: Iterable[Report]) -> dict[str, Report]:
    """Return the backends over all processes. `retiring`: processes that only finish requests in flight:
    they count for these, and a backend is drained when it is drained there, too."""
    merged: dict[str, Report] = {}
    for report in serving:
        for row in report["backends"]:
            known = merged.get(row["name"])
            if known is None:
                merged[row["name"]] = {**row, "states": {row["state"]: 1}, "change": None}
            else:
                _merge_row(known, row)
    for report in retiring:
        for row in report["backends"]:
            if known := merged.get(row["name"]):
                known["in_flight"] += row["in_flight"]
                if known["state"] == "drained" and row["in_flight"]:
                    known["state"] = known["drain"] = "draining"
    for report in serving:
        for change in report["changes"]:
            known = merged[change["backend"]]
            if known["change"] is None or change["at"] > known["change"]["at"]:
                known["change"] = change
    return merged


def _merge_row(known: Report, row: Report) -> None:
    known["states"][row["state"]] = known["states"].get(row["state"], 0) + 1
    known["in_flight"] += row["in_flight"]
    known["healthy"] = known["healthy"] and row["healthy"]
    known["gets_requests"] = known["gets_requests"] and row["gets_requests"]
    known["held_by"] = sorted({*known["held_by"], *row["held_by"]})
    known["drain_left"] = max((known["drain_left"], row["drain_left"]), key=lambda left: left or 0.0)
    if STATES.index(row["state"]) < STATES.index(known["state"]):
        known.update({name: row[name] for name in ("state", "drain", "check")})
    if row["breaker"]:
        known["breaker"] = min(known["breaker"] or "closed", row["breaker"], key=BREAKERS.index)


class Ledger:
    """The counts of all processes, also of those that have ended: they never shrink.

    What a process counts between its last report and its end is lost."""

    def __init__(self) -> None:
        self._past: Report = {}
        self._latest: dict[int, Report] = {}

    def update(self, reports: Iterable[Report], alive: Iterable[int], durations: bool = True) -> Report:
        """Take the counts of reports or samples; return the sums. `alive`: the processes that still run.

        Where a sample has no histograms, the last ones count. `durations`: the sums have them, too."""
        for report in reports:
            known = self._latest.get(report["pid"], {}).get("backends", {})
            for name, row in report["counts"]["backends"].items():
                if "durations" not in row and "durations" in (before := known.get(name, {})):
                    row["durations"] = before["durations"]
            self._latest[report["pid"]] = report["counts"]
        for pid in self._latest.keys() - set(alive):
            self._past = added_up([self._past, self._latest.pop(pid)])
        return added_up([self._past, *self._latest.values()], "" if durations else "durations")


class History:
    """The last minutes of each backend, and of all: samples at equal distances."""

    def __init__(self, interval: float) -> None:
        self.interval = interval  # seconds between samples
        self._samples: deque[dict[str, tuple[int, int]]] = deque(maxlen=SAMPLES + 1)
        self._latencies: deque[dict[str, Mapping[int, int]]] = deque(maxlen=RECENT // EVERY + 1)
        self.number = 0  # of samples so far

    @property
    def wants_latency(self) -> bool:
        """Whether the next sample has to have histograms."""
        return self.number % EVERY == 0

    def add(self, counts: Report) -> None:
        """Add a sample: the sums of a Ledger."""
        rows = {**counts["backends"], "": everything(counts)}
        self._samples.append({name: (requests(row), failed(row)) for name, row in rows.items()})
        if self.wants_latency:
            self._latencies.append({name: latency(row) for name, row in rows.items()})
        self.number += 1

    def rates(self, name: str) -> dict[str, list[float]]:
        """Return requests and errors a second in each interval, oldest first. "": all backends."""
        seen = [sample.get(name) for sample in self._samples]
        series: dict[str, list[float]] = {"requests": [], "errors": []}
        for before, after in pairwise(seen):
            for i, kind in enumerate(series):
                grown = max(0, after[i] - before[i]) if before and after else 0
                series[kind].append(round(grown / self.interval, 3))
        return series

    def recent(self, name: str, counts: Report) -> dict[str, Any]:
        """Return the rates and latencies of the last minute; `counts`: its row of the sums now."""
        rates = self.rates(name)
        last = {kind: values[-RECENT:] for kind, values in rates.items()}
        before = self._latencies[0].get(name, {}) if self._latencies else {}
        grown = between(before, latency(counts))
        mean = {kind: sum(values) / len(values) if values else 0.0 for kind, values in last.items()}
        return {
            "requests_per_second": round(mean["requests"], 3),
            "errors_per_second": round(mean["errors"], 3),
            "latency": {label: quantile(grown, share) for label, share in QUANTILES.items()},
        }


def everything(counts: Report) -> Report:
    """Return the sums over all backends, and of requests without one."""
    return added_up([*counts["backends"].values(), counts["elsewhere"]])


def requests(row: Report) -> int:
    """Return how many requests have ended; at layer 4, connections or sessions."""
    return int(row.get("done", 0))


def failed(row: Report) -> int:
    """Return how many answers were errors: 5xx, or cut off. A client that left is none."""
    return sum(count for why, count in row.get("errors", {}).items() if why != "client left")


def latency(row: Report) -> dict[int, int]:
    """Return the histogram of latencies of a row."""
    return histogram(row, "latency")[0]


def histogram(row: Report, name: str) -> tuple[dict[int, int], int]:
    """Return a histogram of a row, and its sum in microseconds.

    JSON has turned the numbers of buckets into texts."""
    found = row.get("durations", {}).get(name, {"counts": {}, "micros": 0})
    return {int(number): count for number, count in found["counts"].items()}, found["micros"]


def shown_counts(row: Report) -> Report:
    """Return a row of counts as the interface shows it: totals, and quantiles since the start."""
    counts = latency(row)
    classes = row.get("classes", [0] * 10)
    return {
        "requests": requests(row),
        "errors": failed(row),
        "retries": row.get("retries", 0),
        "attempts": row.get("attempts", 0),
        "bytes": row.get("bytes", 0),
        "answers": {f"{digit}xx": classes[digit] for digit in range(1, 6)},
        "errors_by_kind": dict(row.get("errors", {})),
        "failed_attempts": dict(row.get("failures", {})),
        "latency": {label: quantile(counts, share) for label, share in QUANTILES.items()},
    }
