"""The rules in a real Prometheus: each incident fires its own alert and no other, and a webhook hears of it.

The same scrapes, read back, give the same alerts in `lbkit.alerts.evaluate`.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from itertools import pairwise
from pathlib import Path

import pytest
from administered import Served
from needs import need_feature

need_feature("live", "monitor", "metrics")

from lbkit import Constant, Server
from lbkit.alerts import evaluate, few_workers_left, high_error_rate, high_latency, server_down
from lbkit.live import LocalFleet
from lbkit.live.front import wait_until
from lbkit.live.monitor import Monitor, Notice
from lbkit.live.monitor.config import proxy_down
from lbkit.metrics.names import IN_FLIGHT
from lbkit.run import EngineError

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(not hasattr(socket, "SO_REUSEPORT"), reason="platform: one process on Windows"),
]

EVERY = 1.0  # seconds between scrapes, and between evaluations
WORKERS = 8  # of each of the three servers
LASTS = 2.0
LONGEST = 20.0  # seconds of a window
PATIENCE = 180.0  # seconds; only reached when something is broken
CROWD = 40  # clients, more than all workers together
RULES = [
    proxy_down(3.0),
    server_down(LASTS),
    high_error_rate(0.05, window=8, lasts=LASTS),
    high_latency(5.0, window=LONGEST, lasts=LASTS),
    few_workers_left(lasts=5, by=IN_FLIGHT),
]
PROXY = "workers = 2\n[policy.health.checks]\ninterval = 2.5\ntimeout = 2.5\nfall = 2\n"  # patient, too
Key = tuple[str, str]  # an alert's name and backend


class Clients:
    """Send one request after the other, each on a connection of its own."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.answered = 0
        self.faults: list[str] = []
        self._lock = threading.Lock()

    def add(self, count: int) -> Callable[[], None]:
        """Start clients; return what stops them."""
        stop = threading.Event()
        threads = [threading.Thread(target=self._send, args=(stop,)) for _ in range(count)]
        for thread in threads:
            thread.start()

        def end() -> None:
            stop.set()
            for thread in threads:
                thread.join()

        return end

    def _send(self, stop: threading.Event) -> None:
        while not stop.wait(0.05):
            connection = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
            try:
                connection.request("GET", "/")
                connection.getresponse().read()
            except OSError as error:
                self.faults.append(str(error))
            else:
                with self._lock:
                    self.answered += 1
            finally:
                connection.close()


class Scene:
    """A proxy of two processes, three servers, some clients, and a monitor that watches."""

    def __init__(self, fleet: LocalFleet, proxy: Served, clients: Clients, monitor: Monitor) -> None:
        self.fleet = fleet
        self.proxy = proxy
        self.clients = clients
        self.monitor = monitor
        self.stop = clients.add(4)

    @contextmanager
    def without_clients(self) -> Iterator[None]:
        self.stop()
        try:
            yield
        finally:
            self.stop = self.clients.add(4)

    def quiet(self) -> bool:
        """Whether no alert is near, and Alertmanager has told of the end of each."""
        last = {key(notice): notice.firing for notice in self.monitor.notices}
        states = {rule["state"] for rule in self.monitor.api.rules()}
        return states == {"inactive"} and not any(last.values())


def until(condition: Callable[[], bool]) -> None:
    """Windows have to fill and to empty, on a machine that may be busy with something else."""
    assert wait_until(condition, PATIENCE), "never became true"


def key(notice: Notice) -> Key:
    return notice.name, notice.labels.get("backend", "")


def fired(notices: Iterable[Notice]) -> set[Key]:
    return {key(notice) for notice in notices if notice.firing}


def backends(fleet: LocalFleet) -> str:
    return "".join(
        f'[[backends]]\nname = "{b.name}"\naddress = "{b.address}"\nworkers = {b.workers}\n'
        for b in fleet.backends()
    )


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    servers = [Server(name, workers=WORKERS, service=Constant(0.01)) for name in ("s1", "s2", "s3")]
    folder = tmp_path_factory.mktemp("monitored")
    with (
        LocalFleet(servers) as fleet,
        Served(folder, PROXY + backends(fleet)) as proxy,
        Monitor(f"127.0.0.1:{proxy.admin}", RULES, every=EVERY) as monitor,
    ):
        scene = Scene(fleet, proxy, Clients(proxy.port), monitor)
        try:
            yield scene
        finally:
            scene.stop()


def fails(scene: Scene) -> None:
    scene.fleet.disturb("s2", fail=1.0)


def crashes(scene: Scene) -> None:
    scene.fleet.crash("s3")


def slows(scene: Scene) -> None:
    scene.fleet.slow("s1", 0.00125)  # to 8 s


def crowds(scene: Scene) -> Callable[[], None]:
    for name in scene.fleet.servers:
        scene.fleet.slow(name, 0.02)  # to half a second
    return scene.clients.add(CROWD)


