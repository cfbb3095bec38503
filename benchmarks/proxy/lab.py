"""Where the candidates run: a folder, three backends (an nginx), an echo server, a certificate."""

from __future__ import annotations

import random
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import psutil

from lbkit.live.program import free_ports, listens
from lbkit.needs import PROGRAMS, find_program, why_not
from lbkit.net.modsecurity import CORE_RULE_SET, files_of, preamble
from lbkit.net.tls.lab import make_certificates

BODY = b"x" * 128  # of most answers
PAGE = 16 * 1024  # bytes of the page that is worth compressing
WORDS = ("one", "two", "three", "four", "five", "six", "seven")  # that it consists of
START_TIMEOUT = 60.0

BACKENDS = """
daemon off; pid @file.pid; error_log stderr crit; worker_processes 1;
events { worker_connections 4096; }
http {
  access_log off; keepalive_requests 100000000; default_type text/plain; types { text/html html; }
  server {
    listen 127.0.0.1:@b1; listen 127.0.0.1:@b2; listen 127.0.0.1:@b3; root @folder;
    location / { return 200 "@body"; }
    location /cached { add_header Cache-Control max-age=86400; return 200 "@body"; }
    location /same { add_header Set-Cookie "sid=0; Path=/; HttpOnly"; return 200 "@body"; }
    location /varied { add_header Set-Cookie "sid=$request_id; Path=/; HttpOnly"; return 200 "@body$uri"; }
    location /page.html { }
  }
}
"""


class Config(NamedTuple):
    """A program and its configuration, in which @port, @folder, @cert, @b1 and so on are filled in."""

    command: tuple[str, ...]
    text: str = ""
    needs: tuple[str, ...] = ()  # features or programs of lbkit.needs
    file: str = ""  # and this one, such as a module

    def missing(self) -> str:
        """Return what this machine lacks for it, in one line; empty if nothing."""
        for name in self.needs:
            if name not in PROGRAMS:
                if reason := why_not(name):
                    return reason
            elif find_program(PROGRAMS[name].names) is None:
                return f"{name} is not installed: {PROGRAMS[name].hint}"
        return f"there is no {self.file}" if self.file and not Path(self.file).exists() else ""


class Candidate(NamedTuple):
    """A program that runs, and serves."""

    name: str
    process: psutil.Process
    port: int

    def cpu(self) -> float:
        """Seconds of processor time so far, of all its processes."""
        return sum(sum(p.cpu_times()[:2]) for p in self._processes())

    def memory(self) -> int:
        """Bytes that are its own."""
        return sum(p.memory_full_info().uss for p in self._processes())

    def _processes(self) -> list[psutil.Process]:
        return [self.process, *self.process.children(recursive=True)]


class Lab:
    """Starts candidates, which run until the end of `stack`. What is filled into their configurations is in
    `names`."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._running: dict[Config, Candidate] = {}
        self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lbkit-bench-")))
        self.folder.chmod(0o755)  # workers of nginx may be another user's
        (made,) = make_certificates(self.folder, ["localhost"])
        both = self.folder / "both.pem"
        both.write_bytes(made.cert.read_bytes() + made.key.read_bytes())
        page = " ".join(random.Random(1).choices(WORDS, k=PAGE))
        (self.folder / "page.html").write_text(page[:PAGE])
        if not why_not("modsecurity"):
            rules = "".join(f"Include {file}\n" for file in files_of(CORE_RULE_SET))
            (self.folder / "rules").write_text(preamble() + rules)
        b1, b2, b3, echo = free_ports(4)
        self.names: dict[str, object] = {
            "folder": self.folder,
            "cert": both,
            "body": BODY.decode(),
            **{"b1": b1, "b2": b2, "b3": b3, "echo": echo},
        }
        nginx = Config(("nginx", "-c", "@file", "-p", "@folder"), BACKENDS)
        stack.enter_context(self.running("backends", nginx, b1))
        python = Config((sys.executable, "-m", "benchmarks.proxy.echo", "@echo"))
        stack.enter_context(self.running("echo", python, echo))

    def candidate(self, name: str, config: Config, ready: Callable[[int], bool]) -> Candidate:
        """Return the program with this configuration, which is started once."""
        if config not in self._running:
            (port,) = free_ports(1)
            self._running[config] = self._stack.enter_context(self.running(name, config, port, ready))
        return self._running[config]

    @contextmanager
    def running(
        self, name: str, config: Config, port: int, ready: Callable[[int], bool] = listens
    ) -> Iterator[Candidate]:
        """The program, once it is ready; stopped afterwards."""
        file = self.folder / f"{port}.conf"
        names = self.names | {"port": port, "file": file}
        file.write_text(fill(config.text, names))
        command = [fill(word, names) for word in config.command]
        command[0] = find_program([command[0]]) or command[0]
        with tempfile.TemporaryFile() as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
            try:
                deadline = time.monotonic() + START_TIMEOUT
                while not ready(port):
                    if process.poll() is not None or time.monotonic() > deadline:
                        log.seek(0)
                        sys.exit(f"{name} did not start: {log.read().decode(errors='replace')}")
                    time.sleep(0.02)
                yield Candidate(name, psutil.Process(process.pid), port)
            finally:
                process.terminate()
                process.wait(START_TIMEOUT)


def fill(text: str, names: Mapping[str, object]) -> str:
    return re.sub(r"@([a-z]+\d?)", lambda found: str(names[found[1]]), text)


def echoes(port: int) -> bool:
    """Whether a datagram comes back."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(0.2)
        try:
            sock.sendto(b"?", ("127.0.0.1", port))
            sock.recv(10)
        except OSError:
            return False
    return True
