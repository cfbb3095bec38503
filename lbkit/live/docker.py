"""Backends in containers, which can be stopped, killed, paused, throttled and delayed."""

from __future__ import annotations

import atexit
import json
import os
import socket
import sys
import time
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Any, Self

from lbkit import __version__
from lbkit.experiment import Server, server_to_dict
from lbkit.live.fleet import START_TIMEOUT, Fleet, FleetError
from lbkit.live.front import wait_until
from lbkit.live.program import free_ports, listens
from lbkit.run import EngineError, require

IMAGE = os.environ.get("LBKIT_IMAGE", f"lbkit:{__version__}")
LABEL = "lbkit.fleet"
PORT = "8000/tcp"
PERIOD = 100_000  # microseconds, the period of the kernel's limit on processor time


def why_not() -> str:
    """Return why this machine cannot run containers; empty if it can."""
    try:
        client = _client()
    except EngineError as error:
        return str(error)
    client.close()
    return ""


def sdk() -> Any:
    """Return the docker package, imported on demand. (By name: type checkers find our folder instead.)"""
    return import_module("docker")


def _knock() -> None:
    """Connect to the engine's Unix socket, if that is its address. Raises OSError.

    The docker package leaks the socket of a failed connection, so this is tried first."""
    path = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock").removeprefix("unix://")
    if path.startswith("/") and sys.platform != "win32":
        with socket.socket(socket.AF_UNIX) as knock:
            knock.settimeout(5)
            knock.connect(path)


def _client() -> Any:
    """Return a client of the Docker engine. Raises EngineError without an engine."""
    docker = sdk()
    try:
        _knock()
        client = docker.from_env(timeout=60)
        client.ping()
    except (docker.errors.DockerException, OSError):
        raise EngineError(
            "docker needs a running Docker engine: start Docker Desktop, or dockerd as root"
        ) from None
    return client


def build_image(tag: str = IMAGE, base: str | None = None) -> str:
    """Build the kit's image from its sources; return its tag.

    `base`: the base image; by default LBKIT_BASE_IMAGE, or python:3-slim (see docker/Dockerfile). Raises
    EngineError with the end of the build's output."""
    docker = sdk()
    root = Path(__file__).parents[2]
    if not (root / "docker" / "Dockerfile").exists():
        raise EngineError(
            f"the image {tag} is missing, and there is no docker/Dockerfile in {root} to build it"
        )
    base = base or os.environ.get("LBKIT_BASE_IMAGE")
    client = _client()
    try:
        client.images.build(
            path=str(root),
            dockerfile="docker/Dockerfile",
            tag=tag,
            rm=True,
            buildargs={"BASE_IMAGE": base} if base else {},
            network_mode=os.environ.get("LBKIT_BUILD_NETWORK"),
        )
    except docker.errors.BuildError as error:
        said = "".join(part.get("stream", "") for part in error.build_log)[-1500:]
        raise EngineError(f"building {tag} failed: {error}\n{said}") from None
    except docker.errors.APIError as error:
        raise EngineError(f"building {tag} failed: {error.explanation or error}") from None
    finally:
        client.close()
    return tag


