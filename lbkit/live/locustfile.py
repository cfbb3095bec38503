"""Sends the traffic of an Experiment with Locust.

Started by lbkit.live.load, which passes the experiment and reads the rows; or from a terminal, with or
without Locust's web page, on one machine or with workers on several:

    LBKIT_EXPERIMENT=ten.toml locust -f lbkit/live/locustfile.py --host http://127.0.0.1:8080

Open loop: each request is sent at its arrival time, whether or not earlier ones have been answered, and its
latency counts from that time. A stall thus shows in the latency of every request due during it, not only of
the one that waits (coordinated omission; Gil Tene, 2013). Locust's users do nothing then; its workers share
the requests. Closed loop: start as many users, over all workers, as the experiment has. Sessions begin as in
an open loop, but each one waits for its answers, and has its own cookies.
"""

from __future__ import annotations

import gc
import json
import os
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import gevent
import gevent.event
from gevent import socket
from geventhttpclient import HTTPClient
from locust import User, constant, events, task
from locust.runners import MasterRunner, WorkerRunner

from lbkit.arrivals import Closed, Sessions
from lbkit.caching import FETCHED, served
from lbkit.core.sticky import OF_APPLICATION
from lbkit.experiment import Experiment
from lbkit.layer4 import PER_CLIENT, PER_REQUEST
from lbkit.patience import luck_of
from lbkit.result import good
from lbkit.workload import Clients, Kinds, Visits, client_name, stream, workload

# From lbkit.live.load: experiment, url, port (to send the rows to) and grace.
SETTINGS: dict[str, Any] = json.loads(os.environ.get("LBKIT_PLAY", "{}"))
EXPERIMENT = (
    Experiment.from_dict(SETTINGS["experiment"])
    if SETTINGS
    else Experiment.load_file(os.environ["LBKIT_EXPERIMENT"])
)
TRAFFIC = EXPERIMENT.traffic
GRACE: float = SETTINGS.get("grace", 10.0)  # seconds after the duration in which answers still count
CLOSED = isinstance(TRAFFIC.arrivals, Closed)
LAYER4 = EXPERIMENT.layer4
CONNECTIONS = 1000
CONNECTIONS_OF_ONE = 100  # of one client's own
PATIENCE = TRAFFIC.patience
# Whether servers check that the client still waits for the answer.
WATCHED: bool = SETTINGS.get("watched", PATIENCE is not None)
PAUSES = stream(EXPERIMENT.seed, "backoff")
STICKY = EXPERIMENT.policy.sticky  # whether clients keep a cookie of the balancer, or a route
SESSIONS = isinstance(TRAFFIC.arrivals, Sessions)  # whether the traffic has sessions with state on servers
OWN_COOKIE = "session"  # the application's cookie, if the policy does not name it
# Whether servers see their own cookie, and report how many requests of the session they know.
STATE_SEEN = SESSIONS and not (STICKY and STICKY.how == "rewrite")
KINDS = Kinds(EXPERIMENT)
RULES = {rule.name: i for i, rule in enumerate(EXPERIMENT.routing.rules)} if EXPERIMENT.routing else None
ROUTE = "x-lbkit-route"  # the field with a route, and its name among the cookies


@dataclass(slots=True)
class Outcome:
    """The outcome of a request; status 0: no answer."""

    status: int = 0
    size: int = 0
    fields: dict[str, str] = field(default_factory=dict)  # header fields of the answer
    error: BaseException | None = None