INCIDENTS: dict[str, tuple[Callable[[Scene], Callable[[], None] | None], Key]] = {
    "a server fails": (fails, ("HighErrorRate", "")),
    "a server crashes": (crashes, ("ServerDown", "s3")),
    "a server is slow": (slows, ("HighLatency", "")),
    "more requests than workers": (crowds, ("FewWorkersLeft", "")),
}


@pytest.mark.parametrize("incident", INCIDENTS)
def test_an_incident_fires_its_alert_and_no_other(scene: Scene, incident: str) -> None:
    begin, expected = INCIDENTS[incident]
    monitor = scene.monitor
    until(scene.quiet)
    before, start = len(monitor.notices), time.time()
    undo = begin(scene)
    try:
        until(lambda: expected in fired(monitor.notices[before:]))
    finally:
        if undo:
            undo()
        for name in scene.fleet.servers:
            scene.fleet.recover(name)
    until(scene.quiet)
    end = time.time()
    assert fired(monitor.notices[before:]) == {expected}

    firing = since_when(monitor, start, end)
    assert firing.keys() == {expected}
    store = monitor.api.store(end - start + 2 * LONGEST, end)
    here = {
        (alert.rule.name, dict(alert.labels).get("backend", "")): alert.firing
        for alert in evaluate(RULES, store)
        if alert.firing and alert.firing > start
    }
    assert here.keys() == {expected}
    # A rule is evaluated up to an interval after a scrape, at its begin and at its end; a scrape that failed,
    # on a busy machine, makes it begin anew.
    ups = [at for at, up in zip(store.times, next(store.select("up", {}))[1], strict=True) if up == 1]
    missed = max(b - a for a, b in pairwise(ups)) > 1.5 * EVERY
    assert here[expected] == pytest.approx(firing[expected], abs=2 * EVERY + (10 if missed else 0))


def since_when(monitor: Monitor, start: float, end: float) -> dict[Key, float]:
    """Return when alerts fired first, by Prometheus' own record."""
    series = monitor.api.query_range('ALERTS{alertstate="firing"}', start, end, 0.1)
    named = [(dict(of), points) for of, points in series.items()]
    return {(of["alertname"], of.get("backend", "")): points[0][0] for of, points in named}


def test_the_page_has_lines_of_what_was_scraped(scene: Scene) -> None:
    def lines() -> dict[str, set[str]]:
        shown = scene.monitor.data()["panels"]
        return {
            panel["title"]: {line["name"] for line in panel["lines"] if line["points"]} for panel in shown
        }

    until(lambda: {"s1", "s2", "s3"} <= lines()["Requests by backend"])
    until(lambda: lines()["Latency"] == {"p50", "p95", "p99"})
    assert lines()["Up"] == {"s1", "s2", "s3"}
    assert len(lines()["Utilisation"]) == 3
    assert {rule["name"] for rule in scene.monitor.data()["rules"]} == {rule.name for rule in RULES}
    assert scene.monitor.url in scene.monitor._repr_html_()


def test_the_counts_of_all_processes_add_up(scene: Scene) -> None:
    api, clients = scene.monitor.api, scene.clients

    def both_served() -> bool:
        rows = scene.proxy.get("/api/workers")
        return len(rows) == 2 and all(row["requests"] for row in rows)

    until(both_served)
    with scene.without_clients():
        until(lambda: api.query("sum(lbkit_requests_total)").get(()) == clients.answered)
    assert clients.faults == []
    assert api.query("lbkit_workers").popitem()[1] == 2
    workers = {dict(of)["backend"]: value for of, value in api.query("lbkit_backend_workers").items()}
    assert workers == dict.fromkeys(("s1", "s2", "s3"), WORKERS)
    with pytest.raises(EngineError, match="Prometheus refused sum"):
        api.query("sum(")


def test_the_command_tells_of_a_dead_proxy_and_ends_with_ctrl_c(scene: Scene, tmp_path: Path) -> None:
    admin = f"127.0.0.1:{scene.proxy.admin}"
    with (
        scene.without_clients(),
        subprocess.Popen(
            [sys.executable, "-m", "lbkit", "monitor", "--admin", admin, "--every", "0.5"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "TMPDIR": str(tmp_path)},
        ) as monitor,
    ):
        assert monitor.stdout
        bound = threading.Timer(PATIENCE, monitor.kill)  # ends a line that never comes
        bound.start()
        try:
            assert f"watching {admin} every 0.5 s" in monitor.stdout.readline()
            assert "panels on http://127.0.0.1:" in monitor.stdout.readline()
            assert len(list(tmp_path.iterdir())) == 2
            scene.proxy.process.send_signal(signal.SIGSTOP)  # the process that answers Prometheus
            told = next((line for line in monitor.stdout if "ProxyDown" in line), "")
            assert "FIRING  page    ProxyDown: the proxy does not answer Prometheus" in told
            monitor.send_signal(signal.SIGINT)
            *_, last = monitor.stdout
            assert last == "stopped; nothing is left running\n"
            assert monitor.wait(PATIENCE) == 0
        finally:
            bound.cancel()
            scene.proxy.process.send_signal(signal.SIGCONT)
            monitor.kill()
    assert list(tmp_path.iterdir()) == []
