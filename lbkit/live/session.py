"""Live experiments: backends, a proxy in front of them, load and timed events, controlled while they run."""

from __future__ import annotations

import asyncio
import importlib.metadata
import threading
import time
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Self

from attrs import evolve

from lbkit.arrivals import Sessions
from lbkit.core import algorithms as known_algorithms
from lbkit.core.options import number
from lbkit.core.state_change import StateChange
from lbkit.events import DEPENDENCY_STATES
from lbkit.experiment import Action, Event, Experiment, Policy, Server
from lbkit.interrupted import Interrupted, so_far
from lbkit.layer4 import ONE
from lbkit.live.docker import DockerFleet
from lbkit.live.fleet import Fleet, LocalFleet
from lbkit.live.front import Front, OwnProxy
from lbkit.live.load import GRACE, Load, Row
from lbkit.live.peers import PEERS
from lbkit.live.progress import Progress, Watch, shown
from lbkit.live.redis_server import RedisServer
from lbkit.live.relay import OwnRelay
from lbkit.live.rollouts import Deploy
from lbkit.live.timeline import Timeline, without_failed_boots
from lbkit.needs import why_not
from lbkit.result import COLUMNS, OPTIONAL, Result
from lbkit.run import EngineError, require

NAN = float("nan")


@dataclass(frozen=True, slots=True)
class Change:
    """A change that was made while the session ran."""

    at: float  # seconds since time 0
    what: str
    policy: str  # in force after the change


