"""The same experiment under several policies: one run of each, or as many as there are seeds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, overload

from lbkit.checks import several
from lbkit.core import AlgorithmError
from lbkit.core.text import shown
from lbkit.experiment import Experiment, check_experiment
from lbkit.replicate import Comparison, Policies, replicate
from lbkit.result import Result, Results
from lbkit.run import run, short


@overload
def compare(
    experiment: Experiment,
    policies: Policies,
    on: str = ...,
    progress: Callable[[Result], object] | None = ...,
    *,
    seeds: None = ...,
    **options: Any,
) -> Results: ...


@overload
def compare(
    experiment: Experiment, policies: Policies, on: str = ..., *, seeds: int, **options: Any
) -> Comparison: ...


def compare(
    experiment: Experiment,
    policies: Policies,
    on: str = "sim",
    progress: Callable[..., object] | None = None,
    *,
    seeds: int | None = None,
    **options: Any,
) -> Results | Comparison:
    """Run the same experiment with each policy in turn; `progress` is called with each result.

    A policy is a Policy, the name of an algorithm or its class; one by itself is run alone. An interrupt ends
    the comparison: the results are those so far. A notebook shows them as a table.

    One run may be luck. With `seeds` each policy runs with that many, and the Comparison has means with
    confidence intervals: see `replicate`, which takes the `options` then."""
    if seeds is not None:
        return replicate(experiment, seeds, policies, on=on, progress=progress or False, **options)
    check_experiment(experiment)
    if progress is not None and not callable(progress):
        raise ValueError(f"progress is {shown(progress)}: use a function, which is called with each result")
    results = Results()
    for policy in several(policies):
        try:
            results.append(run(experiment.but(policy=policy), on, **options))
        except AlgorithmError as error:
            raise short(error) from None
        if progress:
            progress(results[-1])
        if results[-1].interrupted:
            break
    return results
