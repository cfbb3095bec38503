"""The base class of real programs as the front of an experiment."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

from lbkit.core import Backend
from lbkit.core.state_change import StateChange
from lbkit.experiment import Experiment, Policy
from lbkit.live.front import config_lines
from lbkit.live.lab import Lab
from lbkit.live.peers.errors import PeerError
from lbkit.live.peers.health import Changes
from lbkit.live.peers.process import cpu_seconds
from lbkit.live.peers.retrying import RetryWays
from lbkit.live.peers.securing import Files, Securing
from lbkit.live.peers.support import Member, Support
from lbkit.live.program import ATTEMPTS, Program, free_ports
from lbkit.metrics.store import Scrape
from lbkit.needs import find_program


class Peer(Support):
    """A program: its configuration from an Experiment, its process, and the events of a run."""

    def __init__(self, experiment: Experiment, layer: int = 7) -> None:
        """Raises PeerError for what the program cannot do."""
        layer = 4 if experiment.layer4 else layer
        if layer not in self.layers:
            raise PeerError(f"{self.name} has no layer {layer} here: {' or '.join(map(str, self.layers))}")
        self.layer = layer
        self.experiment = experiment
        self.policy = experiment.policy
        self.check(self.policy)
        self.check_routing()
        if layer == 4 and self.policy.sticky and self.policy.sticky.how != "source":
            raise PeerError(f"{self.name} sees no cookies and URLs on layer 4: use sticky.how = 'source'")
        if layer == 4 and self.policy.retry:
            RetryWays(("connect",)).check(f"{self.name} on layer 4", self.policy.retry)
        self.check_limits()
        if experiment.admission:
            raise PeerError(f"{self.name} has no admission here: use lbkit's proxy")
        self.check_cache()
        self.check_firewall()
        self.check_tls()
        self.compressing  # noqa: B018 - raises for what the program does not have
        self.lab: Lab | None = None
        self.members: dict[str, Member] = {}
        self.port = 0
        self.admin_port = 0
        self.folder = Path()
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._program: Program | None = None
        self._changes = Changes()

    # -- for each program to define --------------------------------------------------------------

    def config(self) -> str:
        """Return the configuration, with comments, for the present `members`."""
        raise NotImplementedError

    def command(self, program: str, path: Path) -> list[str]:
        """Return the command that runs the program in the foreground."""
        raise NotImplementedError

    def apply(self, member: Member) -> None:
        """Apply a changed weight or state of a member to the running program. Raises PeerError."""
        self.reload()

    def read_line(self, line: str, at: float) -> None:
        """Note in `_changes` what a line of the program's output says of servers' health. Raises nothing."""

    def stats(self) -> dict[str, Any]:
        """Return the program's own statistics; `servers` by name if it has them for each."""
        return {}

    # -- Front --------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        assert self.port, "start first"
        return f"{'https' if self.experiment.tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def securing(self) -> Securing:
        """TLS and HTTP/2 between clients and the program."""
        lab = self.lab
        return Securing.of(self.experiment, Files(lab.cert, lab.key, lab.both) if lab else Files())

    def place(self, backends: Iterable[Backend]) -> None:
        """Take the servers and their addresses as members."""
        joining = self.experiment.joining
        self.members = {
            b.name: Member(
                b.name, f"{b.host}:{b.port}", b.weight, b.pool, "out" if b.name in joining else "ready"
            )
            for b in backends
        }

    def start(self, backends: Iterable[Backend]) -> None:
        """Start the program. Raises PeerError with its last messages."""
        self.place(backends)
        program = find_program(self.programs)
        if program is None:
            raise PeerError(f"{self.programs[0]} is not installed")
        self._temporary = tempfile.TemporaryDirectory(prefix=f"lbkit-{self.name}-")
        self.folder = Path(self._temporary.name)
        for attempt in range(ATTEMPTS):
            self.port, self.admin_port = free_ports(2)
            self._program = self._launch(program)
            if self._program.serves(self.port):
                return
            words = self._program.last_words()
            self._end()
            if "in use" not in words or attempt == ATTEMPTS - 1:
                self.stop()
                hint = next((hint for sign, hint in self.start_hints.items() if sign in words), "")
                raise PeerError(f"{self.name} did not start: {hint or words}")

    def launch_again(self) -> None:
        """Start the program on the ports that it had, after a crash. Raises PeerError."""
        self._end()
        self._program = self._launch(str(find_program(self.programs)))
        if not self._program.serves(self.port):
            raise PeerError(f"{self.name} did not start again: {self._program.last_words()}")

    def signal(self, number: int) -> None:
        """Send a signal to all its processes, if it runs."""
        for process in self._processes():
            process.send_signal(number)

    def _launch(self, program: str) -> Program:
        path = self.folder / "config"
        path.write_text(self.config(), encoding="utf-8")
        home = {"HOME": str(self.folder), "XDG_DATA_HOME": str(self.folder)}
        launched = Program(self.command(program, path), cwd=self.folder, env=os.environ | home)
        if self.policy.health:
            launched.follow(self.read_line)
        return launched

    def stop(self) -> None:
        self._end()
        temporary, self._temporary = self._temporary, None
        if temporary:
            temporary.cleanup()

    def _end(self) -> None:
        program, self._program = self._program, None
        if program:
            program.end()

    def reload(self) -> None:
        """Write the configuration and reload it; running requests finish under the old one."""
        (self.folder / "config").write_text(self.config(), encoding="utf-8")
        processes = self._processes()
        if not processes or self.reload_signal is None:
            raise PeerError(f"{self.name} does not run: start it first")
        processes[0].send_signal(self.reload_signal)

    def switch(self, policy: Policy) -> None:
        """Switch to another policy. Raises PeerError if the program does not support it."""
        self.check(policy)
        self.policy = policy
        if policy.health and self._program:
            self._program.follow(self.read_line)
        self.reload()

    def add(self, name: str, weight: float | None = None) -> None:
        """Add a server to the pool, by default with its weight in the experiment."""
        if weight is None:
            weight = next(server.weight for server in self.experiment.leaves if server.name == name)
        self._change(name, state="ready", weight=weight)

    def remove(self, name: str) -> None:
        self._check_member(name)
        self._change(name, state="out")

    def drain(self, name: str) -> None:
        self._check_member(name)
        self._change(name, state="drain")

    def drained(self, name: str) -> bool:
        """Return whether a server has no request in flight, as far as the program reports it."""
        running: int | None = self.state()[name]["in_flight"]
        return running == 0

    def take_out(self, name: str) -> None:
        """Do nothing: a draining server gets no requests."""

    def name_of(self, address: str) -> str | None:
        """Return the server at host:port; None for another address."""
        return next((m.name for m in self.members.values() if m.address == address), None)

    def undrain(self, name: str) -> None:
        self._check_member(name)
        self._change(name, state="ready")

    def set_weight(self, name: str, weight: float) -> None:
        self._change(name, weight=weight)

    def _check_member(self, name: str) -> None:
        """Raise PeerError for a server that is not in the pool, as the program would add it."""
        if self.members[name].state == "out":
            raise PeerError(f"{name!r} is not in the pool: add it first")

    def _change(self, name: str, **changes: Any) -> None:
        member = self.members[name]
        for what, value in changes.items():
            setattr(member, what, value)
        self.apply(member)

    untold: ClassVar[str] = "This program has no statistics that lbkit can read."

    def metrics(self) -> Scrape:
        """Return what the program tells of itself. Raises OSError, ValueError or PeerError if it does not
        answer."""
        return {}

    def state(self) -> dict[str, dict[str, Any]]:
        try:
            counted = self.stats().get("servers", {})
        except (OSError, ValueError, PeerError):  # not yet, or no longer
            counted = {}
        nothing = {"in_flight": None, "picks": None}
        return {
            m.name: {"weight": m.weight, "intent": m.state, **nothing, **counted.get(m.name, {})}
            for m in self.members.values()
        }

    def watch(self) -> None:
        """It tells nothing of single requests while they run."""

    def cpu(self) -> float:
        return sum(cpu_seconds(process) for process in self._processes())

    def faults(self) -> list[str]:
        return []

    def changes(self) -> list[StateChange]:
        return self._changes.so_far()

    def facts(self) -> dict[str, Any]:
        text = self.config()
        return {
            "program": self.version(),
            "config": text,
            "config_lines": config_lines(text),
            "notes": self.notes(),
            "stats": self.stats(),
        }

    def version(self) -> str:
        """Return the version as the program prints it."""
        program = find_program(self.programs)
        printed = subprocess.run(
            [str(program), *self.version_arguments], capture_output=True, text=True, timeout=10, check=False
        )
        return (printed.stdout + printed.stderr).strip().splitlines()[0]

    version_arguments: ClassVar[tuple[str, ...]] = ("-v",)

    def _processes(self) -> list[Any]:
        """Return the program's master and its workers, as psutil.Process objects."""
        return self._program.processes() if self._program else []
