"""A tape of attempts: when each request came to a server, was begun with, and ended."""

from __future__ import annotations

from collections.abc import Callable
from math import inf, isnan, nan

from mypy_extensions import i32

from lbkit.core.vectors import vec
from lbkit.server import FIFO, PROCESSOR_SHARING
from lbkit.sim.servers import ACCEPTED, SharingServer, SimServer

UNKNOWN = "unfinished"  # the outcome until another one is known


class Stay:
    """A request at a server, from the decision on."""

    __slots__ = ("arrived", "at", "end", "outcome", "over", "row", "server", "start")

    def __init__(self, row: int, server: int, at: float) -> None:
        self.row = row
        self.server = server
        self.at = at
        self.arrived = False
        self.start = nan
        self.end = nan  # when the server was done with it
        self.over = inf  # when the balancer gave it up
        self.outcome = UNKNOWN


class Tape:
    """All stays so far. The latest of a row at a server is the one that may go on."""

    def __init__(self) -> None:
        self.stays: list[Stay] = []
        self._latest: dict[tuple[int, int], Stay] = {}

    def send(self, row: int, server: int, since: float) -> Stay:
        """A request is sent to a server; once more, where the last stay has come and is over."""
        last = self._latest.get((row, server))
        if last and not (last.arrived and last.over < inf):
            return last
        stay = Stay(row, server, max(since, last.over) if last else since)
        self.stays.append(stay)
        self._latest[row, server] = stay
        return stay

    def receive(self, row: int, server: int, since: float) -> None:
        """It comes to the server; once more when one that has hung begins it, also for a client that left."""
        last = self._latest.get((row, server))
        held = last and last.at >= since and isnan(last.end)
        (last if last and held else self.send(row, server, since)).arrived = True

    def end(self, row: int, server: int, start: float, now: float, outcome: str) -> None:
        """The server is done with it."""
        stay = self._latest[row, server]
        stay.start, stay.end = start, now
        if stay.outcome == UNKNOWN:
            stay.outcome = outcome

    def stop(self, server: vec[i32], start: vec[float]) -> None:
        """The run is over; `server` has each row, and began with it at `start`."""
        for stay in self._latest.values():
            if stay.arrived and isnan(stay.end) and server[stay.row] == stay.server:
                stay.start = start[stay.row]

    def give_up(self, row: int, server: int, since: float, now: float, outcome: str) -> None:
        """The balancer no longer waits for it; the server may go on with it."""
        stay = self._latest.get((row, server)) or self.send(row, server, since)  # it may be on its way
        if stay.over == inf:
            stay.over = now
            if stay.outcome in (UNKNOWN, "ok"):  # an answer on its way back comes too late
                stay.outcome = outcome


class _Recorded(SimServer):
    """A server that records when requests come, and when it is done with them."""

    __slots__ = ()
    tape: Tape

    def receive(self, row: int) -> int:
        self.tape.receive(row, self.index, self.requests.since[row])
        outcome = super().receive(row)
        if outcome != ACCEPTED:
            self.done(row, "failed")
        return outcome

    def done(self, row: int, outcome: str) -> None:
        self.tape.end(row, self.index, self.requests.start[row], self.engine.now, outcome)

    def crash(self) -> list[int]:
        start = list(self.requests.start)  # a crash forgets when it began
        lost = super().crash()
        for row in lost:
            self.tape.end(row, self.index, start[row], self.engine.now, "failed")
        return lost

    def drop(self, wanted: Callable[[int], bool]) -> list[int]:
        dropped = super().drop(wanted)
        for row in dropped:
            self.done(row, "failed")
        return dropped


class RecordedServer(_Recorded):
    __slots__ = ("tape",)


class RecordedSharingServer(_Recorded, SharingServer):
    __slots__ = ("tape",)

    def end(self) -> int | None:
        row = super().end()
        if row is not None:
            self.done(row, "ok")
        return row


RECORDED: dict[str, type[SimServer]] = {FIFO: RecordedServer, PROCESSOR_SHARING: RecordedSharingServer}
