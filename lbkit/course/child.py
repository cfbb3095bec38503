"""The process in which a learner's code is checked: `python -m lbkit.course.child JOB RESULTS`.

JOB is a file of JSON: the file of the task's checks, the learner's source and its name, and the names of the
checks. Each result is appended to RESULTS as a line of JSON. Before each check the code is run anew, in a
namespace of its own, so that no check can meet what an earlier one left behind.

If JOB has `work`, the name of a function of the checks' module, its result is the answer instead: a check has
asked for it (second_process.py).
"""

from __future__ import annotations

import io
import os
import shutil
import signal
import stat
import sys
import threading
from json import dumps, loads
from pathlib import Path
from random import seed
from types import CodeType
from typing import Any

from lbkit.core.contract import AlgorithmError
from lbkit.core.laws import Violation
from lbkit.course import second_process
from lbkit.course.limits import MEMORY, NOT_RUN, TOO_EARLY, lower_limits
from lbkit.course.own_code import compiled, fault, namespace, unwritten
from lbkit.course.task import Check, Task, Wrong, load_task, needed


def failure(happened: str) -> dict[str, Any]:
    """Return the result of a check that an error ended."""
    return {"expected": "", "happened": happened, "hint": "", "picture": None, "fault": happened}


def too_early(check: Check, task: Task) -> dict[str, Any]:
    """Return the result of a check that is not run, as one that it needs has failed."""
    said = TOO_EARLY.format(task.checks[check.needs].says)
    return {"name": check.name, "passed": False} | failure(said) | {"fault": NOT_RUN}


def outcome(check: Check, task: Task, code: CodeType, name: str) -> dict[str, Any]:
    """Run one check; return its result as data: `passed`, and for a failed one what happened."""
    seed(0)
    result: dict[str, Any] = {"name": check.name, "passed": False}
    try:
        check.run(*needed(task, namespace(code)))
    except Wrong as wrong:
        cause = wrong.__context__
        if cause is not None and unwritten(cause):  # a check told of an error in code that is not there yet
            return result | failure(fault(cause, name))
        result |= {"expected": wrong.expected, "happened": wrong.happened, "hint": wrong.hint}
        result["picture"] = wrong.picture.data() if wrong.picture else None
        result["fault"] = fault(cause, name) if isinstance(cause, AlgorithmError) else ""
    except Violation as broken:
        result |= failure(broken.happened) | {"expected": broken.expected, "fault": ""}
    except BaseException as error:  # whatever a learner's code raises
        result |= failure(fault(error, name))
    else:
        result["passed"] = True
    return result


def answer(job: dict[str, Any], task: Task, code: CodeType, name: str) -> dict[str, Any]:
    """Return the `answer` of the function that a check wants to be called here, or the `problem`."""
    seed(int(second_process.SALT))
    module, work = job["work"]
    work = getattr(sys.modules[module], work)
    try:
        return {"answer": work(*needed(task, namespace(code)), *job["arguments"])}
    except BaseException as error:  # whatever a learner's code raises
        return {"problem": fault(error, name)}


def end_with_parent(folder: str) -> None:
    """End this process, and what it started, when the process that watches it has ended; delete its folder.

    That one holds the other end of our standard input, and writes nothing."""
    if not stat.S_ISFIFO(os.fstat(0).st_mode) or os.name != "posix" or os.getpgrp() != os.getpid():
        return

    def wait() -> None:
        os.read(0, 1)
        shutil.rmtree(folder, ignore_errors=True)
        os.killpg(os.getpgrp(), signal.SIGKILL)

    threading.Thread(target=wait, daemon=True).start()


leave = os._exit  # bound now, as `seed` is: a learner's code may replace them in their modules


def main(job_file: str, results_file: str) -> None:
    job = loads(Path(job_file).read_text())
    task = load_task(Path(job["checks_file"]))
    name = job["name"]
    sys.stdin = io.StringIO()
    end_with_parent(job["folder"])
    second_process.job = job
    if "work" not in job:  # else the limits of the first process hold here, too
        lower_limits(MEMORY)
    with open(results_file, "a", buffering=1) as results:

        def tell(**data: Any) -> None:
            results.write(dumps(data) + "\n")

        tell(begins="")
        try:
            code = compiled(job["source"], name)
            needed(task, namespace(code))
        except BaseException as error:  # whatever a learner's code raises
            tell(problem=fault(error, name))
        else:
            if "work" in job:
                tell(**answer(job, task, code, name))
            failed = set(job["failed"])
            for check in map(task.checks.__getitem__, job["names"]):
                tell(begins=check.name)
                early = check.needs in failed
                result = too_early(check, task) if early else outcome(check, task, code, name)
                tell(**result)
                if not result["passed"]:
                    failed.add(check.name)
                    if job["until_failed"]:
                        break
    leave(0)  # threads that the code started end here


if __name__ == "__main__":
    main(*sys.argv[1:])
