"""Runs checks on a learner's code in a process of its own, which is stopped if it takes too much of anything.

It guards against mistakes, not against malice: the code runs as the learner's own user, on their machine.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from lbkit.course import limits
from lbkit.course.report import Run
from lbkit.course.task import Check
from lbkit.extensions import SAID

LOOK = 0.02  # seconds between two looks at the process
START = 30.0  # seconds for it to import lbkit, on a machine that is busy
LOAD = 2.0  # seconds for the code itself to be run, before any check
PATIENCE = 8  # times the seconds that a check may compute, by the clock
IDLE = 6.0  # seconds that a check may only wait; its own waits are shorter
TAIL = 2000  # characters of what the code printed that are kept
MARK = "LBKIT_CHECK"  # a variable by which all processes that the code started are found

Family = list[psutil.Process]  # a process, and all that it has started


def run_checks(
    checks_file: Path, checks: Sequence[Check], source: str, name: str, until_failed: bool = False
) -> Run:
    """Run these checks on the source of a file called `name`, in order; a check that is stopped fails.

    With `until_failed`, the first check that fails is the last. Code that is stopped more often than it
    passes is not tried any further: with an endless loop, all checks would take a minute."""
    run = Run()
    left, stops = list(checks), 0
    while left and not run.problem:
        begun, stopped = _one_process(run, checks_file, left, source, name, until_failed)
        if stopped and not begun:
            run.problem = stopped  # before any check
        elif stopped:
            stops += 1
            run.results.append(failed(begun, stopped))
        passed = {result["name"]: result["passed"] for result in run.results}
        if until_failed and not all(passed.values()):
            break
        left = [check for check in left if check.name not in passed]
        if stops > max(1, sum(passed.values())):
            run.results += [failed(check.name, limits.NOT_RUN) for check in left]
            break
    return run


def failed(check: str, happened: str) -> dict[str, Any]:
    """Return the result of a check that found no end of its own."""
    result = dict.fromkeys(("expected", "hint"), "") | {"picture": None, "happened": happened}
    return result | {"name": check, "passed": False, "fault": happened}


def _one_process(
    run: Run, checks_file: Path, checks: list[Check], source: str, name: str, until_failed: bool
) -> tuple[str, str]:
    """Run checks until one has to be stopped; return its name and why, or "" if none had to be."""
    with tempfile.TemporaryDirectory(prefix="lbkit-check-", ignore_cleanup_errors=True) as folder:
        job, results, printed = (Path(folder, file) for file in ("job.json", "results.jsonl", "printed.txt"))
        own = Path(folder, "own")  # the code may delete what is in its folder
        own.mkdir()
        results.touch()
        names = [check.name for check in checks]
        work: dict[str, Any] = {"checks_file": str(checks_file), "source": source, "name": name}
        failed = [result["name"] for result in run.results if not result["passed"]]
        work |= {"names": names, "failed": failed, "until_failed": until_failed, "folder": folder}
        job.write_text(json.dumps(work))
        with printed.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-u", "-P", "-m", "lbkit.course.child", str(job), str(results)],
                cwd=own,
                env=_environment(own),
                stdin=subprocess.PIPE,  # which ends with us, and so the process knows
                stdout=output,
                stderr=output,
                start_new_session=True,  # so that all that it starts can be ended with it
            )
        try:
            stopped = _watch(process, {check.name: check.seconds for check in checks}, results, printed)
            _note(run, names, results, printed)
        except FileNotFoundError:
            stopped = "", limits.DELETED
        finally:
            _end(process, str(own))
        return stopped


def _watch(
    process: subprocess.Popen[bytes], seconds: dict[str, float], results: Path, printed: Path
) -> tuple[str, str]:
    """Wait until the process ends or takes too much; return its check then, and what was too much."""
    looked = psutil.Process(process.pid)
    size, running, watch = 0, "", _Stopwatch(START, 0.0)
    while process.poll() is None:
        time.sleep(LOOK)
        family = _family(looked)
        if results.stat().st_size != size:
            size = results.stat().st_size
            running = _running(results)
            watch = _Stopwatch(seconds.get(running, LOAD), _used(family))
        why = _too_much(family, printed) or watch.too_long(family)
        if why and running == _running(results):  # else another check has begun in the meantime
            return running, why
    running = _running(results)
    return running, "" if process.returncode == 0 and not running else limits.ENDED


class _Stopwatch:
    """How long a check has been running, which may compute for `most` seconds.

    That is processor time, which a busy machine does not lengthen; `used` is what was used before."""

    def __init__(self, most: float, used: float) -> None:
        self._most = most
        self._begun = self._moved = time.monotonic()
        self._before = self._used = used

    def too_long(self, family: Family) -> str:
        """Return why the check has to be stopped, or ""."""
        now, used = time.monotonic(), _used(family)
        if used != self._used or any(map(_computes, family)):
            self._used, self._moved = used, now
        if used - self._before > self._most or now - self._begun > PATIENCE * self._most:
            return limits.TOO_LONG
        return limits.ONLY_WAITS if now - self._moved > IDLE else ""


def _family(process: psutil.Process) -> Family:
    try:
        return [process, *process.children(recursive=True)]
    except psutil.Error:  # it has just ended
        return []


def _used(family: Family) -> float:
    """Return the seconds of processor time that processes have used, without those that have ended."""
    used = 0.0
    for each in family:
        with suppress(psutil.Error):
            times = each.cpu_times()
            used += times.user + times.system
    return used


def _memory(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0


def _computes(process: psutil.Process) -> bool:
    """Return whether a process computes, or would on a machine that is less busy."""
    try:
        return bool(process.status() == psutil.STATUS_RUNNING)
    except psutil.Error:
        return False


def _too_much(family: Family, printed: Path) -> str:
    if len(family) - 1 > limits.PROCESSES:
        return limits.TOO_MANY_PROCESSES
    with suppress(psutil.Error, IndexError):
        if family[0].num_threads() > limits.THREADS:
            return limits.TOO_MANY_THREADS
    if sum(map(_memory, family)) > limits.MEMORY:
        return limits.TOO_MUCH_MEMORY
    return limits.TOO_MUCH_OUTPUT if printed.stat().st_size > limits.OUTPUT else ""


def _environment(own: Path) -> dict[str, str]:
    """Return a small environment: no secrets of the user's, and the same order of sets every time."""
    names = (
        "PATH",
        "SYSTEMROOT",
        "LANG",
        "LBKIT_PURE",
        SAID,  # its notice is no print of the code
    )
    kept = {name: os.environ[name] for name in names if name in os.environ}
    folders = dict.fromkeys(("TMPDIR", "TEMP", "TMP", MARK), str(own))
    paths = os.pathsep.join(path for path in sys.path if path)
    return kept | folders | {"PYTHONPATH": paths, "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}


def _end(process: subprocess.Popen[bytes], mark: str) -> None:
    """End the process and all that it started, also what has left its group."""
    deadline = time.monotonic() + 2.0
    while hasattr(os, "killpg") and time.monotonic() < deadline:
        try:  # again and again: a fork bomb makes new ones while the old ones end
            os.killpg(process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):  # macOS has the second for a group that is over
            break
        process.poll()
        time.sleep(0.001)
    process.kill()
    process.wait()
    if process.stdin:
        process.stdin.close()
    for other in _marked(mark):
        with suppress(psutil.Error):
            other.kill()


def _marked(mark: str) -> Iterator[psutil.Process]:
    """Yield the processes that have the mark of a check in their environment."""
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.environ().get(MARK) == mark:
                yield process


def _records(results: Path) -> list[dict[str, Any]]:
    """Return what the process has written, without half a line, or what the code itself wrote there."""
    records = []
    for line in results.read_text(errors="replace").splitlines():
        with suppress(ValueError):
            if isinstance(record := json.loads(line), dict):
                records.append(record)
    return records


def _running(results: Path) -> str:
    """Return the name of the check that has begun and has no result."""
    records = _records(results)
    return str(records[-1].get("begins", "")) if records else ""


def _note(run: Run, names: list[str], results: Path, printed: Path) -> None:
    """Add results, and the end of what was printed, to those of the run."""
    for record in _records(results):
        if "problem" in record:
            run.problem = str(record["problem"])
        elif record.get("name") in names and "passed" in record:
            run.results.append(record)
    with printed.open("rb") as file:
        file.seek(max(0, printed.stat().st_size - TAIL))
        run.printed = (run.printed + file.read().decode(errors="replace"))[-TAIL:]
