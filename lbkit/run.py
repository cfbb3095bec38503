"""Run an experiment on an engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Any

from lbkit.core.balance import Balancer
from lbkit.experiment import Experiment, Policy
from lbkit.result import Result

# Engine -> "module:function". Imported when first used: the simulator needs no sockets, and
# a laptop without Locust can still simulate.
ENGINES = {
    "sim": "lbkit.sim:simulate",
    "live": "lbkit.live:run_live",
}


def engine(name: str) -> Callable[..., Result]:
    """The function behind an engine. Raises ValueError for a name that there is not."""
    if name not in ENGINES:
        raise ValueError(f"no engine {name!r}: there are {', '.join(ENGINES)}")
    module, _, function = ENGINES[name].partition(":")
    run: Callable[..., Result] = getattr(import_module(module), function)
    return run


def run(experiment: Experiment, on: str = "sim", **options: Any) -> Result:
    """Run it to the end and return what came out; `options` are the engine's own.

    Raises ValueError for an unknown engine. Nothing that was started is left running,
    also after an interrupt."""
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
