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
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from lbkit.course import limits
from lbkit.course.report import Run
from lbkit.course.task import Check

LOOK = 0.02  # seconds between two looks at the process
START = 30.0  # seconds for it to import lbkit, on a machine that is busy
LOAD = 2.0  # seconds for the code itself to be run, before any check
PATIENCE = 5  # times the seconds that a check may compute, by the clock
TAIL = 2000  # characters of what the code printed that are kept


def run_checks(
    checks_file: Path, checks: Sequence[Check], source: str, name: str, until_failed: bool = False
) -> Run:
    """Run these checks on the source of a file called `name`, in order; a check that is stopped fails.

    With `until_failed`, the first check that fails is the last."""
    run = Run()
    left = list(checks)
    while left and not run.problem:
        begun, stopped = _one_process(run, checks_file, left, source, name, until_failed)
        if stopped and not begun:
            run.problem = stopped  # before any check
        elif stopped:
            run.results.append(failed(begun, stopped))
        if until_failed and not all(result["passed"] for result in run.results):
            break
        done = {result["name"] for result in run.results}
        left = [check for check in left if check.name not in done]
    return run


def failed(check: str, happened: str) -> dict[str, Any]:
    """Return the result of a check that found no end of its own."""
    return {"name": check, "passed": False, "expected": "", "happened": happened, "hint": "", "picture": None}


def _one_process(
    run: Run, checks_file: Path, checks: list[Check], source: str, name: str, until_failed: bool
) -> tuple[str, str]:
    """Run checks until one has to be stopped; return its name and why, or "" if none had to be."""
    with tempfile.TemporaryDirectory(prefix="lbkit-check-") as folder:
        job, results, printed = (Path(folder, file) for file in ("job.json", "results.jsonl", "printed.txt"))
        results.touch()
        names = [check.name for check in checks]
        work = {"checks_file": str(checks_file), "source": source, "name": name, "names": names}
        job.write_text(json.dumps(work | {"until_failed": until_failed}))
        with printed.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-u", "-P", "-m", "lbkit.course.child", str(job), str(results)],
                cwd=folder,
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # so that all that it starts can be ended with it
            )
        try:
            stopped = _watch(process, {check.name: check.seconds for check in checks}, results, printed)
        finally:
            _end(process)
        for line in results.read_text(errors="replace").splitlines():
            _note(run, line)
        run.printed = (run.printed + _tail(printed))[-TAIL:]
        return stopped


def _watch(
    process: subprocess.Popen[bytes], seconds: dict[str, float], results: Path, printed: Path
) -> tuple[str, str]:
    """Wait until the process ends or takes too much; return its check then, and what was too much."""
    looked = psutil.Process(process.pid)
    size, running, most = 0, "", START
    begun, used = (
        time.monotonic(),
        0.0,
    )  # of the check that is running: its start, and processor time before it
    while process.poll() is None:
        time.sleep(LOOK)
        if results.stat().st_size != size:
            size = results.stat().st_size
            running = _running(results)
            begun, used, most = time.monotonic(), _used(looked), seconds.get(running, LOAD)
        try:
            why = _too_much(looked, printed)
        except psutil.Error:  # it has just ended
            continue
        # Processor time, which a busy machine does not lengthen; a code that only waits is stopped, too.
        if not why and (_used(looked) - used > most or time.monotonic() - begun > PATIENCE * most):
            why = limits.too_long(most)
        if why:
            return running, why
    running = _running(results)
    return running, "" if process.returncode == 0 and not running else limits.ENDED


def _used(process: psutil.Process) -> float:
    """Return the seconds of processor time that a process has used; 0 if it has ended."""
    try:
        times = process.cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)


def _running(results: Path) -> str:
    """Return the name of the check that has begun and has no result."""
    lines = results.read_text(errors="replace").splitlines()
    try:
        return str(json.loads(lines[-1]).get("begins", "")) if lines else ""
    except ValueError:  # half a line, so far
        return ""


def _too_much(process: psutil.Process, printed: Path) -> str:
    children = process.children(recursive=True)
    if len(children) > limits.PROCESSES:
        return limits.TOO_MANY_PROCESSES
    if process.num_threads() > limits.THREADS:
        return limits.TOO_MANY_THREADS
    if sum(each.memory_info().rss for each in (process, *children) if each.is_running()) > limits.MEMORY:
        return limits.TOO_MUCH_MEMORY
    return limits.TOO_MUCH_OUTPUT if printed.stat().st_size > limits.OUTPUT else ""


def _environment() -> dict[str, str]:
    """Return a small environment: no secrets of the user's, and the same order of sets every time."""
    kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT", "LANG", "TMPDIR") if name in os.environ}
    paths = os.pathsep.join(path for path in sys.path if path)
    return kept | {"PYTHONPATH": paths, "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process and all that it started."""
    if hasattr(os, "killpg"):
        deadline = time.monotonic() + 2.0
        while time.monotonic() < deadline:  # a fork bomb makes new ones while the old ones end
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):  # macOS has the second for a group that is over
                break
            process.poll()
            time.sleep(0.001)
    else:
        process.kill()
    process.wait()


def _note(run: Run, line: str) -> None:
    try:
        data = json.loads(line)
    except ValueError:
        return  # it was stopped in the middle of a line
    if "problem" in data:
        run.problem = data["problem"]
    elif "passed" in data:
        run.results.append(data)


def _tail(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL))
        return file.read().decode(errors="replace")
