"""Totals of requests whose rows are not kept: counts, sums, and latencies in logarithmic buckets."""

from __future__ import annotations

from math import inf, log
from typing import Final

from lbkit.core.vectors import floats, wholes

ERROR: Final = 0.008  # relative error of a quantile
GROWTH: Final = (1 + ERROR) / (1 - ERROR)  # ratio of the upper edges of neighbouring buckets
STEPS: Final = 1 / log(GROWTH)  # buckets for a factor of e
LEAST: Final = 1e-7  # seconds: shorter times are in the first bucket
BUCKETS: Final = 2300  # reach up to LEAST * GROWTH**2300, some 10**9 seconds
BINS: Final = 1000  # of the time series


def bucket_of(seconds: float) -> int:
    """Return the index of a time's bucket. (Masson, Rim and Lee, DDSketch, VLDB 2019.)"""
    if seconds <= LEAST:
        return 0
    return min(int(log(seconds / LEAST) * STEPS) + 1, BUCKETS - 1)


def seconds_of(bucket: int) -> float:
    """Return the time in seconds that is within ERROR of all times in a bucket; 0 for the first one."""
    return LEAST * GROWTH ** (bucket - 1) * 2 * GROWTH / (GROWTH + 1) if bucket else 0.0


class Totals:
    """Totals of the requests that have ended. The window of measurement is that of `lbkit.result`."""

    def __init__(self, servers: int, clients: int, warmup: float, duration: float) -> None:
        self.warmup, self.duration = warmup, duration
        self.servers = servers
        self.requests = 0  # all, during the warm-up too
        self.counted = 0  # those that arrived after the warm-up
        self.good = 0  # good answers to counted requests
        self.in_window = 0  # good answers that ended in the window
        self.latency = self.waiting = self.slowdown = 0.0  # sums over good answers to counted requests
        self.took = 0.0  # sum of latencies of counted requests, good or not
        self.served = 0  # good ones that a server began to serve: the number of terms in `waiting`
        self.worked = 0  # good ones with a service time: the number of terms in `slowdown`
        self.stay = 0.0  # sum of the seconds that requests spent in the system within the window
        self.last = 0.0  # when the last one ended
        self.by_status: dict[int, int] = {}  # of counted requests
        self.by_backend = wholes(servers + 1, 0)  # of counted requests; the last: of no backend
        self.by_client = wholes(clients, 0)  # of counted requests
        self.busy = floats(servers + 1, 0.0)  # seconds of work within the window
        # Good latencies by bucket: first of all servers together, then of each.
        self.buckets = wholes((servers + 1) * BUCKETS, 0)
        self.step = duration / BINS  # seconds of a bin; requests are in that of their arrival
        self.bin_good = wholes(BINS, 0)
        self.bin_failed = wholes(BINS, 0)
        self.bin_latency = floats(BINS, 0.0)

    def add(
        self,
        arrival: float,
        start: float,
        end: float,
        service: float,
        backend: int,
        client: int,
        status: int,
    ) -> None:
        """Count a request that has ended."""
        warmup, duration, latency = self.warmup, self.duration, end - arrival
        good = 0 < status < 500 and status != 429
        place = backend if backend >= 0 else self.servers
        self.requests += 1
        if end > self.last:
            self.last = end
        stay = (end if end < duration else duration) - (arrival if arrival > warmup else warmup)
        if stay > 0.0:
            self.stay += stay
        if service > 0.0:
            work = min(start + service, duration) - max(start, warmup)
            if work > 0.0:
                self.busy[place] += work
        number = min(int(arrival / self.step), BINS - 1)
        if good:
            self.bin_good[number] += 1
            self.bin_latency[number] += latency
            if warmup <= end <= duration:
                self.in_window += 1
        else:
            self.bin_failed[number] += 1
        if arrival < warmup:
            return
        self.counted += 1
        self.took += latency
        self.by_backend[place] += 1
        self.by_client[client] += 1
        if status != 200:
            self.by_status[status] = self.by_status.get(status, 0) + 1
        if good:
            self.good += 1
            self.latency += latency
            if start == start:
                self.waiting += start - arrival
                self.served += 1
            if service > 0.0:
                self.slowdown += latency / service
                self.worked += 1
            bucket = bucket_of(latency)
            self.buckets[bucket] += 1
            if backend >= 0:
                self.buckets[(backend + 1) * BUCKETS + bucket] += 1

    def latency_at(self, rank: int, backend: int = -1) -> float:
        """Return the latency of the good answer of a rank, counted from 0, within ERROR. -1: all backends."""
        first, seen = (backend + 1) * BUCKETS, 0
        for bucket in range(BUCKETS):
            seen += int(self.buckets[first + bucket])
            if seen > rank:
                return seconds_of(bucket)
        return inf

    def answers(self, backend: int = -1) -> int:
        """Return the number of good answers of a backend. -1: of all backends."""
        first = (backend + 1) * BUCKETS
        return sum([int(self.buckets[first + bucket]) for bucket in range(BUCKETS)])