class Player:
    """Sends requests, and reports each finished one to the parent, if any, as a line of JSON."""

    def __init__(self, environment: Any, host: str | None = None) -> None:
        self.environment = environment
        url = urlsplit(str(SETTINGS.get("url") or host or environment.host))
        timeout = TRAFFIC.duration + GRACE
        self.server: dict[str, Any] = {
            "host": url.hostname or "127.0.0.1",
            "port": url.port or 80,
            "connection_timeout": timeout,
            "network_timeout": timeout,
        }
        self.http = HTTPClient(concurrency=CONNECTIONS, **self.server)
        self.own: dict[int, HTTPClient] = {}  # client -> its own connections
        self.lines: Any = None
        if SETTINGS:
            parent = socket.create_connection(("127.0.0.1", SETTINGS["port"]))
            self.lines = parent.makefile("rw", encoding="utf-8", newline="\n")
        self.started = gevent.event.Event()
        self.running: set[gevent.Greenlet] = set()  # requests without an answer
        self.t0 = 0.0  # time 0 of the experiment, on the clock of time.monotonic
        self.lags: list[float] = []
        self.resent: list[float] = []  # the times of clients' retries
        self.known: set[int] = set()  # sessions that a server has recognised
        self.lost = 0  # requests of known sessions that were new to their server
        self.users = 0  # closed loop: users that have started
        # Session, or client in traffic without sessions -> its cookies.
        self.cookies: defaultdict[int, dict[str, str]] = defaultdict(dict)

    def connections_of(self, client: int) -> HTTPClient:
        """Return where this client's connections are kept."""
        if LAYER4 is None or not (LAYER4.proxy_protocol or LAYER4.connections == PER_CLIENT):
            return self.http
        own = self.own.get(client)
        if own is None:
            own = self.own[client] = HTTPClient(concurrency=CONNECTIONS_OF_ONE, **self.server)
            if LAYER4.proxy_protocol:
                line = f"PROXY TCP4 {client_name(client)} 127.0.0.1 1024 80\r\n".encode()
                pool: Any = own._connection_pool
                pool.after_connect = lambda sock: sock.sendall(line)
        return own

    def start(self) -> None:
        """Agree with the parent on time 0, once everything is loaded."""
        gc.freeze()  # garbage collection of Locust's own objects would delay requests
        self.t0 = time.monotonic()
        if self.lines:
            self.report({"ready": True})
            self.t0 = json.loads(self.lines.readline())["t0"]
        self.started.set()

    def report(self, what: Any) -> None:
        if self.lines:
            self.lines.write(json.dumps(what) + "\n")
            self.lines.flush()

    def wait_until(self, moment: float) -> None:
        """Sleep until `moment`, in seconds from time 0."""
        left = self.t0 + moment - time.monotonic()
        if left > 0:
            gevent.sleep(left)

    def send(self, *request: Any) -> gevent.Greenlet:
        """Send a request, as `request` does, without waiting for its answer."""
        sent = gevent.spawn(self.request, *request)
        self.running.add(sent)
        sent.link(self.running.discard)
        return sent

    def visit(self, visits: Visits, session: int) -> None:
        """Send the requests of a session one after another, until the traffic ends."""
        arrival = visits.began[session]
        for pause, path, demand, luck in visits.requests(session):
            if pause:
                gevent.sleep(pause)
                arrival = time.monotonic() - self.t0
            if arrival >= TRAFFIC.duration:
                break
            self.send(arrival, visits.client[session], path, demand, luck, session).join()
            arrival = time.monotonic() - self.t0
        self.cookies.pop(session, None)
        self.known.discard(session)

    def request(
        self, arrival: float, client: int, path: int, demand: float, luck: float, session: int | None = None
    ) -> None:
        """Send a request due at `arrival`, with the retries of its client; never raises."""
        self.lags.append(time.monotonic() - self.t0 - arrival)
        tried = attempts = 0
        outcome = Outcome()
        try:
            while True:
                now = time.monotonic() - self.t0
                if tried:
                    self.resent.append(now)
                wait = PATIENCE.deadline(arrival, now) - now if PATIENCE else None
                keeps = STICKY is not None or session is not None
                cookies = self.cookies[client if session is None else session] if keeps else None
                one_luck = luck_of(luck, tried) if tried else luck
                outcome = self.ask(client, path, demand, one_luck, wait, cookies)
                tried += 1
                attempts += int(outcome.fields.get("x-lbkit-attempts", 1))
                if PATIENCE is None or good(outcome.status):
                    break
                now = time.monotonic() - self.t0
                again = PATIENCE.next_try(arrival, now, tried, PAUSES)
                if again is None:
                    break
                gevent.sleep(again - now)
        except gevent.GreenletExit as caught:  # the run is over
            outcome = Outcome(error=caught)
        if session is not None and "x-lbkit-visits" in outcome.fields:
            self.lost += session in self.known and outcome.fields["x-lbkit-visits"] == "1"
            self.known.add(session)
        kind = KINDS.number(demand)
        self.record(arrival, client, path, kind, outcome, max(1, attempts), session)

    def ask(
        self,
        client: int,
        path: int,
        demand: float,
        luck: float,
        wait: float | None,
        cookies: dict[str, str] | None = None,
    ) -> Outcome:
        """Send a request once; return its outcome within `wait` seconds. The answer's cookies are kept."""
        kind = KINDS.of(demand)
        headers = {
            **kind.sent(),
            "X-Forwarded-For": client_name(client),
            "X-Lbkit-Demand": f"{demand:.9f}",
            "X-Lbkit-Luck": f"{luck:.9f}",
        }
        if kind.host:
            headers["Host"] = kind.host
        if WATCHED:
            headers["X-Lbkit-Watched"] = "1"
        if LAYER4 and LAYER4.connections == PER_REQUEST:
            headers["Connection"] = "close"
        # The outcome on timeout: the connection is closed without an answer.
        outcome = Outcome(error=TimeoutError(f"no answer within {wait} s"))
        try:
            with gevent.Timeout(wait, False):
                target = kind.target(path)
                if cookies is not None:
                    target = present(cookies, target, headers)
                response = self.connections_of(client).request(
                    kind.method, target, kind.body.encode(), headers
                )
                size = len(response.read())
                if cookies is not None:
                    keep(cookies, response.items())
                status = response.status_code
                fields = {name.lower(): value for name, value in response.items()}
                outcome = Outcome(
                    status, size, fields, None if good(status) else RuntimeError(f"status {status}")
                )
        except Exception as caught:
            outcome = Outcome(error=caught)
        return outcome

    def record(
        self,
        arrival: float,
        client: int,
        path: int,
        kind: int,
        outcome: Outcome,
        attempts: int,
        session: int | None,
    ) -> None:
        """Report a finished request to the parent and to Locust."""
        end = time.monotonic() - self.t0
        answer = outcome.fields
        how = served(answer.get("cache-status", ""))
        work = answer if how in FETCHED else {}  # else its fields are about another request
        began = float(work["x-lbkit-start"]) - self.t0 if "x-lbkit-start" in work else None
        self.report(
            [
                arrival,
                began,
                end,
                work.get("x-backend"),
                client,
                path,
                outcome.status,
                attempts,
                float(work.get("x-lbkit-service", 0)),
                *(() if session is None else (session,)),
                *(() if RULES is None else (RULES.get(answer.get("x-lbkit-rule", ""), -1),)),
                *(() if EXPERIMENT.cache is None else (how,)),
                *((kind,) if TRAFFIC.mix else ()),
                *(
                    ()
                    if EXPERIMENT.firewall is None
                    else told_by_firewall(answer.get("x-lbkit-firewall", ""))
                ),
            ]
        )
        self.environment.events.request.fire(
            request_type="GET",
            name="/item",
            response_time=(end - arrival) * 1000,
            response_length=outcome.size,
            exception=outcome.error,
            context={},
        )

    def finish(self) -> None:
        """Wait for answers until the end of the grace; requests without an answer are then errors."""
        self.wait_until(TRAFFIC.duration)
        running = list(self.running)
        gevent.joinall(running, timeout=max(0.0, self.t0 + TRAFFIC.duration + GRACE - time.monotonic()))
        gevent.killall(running)
        entry = self.environment.stats.total
        lags = sorted(self.lags) or [0.0]
        self.report(
            {
                "done": True,
                "resent": sorted(self.resent),
                **({"sessions_lost": self.lost} if STATE_SEEN else {}),
                "send_lag_p99": lags[int(0.99 * (len(lags) - 1))],
                "locust_requests": entry.num_requests,
                "locust_failures": entry.num_failures,
                "locust_mean": entry.avg_response_time / 1000,
            }
        )
        if SETTINGS:
            gevent.spawn(self.environment.runner.quit)


