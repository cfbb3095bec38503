"""A rolling deploy: one backend after another drains, is replaced, is checked, and serves again.

Pure: time is an argument, and all effects are calls of a `Managed` fleet. The simulator, the proxy and real
programs run the same one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar, Protocol

from lbkit.core.judge import Counts, fails_more
from lbkit.core.options import named_fields
from lbkit.core.state_change import StateChange


@named_fields
@dataclass(frozen=True, slots=True)
class RollingDeploy:
    """A new version for all servers, from second `at` on. Raises ValueError.

    Each server drains (`drain` False: a plain restart, which loses what runs there), is replaced, and serves
    again once its process answers and its health checks pass, with the policy's slow start. `settle` seconds
    later the new version is judged, and the next server follows. `batch` servers are replaced at a time. The
    first server may serve alone for longer, `canary` seconds. A new version that does not serve within
    `start_timeout` seconds is rolled back (Kubernetes: progressDeadlineSeconds, 600).

    `false_alarms`: an upper bound of the probability that a version that is as good as the old one is rolled
    back (Fisher's exact test, one-sided, with one look for each server; see lbkit/core/judge.py); 0: it is
    never judged. `speed` (a factor) and `error_rate` (the share of requests that fail) are what the new
    version changes.
    """

    kind: ClassVar = "rolling"
    arrivals: ClassVar[tuple[str, ...]] = ()  # no server joins the pool: each is replaced in its place

    at: float = 0.0
    drain: bool = True
    batch: int = 1
    settle: float = 1.0
    canary: float = 0.0
    start_timeout: float = 600.0
    false_alarms: float = 0.01
    speed: float = 1.0
    error_rate: float | None = None

    def __post_init__(self) -> None:
        check_seconds(at=self.at, settle=self.settle, canary=self.canary, start_timeout=self.start_timeout)
        if isinstance(self.batch, bool) or not isinstance(self.batch, int) or self.batch < 1:
            raise ValueError(f"batch is {self.batch}: use a whole number, at least 1")
        check_rates(self.false_alarms)
        if not 1e-6 <= self.speed <= 1e6:
            raise ValueError(f"speed is {self.speed}: use a factor from 1e-06 to 1e+06")
        if self.error_rate is not None and not 0 <= self.error_rate <= 1:
            raise ValueError(f"error_rate is {self.error_rate}: use a share from 0 to 1")


def check_seconds(**values: float) -> None:
    """Raise ValueError for the first value that is no time."""
    for name, value in values.items():
        if not 0 <= value < float("inf"):
            raise ValueError(f"{name} is {value}: use seconds, 0 or more")


def check_rates(false_alarms: float) -> None:
    """Raise ValueError for a rate of false alarms that is no probability."""
    if not 0 <= false_alarms < 1:
        raise ValueError(f"false_alarms is {false_alarms}: use a probability from 0 to below 1")


class Managed(Protocol):
    """What a deploy works on."""

    def add(self, name: str, weight: float) -> None:
        """Have a server join the pool."""

    def set_weight(self, name: str, weight: float) -> None: ...
    def drain(self, name: str) -> None: ...
    def drained(self, name: str) -> bool: ...
    def replace(self, name: str, new: bool) -> None:
        """Stop a server, and start its new version, or the old one."""

    def serves(self, name: str) -> bool:
        """Return whether its process answers, and its health checks pass, where there are any."""

    def undrain(self, name: str) -> None: ...
    def counts(self) -> Mapping[str, Counts]:
        """Return the answers of each server since the start, by its name."""


class RolloutState(Enum):
    RUNNING = "running"
    ROLLING_BACK = "rolling back"
    DONE = "done"  # all have the new version
    ROLLED_BACK = "rolled back"  # all have the old one


class Step(Enum):
    """Where a server is."""

    SERVING = "serving"  # as before, or again
    DRAINING = "draining"
    STARTING = "starting"
    SETTLING = "settling"


class Rollout:
    """A rolling deploy on its way. `advance` does what is due; call it often."""

    def __init__(
        self,
        rules: RollingDeploy,
        names: Iterable[str],
        fleet: Managed,
        on_change: Callable[[StateChange], object] = lambda change: None,
    ) -> None:
        self.rules = rules
        self.state = RolloutState.RUNNING
        self.new: dict[str, Counts] = {}  # servers with the new version -> their counts when they got it
        self._names = list(names)
        self._waiting = list(self._names)
        self._at_work: dict[str, tuple[Step, float]] = {}  # server -> its step, and since when
        self._canary = rules.canary > 0  # the first server is alone
        self._fleet = fleet
        self._on_change = on_change
        self._before = dict(fleet.counts())

    @property
    def over(self) -> bool:
        return self.state in (RolloutState.DONE, RolloutState.ROLLED_BACK)

    def advance(self, now: float) -> None:
        if self.over:
            return
        for name in list(self._at_work):
            if name in self._at_work:  # else it was rolled back just now
                self._go_on(name, now)
        batch = 1 if self._canary else self.rules.batch
        while self._waiting and len(self._at_work) < batch:
            self._begin(self._waiting.pop(0), now)
        if not self._at_work:
            back = self.state is RolloutState.ROLLING_BACK
            self.state = RolloutState.ROLLED_BACK if back else RolloutState.DONE

    def _begin(self, name: str, now: float) -> None:
        if self.rules.drain:
            self._fleet.drain(name)
            self._step(name, Step.DRAINING, now)
        else:
            self._replace(name, now)

    def _go_on(self, name: str, now: float) -> None:
        step, since = self._at_work[name]
        if step is Step.DRAINING and self._fleet.drained(name):
            self._replace(name, now)
        elif step is Step.STARTING and self._fleet.serves(name):
            if self.rules.drain:
                self._fleet.undrain(name)
            self._step(name, Step.SETTLING, now)
        elif step is Step.STARTING and now - since >= self.rules.start_timeout:
            if self.state is RolloutState.RUNNING:  # else there is no other version to go back to
                self._roll_back(now)
        elif step is Step.SETTLING and now - since >= self._settle():
            self._step(name, Step.SERVING, now)
            self._canary = False
            if self.state is RolloutState.RUNNING and self.is_worse():
                self._roll_back(now)

    def _replace(self, name: str, now: float) -> None:
        new = self.state is RolloutState.RUNNING
        if new:
            self.new[name] = self._fleet.counts().get(name, Counts())
        else:
            self.new.pop(name, None)
        self._step(name, Step.STARTING, now, "new version" if new else "old version")
        self._fleet.replace(name, new)

    def _settle(self) -> float:
        return max(self.rules.settle, self.rules.canary) if self._canary else self.rules.settle

    def is_worse(self) -> bool:
        """Return whether the new version is judged to fail more often than the old one."""
        if not self.rules.false_alarms:
            return False
        counts, old, new = self._fleet.counts(), Counts(), Counts()
        for name in self._names:
            now = counts.get(name, Counts())
            got = self.new.get(name, now)  # what it had when it became new; all, if it did not
            new += now.since(got)
            old += got.since(self._before.get(name, Counts()))
        return fails_more(old, new, self.rules.false_alarms, looks=len(self._names))

    def _roll_back(self, now: float) -> None:
        """Give all servers with the new version the old one again; the latest first."""
        self.state = RolloutState.ROLLING_BACK
        for name, (step, _) in list(self._at_work.items()):
            if step is Step.STARTING:  # nothing runs there, so it need not drain
                self._replace(name, now)
                continue
            if step is Step.DRAINING:
                self._fleet.undrain(name)
            self._step(name, Step.SERVING, now, "rolled back")
        self._waiting = list(reversed(self.new))

    def _step(self, name: str, step: Step, now: float, why: str = "") -> None:
        before = self._at_work.get(name, (Step.SERVING, now))[0]
        if step is Step.SERVING:
            self._at_work.pop(name, None)
        else:
            self._at_work[name] = step, now
        self._on_change(StateChange(now, name, "deploy", before.value, step.value, why))
