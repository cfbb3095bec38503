"""docker/compose.yaml, from nothing: every program before the same servers, and Locust with workers."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from urllib.parse import urlencode

import pytest
from composed import FOLDER, Compose
from needs import need_docker, need_feature

need_feature("live")

from lbkit import Experiment
from lbkit.workload import workload

pytestmark = pytest.mark.container

FRONTS = ("lbkit", "nginx", "haproxy", "apache", "caddy")


@pytest.fixture(scope="module")
def compose() -> Iterator[Compose]:
    compose = Compose("all")
    try:
        compose("up", "-d", "--build", "--scale", "backend=2", "--scale", "locust-worker=2")
        end = time.monotonic() + 60
        while not all(compose.get(name)[0] == 200 for name in FRONTS):
            assert time.monotonic() < end, compose("ps") + compose("logs", "--tail", "20")
            time.sleep(0.5)
        yield compose
    finally:
        compose("down", "--volumes", "--timeout", "1")


@pytest.mark.parametrize("front", FRONTS)
def test_every_program_reaches_every_server(compose: Compose, front: str) -> None:
    end = time.monotonic() + 20
    seen: Counter[str] = Counter()
    while len(seen) < 3:
        status, who, _ = compose.get(front)
        assert status == 200
        seen[who] += 1
        assert time.monotonic() < end, seen


def test_ports_are_published_on_loopback_only(compose: Compose) -> None:
    docker = need_docker()
    ids = compose("ps", "-q").split()
    assert len(ids) == 12
    bindings = json.loads(subprocess.check_output([docker, "inspect", *ids]))
    for container in bindings:
        for published in (container["NetworkSettings"]["Ports"] or {}).values():
            assert all(where["HostIp"] == "127.0.0.1" for where in published or [])
    slow = [c for c in bindings if "slow" in c["Name"]]
    assert [c["HostConfig"]["NanoCpus"] or c["HostConfig"]["CpuQuota"] * 10_000 for c in slow] == [
        250_000_000
    ]


def test_locust_and_its_workers_send_every_request(compose: Compose) -> None:
    """From Locust's own page: two workers send every request of the experiment once."""
    experiment = Experiment.load_file(FOLDER / "etc" / "experiment.toml")
    requests = len(workload(experiment))
    assert requests > 100
    form = urlencode({"user_count": 2, "spawn_rate": 2, "host": "http://lbkit:8080"}).encode()
    with urllib.request.urlopen(f"{compose.url('locust')}/swarm", form, timeout=10) as answer:
        assert json.load(answer)["success"]
    end = time.monotonic() + experiment.traffic.duration + 30
    while True:
        stats = json.loads(compose.get("locust", "/stats/requests")[2])
        total = next(row for row in stats["stats"] if row["name"] == "Aggregated")
        if total["num_requests"] >= requests:
            break
        assert time.monotonic() < end, total
        time.sleep(1)
    time.sleep(4)  # workers report every three seconds: is there one too many?
    stats = json.loads(compose.get("locust", "/stats/requests")[2])
    total = next(row for row in stats["stats"] if row["name"] == "Aggregated")
    assert total["num_requests"] == requests
    assert total["num_failures"] == 0
