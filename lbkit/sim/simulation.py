"""One run of an experiment in virtual time."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from functools import partial
from math import inf
from typing import Any

from mypy_extensions import mypyc_attr

from lbkit.arrivals import Closed, Sessions
from lbkit.core import AnyPool, Backend, NoBackend
from lbkit.core.attempts import IDEMPOTENT, MOST_EVENTS, Attempts, Failure, GiveUp
from lbkit.core.key import about_client
from lbkit.draws import stream
from lbkit.experiment import Experiment, Policy
from lbkit.interrupted import Interrupted, so_far
from lbkit.result import Result
from lbkit.sim import kinds
from lbkit.sim.client_side import ClientSide
from lbkit.sim.engine import Engine, Handlers
from lbkit.sim.notes import notes
from lbkit.sim.requests import Requests
from lbkit.sim.servers import OK, REFUSED, UNAVAILABLE, SharingServer, SimServer
from lbkit.sim.tokens import Tokens
from lbkit.sim.travel import ClientDelays
from lbkit.sim.users import Users, Visitors
from lbkit.workload import Kinds, Workload, workload

# Events that a run may plan: those of some minutes and gigabytes of a closed loop, and in an open loop as
# many more as its requests can take.
MAX_EVENTS = 50_000_000
MAX_EVENTS_PER_REQUEST = 100


@mypyc_attr(allow_interpreted_subclasses=True)
class Simulation(ClientSide):
    """What happens to requests: between clients, the balancer and the servers. One is known by its row."""

    def __init__(self, experiment: Experiment, max_events: int | None = None) -> None:
        policy, traffic = experiment.policy, experiment.traffic
        waiting = isinstance(traffic.arrivals, Closed | Sessions)  # clients wait for answers
        sent = Workload.empty() if waiting else self.open_traffic(experiment)
        away = experiment.geography is not None and experiment.geography.balancer
        self.client_delays = ClientDelays(experiment) if away else None
        received = self.client_delays.as_received(sent) if self.client_delays else sent
        requests = Requests(received, Kinds(experiment))
        engine = Engine(max_events or MAX_EVENTS + MAX_EVENTS_PER_REQUEST * len(requests.arrival))
        super().__init__(experiment, engine, requests)
        # -- the balancer's decisions
        self.attempt_policy = policy.attempts(partial(stream, experiment.seed))
        self.attempt_policy.keep = MOST_EVENTS
        self.failed: dict[int, Attempts] = {}  # row -> its failed attempts, from the first failure on
        self.use_keys(policy)
        # -- what is going to happen
        self.handlers = self._handlers()
        # Whether requests reach the balancer directly.
        self.plain_entrance = self.handlers[kinds.ARRIVE] == self.dispatch
        self.plan_events()
        self.users: Users | Visitors | None = None
        if isinstance(traffic.arrivals, Closed):
            self.users = Users(experiment, traffic.arrivals, engine, requests)
        elif isinstance(traffic.arrivals, Sessions):
            self.users = Visitors(experiment, engine, requests)
        else:
            engine.feed(requests.arrival, kinds.ARRIVE)
        self.tokens = Tokens(policy.sticky, self.pool, requests) if policy.sticky else None
        # Whether anything has to happen after an answer.
        self.followed = bool(self.limited or self.users or self.tokens or self.entrance.handshakes)

    def open_traffic(self, experiment: Experiment) -> Workload:
        """Return the requests of an open loop, whose clients do not wait for answers."""
        return workload(experiment)

    def run(self, grace: float | None = None) -> Result:
        """Return the result. Raises Interrupted, which has what there is, for a KeyboardInterrupt."""
        end = inf if grace is None else self.experiment.traffic.duration + grace
        try:
            self.engine.run(self, end)
        except KeyboardInterrupt:
            if not self.engine.now:
                raise
            raise Interrupted(so_far(self.experiment, "sim", self.columns(), self.engine.now)) from None
        if end < inf:
            self.abandon(end)
        elif self.stuck:
            self.abandon(max(self.engine.now, self.experiment.traffic.duration))
        columns = self.columns()
        if self.client_delays:
            columns = self.client_delays.as_sent(columns)
        return Result(self.experiment, "sim", columns, self._facts())

    @property
    def stuck(self) -> bool:
        """Whether requests may never end: those that a server hangs on, or has lost."""
        return any(server.chaos.hung or server.chaos.lost for server in self.servers)

    def abandon(self, now: float) -> None:
        """The run is over: end the requests that have no answer."""
        self.requests.abandon(now)

    def columns(self) -> dict[str, array[Any]]:
        """Return the columns of the Result."""
        return self.requests.columns()

    def _facts(self) -> dict[str, Any]:
        facts: dict[str, Any] = {"changes": self.changes, **self.attempt_policy.facts()}
        if self.entrance.handshakes:
            facts |= self.entrance.handshakes.facts()
        if said := notes(self.experiment):
            facts["notes"] = said
        if self.checks:
            facts["probes"] = self.checks.sent
        if self.entrance.gate:
            facts["refused"] = {why.value: n for why, n in self.entrance.gate.refused.items()}
        if self.deploy and self.deploy.rollout:
            facts["deploy"] = self.deploy.rollout.state.value
        return facts

    def _handlers(self) -> Handlers:
        """Return the handler of each kind of event, called with its row: the one table of what happens."""
        happens: dict[int, Callable[[int], object]] = {
            kinds.ARRIVE: self.shake_hands if self.entrance.handshakes else self.look,
            kinds.SECURED: self.secured,
            kinds.ENTER: self.enter,
            kinds.EXPIRE: self.expire,
            kinds.ADMIT: self.admit,
            kinds.RECEIVE: self.receive,
            kinds.COMPLETE: self.complete,
            kinds.ANSWER: self.answer,
            kinds.REFUSE: self.refuse,
            kinds.CLOSE: self.close,
            kinds.RESEND: self.resend,
            kinds.RETRY: self.retry,
            kinds.SEND: self.send,
            kinds.PROBE: self.reports.probe,
            kinds.CHANGE: self.change,
            kinds.BOOT: lambda index: self.servers[index].booted(),
            kinds.SHARE: self.share,
            kinds.CUT: self.cut,
            kinds.ROLLOUT: self.deploy.look if self.deploy else never,
        }
        # Those of impatient clients, of rules for attempts, of a cache, and of tiers.
        others = (kinds.LEAVE, kinds.AGAIN, kinds.ABORT, kinds.TIMEOUT, kinds.HEDGE, kinds.DEADLINE)
        happens |= dict.fromkeys((*others, kinds.WAITED, kinds.TIER), never)
        checks = self.checks
        happens[kinds.CHECK] = checks.send if checks else never
        happens[kinds.CHECKED] = checks.receive if checks else never
        return [happens[kind] for kind in range(len(happens))]

    def happen(self, kind: int, row: int) -> None:
        if kind == kinds.ARRIVE and self.plain_entrance:
            self.dispatch(row)
        elif kind == kinds.COMPLETE:
            self.complete(row)
        elif kind == kinds.RECEIVE:
            self.receive(row)
        elif kind == kinds.ANSWER:
            self.answer(row)
        else:
            self.handlers[kind](row)

    def send(self, session: int) -> None:
        """A user of a closed loop, or a session, sends a request, unless the traffic has ended."""
        assert self.users
        if (row := self.users.request(session)) is not None:
            self.handlers[kinds.ARRIVE](row)

    # -- the balancer: one attempt after another -------------------------------------------------

    def dispatch(self, row: int, tried: tuple[Backend, ...] = ()) -> None:
        """Pick a backend and send the request there; `tried` are not to be picked again."""
        requests, now = self.requests, self.engine.now
        token = "" if self.tokens is None else self.tokens.of(row)
        try:
            names = self.client_names
            key = names[requests.client[row]] if names else self.key_names[self.keys[row]]
            pool = self.pool if self.routes is None else self.routes.pool(row)
            backend = pool.pick(key, now, tried, token)
        except NoBackend:
            # All have been tried: answer with the last failure. There is none to try: 503.
            requests.attempts[row] = len(tried)
            self.reply(row, self.failed[row].status if tried else UNAVAILABLE)
            return
        server = self.server_of[backend]
        requests.lease[row] = backend
        requests.since[row] = now
        requests.backend[row] = server.index
        if self.reporting:
            self.reports.picked(backend)
        if server.delay:
            self.engine.plan(now + server.delay_of(row), kinds.RECEIVE, row)
        elif outcome := server.receive(row):
            self.send_back(row, server, outcome)

    def pool_for(self, row: int) -> AnyPool:
        """Return the pool from which a backend is picked for a request."""
        return self.pool if self.routes is None else self.routes.pool(row)

    def resend(self, row: int) -> None:
        """Send the request once more to the backend that was picked for it."""
        delay = self.servers[self.requests.backend[row]].delay_of(row)
        self.engine.plan(self.engine.now + delay, kinds.RECEIVE, row)

    def retry(self, row: int) -> None:
        """Try another backend."""
        tried = self.failed[row].tried
        self.requests.attempts[row] = len(tried) + 1
        self.dispatch(row, tried)

    def fail(self, row: int, failure: Failure, kept: bool = False) -> None:
        """An attempt ended without an answer; `kept`: on a connection that had served requests before."""
        attempts = self.failed.get(row)
        if attempts is None:
            attempts = self.failed[row] = Attempts(
                self.attempt_policy, self.safe(row), has_other=self.pool_for(row).has_other
            )
        step = attempts.after(failure, self.requests.lease[row], kept, self.engine.now)
        if isinstance(step, GiveUp):
            self.release(row)
            self.reply(row, step.status)
            return
        if step.backend is None:
            self.release(row)
            kind = kinds.RETRY
        else:  # its lease goes on
            kind = kinds.RESEND
        if step.delay:
            self.engine.plan(self.engine.now + step.delay, kind, row)
        else:
            self.handlers[kind](row)

    def safe(self, row: int) -> bool:
        """Return whether a request may be sent again; it has no body."""
        return self.requests.method(row) in IDEMPOTENT

    def use(self, policy: Policy) -> None:
        super().use(policy)
        self.use_keys(policy)

    def use_keys(self, policy: Policy) -> None:
        """Know the key of each request: `key_names[keys[row]]`."""
        traffic = self.experiment.traffic
        self.keys, self.key_names = self.requests.keys(policy.keyed_by, traffic)
        plain = about_client(policy.keyed_by) and not traffic.mix  # the usual case, which is to be fast
        self.client_names = list(self.key_names) if plain else []

    # -- servers, and their answers -----------------------------------------------------------------

    def receive(self, row: int) -> None:
        """A request reaches its server."""
        server = self.servers[self.requests.backend[row]]
        if outcome := server.receive(row):
            self.send_back(row, server, outcome)

    def send_back(self, row: int, server: SimServer, outcome: int) -> None:
        """Send the outcome of a request back to the balancer: REFUSED, or a status."""
        if outcome == REFUSED:  # also without a delay, the balancer learns of it after it has sent
            self.engine.plan(self.engine.now + server.delay_of(row), kinds.REFUSE, row)
            return
        self.requests.status[row] = outcome
        if server.delay:
            self.engine.plan(self.engine.now + server.delay_of(row), kinds.ANSWER, row)
        else:
            self.answer(row)

    def complete(self, row: int) -> None:
        """A worker has completed a request."""
        requests = self.requests
        server = self.servers[requests.backend[row]]
        server.complete()
        requests.status[row] = OK
        if server.delay:
            self.engine.plan(self.engine.now + server.delay_of(row), kinds.ANSWER, row)
        else:
            self.answer(row)

    def share(self, index: int) -> None:
        """A server that shares its workers may have completed a request."""
        server = self.servers[index]
        assert isinstance(server, SharingServer)
        if (row := server.end()) is not None:
            self.send_back(row, server, OK)

    def refuse(self, row: int) -> None:
        """The server has refused the connection."""
        self.fail(row, Failure.REFUSED)

    def close(self, row: int) -> None:
        """The connection has closed before the first byte of an answer."""
        self.fail(row, Failure.CLOSED_UNANSWERED, kept=True)

    def answer(self, row: int) -> None:
        """An answer arrives at the balancer."""
        requests = self.requests
        requests.end[row] = now = self.engine.now
        ok = requests.status[row] < 500
        backend, since = requests.lease[row], requests.since[row]
        if self.reporting:
            self.reports.answered(backend, now - since, ok)
        self.pool.release(backend, since, ok, now)
        if self.followed:
            self.ended(row, ok)

    def release(self, row: int) -> None:
        """An attempt has failed: free its backend."""
        backend = self.requests.lease[row]
        if self.reporting:
            self.reports.failed(backend)
        self.pool.release(backend, self.requests.since[row], False, self.engine.now)

    def reply(self, row: int, status: int) -> None:
        """Answer a request by the balancer itself."""
        requests = self.requests
        requests.end[row] = self.engine.now
        requests.backend[row] = -1
        requests.status[row] = status
        if self.followed:
            self.ended(row, False)

    def ended(self, row: int, ok: bool) -> None:
        """The client has its answer: tell the gate, and let a user of a closed loop go on."""
        if self.tokens is not None:
            self.tokens.answered(row, self.engine.now)
        if self.entrance.leave(row, ok):
            self.admit()
        if self.users:
            self.users.answered(row)


def never(row: int) -> None:
    """Handle an event that is never planned."""
    raise AssertionError(f"nothing plans this for {row}")
