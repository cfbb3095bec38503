"""The requests of an experiment: client, path, time and work of each.

Each aspect has a random stream of its own, seeded from the experiment. So every policy and every engine gets
the same requests, and a change of one aspect leaves the others as they are.
"""

from __future__ import annotations

import random
from array import array
from bisect import bisect
from collections.abc import Callable, Iterator
from hashlib import blake2b
from itertools import accumulate, islice
from math import log
from struct import pack
from typing import Any, Final
from zlib import crc32

from mypy_extensions import i32

from lbkit.arrivals import Arrivals, Closed, ConstantRate, OnOff, Poisson, Profile, Sessions, Trace
from lbkit.core.vectors import COMPILED, append, column_of, vec, wholes_of
from lbkit.draws import BLOCK, even, stream, uniforms, zipf, zipf_weights
from lbkit.experiment import Experiment, RequestKind


class Clients:
    """What requests carry besides their arrival time; each method draws `count` of it, without end."""

    def __init__(self, experiment: Experiment) -> None:
        self.traffic, self.seed = experiment.traffic, experiment.seed
        self._client, self._path = stream(self.seed, "clients"), stream(self.seed, "paths")
        self.client = zipf(self.traffic.clients, self.traffic.client_skew, self._client)
        self.path = zipf(self.traffic.paths, self.traffic.path_skew, self._path)
        self._demand = stream(self.seed, "demand")
        self._luck = stream(self.seed, "luck")

    def demand(self, count: int) -> vec[float]:
        """Draw the quantile of the service time."""
        return uniforms(count, self._demand)

    def luck(self, count: int) -> vec[float]:
        """Draw what decides about errors: below a server's error_rate, a request fails."""
        return uniforms(count, self._luck)

    def clients(self, count: int) -> vec[i32]:
        """Draw clients, as a column."""
        if not self.traffic.client_skew:
            return even(count, self.traffic.clients, self._client)
        return wholes_of(self.client(count))

    def paths(self, count: int) -> vec[i32]:
        """Draw paths, as a column."""
        if not self.traffic.path_skew:
            return even(count, self.traffic.paths, self._path)
        return wholes_of(self.path(count))

    def one(self) -> tuple[int, int, float, float]:
        """Return client, path, demand and luck of the next request."""
        return self.client(1)[0], self.path(1)[0], self._demand.random(), self._luck.random()


class Workload:
    """Open-loop requests in columns, in order of arrival."""

    def __init__(
        self,
        arrival: vec[float],
        client: vec[i32],
        path: vec[i32],
        demand: vec[float],
        luck: Callable[[int], vec[float]],
    ) -> None:
        """`luck` draws that column when it is first asked for: few experiments do."""
        self.arrival = arrival  # seconds from the start
        self.client = client  # 0 is the most popular
        self.path = path
        self.demand = demand
        self._rows = len(arrival)
        self._draw_luck: Callable[[int], vec[float]] | None = luck
        self._luck = column_of(())

    @property
    def luck(self) -> vec[float]:
        if self._draw_luck is not None:
            self._luck, self._draw_luck = self._draw_luck(self._rows), None
        return self._luck

    @classmethod
    def empty(cls) -> Workload:
        return Workload(column_of(()), wholes_of(()), wholes_of(()), column_of(()), lambda _: column_of(()))

    def __len__(self) -> int:
        return self._rows

    def columns(self) -> tuple[Any, ...]:
        """Return all columns, as lists."""
        return list(self.arrival), list(self.client), list(self.path), list(self.demand), list(self.luck)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Workload) and self.columns() == other.columns()


ALL: Final = 1 << 60  # more requests than there are


