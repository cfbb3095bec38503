"""The containers of docker/compose.yaml, under a project and on ports of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
import urllib.request
from pathlib import Path

import pytest
from needs import need_docker

from lbkit.live.program import free_ports

FOLDER = Path(__file__).parents[1] / "docker"
PROGRAMS = ("NGINX", "HAPROXY", "APACHE", "CADDY", "REDIS", "PROMETHEUS", "ALERTMANAGER")
PORTS = ("LBKIT", "LOCUST", "GRAFANA", *PROGRAMS)
# Where no registry is in reach, one base image has all the programs.
IMAGES = [f"{name}_IMAGE" for name in PROGRAMS]


def compose_command() -> list[str]:
    """Compose v2, or v1, or a skip."""
    docker = need_docker()
    if subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode == 0:
        return [docker, "compose"]
    if v1 := shutil.which("docker-compose"):
        return [v1]
    pytest.skip("compose is not installed: apt-get install docker-compose (macOS: part of Docker Desktop)")


class Compose:
    """Calls compose with a profile switched on."""

    def __init__(self, profile: str) -> None:
        self.profile = profile
        self.project = f"lbkit-test-{os.getpid()}"
        self.ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
        self.base = base = os.environ.get("LBKIT_BASE_IMAGE")
        self.environment = os.environ | {f"{name}_PORT": str(port) for name, port in self.ports.items()}
        self.environment |= dict.fromkeys(IMAGES, base) if base else {}
        self.command = [*compose_command(), "-f", str(FOLDER / "compose.yaml"), "-p", self.project]

    def __call__(self, *arguments: str) -> str:
        done = subprocess.run(
            [*self.command, "--profile", self.profile, *arguments],
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
