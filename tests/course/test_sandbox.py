"""Whatever a learner's code does, the report says it in a sentence, within seconds."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from lbkit.course import Lab
from lbkit.course.limits import (
    ENDED,
    TOO_MANY_PROCESSES,
    TOO_MANY_THREADS,
    TOO_MUCH_MEMORY,
    TOO_MUCH_OUTPUT,
    too_long,
)
from lbkit.course.sandbox import run_checks

LAB = Lab(Path(__file__).parent / "tiny")
linux = pytest.mark.skipif(os.name != "posix", reason="platform: processes are forked on POSIX only")


def body(*lines: str) -> str:
    """A function that does this for texts, and its task for numbers."""
    inside = "".join(f"        {line}\n" for line in lines)
    return (
        f"import os, sys, threading\ndef double(x):\n    if isinstance(x, str):\n{inside}    return x + x\n"
    )


ENDINGS = {
    "an endless loop": (body("while True: pass"), too_long(2.0)),
    "a loop that catches everything": (
        body("while True:", "    try:", "        while True: pass", "    except BaseException: pass"),
        too_long(2.0),
    ),
    "a list without an end": (body("x = []", "while True: x.append(bytearray(1 << 24))"), TOO_MUCH_MEMORY),
    "threads without an end": (
        body("while True: threading.Thread(target=threading.Event().wait, daemon=True).start()"),
        TOO_MANY_THREADS,
    ),
    "sys.exit": (body("sys.exit(0)"), "the code called sys.exit, in line 4: `sys.exit(0)`"),
    "os._exit": (body("os._exit(0)"), ENDED),
    "a signal to itself": (body("os.kill(os.getpid(), 9)"), ENDED),
    "printing for ever": (body("while True: print('x' * 1000)"), TOO_MUCH_OUTPUT),
    "input": (
        body("input()"),
        "the code asked for input, and nothing can be typed here, in line 4: `input()`",
    ),
    "recursion": (
        body("return double(x)"),
        "it raised RecursionError: maximum recursion depth exceeded",
    ),
    "an interrupt": (body("raise KeyboardInterrupt"), "it raised KeyboardInterrupt, in line 4"),
    "not written": (body("raise NotImplementedError()"), "it is not written yet, in line 4"),
    "a long message": (body("raise ValueError('x' * 100_000)"), "it raised ValueError: xxx"),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_one_check_fails_in_a_sentence_and_the_other_passes(ending: str) -> None:
    code, says = ENDINGS[ending]
    begun = time.monotonic()
    report = LAB.check(code, "double.py")
    assert report.failed == ["doubles-texts"]
    assert report.points == 1
    happened = report.outcomes[1].happened
    assert happened.startswith(says)
    assert len(happened) < 500
    assert "\n" not in happened
    assert len(report.printed) <= 2000
    assert time.monotonic() - begun < 60


@linux
def test_a_fork_bomb_is_stopped_and_nothing_is_left() -> None:
    report = LAB.check("import os\nprint(os.getpgrp())\n" + body("while True: os.fork()"), "double.py")
    assert report.outcomes[1].happened in (TOO_MANY_PROCESSES, TOO_MUCH_MEMORY, too_long(2.0))
    assert report.points == 1
    groups = {int(line) for line in report.printed.split()}
    assert groups
    left = []
    for process in psutil.process_iter(["status"]):
        with suppress(ProcessLookupError):
            if os.getpgid(process.pid) in groups and process.info["status"] != psutil.STATUS_ZOMBIE:
                left.append(process)
    assert not left


PROBLEMS = {
    "no Python": ("def double(x:\n", "line 1 is not Python: "),
    "no double": ("def twice(x): return x\n", "there is no `double`: keep the name that the lab gave it"),
    "a loop at the top": ("while True: pass\n", too_long(2.0)),
    "an error at the top": ("1 / 0\n", "it raised ZeroDivisionError: division by zero, in line 1: `1 / 0`"),
    "an exit at the top": ("import os; os._exit(3)\n", ENDED),
    "a null byte": ("\0", "it is not Python: "),
    "an unknown package": ("import nowhere\n", "it raised ModuleNotFoundError: No module named 'nowhere'"),
}


@pytest.mark.parametrize("problem", PROBLEMS)
def test_code_that_cannot_be_run_gets_one_sentence_for_all(problem: str) -> None:
    code, says = PROBLEMS[problem]
    report = LAB.check(code, "double.py")
    assert report.problem.startswith(says)
    assert report.points == 0
    assert not report.solved
    assert report.text().count("not checked") == 1


def test_the_first_check_that_fails_is_the_last_if_that_is_enough() -> None:
    for code in ("def double(x): return 0", "def double(x):\n    while True: pass"):
        run = run_checks(LAB.checks_file, LAB.task.visible(), code, "double.py", until_failed=True)
        assert [result["name"] for result in run.results] == ["doubles"]


def test_each_check_meets_the_code_as_it_was() -> None:
    """What one check leaves behind does not change another."""
    report = LAB.check(
        "calls = []\ndef double(x):\n    calls.append(x)\n    return x * 2 if len(calls) < 2 else 0\n", "d"
    )
    assert report.solved


def test_nothing_of_the_environment_or_the_folder_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LBKIT_SECRET", "hunter2")
    code = "import os\ndef double(x):\n    print(sorted(os.environ), os.listdir('.'))\n    return x + x\n"
    report = LAB.check(code, "double.py")
    assert report.solved
    assert "SECRET" not in report.printed
    assert "double.py" not in report.printed


def test_a_check_of_the_instructor_tells_nothing() -> None:
    report = LAB.check("def double(x): return x or 7\n", "double.py", hidden=True)
    assert report.points == 0
    said = report.text() + report.json()
    for secret in ("zero", "secret", "7"):
        assert secret not in said
    assert "zero" not in report._repr_html_()
    assert "a check of the instructor's has failed" in said


def test_what_the_code_prints_is_in_the_report() -> None:
    report = LAB.check("def double(x):\n    print('here with', x)\n    return x + x\n", "double.py")
    assert "here with 2" in report.text()
    assert "here with ab" in report._repr_html_()