def told_by_firewall(told: str) -> tuple[int, int]:
    """Return the rule that decided and the score, as `X-Lbkit-Firewall: 1003; score=5` says."""
    rule, _, score = told.partition("; score=")
    return int(rule or 0), int(score or 0)


def present(cookies: dict[str, str], target: str, headers: dict[str, str]) -> str:
    """Add cookies to a request's header fields; return its target, with the route if there is one."""
    of_application = STICKY is not None and STICKY.how in OF_APPLICATION
    if SESSIONS or of_application:  # servers begin a session for an unknown cookie
        name = STICKY.cookie if STICKY and of_application else OWN_COOKIE
        headers["X-Lbkit-Session"] = name if STATE_SEEN else f"{name} any"
    pairs = [f"{name}={value}" for name, value in cookies.items() if name != ROUTE]
    if pairs:
        headers["Cookie"] = "; ".join([*([headers["Cookie"]] if "Cookie" in headers else []), *pairs])
    if not STICKY or ROUTE not in cookies:
        return target
    return f"{target}{'&' if '?' in target else '?'}{STICKY.cookie}={cookies[ROUTE]}"


def keep(cookies: dict[str, str], fields: Iterable[tuple[str, str]]) -> None:
    """Store the cookies of an answer, and its route."""
    for field_name, text in fields:
        if field_name.lower() == "set-cookie":
            name, _, value = text.partition(";")[0].strip().partition("=")
            cookies[name] = value
        elif field_name.lower() == ROUTE:
            cookies[ROUTE] = text


