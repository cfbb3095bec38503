"""Run an experiment on an engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from lbkit.core.balance import Balancer
from lbkit.experiment import Experiment, Policy
from lbkit.result import Result


class EngineError(RuntimeError):
    """An engine could not run; says why, and how to mend it."""


@dataclass(frozen=True, slots=True)
class Engine:
    """Where experiments run; imported when first used, as not every machine has what it needs."""

    function: str  # "module:function"
    modules: tuple[str, ...] = ()  # Python packages it needs
    install: str = ""  # how to get them


ENGINES = {
    "sim": Engine("lbkit.sim:simulate"),
    "live": Engine("lbkit.live:run_live", ("locust", "uvicorn"), "pip install 'lbkit[load]'"),
}


def why_not(name: str) -> str:
    """What keeps this machine from running the engine, and how to get it; empty if nothing does.

    Raises ValueError for an engine that there is not."""
    if name not in ENGINES:
        raise ValueError(f"no engine {name!r}: there are {', '.join(ENGINES)}")
    missing = [module for module in ENGINES[name].modules if find_spec(module) is None]
    return f"{name} needs {' and '.join(missing)}: {ENGINES[name].install}" if missing else ""


def require(name: str) -> None:
    """Raises EngineError if this machine cannot run the engine, ValueError if there is none of the name."""
    if reason := why_not(name):
        raise EngineError(reason)


def engine(name: str) -> Callable[..., Result]:
    """The function behind an engine. Raises as `require`."""
    require(name)
    module, _, function = ENGINES[name].function.partition(":")
    run: Callable[..., Result] = getattr(import_module(module), function)
    return run


def run(experiment: Experiment, on: str = "sim", **options: Any) -> Result:
    """Run it to the end and return what came out; `options` are the engine's own.

    Raises ValueError for an unknown engine, EngineError where it lacks something. Nothing that
    was started is left running, also after an interrupt."""
    return engine(on)(experiment, **options)


def compare(
    experiment: Experiment,
    policies: Iterable[Policy | str | type[Balancer]],
    on: str = "sim",
    progress: Callable[[Result], object] | None = None,
    **options: Any,
) -> list[Result]:
    """The same experiment under each policy in turn; `progress` hears of each result."""
    results = []
    for policy in policies:
        results.append(run(experiment.but(policy=policy), on, **options))
        if progress:
            progress(results[-1])
    return results
