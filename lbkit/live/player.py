"""Sends the requests of an experiment and reports how each one ended. Runs in Locust's process, on gevent."""

from __future__ import annotations

import gc
import json
import os
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import gevent
import gevent.event
from gevent import socket

from lbkit.caching import FETCHED, served
from lbkit.clients.decoding import Decoding
from lbkit.clients.http1 import Http1, Secured, Target
from lbkit.draws import stream
from lbkit.experiment import Experiment
from lbkit.experiment.traffic import HTTP2
from lbkit.layer4 import PER_CLIENT, PER_REQUEST
from lbkit.live import orders
from lbkit.live.cookies import Cookies, Jar, keep
from lbkit.patience import luck_of
from lbkit.result import good
from lbkit.workload import Kinds, Visits, client_name

GRACE = 10.0  # seconds
CONNECTIONS = 1000
CONNECTIONS_OF_ONE = 100  # of one client's own


@dataclass(slots=True)
class Outcome:
    """The outcome of a request; status 0: no answer."""

    status: int = 0
    size: int = 0
    fields: dict[str, str] = field(default_factory=dict)  # header fields of the answer
    error: BaseException | None = None


class Player:
    """Sends requests, and reports each finished one to the parent, if any, as a line of JSON."""

    def __init__(
        self, experiment: Experiment, environment: Any, settings: Mapping[str, Any], host: str | None = None
    ) -> None:
        """`environment`: Locust's. `settings`: of lbkit.live.load, or empty: url, port (to send the rows to),
        grace (seconds after the duration in which answers still count), watched, and ca, the file of the
        authority that clients trust, with TLS. `host`: the URL, if it is in neither."""
        self.experiment, self.traffic, self.layer4 = experiment, experiment.traffic, experiment.layer4
        self.environment = environment
        self.settings = settings
        self.grace: float = settings.get("grace", GRACE)
        self.patience = experiment.traffic.patience
        # Whether servers check that the client still waits for the answer.
        self.watched: bool = settings.get("watched", self.patience is not None)
        self.pauses = stream(experiment.seed, "backoff")
        self.geography = experiment.geography
        self.kinds = Kinds(experiment)
        routing = experiment.routing
        self.rules = {rule.name: i for i, rule in enumerate(routing.rules)} if routing else None
        self.cookies = Cookies(experiment)
        self.decoding = Decoding(experiment.compression) if experiment.compression else None
        url = urlsplit(str(settings.get("url") or host or environment.host))
        timeout = experiment.traffic.duration + self.grace
        reuse = self.traffic.reuse and not (self.layer4 and self.layer4.connections == PER_REQUEST)
        port = url.port or (443 if url.scheme == "https" else 80)
        self.target = Target(url.hostname or "127.0.0.1", port, timeout, self._secured(), reuse)
        self.http = Http1(self.target, CONNECTIONS)
        self.own: dict[int, Any] = {}  # client -> its own connections
        self.lines: Any = None
        self.orders: Any = None
        if self.settings:
            parent = socket.create_connection(("127.0.0.1", self.settings["port"]))
            # Two files: in one for both, a write forgets lines that were read ahead.
            self.lines = parent.makefile("w", encoding="utf-8", newline="\n")
            self.orders = parent.makefile("r", encoding="utf-8", newline="\n")
        self.started = gevent.event.Event()
        self.running: set[gevent.Greenlet] = set()  # requests without an answer
        self.t0 = 0.0  # time 0 of the experiment, on the clock of time.monotonic
        self.lags: list[float] = []
        self.resent: list[float] = []  # the times of clients' retries
        self.known: set[int] = set()  # sessions that a server has recognised
        self.lost = 0  # requests of known sessions that were new to their server
        self.users = 0  # closed loop: users that have started
        # Session, or client in traffic without sessions -> its cookies.
        self.jars: defaultdict[int, Jar] = defaultdict(dict)

    def _secured(self) -> Secured | None:
        """Return TLS as clients use it: they trust the authority in one file only."""
        tls = self.experiment.tls
        if tls is None:
            return None
        ca = self.settings.get("ca") or os.environ["LBKIT_CA"]
        return Secured(ca, tls.resumption, "h2" if self.traffic.http == HTTP2 else "http/1.1")

    def connections_of(self, client: int) -> Any:
        """Return where this client's connections are kept."""
        layer4, http2 = self.layer4, self.traffic.http == HTTP2
        announced = layer4 is not None and layer4.proxy_protocol
        if not (announced or http2 or (layer4 and layer4.connections == PER_CLIENT)):
            return self.http
        if client not in self.own:
            line = f"PROXY TCP4 {client_name(client)} 127.0.0.1 1024 80\r\n".encode() if announced else b""
            if http2:
                from lbkit.clients.http2 import Http2  # needs a package that others do not

                self.own[client] = Http2(self.target, line)
            else:
                self.own[client] = Http1(self.target, CONNECTIONS_OF_ONE, line)
        return self.own[client]

    def start(self) -> None:
        """Agree with the parent on time 0, once everything is loaded."""
        gc.freeze()  # garbage collection of Locust's own objects would delay requests
        self.t0 = time.monotonic()
        if self.lines:
            self.report({"ready": True})
            self.t0 = json.loads(self.orders.readline())["t0"]
            gevent.spawn(orders.follow, self, self.orders)
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
            if arrival >= self.traffic.duration:
                break
            self.send(arrival, visits.client[session], path, demand, luck, session).join()
            arrival = time.monotonic() - self.t0
        self.jars.pop(session, None)
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
                wait = self.patience.deadline(arrival, now) - now if self.patience else None
                keeps = self.experiment.policy.sticky is not None or session is not None
                jar = self.jars[client if session is None else session] if keeps else None
                one_luck = luck_of(luck, tried) if tried else luck
                outcome = self.ask(client, path, demand, one_luck, wait, jar)
                tried += 1
                attempts += int(outcome.fields.get("x-lbkit-attempts", 1))
                if self.patience is None or good(outcome.status):
                    break
                now = time.monotonic() - self.t0
                again = self.patience.next_try(arrival, now, tried, self.pauses)
                if again is None:
                    break
                gevent.sleep(again - now)
        except gevent.GreenletExit as caught:  # the run is over
            outcome = Outcome(error=caught)
        if session is not None and "x-lbkit-visits" in outcome.fields:
            self.lost += session in self.known and outcome.fields["x-lbkit-visits"] == "1"
            self.known.add(session)
        kind = self.kinds.number(demand)
        self.record(arrival, client, path, kind, outcome, max(1, attempts), session)

    def ask(
        self,
        client: int,
        path: int,
        demand: float,
        luck: float,
        wait: float | None,
        jar: Jar | None = None,
    ) -> Outcome:
        """Send a request once; return its outcome within `wait` seconds. The answer's cookies are kept."""
        kind = self.kinds.of(demand)
        headers = {
            **kind.sent(),
            "X-Forwarded-For": client_name(client),
            "X-Lbkit-Demand": f"{demand:.9f}",
            "X-Lbkit-Luck": f"{luck:.9f}",
        }
        if kind.host:
            headers["Host"] = kind.host
        if kind.size:
            headers["X-Lbkit-Size"] = str(kind.size)
        if self.decoding:
            headers.setdefault("Accept-Encoding", self.decoding.accept)
        if self.watched:
            headers["X-Lbkit-Watched"] = "1"
        # The outcome on timeout: the connection is closed without an answer.
        outcome = Outcome(error=TimeoutError(f"no answer within {wait} s"))
        try:
            with gevent.Timeout(wait, False):
                target = kind.target(path)
                if jar is not None:
                    target = self.cookies.present(jar, target, headers)
                self.travel(client)
                answer = self.connections_of(client).request(kind.method, target, headers, kind.body.encode())
                self.travel(client)
                if jar is not None:
                    keep(jar, answer.fields)
                if self.decoding:
                    self.decoding.count(dict(answer.fields), answer.body)
                fault = None if good(answer.status) else RuntimeError(f"status {answer.status}")
                outcome = Outcome(answer.status, len(answer.body), dict(answer.fields), fault)
        except Exception as caught:
            outcome = Outcome(error=caught)
        return outcome

    def travel(self, client: int) -> None:
        """Wait for as long as a client's messages take to the balancer, if it is away."""
        if self.geography and self.geography.balancer:
            gevent.sleep(self.geography.to_balancer(client_name(client)))

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
                *(() if self.rules is None else (self.rules.get(answer.get("x-lbkit-rule", ""), -1),)),
                *(() if self.experiment.cache is None else (how,)),
                *((kind,) if self.traffic.mix else ()),
                *(
                    ()
                    if self.experiment.firewall is None
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
        self.wait_until(self.traffic.duration)
        running = list(self.running)
        gevent.joinall(
            running,
            timeout=max(0.0, self.t0 + self.traffic.duration + self.grace - time.monotonic()),
        )
        gevent.killall(running)
        entry = self.environment.stats.total
        lags = sorted(self.lags) or [0.0]
        self.report(
            {
                "done": True,
                "resent": sorted(self.resent),
                **({"sessions_lost": self.lost} if self.cookies.state_seen else {}),
                **(self.target.secured.facts() if self.target.secured else {}),
                **(self.decoding.facts() if self.decoding else {}),
                "send_lag_p99": lags[int(0.99 * (len(lags) - 1))],
                "locust_requests": entry.num_requests,
                "locust_failures": entry.num_failures,
                "locust_mean": entry.avg_response_time / 1000,
            }
        )
        if self.settings:
            gevent.spawn(self.environment.runner.quit)


def told_by_firewall(told: str) -> tuple[int, int]:
    """Return the rule that decided and the score, as `X-Lbkit-Firewall: 1003; score=5` says."""
    rule, _, score = told.partition("; score=")
    return int(rule or 0), int(score or 0)
