"""Doubts about the statistics of a run: what a reader should know before believing them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lbkit.arrivals import Closed, ConstantRate, Poisson
from lbkit.core.text import listed
from lbkit.experiment import Experiment
from lbkit.stats import PERCENTILES, stands_out, transient

TAIL = 10  # answers beyond a percentile, fewer of which make it a matter of luck
SHORT = 0.2  # share of the answers that may belong to a transient: less is often chance

Latencies = Sequence[float]  # seconds, of the good answers that count, in order of arrival


def warnings(experiment: Experiment, latencies: Latencies) -> tuple[str, ...]:
    """Return a line for each reason to doubt the statistics of a run; none if there is no reason."""
    return tuple(text for rule in RULES if (text := rule(experiment, latencies)))


def overload(experiment: Experiment, latencies: Latencies) -> str:
    """More work arrives than the servers can do, and nothing bounds their queues."""
    load = experiment.load
    bounded = experiment.limits or experiment.admission or all(s.queue is not None for s in experiment.leaves)
    if load is None or load < 1 or bounded:
        return ""
    return (
        f"load is {load:.3g}: more work arrives than the servers can do, so queues grow for as long as "
        "the run lasts, and latencies depend on its duration"
    )


def tail(experiment: Experiment, latencies: Latencies) -> str:
    """High percentiles of few answers."""
    count = len(latencies)
    if not count:
        return "no good answers: there is no latency and no fairness to judge"
    few = [q for q in PERCENTILES if round(count * (100 - q) / 100, 6) < TAIL]
    if not few:
        return ""
    needed = round(TAIL * 100 / (100 - few[-1]))
    rest = "rests" if len(few) == 1 else "rest"
    return (
        f"{listed([f'p{q:g}' for q in few])} {rest} on fewer than {TAIL} slower answers: "
        f"{count:,d} good answers were counted, p{few[-1]:g} needs {needed:,d}"
    )


def unsettled(experiment: Experiment, latencies: Latencies) -> str:
    """The transient is not over, where a steady state is to be expected."""
    traffic = experiment.traffic
    steady = isinstance(traffic.arrivals, Poisson | ConstantRate | Closed) and not experiment.events
    if not steady or overload(experiment, latencies):
        return ""
    point = transient(latencies)
    # The point of MSER alone is often late by chance, where it cuts off a burst that happened to come early.
    share = point / len(latencies) if latencies and stands_out(latencies, point) else 0.0
    if share > 0.5:
        return (
            "latency has not settled (MSER): queues may still be growing, or the run is too short for "
            "this load; use a longer duration"
        )
    if share > SHORT:
        seconds = traffic.warmup + share * (traffic.duration - traffic.warmup)
        return (
            f"latency settles only after about {seconds:.2g} s (MSER): use a warmup of that, "
            f"instead of {traffic.warmup:g} s"
        )
    return ""


def settled(experiment: Experiment, latencies: Latencies) -> bool:
    """Return whether the statistics are those of a steady state, as far as the run can tell."""
    return not (overload(experiment, latencies) or unsettled(experiment, latencies))


RULES: tuple[Callable[[Experiment, Latencies], str], ...] = (overload, tail, unsettled)
