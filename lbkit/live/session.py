"""A live experiment: processes, our proxy, load, and the timed events; steered while it runs."""

from __future__ import annotations

import asyncio
import importlib.metadata
import threading
import time
from array import array
from bisect import bisect_left
from collections.abc import Callable
from typing import Any, Self

from attrs import evolve

from lbkit.core import Intent, Pool, make_balancer
from lbkit.experiment import Action, Event, Experiment, Policy
from lbkit.live.fleet import LocalFleet
from lbkit.live.load import Load, Row
from lbkit.net import Proxy
from lbkit.result import COLUMNS, Result
from lbkit.workload import stream

NAN = float("nan")
LOOPBACK = ("127.0.0.0/8",)  # the load comes from here, and says in X-Forwarded-For whom it plays


class LiveSession:
    """Runs from `start` to `stop`, also as a context manager. All methods may be called from any thread."""

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        self.policy = experiment.policy.algorithm
        self._fleet = LocalFleet(experiment.servers, experiment.seed)
        self._proxy: Proxy | None = None
        self._load: Load | None = None
        self._events: threading.Thread | None = None
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self.faults: list[str] = []  # events that could not be carried out

    # -- life ---------------------------------------------------------------------------

    def start(self) -> Self:
        """Returns when requests are being sent. Raises FleetError, ProxyError or LoadError."""
        policy = self.experiment.policy
        try:
            self._fleet.start()
            self._backends = {b.name: b for b in self._fleet.backends()}
            pool = Pool(
                (b for name, b in self._backends.items() if name not in self.experiment.joining),
                self._balancer(policy),
            )
            self._proxy = Proxy(
                pool, retries=policy.retries, keyed_by=policy.keyed_by, trusted=LOOPBACK, expose=True
            ).start()
            self._load = Load(self.experiment, self._proxy.url)
            self._load.start()
            self._events = threading.Thread(target=self._happen, name="lbkit-events", daemon=True)
            self._events.start()
        except BaseException:
            self.stop()
            raise
        return self

    def _balancer(self, policy: Policy) -> Any:
        return make_balancer(policy.algorithm, stream(self.experiment.seed, "policy"), **policy.options)

    def stop(self) -> None:
        """Everything it started is gone afterwards. Safe to repeat."""
        self._stopping.set()
        with self._lock:
            if self._load:
                self._load.stop()
            if self._events and self._events is not threading.current_thread():
                self._events.join()
            if self._proxy:
                self._proxy.stop(grace=0.0)
            self._fleet.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        return await asyncio.to_thread(self.start)

    async def __aexit__(self, *exc: object) -> None:
        await asyncio.to_thread(self.stop)

    def wait(self) -> None:
        """Until every request has ended. Raises LoadError when the load broke off."""
        assert self._load, "start first"
        self._load.wait()

    # -- what there is to see ---------------------------------------------------------------

    @property
    def url(self) -> str:
        """Where the proxy listens."""
        assert self._proxy, "start first"
        return self._proxy.url

    @property
    def elapsed(self) -> float:
        """Seconds since moment 0; below 0 just before it."""
        return time.monotonic() - self._load.t0 if self._load and self._load.t0 else 0.0

    @property
    def done(self) -> bool:
        return self._load is not None and self._load.done.is_set()

    def since(self, row: int) -> list[Row]:
        """Requests that ended, from the `row`-th on, in the order of their ends and of COLUMNS."""
        return self._load.rows[row:] if self._load else []

    def state(self) -> list[dict[str, Any]]:
        """A dict a server: name, alive, weight, intent, in_flight, picks."""
        alive = self._fleet.alive()
        return [
            {
                "name": b.name,
                "alive": alive[b.name],
                "weight": b.weight,
                "intent": b.intent.value,
                "in_flight": b.in_flight,
                "picks": b.picks,
            }
            for b in self._backends.values()
        ]

    def result(self, last: float | None = None) -> Result:
        """What has come out so far; of the last seconds only, counted from their beginning, if said."""
        experiment, start = self.experiment, 0.0
        rows = sorted(self.since(0), key=lambda row: row[0])
        if last is not None:
            last = min(last, max(self.elapsed, 0.001))
            start = self.elapsed - last
            traffic = evolve(experiment.traffic, duration=last, warmup=0.0)
            experiment = experiment.but(policy=self.policy, traffic=traffic, events=())
            rows = rows[bisect_left(rows, start, key=lambda row: row[0]) :]
        index = {s.name: i for i, s in enumerate(self.experiment.servers)}
        columns: dict[str, array[Any]] = {name: array(code) for name, code in COLUMNS.items()}
        for arrival, began, end, backend, *rest in rows:
            times = (arrival - start, NAN if began is None else began - start, end - start)
            values = (*times, index.get(backend or "", -1), *rest)
            for column, value in zip(columns.values(), values, strict=True):
                column.append(value)
        facts = dict(self._load.facts) if self._load else {}
        facts |= {"locust": importlib.metadata.version("locust"), "faults": list(self.faults)}
        return Result(experiment, "live", columns, facts)

    # -- steering ---------------------------------------------------------------------------

    def switch(self, algorithm: str) -> None:
        """Go on with another algorithm. Raises ValueError for one that there is not."""
        balancer = self._balancer(Policy(algorithm))
        self._in_pool(lambda pool: pool.switch(balancer))
        assert self._proxy
        self._proxy.keyed_by = balancer.keyed_by
        self.policy = algorithm

    def crash(self, name: str) -> None:
        self._fleet.crash(name)

    def recover(self, name: str) -> None:
        self._fleet.recover(name)

    def slow(self, name: str, factor: float) -> None:
        self._fleet.slow(name, factor)

    def add(self, name: str) -> None:
        self._in_pool(lambda pool: pool.add(self._backends[name]))

    def remove(self, name: str) -> None:
        self._in_pool(lambda pool: pool.remove(name))

    def set_weight(self, name: str, weight: float) -> None:
        self._in_pool(lambda pool: pool.set_weight(name, weight))

    def drain(self, name: str) -> None:
        self._in_pool(lambda pool: pool.set_intent(name, Intent.DRAIN))

    def _in_pool(self, change: Callable[[Pool], object]) -> None:
        """The pool lives in the proxy's thread."""
        assert self._proxy, "start first"
        self._proxy.call(change, self._proxy.pool)

    def _happen(self) -> None:
        """In a thread: carry out the experiment's events at their times."""
        assert self._load
        for event in self.experiment.events:
            if self._stopping.wait(max(0.0, self._load.t0 + event.at - time.monotonic())):
                return
            try:
                _HAPPENS[event.action](self, event)
            except Exception as error:  # told in the result; the run goes on
                self.faults.append(f"{event.action.value} {event.server} at {event.at:g} s: {error}")


_HAPPENS: dict[Action, Callable[[LiveSession, Event], object]] = {
    Action.CRASH: lambda session, e: session.crash(e.server),
    Action.RECOVER: lambda session, e: session.recover(e.server),
    Action.SLOW: lambda session, e: session.slow(e.server, e.value or 1.0),
    Action.ADD: lambda session, e: session.add(e.server),
    Action.REMOVE: lambda session, e: session.remove(e.server),
    Action.SET_WEIGHT: lambda session, e: session.set_weight(e.server, e.value or 0.0),
    Action.DRAIN: lambda session, e: session.drain(e.server),
}


def run_live(experiment: Experiment) -> Result:
    """Run on real processes and sockets, through lbkit's own proxy, with Locust as the crowd.

    Takes the experiment's duration and about three seconds. Raises FleetError, ProxyError or LoadError,
    and RuntimeError when an event could not be carried out. Nothing it started is left."""
    with LiveSession(experiment) as session:
        session.wait()
        if session.faults:
            raise RuntimeError("; ".join(session.faults))
        return session.result()
