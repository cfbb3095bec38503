"""Containers, with a real engine. LBKIT_BASE_IMAGE says what to build from where no registry is in reach."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator

import pytest
from needs import need_docker, need_feature, need_module, skip_platform

need_feature("live")
need_module("docker")

from lbkit import (
    CheckRules,
    Constant,
    Event,
    Experiment,
    Exponential,
    HealthRules,
    Patience,
    Poisson,
    Policy,
    Probe,
    Server,
    Traffic,
    run,
    servers,
    why_not,
)
from lbkit.live import DockerFleet, FleetError, LiveSession, build_image

pytestmark = pytest.mark.container

SMALL = Experiment(servers(3, service=Constant(0.01)), Traffic(duration=2, clients=20), seed=2).at_load(0.2)


@pytest.fixture(scope="module")
def image() -> str:
    need_docker()
    return build_image()  # from the sources as they are; layers that are there are used again


@pytest.fixture(scope="module")
def fleet(image: str) -> Iterator[DockerFleet]:
    with DockerFleet([Server(f"s{i}", service=Constant(0.01)) for i in (1, 2, 3)], cpus={"s3": 0.25}) as up:
        yield up


def ask(fleet: DockerFleet, name: str, timeout: float = 5) -> float:
    """Seconds that one request took."""
    start = time.monotonic()
    with urllib.request.urlopen(f"{fleet.urls[name]}/item/1", timeout=timeout) as answer:
        assert answer.headers["X-Backend"] == name
    return time.monotonic() - start


def until(true: Callable[[], bool], what: str, seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.05)


def docker(*arguments: str) -> str:
    return subprocess.run(
        [need_docker(), *arguments], capture_output=True, text=True, check=True, timeout=60
    ).stdout


def test_containers_serve_on_loopback_only(fleet: DockerFleet) -> None:
    assert all(ask(fleet, name) >= 0.01 for name in fleet.servers)
    published = docker("ps", "--filter", "label=lbkit.fleet", "--format", "{{.Ports}}")
    assert published.count("127.0.0.1:") == 3
    assert "0.0.0.0:" not in published


def test_containers_do_not_run_as_root(fleet: DockerFleet) -> None:
    ids = docker("ps", "-q", "--filter", "label=lbkit.fleet").split()
    assert {docker("exec", i, "id", "-un").strip() for i in ids} == {"lbkit"}


def test_a_paused_server_is_silent_and_a_crashed_one_refuses(fleet: DockerFleet) -> None:
    fleet.pause("s1")
    with pytest.raises(TimeoutError):
        ask(fleet, "s1", timeout=0.5)
    fleet.recover("s1")
    ask(fleet, "s1")
    fleet.crash("s1")
    assert fleet.alive() == {"s1": False, "s2": True, "s3": True}
    with pytest.raises(OSError, match=r"refused|reset|closed"):
        ask(fleet, "s1", timeout=2)
    fleet.recover("s1")
    assert fleet.alive()["s1"]
    ask(fleet, "s1")


def test_stop_lets_requests_finish(fleet: DockerFleet) -> None:
    fleet.halt("s2")
    assert not fleet.alive()["s2"]
    fleet.recover("s2")
    ask(fleet, "s2")


def test_a_quarter_of_a_processor_is_a_quarter(fleet: DockerFleet) -> None:
    """Where work is computing, the limit is what makes servers unequal."""
    for name in ("s2", "s3"):
        fleet.control(name, burn=True)
    whole, quarter = (sum(ask(fleet, name) for _ in range(30)) for name in ("s2", "s3"))
    assert quarter > 2 * whole
    fleet.throttle("s3", 1.0)
    assert sum(ask(fleet, "s3") for _ in range(30)) < quarter / 1.5
    for name in ("s2", "s3"):
        fleet.control(name, burn=False)


def test_a_delay_on_the_network(fleet: DockerFleet) -> None:
    before = ask(fleet, "s1")
    try:
        fleet.delay("s1", 0.1)
    except FleetError as error:
        if "no netem" in str(error):
            skip_platform("this kernel has no netem")
        raise
    assert ask(fleet, "s1") > before + 0.09
    fleet.delay("s1", 0)
    assert ask(fleet, "s1") < before + 0.09


def test_unknown_name(fleet: DockerFleet) -> None:
    with pytest.raises(KeyError, match="there are s1, s2, s3"):
        fleet.pause("s9")


def test_the_same_experiment_in_containers(image: str) -> None:
    assert why_not("docker") == ""
    experiment = SMALL.but(servers=servers(3, service=Exponential(0.05)), duration=3).at_load(0.4)
    simulated, measured = run(experiment), run(experiment, on="docker")
    assert measured.engine == "docker"
    assert len(measured) == len(simulated)
    assert measured.error_rate == 0
    assert max(measured.counts.values()) - min(measured.counts.values()) <= 1
    assert measured.mean == pytest.approx(simulated.mean, rel=0.25)


def test_kill_9_under_load(image: str) -> None:
    """A container dies in the middle: what ran there is lost, everything else is answered."""
    with LiveSession(SMALL.but(duration=7), "docker") as session:
        until(lambda: session.elapsed > 1, "the load begins")
        killed = session.elapsed
        session.crash("s2")
        dead = session.elapsed
        until(lambda: session.elapsed > 2, "a second without it")
        starting = session.elapsed
        session.recover("s2")
        ready = session.elapsed
        session.wait()
        result = session.result()
    assert ready < 6.5
    lost = [a for a, status in zip(result.arrival, result.status, strict=True) if status != 200]
    at_the_kill = [a for a in lost if killed - 0.1 < a < dead + 0.1]
    assert len(at_the_kill) <= 3, lost
    # The engine takes connections for a container that is only just starting, and drops them.
    assert all(starting - 0.1 < a < ready for a in lost if a not in at_the_kill), (lost, starting, ready)
    by_s2 = [a for a, b in zip(result.arrival, result.backend, strict=True) if b == 1]
    assert not [a for a in by_s2 if dead + 0.1 < a < starting - 0.1]
    assert [a for a in by_s2 if a > ready]


def test_no_container_is_left_even_after_kill_9(image: str) -> None:
    code = """
