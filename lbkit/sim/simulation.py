"""One run of an experiment in virtual time."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from lbkit.core import Backend, Intent, NoBackend
from lbkit.core.key import about_client
from lbkit.core.meter import LoadMeter
from lbkit.distributions import Closed
from lbkit.experiment import Action, Event, Experiment
from lbkit.result import Result
from lbkit.sim.engine import Engine
from lbkit.sim.entrance import Entrance
from lbkit.sim.servers import BAD_GATEWAY, UNAVAILABLE, Job, SimServer
from lbkit.workload import Clients, Workload, client_name, path_name, stream, workload

NAN = float("nan")
FLOWS = 50_000  # connections told apart: a client has about as many ports


class AlgorithmError(RuntimeError):
    """A balancer raised, or picked what it was not offered."""


def simulate(experiment: Experiment) -> Result:
    """Run to the end: requests arrive for `duration`, and every one of them is answered.

    Same experiment, same Result, to the last bit. Raises AlgorithmError."""
    return Simulation(experiment).run()


class Simulation:
    """Wires clients, pool and servers together; a request is known by its row in the columns."""

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        policy = experiment.policy
        self.retries = policy.retries
        self.engine = Engine()
        self.servers = {s.name: SimServer(self, s, i) for i, s in enumerate(experiment.servers)}
        self.backends = {
            s.name: Backend(s.name, weight=s.weight, zone=s.zone, priority=s.priority)
            for s in experiment.servers
        }
        there = (b for name, b in self.backends.items() if name not in experiment.joining)
        self.pool = policy.pool(there, partial(stream, experiment.seed))
        self.server_of: dict[Backend, SimServer] = {}
        self._find_servers()
        # What servers say of their load; nobody counts where nobody listens.
        self.meters = [LoadMeter(s.workers) for s in experiment.servers] if self.pool.wants_reports else []
        for event in experiment.events:
            self.engine.at(event.at, self._happens, event)
        self.tried: dict[int, tuple[Backend, ...]] = {}  # row -> backends that refused it
        crowd = experiment.traffic.arrivals
        self.closed = isinstance(crowd, Closed)
        requests = Workload.empty() if isinstance(crowd, Closed) else workload(experiment)
        self.arrival, self.client, self.path = requests.arrival, requests.client, requests.path
        self.demand, self.luck = requests.demand, requests.luck
        rows = len(requests)
        self.start = array("d", [NAN]) * rows
        self.end = array("d", [NAN]) * rows
        self.service = array("d", [0.0]) * rows
        self.backend = array("i", [-1]) * rows
        self.status = array("i", [0]) * rows
        self.attempts = array("i", [1]) * rows
        # A request comes through the entrance, where there is one.
        limited = experiment.limits or experiment.admission
        self.entrance = Entrance(self) if limited else None
        self.arrives: Callable[[int], object] = self.entrance.arrives if self.entrance else self.dispatch
        if isinstance(crowd, Closed):
            self._start_users(crowd)
        else:
            self.engine.feed(self.arrival, self.arrives)
        traffic = experiment.traffic
        self.keys: Sequence[int] = self.path
        self.names = [path_name(i) for i in range(traffic.paths)]
        if policy.keyed_by == "flow":  # each request has a connection of its own
            self.keys, self.names = _Rows(), [f"tcp {i}" for i in range(FLOWS)]
        elif about_client(policy.keyed_by):
            self.keys, self.names = self.client, [client_name(i) for i in range(traffic.clients)]

    def run(self) -> Result:
        self.engine.run()
        columns: dict[str, array[Any]] = {
            "arrival": self.arrival,
            "start": self.start,
            "end": self.end,
            "backend": self.backend,
            "client": self.client,
            "path": self.path,
            "status": self.status,
            "attempts": self.attempts,
            "service": self.service,
        }
        return Result(self.experiment, "sim", columns)

    # -- closed loop: a crowd that waits for its answers ---------------------------------------

    def _start_users(self, crowd: Closed) -> None:
        self.clients = Clients(self.experiment)
        self.thinking = stream(self.experiment.seed, "think")
        self.think_mean = crowd.think
        for _ in range(crowd.users):
            self.engine.at(self._think(), self._ask)

    def _think(self) -> float:
        return self.thinking.expovariate(1 / self.think_mean) if self.think_mean else 0.0

    def _ask_again(self) -> None:
        self.engine.at(self.engine.now + self._think(), self._ask)

    def _ask(self, _: None) -> None:
        """One user sends, unless the time is up."""
        if self.engine.now >= self.experiment.traffic.duration:
            return
        row = len(self.arrival)
        self.arrival.append(self.engine.now)
        client, path, demand, luck = self.clients.one()
        self.client.append(client)
        self.path.append(path)
        self.demand.append(demand)
        self.luck.append(luck)
        self.start.append(NAN)
        self.end.append(NAN)
        self.service.append(0.0)
        self.backend.append(-1)
        self.status.append(0)
        self.attempts.append(1)
        self.arrives(row)

    # -- the balancer's part ------------------------------------------------------------

    def dispatch(self, row: int, tried: tuple[Backend, ...] = ()) -> None:
        """Choose a server for a request and send it there."""
        engine = self.engine
        now = engine.now
        try:
            backend = self.pool.pick(self.names[self.keys[row]], now, tried)
            server = self.server_of[backend]
        except NoBackend:
            # All tried: the last failure is the reason. None there: that is.
            self.attempts[row] = len(tried)
            self._fails(row, BAD_GATEWAY if tried else UNAVAILABLE)
            return
        except Exception as error:
            name = self.pool.balancer.name
            raise AlgorithmError(f"algorithm {name!r} failed at {now:.3f} s: {error!r}") from error
        if self.meters:
            self.meters[server.index].started(now)
            for target in self.pool.probe_targets(backend, now):
                engine.at(now + 2 * self.server_of[target].delay, self._is_probed, target)
        if server.delay:
            engine.at(now + server.delay, server.receive, (row, backend, now))
        else:
            server.receive((row, backend, now))

    def answered(self, index: int, status: int, job: Job) -> None:
        """An answer of the server at `index` is back at the balancer."""
        row, backend, start = job
        self.end[row] = now = self.engine.now
        self.backend[row] = index
        self.status[row] = status
        if self.meters:
            self.meters[index].ended(now, now - start, status < 500)
            self._tells(backend)
        self.pool.release(backend, start, status < 500, now)
        if self.entrance:
            self.entrance.leaves(row, status < 500)
        if self.closed:
            self._ask_again()

    def _is_probed(self, backend: Backend) -> None:
        self._tells(backend, probed=True)

    def _tells(self, backend: Backend, probed: bool = False) -> None:
        """A server's report reaches one of the balancers."""
        now = self.engine.now
        report = self.meters[self.server_of[backend].index].report(now)
        self.pool.balancer_of(backend).on_report(backend, report, now, probed)

    def refused(self, job: Job) -> None:
        """Nobody listens there: nothing was sent, so another backend may be tried."""
        row, backend, start = job
        if self.meters:
            self.meters[self.server_of[backend].index].ended(self.engine.now, 0.0, False)
        self.pool.release(backend, start, False, self.engine.now)
        tried = (*self.tried.get(row, ()), backend)
        if len(tried) <= self.retries:
            self.tried[row] = tried
            self.attempts[row] = len(tried) + 1
            self.dispatch(row, tried)
        else:
            self._fails(row, BAD_GATEWAY)

    def _fails(self, row: int, status: int) -> None:
        """The balancer itself answers: there is no backend for this request."""
        self.end[row] = self.engine.now
        self.backend[row] = -1
        self.status[row] = status
        if self.entrance:
            self.entrance.leaves(row, False)
        if self.closed:
            self._ask_again()

    def turn_away(self, row: int, status: int) -> None:
        """It does not come as far as the balancer."""
        self.attempts[row] = 0
        self._fails(row, status)

    # -- events --------------------------------------------------------------------------

    def _happens(self, event: Event) -> None:
        _HAPPENS[event.action](self, event)

    def joins(self, name: str) -> None:
        self.pool.add(self.backends[name])
        self._find_servers()

    def _find_servers(self) -> None:
        """Which server is behind each balancer's backends."""
        self.server_of |= {b: self.servers[b.name] for b in self.pool.all_backends()}


class _Rows(Sequence[int]):
    """For each request a number of its own, out of FLOWS."""

    def __getitem__(self, row: int) -> int:  # type: ignore[override]
        return row % FLOWS

    def __len__(self) -> int:
        return FLOWS


_HAPPENS: dict[Action, Callable[[Simulation, Event], object]] = {
    Action.CRASH: lambda sim, e: sim.servers[e.server].crash(),
    Action.RECOVER: lambda sim, e: sim.servers[e.server].recover(),
    Action.SLOW: lambda sim, e: sim.servers[e.server].slow(e.value or 1.0),
    Action.ADD: lambda sim, e: sim.joins(e.server),
    Action.REMOVE: lambda sim, e: sim.pool.remove(e.server),
    Action.SET_WEIGHT: lambda sim, e: sim.pool.set_weight(e.server, e.value or 0.0),
    Action.DRAIN: lambda sim, e: sim.pool.set_intent(e.server, Intent.DRAIN),
}
