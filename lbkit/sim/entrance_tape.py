"""An entrance that keeps what happens to each request: at the rate limits, and at the gate."""

from __future__ import annotations

from math import inf
from typing import Any

from lbkit.core.gate import Refused
from lbkit.recorded import ADMITTED, ENDED, GATE, LEFT, LIMITS, Passage
from lbkit.sim.entrance import PASS, Entrance


class RecordedEntrance(Entrance):
    """Decides as an Entrance does; `passages` has what it did, with rows as requests."""

    def __init__(self, *args: Any) -> None:
        self.passages: list[Passage] = []
        super().__init__(*args)

    def limit(self, row: int) -> int:
        if self.rules is not None:
            self.passages.append(Passage(self.engine.now, row, LIMITS))
        return super().limit(row)

    def enter(self, row: int) -> int:
        verdict = super().enter(row)
        if self.gate is not None:
            self._note(row, GATE, self.waiting[row].priority)
        return verdict

    def next(self) -> tuple[int, int] | None:
        decision = super().next()
        if decision and decision[1] == PASS:
            self._note(decision[0], ADMITTED)
        return decision

    def withdraw(self, row: int) -> None:
        waits = row in self.waiting
        super().withdraw(row)
        if waits:
            self._note(row, LEFT)

    def leave(self, row: int, ok: bool) -> bool:
        passed = super().leave(row, ok)
        if passed:
            self._note(row, ENDED)
        return passed

    def _refuse(self, refused: Refused) -> tuple[int, int]:
        self._note(refused.item.what, refused.why.value)
        return super()._refuse(refused)

    def _note(self, row: int, what: str, priority: str = "") -> None:
        """Keep what happened, and how the gate is afterwards."""
        assert self.gate
        now, limiter, control = self.engine.now, self.gate.limiter, self.gate.control
        limit = inf if limiter is None else limiter.limit_of("")
        chance = 0.0 if control is None else control.rejection(now)
        self.passages.append(Passage(now, row, what, priority, limit, chance))
