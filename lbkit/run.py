"""Run an experiment on an engine."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from inspect import signature
from typing import Any

from lbkit.core import AlgorithmError
from lbkit.core.options import check_names
from lbkit.core.text import unknown
from lbkit.experiment import Experiment, check_experiment
from lbkit.interrupted import AGAIN, Interrupted, NothingMeasured
from lbkit.needs import resolve, why_not
from lbkit.result import Result

# Engine -> the function that runs experiments on it, imported when it is first used. The features of the same
# names in lbkit.needs say what each engine needs.
ENGINES = {
    "sim": "lbkit.sim:simulate",
    **dict.fromkeys(("live", "docker", "nginx", "haproxy", "apache", "caddy"), "lbkit.live:run_live"),
}


class EngineError(RuntimeError):
    """An engine cannot run here; says why, and what to do. A notebook shows the message alone."""

    def _render_traceback_(self) -> list[str]:
        return [f"{type(self).__name__}: {self}"]


def require(name: str) -> None:
    """Raise EngineError if this machine cannot run the engine, ValueError for an unknown engine."""
    if name not in ENGINES:
        raise ValueError(unknown(str(name), ENGINES, "engine"))
    if reason := why_not(name):
        raise EngineError(reason)


def engine(name: str) -> Callable[..., Result]:
    """Return the function that runs experiments on an engine. Raises as `require`."""
    require(name)
    function: Callable[..., Result] = resolve(ENGINES[name])
    return function if name == "sim" else partial(function, on=name)


def _options(name: str) -> list[str]:
    """Return the names of an engine's own options."""
    return [
        option
        for option in signature(resolve(ENGINES[name])).parameters
        if option not in ("experiment", "on")
    ]


def short(error: AlgorithmError) -> AlgorithmError:
    """Return the error without a traceback so far: the way through lbkit is not what is wrong."""
    return error.with_traceback(None)


def run(experiment: Experiment, on: str = "sim", **options: Any) -> Result:
    """Run an experiment to its end and return the result; `options` are the engine's own.

    An interrupt ends the run, and the result has what was measured until then; a second one within two
    seconds is raised, and so ends a loop of runs. Raises ValueError for an unknown engine, EngineError if
    this machine lacks something for it, TypeError for an unknown option, and AlgorithmError if an algorithm
    of your own fails in the simulator. Nothing is left running, also after an interrupt."""
    ready = engine(on)
    check_experiment(experiment)
    known = _options(on)
    for name in set(_options("sim")).difference(known).intersection(options):
        raise TypeError(f"run: {name} is an option of on='sim'; on={on!r} has {', '.join(known)}")
    check_names(run, options, known)
    try:
        return ready(experiment, **options)
    except AlgorithmError as error:
        raise short(error) from None
    except Interrupted as stop:
        if _interrupts and stop.at - _interrupts.pop() < AGAIN:
            raise
        _interrupts.append(stop.at)
        return stop.result
    except KeyboardInterrupt:
        raise NothingMeasured from None


_interrupts: list[float] = []  # when the last interrupt was, on the clock of time.monotonic


def render(experiment: Experiment, program: str, layer: int = 7) -> str:
    """Return the configuration with which a program, such as nginx, runs the experiment; to read, not to run.

    The program need not be installed. See `lbkit.live.render`."""
    text: str = resolve("lbkit.live:render")(experiment, program, layer)
    return text


def notes(experiment: Experiment, program: str) -> list[str]:
    """Return what a program does otherwise than the experiment says, a line each. See `lbkit.live.notes`."""
    lines: list[str] = resolve("lbkit.live:notes")(experiment, program)
    return lines
