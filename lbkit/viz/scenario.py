"""The scenario of the playground: sliders to an experiment, results to a sentence."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from lbkit.core.options import named_fields
from lbkit.core.text import listed
from lbkit.distributions import Constant, Exponential, LogNormal, Service
from lbkit.experiment import Action, Event, Experiment, Server, Traffic
from lbkit.replicate import Comparison
from lbkit.result import Result
from lbkit.table import duration
from lbkit.viz.style import title

MEAN = 0.02  # mean service time on the fastest server, in seconds

# Label on the slider -> service times of the same mean, in order of variability.
VARIABILITY: dict[str, Service] = {
    "none": Constant(MEAN),
    "little": LogNormal(MEAN, 0.5),
    "medium": Exponential(MEAN),
    "much": LogNormal(MEAN, 2.0),
    "extreme": LogNormal(MEAN, 5.0),
}


@named_fields
@dataclass(frozen=True, slots=True)
class Settings:
    """The values of the sliders."""

    servers: int = 4
    unequal: float = 0.5  # 0: all alike; 0.9: the slowest has a tenth of the fastest's speed
    load: float = 0.8  # share of the capacity of all servers
    variability: str = "medium"
    failures: int = 0  # servers that crash after a third of the time, and are back after two thirds
    clients: int = 100
    seed: int = 1


# The least and the greatest value of each number.
LIMITS: dict[str, tuple[float, float]] = {
    "servers": (2, 20),
    "unequal": (0, 0.9),
    "load": (0.1, 0.98),
    "failures": (0, 3),
    "clients": (5, 500),
    "seed": (1, 50),
}


def scenario(settings: Settings, requests: int) -> Experiment:
    """Return an experiment with about `requests` requests. Weights are in proportion to capacity."""
    n = settings.servers
    speeds = [round(1 - settings.unequal * i / max(1, n - 1), 3) for i in range(n)]
    work = VARIABILITY[settings.variability]
    fleet = [Server(f"s{i}", speed=s, weight=s, service=work) for i, s in enumerate(speeds, 1)]
    duration = float(f"{requests / (settings.load * sum(speeds) / MEAN):.3g}")
    crashing = [s.name for s in fleet[: min(settings.failures, n - 1)]]
    return Experiment(
        fleet,
        Traffic(duration=duration, warmup=duration / 10, clients=settings.clients),
        events=[
            *(Event(round(duration / 3, 3), Action.CRASH, name) for name in crashing),
            *(Event(round(duration * 2 / 3, 3), Action.RECOVER, name) for name in crashing),
        ],
        seed=settings.seed,
        name="playground",
    ).at_load(settings.load)


# -- in words ---------------------------------------------------------------------------

LOSSES = 0.01  # share of the requests from which losses matter more than latency
CLOSE = 1.1  # ratio of two p99 below which the difference does not matter
FULL = 0.97  # utilisation above which a server cannot keep up


def verdict(results: Sequence[Result], seeds: Comparison | None = None) -> str:
    """Return the winner and the reason in one or two sentences, with the numbers of the results.

    One seed may be luck: a policy wins only where the confidence intervals of its differences to all others
    over several `seeds` say so. Without seeds it is ahead on this one."""
    results = [r for r in results if r.latencies()]
    if not results:
        return "Not one request was answered."

    one_seed: dict[str, Callable[[Result], float]] = {
        "error_rate": lambda result: result.error_rate,
        "p99": lambda result: result.percentile(99),
    }

    def of(result: Result, measure: str) -> Any:
        return seeds[result.policy][measure] if seeds else one_seed[measure](result)

    def middle(result: Result, measure: str) -> float:
        value = of(result, measure)
        return float(value.mean if seeds else value)

    ranked = sorted(results, key=lambda r: (round(middle(r, "error_rate"), 2), middle(r, "p99")))
    best, worst = ranked[0], ranked[-1]
    name, other = title(best.policy).capitalize(), title(worst.policy)
    if best is worst:
        return f"{name}: 99 % of the answers take at most {duration(of(best, 'p99'))}."
    losses = middle(worst, "error_rate") - middle(best, "error_rate")
    measure = "error_rate" if losses >= LOSSES else "p99"
    of_seeds = f" ({len(seeds[best.policy].seeds)} seeds, 95 % confidence)" if seeds else ""
    level = [
        title(r.policy) for r in ranked[1:-1] if seeds and not seeds.beats(best.policy, r.policy, measure)
    ]
    wins = "wins" if seeds else "is ahead on this seed"
    if level:
        wins = f"is ahead, though not clearly of {listed(level)}"
    if seeds and not seeds.beats(best.policy, worst.policy, measure):
        return (
            f"No clear winner{of_seeds}: 99 % of the answers take at most {duration(of(best, 'p99'))} with "
            f"{title(best.policy)} and {duration(of(worst, 'p99'))} with {other}."
        )
    if measure == "error_rate":
        lost = [percent(of(result, measure)) for result in (best, worst)]
        return (
            f"{name} {wins}: it lost {lost[0]} of the requests, {other} {lost[1]}{of_seeds}. "
            "A server that is down refuses at once, so counting requests in flight takes it for idle."
        )
    ratio = middle(worst, "p99") / middle(best, "p99")
    if ratio < CLOSE:
        return (
            f"Hardly a difference{of_seeds}: 99 % of the answers take at most {duration(of(best, 'p99'))} "
            f"with {title(best.policy)} and {duration(of(worst, 'p99'))} with {other}."
        )
    return (
        f"{name} {wins}: 99 % of its answers take at most {duration(of(best, 'p99'))}, those of {other} "
        f"{duration(of(worst, 'p99'))}, {ratio:.1f} times as long{of_seeds}. {_why(best, worst)}"
    )


def percent(share: Any) -> str:
    """Return a share, a float or an Interval, in percent."""
    return f"{share * 100:.1f} %"


def _why(best: Result, worst: Result) -> str:
    other = title(worst.policy).capitalize()
    server, busy = max(worst.utilisation.items(), key=lambda item: item[1])
    if busy >= FULL and max(best.utilisation.values()) < busy:
        capacity = {s.name: s.capacity for s in worst.experiment.leaves}
        fair = capacity[server] / sum(capacity.values())
        return (
            f"{other} gives {server} {worst.shares[server]:.0%} of the requests, "
            f"though its capacity is {fair:.0%} of the total: busy {busy:.0%} of the time, its queue grows."
        )
    return (
        f"Queues make the difference: at worst {longest_queue(worst)} requests were at one server, "
        f"and only {longest_queue(best)} with {title(best.policy)}."
    )


def longest_queue(result: Result) -> int:
    """Return the highest number of requests at one server after the warm-up, in 500 samples of the run."""
    traffic = result.experiment.traffic
    times, levels = result.in_flight(traffic.duration / 500)
    first = bisect_left(times, traffic.warmup)
    return max(max(level[first:], default=0) for level in levels.values())
