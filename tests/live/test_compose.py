"""docker/compose.yaml, from nothing: every program before the same servers, and Locust with workers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from needs import need_docker, need_feature

need_feature("live")

from lbkit import Experiment
from lbkit.live.program import free_ports
from lbkit.workload import workload

pytestmark = pytest.mark.container

FOLDER = Path(__file__).parents[2] / "docker"
FRONTS = ("lbkit", "nginx", "haproxy", "apache", "caddy")
PORTS = ("LBKIT", "NGINX", "HAPROXY", "APACHE", "CADDY", "REDIS", "LOCUST")
# Where no registry is in reach, one base image has all the programs.
IMAGES = [f"{name}_IMAGE" for name in ("NGINX", "HAPROXY", "APACHE", "CADDY", "REDIS")]


def compose_command() -> list[str]:
    """Compose v2, or v1, or a skip."""
    docker = need_docker()
    if subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode == 0:
        return [docker, "compose"]
    if v1 := shutil.which("docker-compose"):
        return [v1]
    pytest.skip("compose is not installed: apt-get install docker-compose (macOS: part of Docker Desktop)")


class Compose:
    def __init__(self) -> None:
        self.project = f"lbkit-test-{os.getpid()}"
        self.ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
        base = os.environ.get("LBKIT_BASE_IMAGE")
        self.environment = os.environ | {f"{name}_PORT": str(port) for name, port in self.ports.items()}
        self.environment |= dict.fromkeys(IMAGES, base) if base else {}
        self.command = [*compose_command(), "-f", str(FOLDER / "compose.yaml"), "-p", self.project]

    def __call__(self, *arguments: str) -> str:
        done = subprocess.run(
            [*self.command, "--profile", "all", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.ports[name.upper()]}"

    def get(self, name: str, path: str = "/item/1") -> tuple[int, str, bytes]:
        """Return the status, the server that answered, and the body."""
        try:
            with urllib.request.urlopen(self.url(name) + path, timeout=5) as answer:
                return answer.status, answer.headers.get("X-Backend", ""), answer.read()
        except OSError as error:
            return getattr(error, "code", 0), "", b""


@pytest.fixture(scope="module")
def compose() -> Iterator[Compose]:
    compose = Compose()
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