class Source:
    """The requests of an open-loop experiment, one block after another."""

    def __init__(self, experiment: Experiment) -> None:
        """Raises TypeError for a closed loop."""
        traffic = experiment.traffic
        self.arrivals, self.duration = traffic.arrivals, traffic.duration
        self.draw = Clients(experiment)
        self.drawn = 0  # requests so far
        self._rng = stream(experiment.seed, "arrivals")
        self._now = 0.0
        self._drawn, self._used = column_of(()), 0  # compiled: draws of `_rng`, and how many are used up
        self._times = arrival_times(self.arrivals, self.duration, self._rng)
        if isinstance(self.arrivals, Closed | Sessions):
            raise TypeError(f"{self.arrivals.kind} traffic has no arrival times: they follow the answers")

    def take(self, most: int = ALL) -> Workload:
        """Return the next requests, `most` of them at most; none when there are no more."""
        times = self._arrivals(most)
        rows, since = len(times), self.drawn
        self.drawn += rows
        known, draw = self.arrivals if isinstance(self.arrivals, Trace) else Trace(()), self.draw
        some = slice(since, self.drawn)
        return Workload(
            times,
            wholes_of(known.clients[some]) if known.clients else draw.clients(rows),
            wholes_of(known.paths[some]) if known.paths else draw.paths(rows),
            column_of(known.demands[some]) if known.demands else draw.demand(rows),
            draw.luck,
        )

    def _arrivals(self, most: int) -> vec[float]:
        if not COMPILED or not isinstance(self.arrivals, Poisson):
            return column_of(islice(self._times, most if most < ALL else None))
        # As in `arrival_times`, without a call for each.
        times, now = column_of(()), self._now
        rate, until = self.arrivals.rate, self.duration
        while len(times) < most:
            if self._used == len(self._drawn):
                self._drawn, self._used = uniforms(BLOCK, self._rng), 0
            now = now - log(1.0 - self._drawn[self._used]) / rate
            self._used += 1
            if now >= until:
                break
            times = append(times, now)
        self._now = now
        return times


def workload(experiment: Experiment) -> Workload:
    """Return all requests of an open-loop experiment. Raises TypeError for a closed loop."""
    usual = Source(experiment).take()
    return with_bursts(usual, experiment) if experiment.traffic.bursts else usual


def with_bursts(usual: Workload, experiment: Experiment) -> Workload:
    """Return the requests with those of bursts among them, in order of arrival; the usual ones stay the same.

    What each carries comes from a random stream of its burst, so that more bursts leave the others alone."""
    traffic = experiment.traffic
    added: list[tuple[float, int, int, float, float]] = []
    for i, burst in enumerate(traffic.bursts):
        rng = stream(experiment.seed, f"burst {i}")
        path = zipf(traffic.paths, traffic.path_skew, rng)
        for time in burst.times(traffic.duration):
            added.append((time, burst.client, path(1)[0], rng.random(), rng.random()))
    rows = zip(usual.arrival, usual.client, usual.path, usual.demand, usual.luck, strict=True)
    # Sorting keeps the order of equal times: the usual requests come first.
    columns = list(zip(*sorted((*rows, *added), key=lambda row: row[0]), strict=True))
    return Workload(
        column_of(columns[0]),
        wholes_of(columns[1]),
        wholes_of(columns[2]),
        column_of(columns[3]),
        lambda rows: column_of(columns[4]),
    )


class Visits:
    """The sessions of an experiment: when each begins, for which client, and what it sends.

    A session has a random stream of its own, so it sends the same whatever happens to the others."""

    def __init__(self, experiment: Experiment) -> None:
        """Raises TypeError for traffic without sessions."""
        traffic, seed = experiment.traffic, experiment.seed
        if not isinstance(traffic.arrivals, Sessions):
            raise TypeError(f"{traffic.arrivals.kind} traffic has no sessions")
        self.sessions, self.seed = traffic.arrivals, seed
        begin = Poisson(self.sessions.rate)
        self.began = array("d", arrival_times(begin, traffic.duration, stream(seed, "arrivals")))
        draw = zipf(traffic.clients, traffic.client_skew, stream(seed, "clients"))
        self.client = draw(len(self.began))
        self._paths = list(accumulate(zipf_weights(traffic.paths, traffic.path_skew)))

    def __len__(self) -> int:
        return len(self.began)

    def requests(self, session: int) -> Iterator[tuple[float, int, float, float]]:
        """Yield pause, path, demand and luck of each request; the pause is the time since the last answer."""
        draw = stream(self.seed, f"session {session}").random
        think, end = self.sessions.think, 1 / self.sessions.requests
        pause = 0.0
        while True:
            yield pause, bisect(self._paths, draw() * self._paths[-1]), draw(), draw()
            if draw() < end:
                return
            pause = -think * log(1.0 - draw())


