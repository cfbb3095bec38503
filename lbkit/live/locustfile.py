"""Plays the traffic of an Experiment; run by Locust, and started by lbkit.live.load.

Open loop: every request is sent at its moment, whether or not earlier ones have been answered, and its
latency counts from that moment. So a stall of the system is felt by all who would have come
meanwhile, and not only by the one who noticed (coordinated omission; Gil Tene, 2013).
"""

from __future__ import annotations

import gc
import json
import os
import time
from typing import Any
from urllib.parse import urlsplit

import gevent
import gevent.event
from gevent import socket
from geventhttpclient import HTTPClient
from locust import User, constant, events, task

from lbkit.distributions import Closed
from lbkit.experiment import Experiment
from lbkit.workload import Clients, client_name, path_name, stream, workload

SETTINGS = json.loads(os.environ["LBKIT_PLAY"])
EXPERIMENT = Experiment.from_dict(SETTINGS["experiment"])
TRAFFIC = EXPERIMENT.traffic
GRACE: float = SETTINGS["grace"]  # seconds after the duration in which answers still count
CONNECTIONS = 1000


class Player:
    """Sends requests, and tells the parent of each that ended, a JSON line each."""

    def __init__(self, environment: Any) -> None:
        self.environment = environment
        url = urlsplit(SETTINGS["url"])
        timeout = TRAFFIC.duration + GRACE
        self.http = HTTPClient(
            url.hostname,
            url.port,
            concurrency=CONNECTIONS,
            connection_timeout=timeout,
            network_timeout=timeout,
        )
        self.parent = socket.create_connection(("127.0.0.1", SETTINGS["port"]))
        self.lines = self.parent.makefile("rw", encoding="utf-8", newline="\n")
        self.started = gevent.event.Event()
        self.t0 = 0.0  # moment 0 of the experiment, on the clock of time.monotonic
        self.lags: list[float] = []
        self.users = 0  # closed loop: still asking

    def start(self) -> None:
        """Everything is loaded: agree with the parent on when it begins."""
        gc.freeze()  # collecting Locust's own objects over and over would delay requests
        self.tell({"ready": True})
        self.t0 = json.loads(self.lines.readline())["t0"]
        self.started.set()

    def tell(self, what: Any) -> None:
        self.lines.write(json.dumps(what) + "\n")
        self.lines.flush()

    def wait_until(self, moment: float) -> None:
        """`moment` in seconds from the beginning."""
        left = self.t0 + moment - time.monotonic()
        if left > 0:
            gevent.sleep(left)

    def request(self, arrival: float, client: int, path: int, demand: float, luck: float) -> None:
        """Send one request that was meant for `arrival`; never raises."""
        self.lags.append(time.monotonic() - self.t0 - arrival)
        headers = {
            "X-Forwarded-For": client_name(client),
            "X-Lbkit-Demand": f"{demand:.9f}",
            "X-Lbkit-Luck": f"{luck:.9f}",
        }
        status, size = 0, 0
        answer: dict[str, str] = {}
        error: BaseException | None = None
        try:
            response = self.http.get(path_name(path), headers)
            size = len(response.read())
            status = response.status_code
            answer = {name.lower(): value for name, value in response.items()}
            if status >= 500:
                error = RuntimeError(f"status {status}")
        except (Exception, gevent.GreenletExit) as caught:
            error = caught
        end = time.monotonic() - self.t0
        began = float(answer["x-lbkit-start"]) - self.t0 if "x-lbkit-start" in answer else None
        self.tell(
            [
                arrival,
                began,
                end,
                answer.get("x-backend"),
                client,
                path,
                status,
                int(answer.get("x-lbkit-attempts", 1)),
                float(answer.get("x-lbkit-service", 0)),
            ]
        )
        self.environment.events.request.fire(
            request_type="GET",
            name="/item",
            response_time=(end - arrival) * 1000,
            response_length=size,
            exception=error,
            context={},
        )

    def finish(self, running: list[gevent.Greenlet]) -> None:
        """Wait for what still runs, give up on what takes too long, and leave."""
        gevent.joinall(running, timeout=max(0.0, self.t0 + TRAFFIC.duration + GRACE - time.monotonic()))
        gevent.killall(running)
        entry = self.environment.stats.total
        lags = sorted(self.lags) or [0.0]
        self.tell(
            {
                "done": True,
                "send_lag_p99": lags[int(0.99 * (len(lags) - 1))],
                "locust_requests": entry.num_requests,
                "locust_failures": entry.num_failures,
                "locust_mean": entry.avg_response_time / 1000,
            }
        )
        gevent.spawn(self.environment.runner.quit)


def on_init(environment: Any, **_: Any) -> None:
    environment.player = Player(environment)


events.init.add_listener(on_init)  # type: ignore[no-untyped-call]


class OpenLoop(User):
    """One user that stands for everybody: arrivals do not wait for answers."""

    abstract = isinstance(TRAFFIC.arrivals, Closed)
    wait_time = constant(0)

    @task
    def play(self) -> None:
        player = self.environment.player
        requests = workload(EXPERIMENT)
        player.start()
        running = set()
        for row in range(len(requests)):
            player.wait_until(requests.arrival[row])
            request = gevent.spawn(
                player.request,
                requests.arrival[row],
                requests.client[row],
                requests.path[row],
                requests.demand[row],
                requests.luck[row],
            )
            running.add(request)
            request.link(running.discard)
        player.wait_until(TRAFFIC.duration)
        player.finish(list(running))
        gevent.sleep(60)  # until Locust quits


CROWD = TRAFFIC.arrivals if isinstance(TRAFFIC.arrivals, Closed) else Closed()
DRAW = Clients(EXPERIMENT)
THINK = stream(EXPERIMENT.seed, "think")


def think_time(user: User) -> float:
    return THINK.expovariate(1 / CROWD.think) if CROWD.think else 0.0


class ClosedLoop(User):
    """Sends, waits for the answer, thinks, sends again."""

    abstract = not isinstance(TRAFFIC.arrivals, Closed)

    def on_start(self) -> None:
        player = self.environment.player
        player.users += 1
        if player.users == CROWD.users:
            gevent.spawn(player.start)
        player.started.wait()
        gevent.sleep(max(0.0, player.t0 - time.monotonic()) + think_time(self))

    @task
    def ask(self) -> None:
        player = self.environment.player
        now = time.monotonic() - player.t0
        if now >= TRAFFIC.duration:
            player.users -= 1
            if player.users == 0:
                player.finish([])
            gevent.sleep(60)  # until Locust quits
        player.request(now, *DRAW.one())
        gevent.sleep(think_time(self))
