"""Algorithms that really do not end, in this thread and in others; looks come faster here than in use."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import pytest

from lbkit import AlgorithmError, Balancer, Experiment, Traffic, run, servers, watchdog
from lbkit.core import Backend, Pool, make_balancer

EXPERIMENT = Experiment(servers(3), Traffic(duration=2)).at_load(0.5)


pytestmark = pytest.mark.usefixtures("own_algorithms")


def interrupted(algorithm: type[Balancer]) -> AlgorithmError:
    with pytest.raises(AlgorithmError) as caught:
        run(EXPERIMENT.but(policy=algorithm))
    assert caught.value.endless
    assert run(EXPERIMENT).error_rate == 0  # everything can be used again
    return caught.value


def test_a_loop_is_interrupted_and_its_line_is_named() -> None:
    class Counting(Balancer):
        def pick(self, backends, key, now):
            turns = 0
            while turns >= 0:
                turns += 1
            return backends[0]

    error = interrupted(Counting)
    assert error.what == "Counting.pick did not return, and was interrupted"
    assert error.place.startswith(f"{__file__}, line ")
    assert error.source in ("while turns >= 0:", "turns += 1")


def test_a_loop_that_catches_exceptions_is_interrupted() -> None:
    class Catching(Balancer):
        def pick(self, backends, key, now):
            while True:
                try:  # noqa: SIM105
                    sum(range(100))
                except Exception:
                    pass

    interrupted(Catching)


def test_a_loop_that_catches_everything_is_interrupted_in_the_end() -> None:
    class Swallowing(Balancer):
        def pick(self, backends, key, now):
            while True:
                try:  # noqa: SIM105
                    sum(range(100))
                except:  # noqa: E722
                    pass

    interrupted(Swallowing)


def test_a_call_that_waits_in_c_is_interrupted_when_it_is_back() -> None:
    class Sleeping(Balancer):
        def pick(self, backends, key, now):
            time.sleep(0.6)
            return backends[0]

    assert interrupted(Sleeping).source == "time.sleep(0.6)"


@pytest.mark.parametrize("method", ["rebuild", "done", "members"])
def test_other_methods_are_interrupted_too(method: str) -> None:
    def forever(self, *_):
        while True:
            pass

    def first(self, backends, key, now):
        return backends[0]

    error = interrupted(type("Hanging", (Balancer,), {"pick": first, method: forever}))
    assert error.what == f"Hanging.{method} did not return, and was interrupted"


def test_a_long_run_of_slow_picks_is_left_alone() -> None:
    class Slow(Balancer):
        def pick(self, backends, key, now):
            end = time.monotonic() + 0.1  # a third of what is allowed, and each time anew
            while time.monotonic() < end:
                pass
            return backends[0]

    started = time.monotonic()
    assert run(EXPERIMENT.but(policy=Slow, duration=0.1)).error_rate == 0
    assert time.monotonic() - started > 2 * watchdog.PERIOD * watchdog.LOOKS


def test_a_pick_is_interrupted_in_another_thread() -> None:
    class Elsewhere(Balancer):
        def pick(self, backends, key, now):
            while True:
                pass

    watchdog.guard()
    pool = Pool([Backend("a")], Elsewhere())
    errors: list[Exception] = []

    def body() -> None:
        for _ in range(2):
            try:
                pool.pick("k", 0.0)
            except AlgorithmError as error:
                errors.append(error)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join(timeout=20)
    assert not thread.is_alive()
    assert [str(error) for error in errors] == [str(errors[0])] * 2


def test_only_a_learners_code_within_a_pool_is_a_call_of_an_algorithm() -> None:
    seen: list[object] = []

    class Looking(Balancer):
        def pick(self, backends, key, now):
            frame = sys._getframe()
            seen.append(watchdog.algorithm_call(frame) is frame)
            seen.append(self.deeper(frame))
            return backends[0]

        def deeper(self, outer):
            return watchdog.algorithm_call(sys._getframe()) is outer

    assert watchdog.algorithm_call(sys._getframe()) is None
    Pool([Backend("a")], Looking()).pick("k", 0.0)
    assert seen == [True, True]


def test_a_pick_in_a_debugger_is_left_alone() -> None:
    debugger: dict[str, object] = {"__name__": "bdb", "sys": sys, "watchdog": watchdog}
    exec("def look():\n    return watchdog.algorithm_call(sys._getframe())", debugger)
    seen = []

    class Debugged(Balancer):
        def pick(self, backends, key, now):
            seen.append(debugger["look"]())
            return backends[0]

    Pool([Backend("a")], Debugged()).pick("k", 0.0)
    assert seen == [None]


def test_what_lbkit_calls_of_the_standard_library_is_left_alone() -> None:
    library: dict[str, object] = {
        "__name__": "random",
        "sys": sys,
        "watchdog": watchdog,
        "seen": (seen := []),
    }
    exec("def random():\n    seen.append(watchdog.algorithm_call(sys._getframe()))\n    return 0.5", library)
    balancer = make_balancer("power_of_two")
    balancer.rng = SimpleNamespace(random=library["random"])  # type: ignore[assignment]
    Pool([Backend("a"), Backend("b")], balancer).pick("k", 0.0)
    assert seen == [None, None]


ENV = os.environ | {"PYTHONPATH": str(Path(watchdog.__file__).parent.parent)}
SCRIPT = """
from lbkit import Balancer, Experiment, Traffic, compare, run, servers, watchdog

class Own(Balancer):
    def pick(self, backends, key, now):
        {body}

if __name__ == "__main__":
    experiment = Experiment(servers(2), Traffic(duration=1))
    {call}
"""


@pytest.mark.parametrize("call", ["run(experiment.but(policy=Own))", "compare(experiment, ['random', Own])"])
def test_a_script_ends_with_five_lines_of_traceback_and_the_message(call: str, tmp_path: Path) -> None:
    script = tmp_path / "own.py"
    script.write_text(SCRIPT.format(body="return None", call=call))
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=60, env=ENV)
    *trace, message = done.stderr.splitlines()
    assert message.startswith("lbkit.core.contract.AlgorithmError: Own.pick returned None")
    assert f"{script}, line 6 (`return None`)" in message
    code = [line for line in trace if line.strip(" ~^")]  # Python 3.13 marks the call with a line of its own
    assert len(code) <= 5, done.stderr


def test_a_call_that_ends_while_it_is_looked_at_is_none() -> None:
    """The watched thread runs on, so a frame may be taken apart under the watchdog's eyes."""
    ended = SimpleNamespace(f_globals=None, f_back=None)
    assert watchdog.algorithm_call(ended) is None  # type: ignore[arg-type]


@pytest.mark.parametrize("collects", [True, False])
def test_garbage_is_not_collected_during_a_look(collects: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else, up to Python 3.11, a frame may refer to the memory of others, and the process crashes."""
    during: list[bool] = []

    class Frame:
        f_globals: ClassVar[dict[str, object]] = {"__name__": "lbkit.core.pool"}

        def __init__(self, depth: int) -> None:
            self.depth = depth

        @property
        def f_back(self) -> Frame | None:
            during.append(gc.isenabled())
            return Frame(self.depth - 1) if self.depth else None

    monkeypatch.setattr(sys, "_current_frames", lambda: during.append(gc.isenabled()) or {1: Frame(3)})
    if not collects:
        gc.disable()
    try:
        assert watchdog.algorithm_calls() == {}
        assert during == [False] * 5
        assert gc.isenabled() is collects  # as it was
    finally:
        gc.enable()
