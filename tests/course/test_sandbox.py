"""Whatever a learner's code does, the report says it in a sentence, within seconds."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from lbkit.course import Lab, limits, sandbox
from lbkit.course.limits import (
    DELETED,
    ENDED,
    ONLY_WAITS,
    TOO_EARLY,
    TOO_LONG,
    TOO_MANY_PROCESSES,
    TOO_MANY_THREADS,
    TOO_MUCH_MEMORY,
    TOO_MUCH_OUTPUT,
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
    "an endless loop": (body("while True: pass"), TOO_LONG),
    "a loop that catches everything": (
        body("while True:", "    try:", "        while True: pass", "    except BaseException: pass"),
        TOO_LONG,
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
    "a lock that it holds itself": (body("a = threading.Lock()", "a.acquire()", "a.acquire()"), ONLY_WAITS),
    "a debugger": (body("breakpoint()"), "it raised BdbQuit"),
    "the randomness of others": (
        body("import random", "random.seed = random.random = None", "return 7"),
        "7",
    ),
    "names of other cells": (
        body("return np.add(x, x)"),
        "it raised NameError: name 'np' is not defined, in line 4: `return np.add(x, x)`; all that it needs, "
        "its imports too, has to stand in the code itself",
    ),
    "not written": (body("raise NotImplementedError()"), "it is not written yet, in line 4"),
    "a long message": (body("raise ValueError('x' * 100_000)"), "it raised ValueError: xxx"),
}


def test_a_check_that_began_since_the_last_look_is_the_one_that_is_stopped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A busy machine may let a look take as long as a whole check."""
    look = sandbox._too_much

    def slow_look(family: sandbox.Family, printed: Path) -> str:
        end = time.monotonic() + 60
        while printed.stat().st_size <= limits.OUTPUT and time.monotonic() < end:
            time.sleep(0.01)
        return look(family, printed)

    monkeypatch.setattr(sandbox, "_too_much", slow_look)
    report = LAB.check(ENDINGS["printing for ever"][0], "double.py")
    assert report.failed == ["doubles-texts"]
    assert report.outcomes[1].happened == TOO_MUCH_OUTPUT


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
    assert report.outcomes[1].happened in (TOO_MANY_PROCESSES, TOO_MUCH_MEMORY, TOO_LONG)
    assert report.points == 1
    groups = {int(line) for line in report.printed.split()}
    assert groups
    left = []
    for process in psutil.process_iter(["status"]):
        with suppress(ProcessLookupError):
            if os.getpgid(process.pid) in groups and process.info["status"] != psutil.STATUS_ZOMBIE:
                left.append(process)
    assert not left


def test_what_is_left_behind_is_ended_and_deleted() -> None:
    """Also a process that has left the group of its parents, and files in the folder for temporary ones."""
    code = body(
        "import subprocess, tempfile",
        "left = subprocess.Popen(['sleep', '1000'], start_new_session=True)",
        "print(left.pid, tempfile.mkdtemp())",
    )
    report = LAB.check(code, "double.py")
    assert report.solved, report.text()
    pid, folder = report.printed.split()
    assert not psutil.pid_exists(int(pid)) or psutil.Process(int(pid)).status() == psutil.STATUS_ZOMBIE
    assert not Path(folder).exists()


def test_what_the_code_writes_into_our_files_is_no_result() -> None:
    lines = ["[1]", "3", "null", '{"name": ["x"]}', '{"name": "doubles-zero", "passed": true}', "\\xff"]
    code = body(
        "for fd in range(3, 20):",
        "    try:",
        f"        os.write(fd, {''.join(line + chr(10) for line in lines).encode()!r})",
        "    except OSError: pass",
    )
    report = LAB.check(code, "double.py")
    assert report.solved, report.text()
    assert len(report.outcomes) == 2


def test_files_that_the_checks_need_may_be_deleted() -> None:
    code = body("import shutil, pathlib", "shutil.rmtree(pathlib.Path.cwd().parent)")
    assert LAB.check(code, "double.py").problem == DELETED
    own = body("import shutil, pathlib", "shutil.rmtree(pathlib.Path.cwd())")
    assert LAB.check(own, "double.py").solved