class DockerFleet(Fleet):
    """One container for each server, published on 127.0.0.1.

    >>> with DockerFleet(servers(3), cpus={"s3": 0.25}) as fleet:  # doctest: +SKIP
    ...     fleet.pause("s1")
    ...     fleet.delay("s2", 0.05)

    A container's backend exits when the connection to its standard input closes, so it does not outlive this
    process. The stopped container that then remains is removed by the next fleet.
    """

    def __init__(
        self,
        servers: Iterable[Server],
        seed: int = 1,
        *,
        cpus: dict[str, float] | None = None,
        memory: str = "256m",
        image: str = IMAGE,
    ) -> None:
        """`cpus`: server -> its limit of processors. `memory`: the limit of each, in Docker's notation."""
        super().__init__(servers, seed)
        self.image = image
        self.memory = memory
        self.cpus = {self.check(name).name: share for name, share in (cpus or {}).items()}
        self._ports: dict[str, int] = {}
        self._containers: dict[str, Any] = {}
        self._holds: dict[str, Any] = {}  # server -> the connection to its standard input
        self._docker: Any = None
        self._delayed: set[str] = set()  # servers with a slow network
        self._started: dict[str, float] = {}  # server -> its last start
        self._start_times: dict[str, float] = {}

    def start(self) -> Self:
        """Start all containers; builds the image first if it is missing, which takes a minute."""
        require("docker")
        docker = sdk()
        self._docker = _client()
        atexit.register(self.stop)
        try:
            self._sweep()
            try:
                self._docker.images.get(self.image)
            except docker.errors.ImageNotFound:
                build_image(self.image)
            for name, port in zip(self.servers, free_ports(len(self.servers)), strict=True):
                self._ports[name] = port
                self._containers[name] = self._create(self.servers[name], port)
                self._run(name)
            for name in self.servers:
                self._ready(name)
        except docker.errors.APIError as error:
            self.stop()
            raise FleetError(f"docker: {error.explanation or error}") from None
        except BaseException:
            self.stop()
            raise
        return self

    def _create(self, server: Server, port: int) -> Any:
        settings = {"server": server_to_dict(server), "host": "0.0.0.0", "port": 8000, "seed": self.seed}
        api = self._docker.api
        cpus = self.cpus.get(server.name)
        made = api.create_container(
            self.image,
            ["python", "-m", "lbkit.live.backend", json.dumps(settings)],
            ports=[8000],
            labels={LABEL: str(os.getpid())},
            stdin_open=True,  # with detach=False, closes when its client does
            detach=False,
            host_config=api.create_host_config(
                port_bindings={PORT: ("127.0.0.1", port)},
                mem_limit=self.memory,
                cpu_period=PERIOD,
                cpu_quota=int(PERIOD * cpus) if cpus else None,
                cap_drop=["ALL"],
                cap_add=["NET_ADMIN"],  # for tc; the backend does not have it, as it does not run as root
            ),
        )
        return self._docker.containers.get(made["Id"])

    def _run(self, name: str) -> None:
        container = self._containers[name]
        self._started[name] = time.monotonic()
        self._holds[name] = container.attach_socket(params={"stdin": 1, "stream": 1})
        container.start()

    def _let_go(self, name: str) -> None:
        hold = self._holds.pop(name)
        hold._response.close()  # docker-py keeps the answer on it and warns if it is closed later
        hold.close()

    def _ready(self, name: str) -> None:
        port = self._ports[name]

        def serves() -> bool:
            return listens(port) and self._answers(name)

        def over() -> bool:
            return serves() or not self.alive()[name]

        if not wait_until(over, START_TIMEOUT) or not self.alive()[name]:
            said = self._containers[name].logs().decode(errors="replace").strip()[-2000:]
            raise FleetError(f"backend {name!r} did not start: {said or 'it wrote no message'}")
        self._start_times[name] = time.monotonic() - self._started[name]

    def _answers(self, name: str) -> bool:
        try:
            self.control(name)
        except FleetError:
            return False
        return True

    def stop(self) -> None:
        atexit.unregister(self.stop)
        for name in list(self._holds):
            self._let_go(name)
        for container in self._containers.values():
            container.remove(force=True)
        self._containers.clear()
        if self._docker:
            self._docker.close()
            self._docker = None

    def _sweep(self) -> None:
        """Remove the containers of fleets that were killed."""
        for container in self._docker.containers.list(all=True, filters={"label": LABEL, "status": "exited"}):
            if not _lives(container.labels[LABEL]):
                container.remove(force=True)

    def port(self, name: str) -> int:
        return self._ports[self.check(name).name]

    def _container(self, name: str) -> Any:
        """Return a server's container. Raises KeyError with the known names."""
        return self._containers[self.check(name).name]

    def alive(self) -> dict[str, bool]:
        return {name: self._state(name)["Running"] for name in self._containers}

    def _state(self, name: str) -> dict[str, Any]:
        state: dict[str, Any] = self._docker.api.inspect_container(self._container(name).id)["State"]
        return state

    # -- events --------------------------------------------------------------------------------------

    def crash(self, name: str) -> None:
        container = self._container(name)
        self.hung.discard(name)
        if self._state(name)["Running"]:
            if self._state(name)["Paused"]:
                container.unpause()  # the engine does not kill a paused container
            container.kill()  # SIGKILL
            container.wait()

    def halt(self, name: str, grace: int = 5) -> None:
        """Send SIGTERM: the server has `grace` seconds to finish its requests."""
        self._container(name).stop(timeout=grace)

    def recover(self, name: str, at: float = 0.0) -> None:
        if self._state(name)["Paused"]:
            self._container(name).unpause()
        if name in self._delayed:
            self.delay(name, 0.0)
            self._delayed.discard(name)
        super().recover(name, at)

    @property
    def start_times(self) -> dict[str, float]:
        return self._start_times

    def restart(self, name: str, at: float = 0.0) -> None:
        """Start a container in time to serve at `at`."""
        self._let_go(name)
        time.sleep(max(0.0, at - self._start_times[name] - time.monotonic()))
        self._run(name)
        self._ready(name)

    def pause(self, name: str) -> None:
        """Freeze a container: connections are neither refused nor answered, the worst kind of failure."""
        self._container(name).pause()

    def _freeze(self, name: str) -> None:
        self.pause(name)

    def _thaw(self, name: str) -> None:
        if self._state(name)["Paused"]:
            self._container(name).unpause()

    def slow_network(self, name: str, seconds: float) -> None:
        """Add `seconds` to each direction of a server's network; its answers wait for both."""
        try:
            self.delay(name, 2 * seconds)
        except FleetError as error:
            self._note(f"delay: the server waits itself, as {error}")
            self.disturb(name, delay=seconds)
        else:
            self._delayed.add(name)

    def throttle(self, name: str, cpus: float) -> None:
        """Limit a server to `cpus` processors; 0.25 is a quarter."""
        self._docker.api.update_container(
            self._container(name).id, cpu_period=PERIOD, cpu_quota=int(PERIOD * cpus)
        )

    def delay(self, name: str, seconds: float, jitter: float = 0.0) -> None:
        """Delay each packet that a server sends, with tc's netem; 0 removes the delay.

        Raises FleetError if the image has no tc or the kernel no netem."""
        change = f"replace dev eth0 root netem delay {1e3 * seconds:g}ms {1e3 * jitter:g}ms"
        command = f"tc qdisc {change if seconds or jitter else 'del dev eth0 root'}"
        code, said = self._container(name).exec_run(command, user="root")
        text = said.decode(errors="replace").strip()
        if "kind is unknown" in text:
            raise FleetError("this kernel has no netem: give the Server a delay in the experiment instead")
        if code and (seconds or jitter):  # removing a delay that is not set is no failure
            raise FleetError(f"{command}: {text}")


def _lives(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (OSError, ValueError):
        return False
    return True
