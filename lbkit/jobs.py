"""Many runs, handed out a few at a time, and what is kept of them."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from lbkit.arrivals import Closed
from lbkit.core import AlgorithmError, algorithms
from lbkit.core.limit import Limiter, limiters
from lbkit.core.limit.several import Spec
from lbkit.experiment import Experiment
from lbkit.result import Result
from lbkit.run import engine

SMALL = 100_000  # requests: so few are simulated here before worker processes have started

Row = dict[str, Any]


def classes_of(spec: Spec) -> Iterator[type]:
    """Yield the class of a limiter, and of those that it combines."""
    if isinstance(spec, Limiter):
        yield type(spec)
        return
    yield limiters()[spec["kind"]]
    for inner in spec.get("limits", ()):
        yield from classes_of(inner)


@dataclass
class Job:
    """One run of a sweep: its place, the experiment, and the values that its row begins with."""

    place: int
    experiment: Experiment
    values: Mapping[str, Any]

    @cached_property
    def text(self) -> str:
        """The experiment as JSON, for a worker process."""
        return self.experiment.to_json()

    @cached_property
    def foreign(self) -> type | None:
        """The learner's own algorithm or limiter, which workers do not have; None if all is lbkit's."""
        admission = self.experiment.admission
        specs = [limit.limiter for limit in self.experiment.limits]
        if admission and admission.limit is not None:
            specs.append(admission.limit)
        used = [
            algorithms()[self.experiment.policy.algorithm],
            *(cls for spec in specs for cls in classes_of(spec)),
        ]
        return next((cls for cls in used if not cls.__module__.startswith("lbkit.")), None)


def measures(result: Result) -> Row:
    """Return the measures of a result, each a number; `unsettled` is 1 for a run without a steady state."""
    numbers = {name: value for name, value in result.summary().items() if not isinstance(value, str)}
    return numbers | {"unsettled": 0 if result.settled else 1}


def simulate_row(text: str) -> Row:
    """Return the measures of one experiment, given as JSON: what a worker process does."""
    return measures(engine("sim")(Experiment.from_json(text)))


def small(jobs: Iterable[Job]) -> bool:
    """Return whether these jobs are done sooner in this process than by workers, which have to start."""
    left = float(SMALL)
    for job in jobs:
        traffic = job.experiment.traffic
        arrivals = traffic.arrivals
        if not isinstance(arrivals, Closed):
            left -= arrivals.mean_rate(traffic.duration) * traffic.duration
        elif arrivals.think:
            left -= arrivals.users / arrivals.think * traffic.duration  # at most, if service took no time
        else:
            return False  # how many requests there will be is not known
        if left < 0:
            return False
    return True


def run_here(jobs: Iterable[Job], on: str = "sim") -> Iterator[tuple[Job, Row]]:
    """Run one job after the other in this process; yield each with its measures, or raise JobError."""
    for job in jobs:
        try:
            row = measures(engine(on)(job.experiment))
        except Exception as error:
            raise JobError(job, error) from error
        yield job, row


def run_on(executor: Executor, jobs: Iterable[Job], at_once: int) -> Iterator[tuple[Job, Row]]:
    """Hand out jobs, at most `at_once` that are not done; yield each as it finishes, or raise JobError.

    Jobs that have not begun are cancelled when the caller stops early."""
    jobs = iter(jobs)
    running: dict[Future[Row], Job] = {}
    try:
        while True:
            for job in islice(jobs, at_once - len(running)):
                running[executor.submit(simulate_row, job.text)] = job
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                job = running.pop(future)
                try:
                    row = future.result()
                except Exception as error:
                    raise JobError(job, error) from error
                yield job, row
    finally:
        for future in running:
            future.cancel()


class JobError(Exception):
    """A run failed with `error`; names its values."""

    def __init__(self, job: Job, error: Exception) -> None:
        super().__init__(f"{dict(job.values)}: {type(error).__name__}: {error}")
        # A learner's own algorithm: the message has the line, and the way through lbkit is not what is wrong.
        self.error = None if isinstance(error, AlgorithmError) else error


START = b'{"experiment": "'  # of each line


class Kept:
    """Rows in a file, one JSON object a line, each with a fingerprint of its experiment.

    A row is written as soon as its run is done. The same sweep, started again, runs only what is missing; a
    line that an interrupt has cut off is run again. Without a path nothing is kept."""

    def __init__(self, path: str | Path | None, on: str = "sim") -> None:
        """`on`: the engine, as another one has other rows for the same experiment.

        Raises ValueError for a file that holds something else, OSError for one that cannot be written."""
        self.path = None if path is None else Path(path)
        self.on = on
        self.rows: dict[str, Row] = {}  # the measures, by fingerprint
        if not self.path:
            return
        with open(self.path, "ab"):  # now, rather than after the first run
            pass
        lines = self.path.read_bytes().splitlines(keepends=True)
        cut = lines.pop() if lines and not lines[-1].endswith(b"\n") else b""
        for number, line in enumerate(lines, 1):
            self._read(number, line)
        if cut and not START.startswith(cut[: len(START)]):
            self._refuse(len(lines) + 1)
        if cut:
            os.truncate(self.path, sum(map(len, lines)))

    def _read(self, number: int, line: bytes) -> None:
        try:
            row = json.loads(line)
            self.rows[row["experiment"]] = {**row["measures"]}
        except (ValueError, TypeError, KeyError):
            self._refuse(number)

    def _refuse(self, number: int) -> None:
        raise ValueError(
            f"{self.path}, line {number} is no row of a sweep: choose another file, or delete the line"
        )

    def _fingerprint(self, job: Job) -> str:
        what = f"{self.on} {job.text}"
        return hashlib.sha256(what.encode()).hexdigest()[:16]

    def find(self, job: Job) -> Row | None:
        """Return the row of an equal experiment, if there is one."""
        return self.rows.get(self._fingerprint(job)) if self.path and not job.foreign else None

    def add(self, job: Job, row: Row) -> None:
        """Keep a row; not of a learner's own algorithm or limiter: it may have other code next time."""
        if self.path and not job.foreign:
            fingerprint = self._fingerprint(job)
            line = json.dumps({"experiment": fingerprint, "values": dict(job.values), "measures": row})
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(line + "\n")