def arrival_times(arrivals: Arrivals, duration: float, rng: random.Random) -> Iterator[float]:
    """Yield the times of arrival in seconds from the start, rising, below `duration`."""
    match arrivals:
        case Poisson(rate):
            now = 0.0
            # Exponential gaps; written out, as it is half the cost of a workload.
            while (now := now - log(1.0 - rng.random()) / rate) < duration:
                yield now
        case ConstantRate(rate):
            # Multiplied, not added up: a million additions drift.
            for i in range(int(duration * rate) + 1):
                if i / rate < duration:
                    yield i / rate
        case OnOff(peak, on, off):
            # Stationary: what is left of a burst, or of a silence, is exponential like the whole.
            start = 0.0 if rng.random() < arrivals.share else rng.expovariate(1 / off)
            while start < duration:
                end = min(start + rng.expovariate(1 / on), duration)
                now = start + rng.expovariate(peak)
                while now < end:
                    yield now
                    now += rng.expovariate(peak)
                start = end + (rng.expovariate(1 / off) if off else 0.0)
        case Profile():
            # Thinning: arrivals at the peak rate, each kept with probability rate / peak at its moment.
            # (Lewis and Shedler, Naval Research Logistics Quarterly 26, 1979.)
            now, peak = 0.0, arrivals.peak
            while (now := now + rng.expovariate(peak)) < duration:
                if rng.random() * peak < arrivals.at(now):
                    yield now
        case Trace(times):
            for time in times:
                if time < duration:
                    yield time
        case _:
            raise TypeError(f"{arrivals.kind} traffic has no arrival times: they follow the answers")


class Kinds:
    """The kinds of requests of an experiment's traffic.

    The kind follows from a request's demand by a hash, so that each engine knows it without being told, and
    a mix changes nothing else of the requests."""

    def __init__(self, experiment: Experiment) -> None:
        self.mixed = bool(experiment.traffic.mix)
        self.kinds = experiment.traffic.mix or (RequestKind("item"),)
        self._upto = list(accumulate(kind.share for kind in self.kinds))
        self._salt = str(experiment.seed).encode()[-16:]

    def number(self, demand: float) -> int:
        """Return the number of the kind of a request with this demand."""
        if len(self._upto) == 1:
            return 0
        digest = blake2b(pack("<d", demand), digest_size=8, salt=self._salt).digest()
        place = (int.from_bytes(digest, "big") >> 11) / 2**53
        return bisect(self._upto, place * self._upto[-1])

    def of(self, demand: float) -> RequestKind:
        return self.kinds[self.number(demand)]


class SimRequest:
    """A request without a connection, as a `RoutedRequest`: what rules and limits see."""

    __slots__ = ("_kind", "body", "client", "flow", "length", "method", "target")

    def __init__(self, client: str, target: bytes, flow: str, kind: RequestKind) -> None:
        self.client = client
        self.target = target
        self.flow = flow
        self.method = kind.method.encode()
        self.body = kind.body.encode()
        self.length = len(self.body)
        self._kind = kind

    def field(self, name: bytes) -> bytes:
        return next(iter(self.values(name)), b"")

    def values(self, name: bytes) -> list[bytes]:
        if name == b"host":
            return [(self._kind.host or "127.0.0.1").encode()]
        headers = self._kind.headers
        return [text.encode() for field, text in headers.items() if field.lower().encode() == name]

    def fields(self) -> list[tuple[bytes, bytes]]:
        """Return the header fields, as a firewall compares them."""
        return [(name.lower().encode(), text.encode()) for name, text in self._kind.sent().items()]


def client_name(client: int) -> str:
    """Return the address of client number `client`, 10.x.y.z, which a balancer hashes.

    Neighbours in number are in different networks, as the clients of a site are: hashes of a network, such as
    nginx's ip_hash, spread them. Multiplied by the golden ratio, all of 2^24 numbers have addresses of their
    own. (Knuth, The Art of Computer Programming 3, 6.4.)"""
    spread = (client + 1) * 0x9E3779B1
    return f"10.{spread >> 16 & 255}.{spread >> 8 & 255}.{spread & 255}"


def chosen(what: str, share: float) -> bool:
    """Return whether a name is among a share of all names that is the same on every engine, and always."""
    return crc32(what.encode()) < share * 2**32


def needs(path: str, dependency: str, share: float) -> bool:
    """Return whether a path is among the share of paths that need a dependency."""
    return chosen(f"{dependency} {path}", share)


def path_name(path: int) -> str:
    """Return the URL path of object number `path`."""
    return f"/item/{path}"
