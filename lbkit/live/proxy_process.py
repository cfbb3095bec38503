"""`lbkit proxy` in a process of its own, with the interfaces that its operator has."""

from __future__ import annotations

import re
import sys
import tempfile
import urllib.request
from pathlib import Path
from typing import Self

import attrs
import tomli_w

from lbkit.live.front import wait_until
from lbkit.live.program import Program
from lbkit.net import ProxyConfig
from lbkit.net.running import ProxyError
from lbkit.net.settings import AdminRules
from lbkit.started import Started

FREE_PORT = "127.0.0.1:0"
STARTS = 60.0  # seconds within which it does, or never
_URL = re.compile(r"https?://[\w.:\[\]]+")


class ProxyProcess(Started):
    """A proxy as `lbkit proxy` runs it, on free ports. `url`: for clients; `admin`: its status page, and the
    address under which /metrics is."""

    def __init__(self, config: ProxyConfig) -> None:
        """`config`: without `listen` and `admin`, which are set here."""
        self.config = attrs.evolve(config, listen=FREE_PORT, admin=AdminRules(listen=FREE_PORT))
        self.url = ""
        self.admin = ""
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._program: Program | None = None

    def start(self) -> Self:
        """Raises ProxyError with its last words if it does not start."""
        self._folder = tempfile.TemporaryDirectory(prefix="lbkit-")
        path = Path(self._folder.name, "proxy.toml")
        path.write_text(tomli_w.dumps(self.config.to_dict()), encoding="utf-8")
        program = self._program = Program([sys.executable, "-m", "lbkit", "proxy", str(path)])
        said: list[str] = []
        program.follow(lambda line, at: said.append(line))

        def urls() -> list[str]:
            return [found[0] for line in list(said) if (found := _URL.search(line))]

        wait_until(lambda: len(urls()) >= 2 or not program.running, STARTS)
        if len(urls()) < 2:
            self.stop()
            raise ProxyError(f"lbkit proxy did not start: {' '.join(said) or 'it said nothing'}")
        self.url, self.admin = urls()[:2]
        return self

    def metrics(self) -> str:
        """Return what /metrics says, as Prometheus reads it. Raises OSError without an answer."""
        with urllib.request.urlopen(f"{self.admin}/metrics", timeout=10) as answer:
            text: str = answer.read().decode()
            return text

    def stop(self) -> None:
        if self._program:
            self._program.end()
        if self._folder:
            self._folder.cleanup()
