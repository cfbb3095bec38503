"""Run an experiment on an engine."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from lbkit.core.balance import Balancer
from lbkit.experiment import Experiment, Policy
from lbkit.result import Result


class EngineError(RuntimeError):
    """An engine cannot run here; says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Engine:
    """Runs experiments; imported when first used, as not every machine has the packages it needs."""

    function: str  # "module:function"
    modules: tuple[str, ...] = ()  # Python packages it needs
    install: str = ""  # how to get them
    programs: tuple[str, ...] = ()  # it also needs one of these
    package: str = ""  # their package, for apt-get and brew
    check: str = ""  # "module:function": the reason it cannot run, with all of these there


_REAL = ("locust", "uvicorn")
_LOAD = "pip install 'lbkit[load]'"

ENGINES = {
    "sim": Engine("lbkit.sim:simulate"),
    "live": Engine("lbkit.live:run_live", _REAL, _LOAD),
    "docker": Engine(
        "lbkit.live:run_live",
        (*_REAL, "docker"),
        "pip install 'lbkit[load,docker]'",
        check="lbkit.live.docker:why_not",
    ),
    "nginx": Engine("lbkit.live:run_live", _REAL, _LOAD, ("nginx",), "nginx"),
    "haproxy": Engine("lbkit.live:run_live", _REAL, _LOAD, ("haproxy",), "haproxy"),
    "apache": Engine("lbkit.live:run_live", _REAL, _LOAD, ("apache2", "httpd"), "apache2"),
    "caddy": Engine("lbkit.live:run_live", _REAL, _LOAD, ("caddy",), "caddy"),
}


def why_not(name: str) -> str:
    """Return what the engine needs and this machine lacks, and how to get it; empty if it can run.

    Raises ValueError for an unknown engine."""
    if name not in ENGINES:
        raise ValueError(f"no engine {name!r}: there are {', '.join(ENGINES)}")
    engine = ENGINES[name]
    missing = [module for module in engine.modules if not _installed(module)]
    if missing:
        return f"{name} needs {' and '.join(missing)}: {engine.install}"
    if engine.programs and find_program(engine.programs) is None:
        return f"{name} needs {engine.programs[0]}: apt-get install {engine.package}, or brew install it"
    return str(_resolve(engine.check)()) if engine.check else ""


def _installed(module: str) -> bool:
    spec = find_spec(module)
    return spec is not None and spec.origin is not None  # a folder of that name is no package


def find_program(names: Iterable[str]) -> str | None:
    """Return the path of the first program found. Debian keeps daemons outside an ordinary PATH."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"])
    return next((found for name in names if (found := shutil.which(name, path=path))), None)


def require(name: str) -> None:
    """Raise EngineError if this machine cannot run the engine, ValueError for an unknown engine."""
    if reason := why_not(name):
        raise EngineError(reason)


def engine(name: str) -> Callable[..., Result]:
    """Return the function of an engine. Raises as `require`."""
    require(name)
    run: Callable[..., Result] = _resolve(ENGINES[name].function)
    return run if name == "sim" else partial(run, on=name)


def _resolve(what: str) -> Callable[..., Any]:
    """Return the function that "module:function" names."""
    module, _, function = what.partition(":")
    found: Callable[..., Any] = getattr(import_module(module), function)
    return found


def run(experiment: Experiment, on: str = "sim", **options: Any) -> Result:
    """Run an experiment to its end and return the result; `options` are the engine's own.

    Raises ValueError for an unknown engine, EngineError if this machine lacks something for it. Nothing is
    left running, also after an interrupt."""
    return engine(on)(experiment, **options)


def compare(
    experiment: Experiment,
    policies: Iterable[Policy | str | type[Balancer]],
    on: str = "sim",
    progress: Callable[[Result], object] | None = None,
    **options: Any,
) -> list[Result]:
    """Run the same experiment with each policy in turn; `progress` is called with each result."""
    results = []
    for policy in policies:
        results.append(run(experiment.but(policy=policy), on, **options))
        if progress:
            progress(results[-1])
    return results
