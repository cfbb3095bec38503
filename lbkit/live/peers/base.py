"""A real program as the front of an experiment: what all of them have in common."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from lbkit.core import Backend, Balancer, make_balancer
from lbkit.core.backend import whole_weights
from lbkit.experiment import Experiment, Policy
from lbkit.live.front import config_lines
from lbkit.live.peers.errors import PeerError
from lbkit.live.peers.process import cpu_seconds
from lbkit.live.program import ATTEMPTS, Program, free_ports
from lbkit.run import find_program


@dataclass
class Member:
    """A server as the program has it."""

    name: str
    address: str  # host:port
    weight: float
    state: str = "ready"  # "ready", "drain" (nothing new) or "out" (not yet in, or out for good)


class Peer:
    """Renders a configuration from an Experiment, runs the program with it, and passes events on."""

    name: ClassVar[str]
    programs: ClassVar[tuple[str, ...]]  # what it may be called
    reload_signal: ClassVar[signal.Signals | None] = None  # reads its configuration again, losing nothing
    # lbkit's algorithm -> how this program has it, {key} being what is hashed; or a function that makes that
    # of the algorithm with its options. One that is missing cannot be had.
    algorithms: ClassVar[Mapping[str, str | Callable[[Any], str]]]
    KEYS: ClassVar[Mapping[str, str]] = {}  # what a key is called there
    instead: ClassVar[Mapping[str, str]] = {}  # algorithm -> why not, and what to do
    # What an experiment says that this program does not do, or does otherwise.
    differences: ClassVar[tuple[str, ...]] = ()
    mends: ClassVar[Mapping[str, str]] = {}  # what it says when something is missing -> what to do
    max_weight: ClassVar[int] = 1000
    draws_by_weight: ClassVar[bool] = False  # where it compares a few drawn ones
    many_balancers: ClassVar[bool] = False  # whether its processes may decide each by itself
    layers: ClassVar[tuple[int, ...]] = (7,)  # 4: it passes on whole connections, unread

    def __init__(self, experiment: Experiment, layer: int = 7) -> None:
        """Raises PeerError for what the program cannot do."""
        if layer not in self.layers:
            raise PeerError(f"{self.name} has no layer {layer} here: {' or '.join(map(str, self.layers))}")
        self.layer = layer
        self.experiment = experiment
        self.policy = experiment.policy
        self.check(self.policy)
        self.check_limits()
        if experiment.admission:
            raise PeerError(f"{self.name} has no admission here: lbkit's proxy has")
        self.members: dict[str, Member] = {}
        self.port = 0
        self.admin_port = 0
        self.folder = Path()
        self._room: tempfile.TemporaryDirectory[str] | None = None
        self._program: Program | None = None

    # -- what each program has of its own ------------------------------------------------------

    def config(self) -> str:
        """Its configuration, commented, for `members` as they are."""
        raise NotImplementedError

    def command(self, program: str, path: Path) -> list[str]:
        """How to run it in the foreground."""
        raise NotImplementedError

    def apply(self, member: Member) -> None:
        """Make a change of a member's weight or state known to the running program. Raises PeerError."""
        self.reload()

    def stats(self) -> dict[str, Any]:
        """What the program counts by itself; `servers` by name where it does so for each."""
        return {}

    def balance(self) -> str:
        """The lines that choose the algorithm. Raises PeerError for a key that it does not see."""
        key = self.policy.keyed_by
        line = self.algorithms[self.policy.algorithm]
        text = line if isinstance(line, str) else line(self._balancer())
        if "{key}" not in text:
            return text
        kind, _, name = key.partition(":")
        if kind not in self.KEYS:
            raise PeerError(f"{self.name} cannot hash by {key!r} here: it can by {', '.join(self.KEYS)}")
        if self.layer == 4 and key != "client":
            raise PeerError(f"{self.name} cannot hash by {key} on layer 4: it sees addresses only")
        return text.replace("{key}", self.KEYS[kind].replace("{name}", self.field_name(name)))

    @staticmethod
    def field_name(name: str) -> str:
        """A header's, cookie's or parameter's name, as it is written there."""
        return name

    def _balancer(self) -> Balancer:
        return make_balancer(self.policy.algorithm, **self.policy.options)

    # -- what it is asked for ----------------------------------------------------------------------

    @classmethod
    def check(cls, policy: Policy) -> None:
        """Raises PeerError when the program has no such algorithm."""
        name = policy.algorithm
        if name not in cls.algorithms:
            why = cls.instead.get(name, f"{cls.name} has no such algorithm")
            have = ", ".join(cls.algorithms)
            raise PeerError(f"{cls.name} cannot do {name!r}: {why}. It can do {have}")
        if policy.balancers > 1 and not cls.many_balancers:
            raise PeerError(f"{cls.name} decides alone here: policy.balancers is {policy.balancers}, use 1")

    def check_limits(self) -> None:
        """Raises PeerError for a rate limit that the program is not told."""
        if self.experiment.limits:
            raise PeerError(
                f"{self.name} is told no rate limits here: nginx is, lbkit's proxy takes all kinds"
            )

    def notes(self) -> list[str]:
        """Where it is not quite what the experiment says."""
        notes = list(self.differences)
        if self.layer == 4:
            notes.insert(
                0, "layer 4: a connection is balanced, not a request, and nobody reads X-Forwarded-For"
            )
        if self.policy.slow_start or self.policy.panic:
            notes.append(f"{self.name} does no slow start and no panic here")
        if self.draws_by_weight and self.policy.algorithm in ("power_of_two", "power_of_choices"):
            weights = set(self.weights().values())
            if len(weights) > 1 and not getattr(self._balancer(), "weighted", False):
                notes.append(
                    f"{self.name} also draws by weight; lbkit draws all alike, and weighs their load"
                )
        if scaled := self.scaled_weights():
            notes.append(f"weights are whole numbers here: {scaled}")
        return notes

    def weights(self) -> dict[str, int]:
        """Whole numbers in proportion; all 1 where the algorithm takes no notice of weights."""
        if not weighted(self.policy.algorithm):
            return dict.fromkeys(self.members, 1)
        return whole_weights({m.name: m.weight for m in self.members.values()}, self.max_weight)

    def scaled_weights(self) -> str:
        whole = self.weights()
        same = all(whole[m.name] == m.weight for m in self.members.values())
        if same or not weighted(self.policy.algorithm):
            return ""
        return ", ".join(f"{name} {weight}" for name, weight in whole.items())

    # -- Front --------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        assert self.port, "start first"
        return f"http://127.0.0.1:{self.port}"

    def place(self, backends: Iterable[Backend]) -> None:
        """The servers, and where they are."""
        joining = self.experiment.joining
        self.members = {
            b.name: Member(b.name, f"{b.host}:{b.port}", b.weight, "out" if b.name in joining else "ready")
            for b in backends
        }

    def start(self, backends: Iterable[Backend]) -> None:
        """Raises PeerError, with what the program said."""
        self.place(backends)
        program = find_program(self.programs)
        if program is None:
            raise PeerError(f"{self.programs[0]} is not installed")
        self._room = tempfile.TemporaryDirectory(prefix=f"lbkit-{self.name}-")
        self.folder = Path(self._room.name)
        for attempt in range(ATTEMPTS):
            self.port, self.admin_port = free_ports(2)
            self._program = self._launch(program)
            if self._program.serves(self.port):
                return
            words = self._program.last_words()
            self._end()
            if "in use" not in words or attempt == ATTEMPTS - 1:
                self.stop()
                hint = next((mend for sign, mend in self.mends.items() if sign in words), "")
                raise PeerError(f"{self.name} did not start: {hint or words}")

    def _launch(self, program: str) -> Program:
        path = self.folder / "config"
        path.write_text(self.config(), encoding="utf-8")
        home = {"HOME": str(self.folder), "XDG_DATA_HOME": str(self.folder)}
        return Program(self.command(program, path), cwd=self.folder, env=os.environ | home)

    def stop(self) -> None:
        self._end()
        room, self._room = self._room, None
        if room:
            room.cleanup()

    def _end(self) -> None:
        program, self._program = self._program, None
        if program:
            program.end()

    def reload(self) -> None:
        """Write the configuration anew and have it read; running requests finish under the old one."""
        (self.folder / "config").write_text(self.config(), encoding="utf-8")
        processes = self._processes()
        if not processes or self.reload_signal is None:
            raise PeerError(f"{self.name} does not run")
        processes[0].send_signal(self.reload_signal)

    def switch(self, policy: Policy) -> None:
        """Raises PeerError for an algorithm that it has not."""
        self.check(policy)
        self.policy = policy
        self.reload()

    def add(self, name: str) -> None:
        self._change(name, state="ready")

    def remove(self, name: str) -> None:
        self._change(name, state="out")

    def drain(self, name: str) -> None:
        self._change(name, state="drain")

    def set_weight(self, name: str, weight: float) -> None:
        self._change(name, weight=weight)

    def _change(self, name: str, **changes: Any) -> None:
        member = self.members[name]
        for what, value in changes.items():
            setattr(member, what, value)
        self.apply(member)

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

    def cpu(self) -> float:
        return sum(cpu_seconds(process) for process in self._processes())

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
        """As the program gives it."""
        program = find_program(self.programs)
        said = subprocess.run(
            [str(program), *self.version_arguments], capture_output=True, text=True, timeout=10, check=False
        )
        return (said.stdout + said.stderr).strip().splitlines()[0]

    version_arguments: ClassVar[tuple[str, ...]] = ("-v",)

    def _processes(self) -> list[Any]:
        """The program's master, then its workers; psutil.Process objects."""
        return self._program.processes() if self._program else []


def weighted(algorithm: str) -> bool:
    """Whether the program may see weights: plain rotation, plain chance and modulo take no notice of them."""
    return algorithm not in ("round_robin", "random", "ip_hash", "modulo_hash")