def test_a_file_without_an_end_is_stopped() -> None:
    code = body("with open('big', 'wb') as big:", "    while True: big.write(bytes(1 << 20))")
    happened = LAB.check(code, "double.py").outcomes[1].happened
    assert happened.startswith("it raised OSError: [Errno 27] File too large, in line")


@linux
def test_a_check_ends_with_the_process_that_watches_it(tmp_path: Path) -> None:
    """As when a kernel is restarted, or a terminal closed, in the middle of it."""
    said = tmp_path / "pid"
    code = (
        f"import os, time\nopen({str(said)!r}, 'w').write(f'{{os.getpid()}} ')\n"
        "def double(x): time.sleep(1000)\n"
    )
    script = (
        "from lbkit.course import Lab\nfrom pathlib import Path\n"
        f"Lab(Path({str(LAB.folder)!r})).check({code!r}, 'd')"
    )
    own = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", script], env=own) as watching:
        while not said.exists() or not said.read_text().endswith(" "):
            time.sleep(0.05)
        child = psutil.Process(int(said.read_text().split()[0]))
        watching.kill()
    with suppress(psutil.NoSuchProcess):
        child.wait(30)
    assert [path.name for path in tmp_path.iterdir()] == ["pid"]  # its folder is deleted


PROBLEMS = {
    "no Python": ("def double(x:\n", "line 1 is not Python: "),
    "no double": ("def twice(x): return x\n", "there is no `double`: keep the name that the lab gave it"),
    "nearly double": ("def Doubel(x): return x\n", "there is no `double`, but a `Doubel`: keep the name"),
    "no function": ("double = 2\n", "`double` is of the kind int: make it a function"),
    "a magic": (
        "%time 1\n",
        "line 1 is not Python: invalid syntax: `%time 1`; magics and commands (%, !, ?) work in",
    ),
    "a magic as IPython writes it": (
        "get_ipython()\n",
        "it raised NameError: name 'get_ipython' is not defined, in",
    ),
    "the same error in all": (
        "def double(x): raise ValueError('a\\x1b[31mb\\nc')\n",
        "it raised ValueError: a[31mb c, in line 1",
    ),
    "a loop in all": ("def double(x):\n    while True: pass\n", TOO_LONG),
    "a loop at the top": ("while True: pass\n", TOO_LONG),
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


NEEDS = """
from lbkit.course import Task, expect
task = Task("Double", "double", ("double",), minutes=1, difficulty=1, before="nothing")

@task.check(points=1, seconds=1.0)
def doubles(double):
    \"\"\"Two becomes four.\"\"\"
    expect(double(2) == 4, "4", "no 4")

@task.check(points=1, needs=doubles)
def doubles_three(double):
    \"\"\"Three becomes six.\"\"\"
    expect(double(3) == 6, "6", "no 6")

@task.check(points=1)
def is_a_function(double):
    \"\"\"It can be called.\"\"\"
"""


@pytest.mark.parametrize("wrong", ["return 0", "\n    while True: pass"])
def test_a_check_is_not_run_without_what_it_needs(wrong: str, tmp_path: Path) -> None:
    """Also in another process, as after a check that was stopped."""
    lab = Lab(tmp_path)
    lab.source.mkdir()
    lab.checks_file.write_text(NEEDS)
    report = lab.check(f"def double(x): {wrong}", "double.py")
    assert report.failed == ["doubles", "doubles-three"]
    assert report.outcomes[1].happened == TOO_EARLY.format("Two becomes four.")
    assert lab.check("def double(x): return x + x", "double.py").solved


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


def test_what_lbkit_says_of_itself_is_not_printed_by_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where compiled modules are older than their sources: it has been said, and the variable set."""
    monkeypatch.setenv("LBKIT_PURE", "1")
    code = "import os\ndef double(x):\n    print(os.environ['LBKIT_PURE'])\n    return x + x\n"
    assert set(LAB.check(code, "double.py").printed.split()) == {"1"}


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
