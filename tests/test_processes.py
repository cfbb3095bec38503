from __future__ import annotations

import math
import operator
import os
import subprocess
import sys
import time
from concurrent.futures import BrokenExecutor
from pathlib import Path

import pytest

import lbkit
from lbkit.processes import Processes

ROOT = Path(lbkit.__file__).parents[1]


def test_calls_run_in_other_processes() -> None:
    with Processes(2) as workers:
        pids = {workers.submit(os.getpid).result() for _ in range(4)}
        sums = [workers.submit(operator.add, i, 1) for i in range(20)]
        assert [future.result() for future in sums] == list(range(1, 21))
    assert os.getpid() not in pids
    assert 1 <= len(pids) <= 2


def test_what_a_call_raises_is_raised() -> None:
    with Processes(1) as workers:
        with pytest.raises(ValueError, match="math domain error"):
            workers.submit(math.sqrt, -1).result()
        assert workers.submit(math.sqrt, 4).result() == 2  # the worker goes on


def test_what_a_call_prints_is_no_result() -> None:
    with Processes(1) as workers:
        assert workers.submit(print, "hello").result() is None
        assert workers.submit(os.write, 1, b"hello").result() == 5
        with pytest.raises(TypeError, match="not picklable"):
            workers.submit(open, os.devnull).result()


def test_a_worker_that_ends_is_named() -> None:
    with Processes(1) as workers:
        with pytest.raises(BrokenExecutor, match="a worker process has ended, with 3"):
            workers.submit(os._exit, 3).result()
        assert workers.submit(abs, -1).result() == 1  # by another


def test_an_exception_ends_running_calls() -> None:
    began = time.monotonic()

    def interrupted() -> None:
        with Processes(1) as workers:
            workers.submit(abs, -1).result()
            workers.submit(time.sleep, 60)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert time.monotonic() - began < 30


def test_a_script_needs_no_main_guard(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from lbkit import Experiment, Traffic, servers, sweep\n"
        "print('begins')\n"
        "table = sweep(Experiment(servers(2), Traffic(duration=1)), {'seed': range(3)}, progress=False)\n"
        "print(table.column('seed'))\n"
    )
    done = subprocess.run(
        [sys.executable, script],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert (done.stdout, done.stderr, done.returncode) == ("begins\n[0, 1, 2]\n", "", 0)