import json, sys, time
from lbkit import servers
from lbkit.live import DockerFleet
fleet = DockerFleet(servers(2)).start()
print(json.dumps([c.id for c in fleet._containers.values()]), flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as parent:
        assert parent.stdout
        ids = json.loads(parent.stdout.readline())
        assert len(ids) == 2
        parent.send_signal(signal.SIGKILL)
    running = ["ps", "-q", "--no-trunc", "--filter", "label=lbkit.fleet"]
    until(lambda: not set(ids) & set(docker(*running).split()), "they have ended")
    with DockerFleet(servers(1)):  # the next one clears up
        assert not set(ids) & set(docker(*running, "-a").split())


def test_an_error_of_the_engine_is_reported(image: str) -> None:
    with pytest.raises(FleetError, match=r"(?i)docker: .*memory"):
        DockerFleet(servers(1), memory="1k").start()


def test_without_an_engine_it_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    reason = why_not("docker")
    assert reason == "docker needs a running Docker engine: start Docker Desktop, or dockerd as root"


def test_chaos_in_containers_is_what_it_is_in_the_simulator(image: str) -> None:
    """One is paused, and goes on; one is far away for a while; one finds its database failed."""
    events = [
        Event(1, "hang", "s1"),
        Event(2.5, "recover", "s1"),
        Event(1, "fail_dependency", "s3", dependency="database"),
        Event(1, "delay", "s2", 0.1),
        Event(2.5, "recover", "s2"),
    ]
    three = servers(3, service=Constant(0.01), dependencies={"database": 0.5})
    checks = CheckRules(interval=0.4, timeout=0.3, fall=2, probe=Probe(path="/health/detail"))
    policy = Policy("round_robin", health=HealthRules(checks=checks), retries=0)
    traffic = Traffic(Poisson(30), 5, patience=Patience(timeout=0.5))
    result = run(Experiment(three, traffic, policy, events), on="docker")
    assert result.faults == ()
    states = [(c.backend, c.after) for c in result.changes]
    assert [after for name, after in states if name == "s1"] == ["failing", "down", "recovering", "up"]
    assert [after for name, after in states if name == "s3"] == ["failing", "down"]
    slow = result.where(backend="s2", arrival=lambda at: 1.7 < at < 2.3)  # the engine takes its time
    assert min(slow.latency) >= 0.2
    assert any(status == 0 for status in result.status)
    assert max(result.latency) < 1.5
