"""Processor sharing: a server that works on all its requests at once, each at an even share of its speed."""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from itertools import count
from math import inf
from typing import Generic, TypeVar

J = TypeVar("J")


class ProcessorSharing(Generic[J]):
    """Jobs on `processors`: of n jobs, each runs at min(1, processors / n) of a processor's speed.

    All present jobs make the same progress. So one number tells how far they are: the work that a job
    present from the beginning would have done. A job ends when this number has grown by the job's own work,
    and jobs end in the order of these goals, whatever joins or leaves in between. Each costs O(log n).
    (Parekh and Gallager, IEEE/ACM Transactions on Networking 1, 1993, call the number virtual time.)
    """

    __slots__ = ("_goals", "_numbers", "_progress", "_since", "due", "processors")

    def __init__(self, processors: int = 1) -> None:
        self.processors = processors
        self.due = inf  # when the next job ends, unless another joins before
        self._progress = 0.0  # seconds of work, at `_since`
        self._since = 0.0
        self._goals: list[tuple[float, int, J]] = []  # the progress at which a job ends, its number, the job
        self._numbers = count()  # break ties: first come, first to end

    def __len__(self) -> int:
        return len(self._goals)

    def join(self, job: J, work: float, now: float) -> None:
        """A job begins, of `work` seconds on a processor of its own. First `end` all that is due."""
        self._progress += (now - self._since) * self._share()
        self._since = now
        heappush(self._goals, (self._progress + work, next(self._numbers), job))
        self._set_due()

    def end(self, now: float) -> J | None:
        """Return the next job that has ended by `now`; None if there is none, or no longer.

        `now` may be later than `due`, as with a real clock: what follows is reckoned from `due`."""
        if now < self.due:
            return None
        self._progress, _, job = heappop(self._goals)
        self._since = self.due
        self._set_due()
        return job

    def jobs(self) -> list[J]:
        """Return all jobs, in the order in which they will end."""
        return [job for _, _, job in sorted(self._goals, key=lambda goal: goal[:2])]

    def clear(self) -> list[J]:
        """Drop all jobs; return them in the order in which they would have ended."""
        jobs = self.jobs()
        self._goals.clear()
        self._set_due()
        return jobs

    def leave(self, job: J, now: float) -> None:
        """Drop a job before its end; the others go faster from now on. First `end` all that is due."""
        self._progress += (now - self._since) * self._share()
        self._since = now
        self._goals = [goal for goal in self._goals if goal[2] != job]
        heapify(self._goals)
        self._set_due()

    def pause(self, now: float) -> None:
        """Stop all jobs where they are; none may join before `resume`."""
        self._progress += (now - self._since) * self._share()
        self._since, self.due = now, inf

    def resume(self, now: float) -> None:
        """Go on with all jobs."""
        self._since = now
        self._set_due()

    def _share(self) -> float:
        """The part of a processor that each job has."""
        return min(1.0, self.processors / len(self._goals)) if self._goals else 0.0

    def _set_due(self) -> None:
        if self._goals:
            rest = self._goals[0][0] - self._progress
            self.due = self._since + max(0.0, rest) / self._share()
        else:
            self.due, self._progress = inf, 0.0