def run_all(
    jobs: Callable[[], Iterable[Job]],
    kept: Kept,
    executor: Executor | None = None,
    at_once: int | None = None,
    on: str = "sim",
) -> Generator[tuple[Job, Row]]:
    """Yield each job with its measures: first those that are kept, then the others as they finish.

    `jobs` makes them anew, one at a time, so that their experiments never exist all at once. Raises JobError,
    and ValueError for a learner's own algorithm on an executor."""
    missing = set()
    here = on != "sim" or sys.platform == "emscripten"  # a browser's Python has no processes
    for job in jobs():
        row = kept.find(job)
        if row is not None:
            yield job, row
            continue
        missing.add(job.place)
        if job.foreign and executor:
            raise ValueError(
                f"{getattr(job.foreign, 'name', '')!r} is defined in {job.foreign.__module__}, which workers "
                "do not have: leave the executor away, and it runs in this process"
            )
        here = here or bool(job.foreign)

    def left() -> Iterator[Job]:
        return (job for job in jobs() if job.place in missing)

    cores = os.cpu_count() or 1
    if executor:
        yield from _keep(run_on(executor, left(), at_once or 2 * cores), kept)
    elif here or small(left()):
        yield from _keep(run_here(left(), on), kept)
    else:
        from lbkit.processes import Processes

        count = min(cores, len(missing))
        with Processes(count) as processes:
            yield from _keep(run_on(processes, left(), at_once or 2 * count), kept)


def _keep(found: Iterable[tuple[Job, Row]], kept: Kept) -> Iterator[tuple[Job, Row]]:
    for job, row in found:
        kept.add(job, row)
        yield job, row
