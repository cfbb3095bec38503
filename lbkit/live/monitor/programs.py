"""Prometheus and Alertmanager as processes on loopback, with their data in a temporary folder."""

from __future__ import annotations

import urllib.request
from collections.abc import Mapping
from pathlib import Path

from lbkit.live.server import Server
from lbkit.needs import PROGRAMS

TIMEOUT = 2.0  # seconds for an answer


class Monitoring(Server):
    """One of the two; `files`: name -> text, what it reads at its start."""

    def __init__(self, files: Mapping[str, str]) -> None:
        super().__init__()
        self.files = files

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    @property
    def folder(self) -> Path:
        return Path(self._room.name)

    @property
    def running(self) -> bool:
        return self._program is not None and self._program.running

    def last_words(self) -> str:
        return self._program.last_words() if self._program else ""

    def prepare(self) -> None:
        for name, text in self.files.items():
            (self.folder / name).write_text(text, "utf-8")

    def answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=TIMEOUT) as answer:
                return bool(answer.status == 200)
        except OSError:  # it starts, and says 503 until it is ready
            return False

    def binary(self) -> str:
        """Return its path; distributions differ in the name."""
        return self.tool(*PROGRAMS[self.program].names)


class Prometheus(Monitoring):
    """Raises EngineError where there is no prometheus."""

    program = "prometheus"

    def command(self) -> list[str]:
        return [
            self.binary(),
            f"--config.file={self.folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={self.folder / 'data'}",
            f"--web.listen-address={self.address}",
            "--log.level=warn",
        ]


class Alertmanager(Monitoring):
    """Alone: without an address for a cluster it looks for no others. Raises EngineError where there is
    none."""

    program = "alertmanager"

    def command(self) -> list[str]:
        return [
            self.binary(),
            f"--config.file={self.folder / 'alertmanager.yml'}",
            f"--storage.path={self.folder / 'data'}",
            f"--web.listen-address={self.address}",
            "--cluster.listen-address=",
            "--log.level=warn",
        ]
