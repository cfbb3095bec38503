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

import os
import time
from typing import Any

import gevent
import gevent.event
from locust import User, constant, events, task
from locust.runners import MasterRunner, WorkerRunner

from lbkit.arrivals import Closed, Sessions
from lbkit.draws import stream
from lbkit.experiment import Experiment
from lbkit.live.handed import handed
from lbkit.live.player import GRACE, Player
from lbkit.workload import Clients, Visits, workload

SETTINGS: dict[str, Any] = handed(os.environ.get("LBKIT_PLAY", "{}"))  # see Player
EXPERIMENT = (
    Experiment.from_dict(SETTINGS["experiment"])
    if SETTINGS
    else Experiment.load_file(os.environ["LBKIT_EXPERIMENT"])
)
TRAFFIC = EXPERIMENT.traffic
CLOSED = isinstance(TRAFFIC.arrivals, Closed)
# Seconds after which a run from a terminal ends.
LONGEST = TRAFFIC.duration + SETTINGS.get("grace", GRACE)


def make_player(environment: Any, host: str | None = None) -> Player:
    return Player(EXPERIMENT, environment, SETTINGS, host)


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
    play(make_player(environment, host), turn, of)


def on_test_start(environment: Any, **_: Any) -> None:
    runner = environment.runner
    if isinstance(runner, MasterRunner):
        if not CLOSED:
            for turn, worker in enumerate(list(runner.clients)):
                data = {"host": environment.host, "turn": turn, "of": len(runner.clients)}
                runner.send_message("lbkit-turn", data, worker)
        gevent.spawn(end_after, runner, LONGEST)
        return
    environment.player = make_player(environment)
    if not CLOSED and not isinstance(runner, WorkerRunner):
        gevent.spawn(play, environment.player)
    if not SETTINGS and not isinstance(runner, WorkerRunner):
        gevent.spawn(end_after, runner, LONGEST)


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
