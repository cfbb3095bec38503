"""Live experiments: backends, a proxy in front of them, load and timed events, controlled while they run."""

from __future__ import annotations

import importlib.metadata
import threading
import time
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from typing import Any, Self

from attrs import evolve

from lbkit.arrivals import Sessions
from lbkit.core import algorithms as known_algorithms
from lbkit.core.options import number
from lbkit.core.state_change import StateChange
from lbkit.experiment import Experiment
from lbkit.interrupted import Interrupted, so_far
from lbkit.live import assembly
from lbkit.live.calling import Calls
from lbkit.live.client_counts import ClientCounts
from lbkit.live.controls import Controls
from lbkit.live.lab import Lab
from lbkit.live.layering import LayerWatch
from lbkit.live.load import GRACE, Load, Row
from lbkit.live.local_fleet import LocalFleet
from lbkit.live.peers import PEERS
from lbkit.live.progress import Progress, Watch, shown
from lbkit.live.redis_server import RedisServer
from lbkit.live.rollouts import Deploy
from lbkit.live.timeline import Timeline, without_failed_boots
from lbkit.live.tree import TreeFleet
from lbkit.live.watching import Requests, Rows, Watcher
from lbkit.metrics.store import Scrape
from lbkit.result import COLUMNS, OPTIONAL, Result
from lbkit.run import EngineError, require
from lbkit.started import Started
from lbkit.tier import Node

NAN = float("nan")


class LiveSession(Controls, Started):
    """A live experiment, from `start` to `stop`; also a context manager. Its methods are thread-safe.

    `on`: "live" (lbkit's proxy in front of processes), "docker" (in front of containers), or the
    program in front of the processes: "nginx", "haproxy", "apache", "caddy".
    """

    def __init__(
        self,
        experiment: Experiment,
        on: str = "live",
        layer: int = 7,
        grace: float = GRACE,
        spans: Any = None,
        calls: Calls | None = None,
    ) -> None:
        """`layer`: with 4, connections are balanced (see `Experiment.at_layer`). `grace`: seconds after the
        end of the traffic in which answers still count; a request without an answer by then is an error.
        `spans`: an exporter of OpenTelemetry's SDK (extra `tracing`), such as InMemorySpanExporter, that gets
        the spans of all requests from lbkit's own proxy. `calls`: a service that the servers, as processes of
        this machine, call.

        Raises EngineError for an engine that is missing or cannot run this, ValueError for an unknown one."""
        require(on)
        number(0, grace=grace)
        experiment = experiment.at_layer(layer)
        assembly.check(experiment, on)
        self._shares_state = assembly.shares_state(experiment, on)
        self._store: RedisServer | None = None
        front = PEERS[on](experiment, layer) if on in PEERS else assembly.own(experiment, spans)
        if spans is not None and getattr(front, "spans", None) is None:
            raise EngineError(
                "spans: they come from lbkit's own proxy at layer 7; use on='live', and no layer=4"
            )
        super().__init__(experiment, front, assembly.fleet(experiment, on))
        if calls:
            assert isinstance(self._fleet, LocalFleet)
            self._fleet.calls = calls
        self._lab: Lab | None = None
        self.grace = grace
        self.on = on
        self._load: Load | None = None
        self._lock = threading.Lock()
        self._watcher: Watcher | None = None
        self._layers: LayerWatch | None = None  # with tiers
        self._counts = ClientCounts(server.name for server in experiment.leaves)
        self._counting = threading.Lock()
        self.watchers: list[Callable[[], object]] = []  # `stop` calls them last: they wait for what watches
        nodes: list[Node] = [*experiment.leaves, *experiment.tiers]
        boots = {node.name: node.boot for node in nodes}
        events = without_failed_boots(experiment.timeline, boots)
        self._timeline = Timeline(events, self.carry_out, self._stopping)
        self._deploy: Deploy | None = None
        if deploy := experiment.deploy:
            later = experiment.joining.difference(deploy.arrivals)
            self._deploy = Deploy(
                deploy,
                {s.name: s.weight for s in experiment.leaves if s.name not in later},
                self,
                self._fleet,
                self._front,
                self.since,
                lambda: self.elapsed,
                self._stopping,
            )

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
            if self.experiment.tls:
                self._front.lab = self._lab = Lab()
            self._fleet.start()
            self._front.start(self._fleet.backends())
            ca = self._lab.ca if self._lab else ""
            self._load = Load(self.experiment, self._front.url, self.grace, ca)
            self._load.start()
            if isinstance(self._fleet, TreeFleet):
                self._layers = LayerWatch(self.experiment, self._front, self._fleet.tiers)
                self._layers.start(self._load.t0)
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
            if self._layers:
                self._layers.stop()
            self._front.stop()
            self._fleet.stop()
            if self._store:
                self._store.stop()
            if self._lab:
                self._lab.close()
        for wait in self.watchers:
            wait()

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

    @property
    def untold(self) -> str:
        """What `metrics()` lacks, in a sentence; empty if nothing."""
        return self._front.untold

    def metrics(self, clients: bool = False) -> Scrape:
        """Return the series of lbkit.metrics at this moment: those that the proxy or program has, or with
        `clients` what the clients see of it. Raises OSError or EngineError if a program does not answer."""
        if not clients:
            return self._front.metrics()
        with self._counting:
            self._counts.add(self.since(self._counts.rows))
            return self._counts.scrape()

    def watch(self) -> Watcher:
        """Return what sees the requests from now on, until its `close`, in place of the one before."""
        assert self._load, "start first"
        if self._watcher:
            self._watcher.close()
        watch = self._front.watch()
        self._watcher = (
            Rows(self.experiment, self.since, len(self._load.rows))
            if watch is None
            else Requests(self.experiment, watch, self._load.t0)
        )
        return self._watcher

    def _send(self, client: int, requests: int, rate: float) -> None:
        assert self._load, "start first"
        self._load.send(client, requests, rate)

    @property
    def running(self) -> bool:
        """Whether requests come: from `start` on, until the last has ended or `stop` is called."""
        return bool(self._load and self._load.t0) and not (self.done or self._stopping.is_set())

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
        tiers = self._fleet.tiers.values() if isinstance(self._fleet, TreeFleet) else ()
        found = [change for front in (self._front, *tiers) for change in front.changes()]
        changes = [change._replace(at=change.at - t0) for change in found]
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
            columns = self._columns(rows)
            layers = {"layers": self._layers.found(columns)} if self._layers else {}
            return Result(self.experiment, self.on, columns, self._facts(len(rows)) | layers)
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
        index = {s.name: i for i, s in enumerate(self.experiment.leaves)}
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