def play(player: Player, turn: int = 0, of: int = 1) -> None:
    """Open loop: send every `of`-th request from number `turn` on, each at its arrival time.

    With sessions: begin every `of`-th session."""
    if isinstance(TRAFFIC.arrivals, Sessions):
        visits = Visits(EXPERIMENT)
        player.start()
        for session in range(turn, len(visits), of):
            player.wait_until(visits.began[session])
            gevent.spawn(player.visit, visits, session)
        player.finish()
        return
    requests = workload(EXPERIMENT)
    player.start()
    for row in range(turn, len(requests), of):
        player.wait_until(requests.arrival[row])
        player.send(
            requests.arrival[row],
            requests.client[row],
            requests.path[row],
            requests.demand[row],
            requests.luck[row],
        )
    player.finish()


def on_init(environment: Any, **_: Any) -> None:
    if isinstance(environment.runner, WorkerRunner):
        # At the start, the master assigns requests to this worker.
        environment.runner.register_message(
            "lbkit-turn", lambda environment, msg, **_: gevent.spawn(take_turn, environment, **msg.data)
        )


def take_turn(environment: Any, host: str, turn: int, of: int) -> None:
    play(Player(environment, host), turn, of)


def on_test_start(environment: Any, **_: Any) -> None:
    runner = environment.runner
    if isinstance(runner, MasterRunner):
        if not CLOSED:
            for turn, worker in enumerate(list(runner.clients)):
                data = {"host": environment.host, "turn": turn, "of": len(runner.clients)}
                runner.send_message("lbkit-turn", data, worker)
        gevent.spawn(end_after, runner, TRAFFIC.duration + GRACE)
        return
    environment.player = Player(environment)
    if not CLOSED and not isinstance(runner, WorkerRunner):
        gevent.spawn(play, environment.player)
    if not SETTINGS and not isinstance(runner, WorkerRunner):
        gevent.spawn(end_after, runner, TRAFFIC.duration + GRACE)


def end_after(runner: Any, seconds: float) -> None:
    """Quit after a run from a terminal when all requests have ended; the web page stays for another run."""
    deadline = time.monotonic() + seconds
    gevent.sleep(TRAFFIC.duration)
    stats = runner.environment.stats.total
    before = -1
    while time.monotonic() < deadline and stats.num_requests != before:
        before = stats.num_requests
        gevent.sleep(2.0)  # workers report every three seconds
        gevent.sleep(2.0)
    runner.stop()
    if runner.environment.web_ui is None:
        runner.quit()


events.init.add_listener(on_init)  # type: ignore[no-untyped-call]
events.test_start.add_listener(on_test_start)  # type: ignore[no-untyped-call]


class OpenLoop(User):
    """Does nothing: arrivals do not wait for users."""

    abstract = CLOSED
    wait_time = constant(3600)

    @task
    def wait(self) -> None:
        pass


CROWD = TRAFFIC.arrivals if isinstance(TRAFFIC.arrivals, Closed) else Closed()
DRAW = Clients(EXPERIMENT)
THINK = stream(EXPERIMENT.seed, "think")


def think_time(user: User) -> float:
    return THINK.expovariate(1 / CROWD.think) if CROWD.think else 0.0


class ClosedLoop(User):
    """A user that sends a request, waits for the answer, pauses, and sends the next one."""

    abstract = not CLOSED

    def on_start(self) -> None:
        player = self.environment.player
        player.users += 1
        if player.users == (CROWD.users if SETTINGS else 1):
            player.start()
            gevent.spawn(player.finish)
        player.started.wait()
        gevent.sleep(max(0.0, player.t0 - time.monotonic()) + think_time(self))

    @task
    def ask(self) -> None:
        player = self.environment.player
        now = time.monotonic() - player.t0
        if now >= TRAFFIC.duration:
            gevent.sleep(3600)  # until Locust quits
        player.send(now, *DRAW.one()).join()
        gevent.sleep(think_time(self))