class LiveSession:
    """A live experiment, from `start` to `stop`; also a context manager. Its methods are thread-safe.

    `on`: "live" (lbkit's proxy in front of processes), "docker" (in front of containers), or the
    program in front of the processes: "nginx", "haproxy", "apache", "caddy".
    """

    def __init__(
        self, experiment: Experiment, on: str = "live", layer: int = 7, grace: float = GRACE
    ) -> None:
        """`layer`: with 4, connections are balanced (see `Experiment.at_layer`). `grace`: seconds after the
        end of the traffic in which answers still count; a request without an answer by then is an error.

        Raises EngineError for an engine that is missing or cannot run this, ValueError for an unknown one."""
        if on == "docker" and experiment.deploy:
            raise EngineError("containers keep their version here: use another engine, or deploy=None")
        require(on)
        number(0, grace=grace)
        experiment = experiment.at_layer(layer)
        if experiment.layer4 and experiment.layer4.connections == ONE:
            raise EngineError("the load speaks HTTP/1.1: use layer4.connections='client', or on='sim'")
        self._shares_state = _shares_state(experiment, on)
        self._store: RedisServer | None = None
        checks = experiment.policy.health and experiment.policy.health.checks
        if checks and checks.probe.kind == "grpc" and on not in PEERS:
            raise EngineError("these servers have no gRPC service: use probe.kind 'http', or on='sim'")
        self.experiment = experiment
        self.grace = grace
        self.on = on
        self.policy = experiment.policy.algorithm
        self._front: Front = PEERS[on](experiment, layer) if on in PEERS else _own(experiment)
        fleet = DockerFleet if on == "docker" else LocalFleet
        self._fleet: Fleet = fleet(experiment.servers, experiment.seed)
        self._load: Load | None = None
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        boots = {server.name: server.boot for server in experiment.servers}
        events = without_failed_boots(experiment.timeline, boots)
        self._timeline = Timeline(events, lambda event: _HAPPENS[event.action](self, event), self._stopping)
        self._deploy: Deploy | None = None
        if deploy := experiment.deploy:
            later = experiment.joining.difference(deploy.arrivals)
            self._deploy = Deploy(
                deploy,
                {s.name: s.weight for s in experiment.servers if s.name not in later},
                self,
                self._fleet,
                self._front,
                self.since,
                lambda: self.elapsed,
                self._stopping,
            )
        self._starts: list[str] = []  # the start times of recovered servers
        self.history: list[Change] = []  # changes since the start, by events and by hand

    @staticmethod
    def algorithms(on: str) -> list[str]:
        """Return the names of the algorithms that an engine has."""
        return list(PEERS[on].algorithms if on in PEERS else known_algorithms())

    # -- life ---------------------------------------------------------------------------

    def start(self) -> Self:
        """Start everything; return when the load begins.

        Raises FleetError, ProxyError, PeerError or LoadError."""
        try:
            if self._shares_state:
                self._store = RedisServer()
                assert isinstance(self._fleet, LocalFleet)
                self._fleet.store = self._store.start().url
            self._fleet.start()
            self._front.start(self._fleet.backends())
            self._load = Load(self.experiment, self._front.url, self.grace)
            self._load.start()
            self._timeline.start(self._load.t0)
            if self._deploy:
                self._deploy.start()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stop everything that was started. May be called more than once."""
        self._stopping.set()
        with self._lock:
            if self._load:
                self._load.stop()
            self._timeline.join()
            if self._deploy:
                self._deploy.join()
            self._front.stop()
            self._fleet.stop()
            if self._store:
                self._store.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        return await asyncio.to_thread(self.start)

    async def __aexit__(self, *exc: object) -> None:
        await asyncio.to_thread(self.stop)

    def wait(self, watch: Watch | None = None) -> None:
        """Wait until every request has ended; `watch` is called with the progress meanwhile.

        Raises LoadError if the load stops early."""
        assert self._load, "start first"
        self._load.wait((lambda: watch(self.progress())) if watch else None)

    # -- observing ---------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """The address of the proxy or program."""
        return self._front.url

    @property
    def elapsed(self) -> float:
        """The seconds since time 0; negative before it."""
        return time.monotonic() - self._load.t0 if self._load and self._load.t0 else 0.0

    @property
    def done(self) -> bool:
        return self._load is not None and self._load.done.is_set()

    @property
    def deploy(self) -> str:
        """Where the deploy is: "running", "done", "rolling back" or "rolled back"; empty before it begins."""
        return self._deploy.state if self._deploy else ""

    def since(self, row: int) -> list[Row]:
        """Return the finished requests from number `row` on, with values in the order of COLUMNS."""
        return self._load.rows[row:] if self._load else []

    @property
    def faults(self) -> list[str]:
        """The faults so far: events that could not be carried out, and a failing algorithm."""
        deploy = self._deploy.faults if self._deploy else []
        return self._timeline.faults + deploy + self._front.faults()

    @property
    def changes(self) -> list[StateChange]:
        """The changes of servers' states by the policy's rules and a deploy, with times from time 0."""
        t0 = self._load.t0 if self._load else 0.0
        changes = [change._replace(at=change.at - t0) for change in self._front.changes()]
        deploy = self._deploy.changes if self._deploy else []
        return sorted([*changes, *deploy], key=lambda change: change.at)

    def state(self) -> list[dict[str, Any]]:
        """Return a dict for each server: name, alive, weight, intent, in_flight, picks; None if unknown."""
        alive = self._fleet.alive()
        return [{"name": name, "alive": alive[name], **row} for name, row in self._front.state().items()]

    def progress(self) -> Progress:
        """Return the elapsed share of the run, and the requests and errors so far."""
        duration = self.experiment.traffic.duration
        requests, errors = (len(self._load.rows), self._load.errors) if self._load else (0, 0)
        return Progress(self.elapsed, duration, requests, errors)

    def result(self, last: float | None = None) -> Result:
        """Return the result so far.

        `last`: only the requests of the last `last` seconds, with times from the beginning of this window,
        which is `extra["since"]`."""
        rows = sorted(self.since(0), key=lambda row: row[0])
        if last is None:
            return Result(self.experiment, self.on, self._columns(rows), self._facts(len(rows)))
        last = min(last, max(self.elapsed, 0.001))
        since = self.elapsed - last
        traffic = evolve(self.experiment.traffic, duration=last, warmup=0.0)
        experiment = self.experiment.but(
            policy=self.policy, traffic=traffic, events=(), failures=None, deploy=None
        )
        rows = rows[bisect_left(rows, since, key=lambda row: row[0]) :]
        return Result(
            experiment, self.on, self._columns(rows, since), {"since": since, "faults": self.faults}
        )

    def interrupted(self) -> Interrupted:
        """Return the exception for an interrupt, with the result of the requests finished so far."""
        at = self.elapsed
        faults = {"locust": importlib.metadata.version("locust"), "faults": self.faults}
        return Interrupted(so_far(self.experiment, self.on, self._columns(self.since(0)), at, faults))

    def _columns(self, rows: Iterable[Row], since: float = 0.0) -> dict[str, array[Any]]:
        """Return rows as the columns of a Result, with times relative to `since`."""
        index = {s.name: i for i, s in enumerate(self.experiment.servers)}
        there = {
            "session": isinstance(self.experiment.traffic.arrivals, Sessions),
            "rule": self.experiment.routing is not None,
            "cache": self.experiment.cache is not None,
            "kind": bool(self.experiment.traffic.mix),
            "firewall": self.experiment.firewall is not None,
            "score": self.experiment.firewall is not None,
        }
        codes = COLUMNS | {name: code for name, code in OPTIONAL.items() if there[name]}
        columns: dict[str, array[Any]] = {name: array(code) for name, code in codes.items()}
        for arrival, began, end, backend, *rest in rows:
            times = (arrival - since, NAN if began is None else began - since, end - since)
            values = (*times, index.get(backend or "", -1), *rest)
            for column, value in zip(columns.values(), values, strict=True):
                column.append(value)
        return columns

    def _facts(self, requests: int) -> dict[str, Any]:
        facts = dict(self._load.facts) if self._load else {}
        facts |= {"locust": importlib.metadata.version("locust"), "faults": self.faults}
        facts |= {"changes": self.changes, "history": list(self.history)}
        if self.deploy:
            facts["deploy"] = self.deploy
        if not self._stopping.is_set():
            cpu = self._front.cpu()
            facts |= self._front.facts()
            if events := facts.get("attempt_events"):
                t0 = self._load.t0 if self._load else 0.0
                facts["attempt_events"] = [event._replace(at=event.at - t0) for event in events]
            if self._load and self._load.watched:
                t0 = self._load.t0
                facts["wasted"] = [w._replace(start=w.start - t0) for w in self._fleet.wasted()]
            facts["notes"] = [*facts["notes"], *self._notes()]
            facts |= {"cpu_s": cpu, "cpu_us_per_request": 1e6 * cpu / requests if requests else NAN}
        return facts

    def _notes(self) -> list[str]:
        """Return the differences between a run on processes and the experiment."""
        if not self._starts:
            return self._fleet.notes
        late = f"a recovered server serves once its process has started: {', '.join(self._starts)}"
        return [*self._fleet.notes, late]

    # -- control ---------------------------------------------------------------------------

    def switch(self, policy: str | Policy) -> None:
        """Switch to another algorithm, with its default options, or to another policy.

        Raises ValueError for an unknown algorithm, and PeerError for one that the program does not have;
        nothing changes then."""
        if isinstance(policy, str):
            policy = Policy(policy, retries=self.experiment.policy.retries)
        self._front.switch(policy)
        self.policy = policy.algorithm
        self._changed(f"switch to {self.policy}")

    def crash(self, name: str) -> None:
        self._fleet.crash(name)
        self._changed(f"crash {name}")

    def recover(self, name: str) -> None:
        """Start a server; return when it serves: after its `boot`, or later if its process starts slowly."""
        began = time.monotonic()
        boot = self._fleet.check(name).boot
        if not self._fleet.alive()[name]:
            self._stopping.wait(max(0.0, boot - self._fleet.start_times[name]))
            if self._stopping.is_set():
                return
            self._fleet.recover(name, began + boot)
            took = time.monotonic() - began
            self._starts.append(f"{name} {took:.2f} s after the event (boot {boot:g} s)")
        else:
            self._fleet.recover(name)
        self._changed(f"recover {name}")

    def replace(self, server: Server) -> None:
        """Replace a server with `server`; return when that serves, at the earliest after its `boot`."""
        boot = self._fleet.check(server.name).boot
        began = time.monotonic()
        self._fleet.replace(server)
        self._stopping.wait(max(0.0, began + boot - time.monotonic()))
        self._changed(f"replace {server.name}")

    def take_out(self, name: str) -> None:
        self._front.take_out(name)
        self._changed(f"take out {name}")

    def hang(self, name: str) -> None:
        self._fleet.hang(name)
        self._changed(f"hang {name}")

    def lose(self, name: str, share: float) -> None:
        self._fleet.disturb(name, lose=share)
        self._changed(f"lose {share:g} at {name}")

    def fail(self, name: str, share: float) -> None:
        self._fleet.disturb(name, fail=share)
        self._changed(f"fail {share:g} at {name}")

    def delay(self, name: str, seconds: float) -> None:
        self._fleet.slow_network(name, seconds)
        self._changed(f"delay {name} {seconds:g} s")

    def set_dependency(self, dependency: str, state: str, name: str = "") -> None:
        """Set a dependency to ok, degraded or failed, for one server or by default all that have it."""
        for server in [name] if name else self._fleet.servers:
            self._fleet.set_dependency(server, dependency, state)
        self._changed(f"{dependency} {state} {name}".rstrip())

    def slow(self, name: str, factor: float) -> None:
        self._fleet.slow(name, factor)
        self._changed(f"slow {name} {factor:g}")

    def add(self, name: str, weight: float | None = None) -> None:
        """Add a server to the pool, by default with its own weight."""
        self._front.add(name, weight)
        self._changed(f"add {name}" if weight is None else f"add {name} with weight {weight:g}")

    def remove(self, name: str) -> None:
        self._front.remove(name)
        self._changed(f"remove {name}")

    def set_weight(self, name: str, weight: float) -> None:
        self._front.set_weight(name, weight)
        self._changed(f"weight {name} {weight:g}")

    def drain(self, name: str) -> None:
        self._front.drain(name)
        self._changed(f"drain {name}")

    def undrain(self, name: str) -> None:
        self._front.undrain(name)
        self._changed(f"undrain {name}")

    def _changed(self, what: str) -> None:
        self.history.append(Change(self.elapsed, what, self.policy))


_HAPPENS: dict[Action, Callable[[LiveSession, Event], object]] = {
    Action.CRASH: lambda session, e: session.crash(e.server),
    Action.RECOVER: lambda session, e: session.recover(e.server),
    Action.SLOW: lambda session, e: session.slow(e.server, e.value or 1.0),
    Action.ADD: lambda session, e: session.add(e.server),
    Action.REMOVE: lambda session, e: session.remove(e.server),
    Action.SET_WEIGHT: lambda session, e: session.set_weight(e.server, e.value or 0.0),
    Action.DRAIN: lambda session, e: session.drain(e.server),
    Action.UNDRAIN: lambda session, e: session.undrain(e.server),
    Action.HANG: lambda session, e: session.hang(e.server),
    Action.LOSE: lambda session, e: session.lose(e.server, e.value or 0.0),
    Action.FAIL: lambda session, e: session.fail(e.server, e.value or 0.0),
    Action.DELAY: lambda session, e: session.delay(e.server, e.value or 0.0),
    **dict.fromkeys(
        DEPENDENCY_STATES,
        lambda session, e: session.set_dependency(e.dependency, DEPENDENCY_STATES[e.action], e.server),
    ),
}


def _own(experiment: Experiment) -> OwnProxy:
    """Return lbkit's proxy for the experiment's layer."""
    return OwnRelay(experiment) if experiment.layer4 else OwnProxy(experiment)


def _shares_state(experiment: Experiment, on: str) -> bool:
    """Return whether the servers share sessions in a Redis. Raises EngineError if that is impossible."""
    arrivals = experiment.traffic.arrivals
    if not isinstance(arrivals, Sessions) or arrivals.state != "shared":
        return False
    if on == "docker":
        raise EngineError("containers cannot reach a Redis on loopback: use processes, or state='memory'")
    if reason := why_not("redis"):
        raise EngineError(f"sessions with state='shared' are kept in Redis: {reason}")
    return True


def run_live(
    experiment: Experiment,
    on: str = "live",
    layer: int = 7,
    grace: float = GRACE,
    watch: Watch | None = None,
) -> Result:
    """Run on real processes and sockets, with Locust as the clients; `layer`, `grace` as for LiveSession.

    It takes the experiment's duration and about three seconds. `watch` is called with the Progress meanwhile;
    by default a line in the notebook or the terminal shows it. The `faults` of the result name events that
    could not be carried out, and a failing algorithm. All processes are ended. Raises FleetError, ProxyError,
    PeerError or LoadError, and for a KeyboardInterrupt Interrupted, which has the result so far."""
    with LiveSession(experiment, on, layer, grace) as session:
        try:
            with nullcontext(watch) if watch else shown(f"{session.policy} on {on}") as look:
                session.wait(look)
        except KeyboardInterrupt:
            if session.elapsed <= 0:
                raise
            raise session.interrupted() from None
        return session.result()
