from __future__ import annotations

import math
from pathlib import Path

import pytest

from lbkit import (
    Balancer,
    Comparison,
    Experiment,
    Exponential,
    Policy,
    Replication,
    Traffic,
    compare,
    replicate,
    run,
    servers,
)
from lbkit.replicate import MAIN
from lbkit.result import Results
from lbkit.sim import theory
from lbkit.stats import interval
from lbkit.table import duration

SMALL = Experiment(servers(4, service=Exponential(0.02)), Traffic(duration=20, warmup=4), seed=3).at_load(0.8)
THREE = ["random", "power_of_two", "least_connections"]


@pytest.fixture(scope="module")
def three() -> Comparison:
    return replicate(SMALL, 8, THREE)


def test_a_measure_is_a_mean_with_its_interval() -> None:
    found = replicate(SMALL, 5)
    by_hand = [run(SMALL.but(seed=seed)).percentile(99) for seed in range(3, 8)]
    assert found.seeds == (3, 4, 5, 6, 7)
    assert found.values_of("p99") == by_hand
    assert found["p99"] == interval(by_hand)
    assert {"mean", "waiting", "slowdown", "throughput", "error_rate", "p99.9", "busiest"} <= set(found)
    with pytest.raises(KeyError, match="no measure 'p42': there are requests"):
        found["p42"]


def test_the_interval_holds_what_theory_says() -> None:
    one = Experiment(servers(1, service=Exponential(1.0)), Traffic(duration=4000, warmup=500)).at_load(0.6)
    assert theory.mm1_time(0.6) in replicate(one, 20, confidence=0.999)["mean"]


def test_more_seeds_and_less_confidence_are_narrower() -> None:
    few, many = replicate(SMALL, 4), replicate(SMALL, 16)
    assert many["mean"].half < few["mean"].half
    assert few.at(0.8)["mean"].half < few["mean"].half < few.at(0.99)["mean"].half


def test_policies_get_the_same_requests(three: Comparison) -> None:
    assert list(three) == THREE
    requests = {tuple(one.values_of("requests")) for one in three.values()}
    assert len(requests) == 1


def test_differences_are_paired(three: Comparison) -> None:
    gap = three["random"] - three["power_of_two"]
    assert gap.values_of("mean") == pytest.approx(
        [
            a - b
            for a, b in zip(
                three["random"].values_of("mean"), three["power_of_two"].values_of("mean"), strict=True
            )
        ]
    )
    found = three.difference("mean", "random", "power_of_two")
    assert found == gap["mean"]
    # What the requests of a seed have in common cancels out: the errors of both would add up else.
    apart = math.hypot(three["random"]["mean"].half, three["power_of_two"]["mean"].half)
    assert found.half < apart
    with pytest.raises(ValueError, match="differ in their seeds"):
        three["random"] - replicate(SMALL, 2)


def test_who_beats_whom(three: Comparison) -> None:
    assert three.beats("least_connections", "random")
    assert not three.beats("random", "least_connections")
    assert three.best("mean")[0] == "least_connections"
    assert not three.beats("random", "random")


def test_equal_policies_are_not_told_apart() -> None:
    """The same algorithm with other random numbers."""
    same = replicate(SMALL, 6, [Policy("random"), Policy("random", retries=2)])
    assert list(same) == ["random", "random 2"]
    assert same.verdict("p99") == "6 seeds cannot tell the p99 of random and random 2 apart."


def test_a_verdict_stands_on_intervals(three: Comparison) -> None:
    text = three.verdict("mean")
    assert text.startswith("least_connections has the lowest mean, ")
    gap = three.difference("mean", "random", "least_connections")
    assert f"random has {duration(gap)} more" in text


def test_more_is_better_for_throughput() -> None:
    """Where servers turn away what they cannot queue, the better balancer answers more."""
    short = SMALL.but(servers=servers(4, service=Exponential(0.02), queue=1)).at_load(0.9)
    found = replicate(short, 8, ["random", "least_connections"])
    assert found.beats("least_connections", "random", "throughput")
    assert found.verdict("throughput").startswith("least_connections has the highest throughput, ")
    assert found.verdict("throughput").endswith(" less.")


def test_how_it_looks(three: Comparison) -> None:
    html = three._repr_html_()
    assert html.count("<tr>") == 4
    assert duration(three["random"]["p99"]) in html
    assert "mean of 8 seeds ± half of its 95% confidence interval" in html
    assert html.count("<th") - html.count("<thead") == len(MAIN)  # all fourteen do not fit a small screen
    assert "power_of_two, 8 seeds: mean 0.0" in repr(three)


def test_runs_without_a_steady_state_are_counted() -> None:
    found = replicate(SMALL.at_load(1.3), 3, ["random", "least_connections"])
    assert [text.partition(" (")[0] for text in found.warnings] == [
        "random: no steady state in 3 of 3 runs",
        "least_connections: no steady state in 3 of 3 runs",
    ]
    assert found.warnings[0] in found._repr_html_()
    assert replicate(SMALL.but(duration=60, warmup=10).at_load(0.4), 3, "random").warnings == ()


class Mine(Balancer):
    def pick(self, backends, key, now):
        return backends[0]


def test_an_algorithm_of_your_own_can_be_replicated() -> None:
    found = replicate(SMALL.but(duration=5, warmup=1), 2, [Mine, "random"])
    assert found["mine"]["fairness"].mean == 0.25


def test_replications_can_be_kept(tmp_path: Path) -> None:
    kept = tmp_path / "rows.jsonl"
    first = replicate(SMALL, 3, THREE, keep=kept)
    assert len(kept.read_text().splitlines()) == 9
    again = replicate(SMALL, 5, THREE, keep=kept)
    assert len(kept.read_text().splitlines()) == 15
    assert again["random"].values_of("p99")[:3] == first["random"].values_of("p99")


def test_an_interrupt_leaves_what_can_be_compared() -> None:
    def stop(done: int, of: int) -> None:
        if done == 8:
            raise KeyboardInterrupt

    found = replicate(SMALL, 5, THREE, progress=stop)
    assert found["random"].seeds == found["least_connections"].seeds == (3, 4)


@pytest.mark.parametrize("n", [0, 1, 2.5, True])
def test_one_seed_is_not_enough(n: int) -> None:
    with pytest.raises(ValueError, match=r"n is .*: use a whole number of at least 2"):
        replicate(SMALL, n)


def test_compare_takes_seeds() -> None:
    found = compare(SMALL.but(duration=5), ["random", "round_robin"], seeds=2)
    assert isinstance(found, Comparison)
    assert found["random"].seeds == (3, 4)
    assert isinstance(compare(SMALL.but(duration=5), "random"), Results)
    with pytest.raises(ValueError, match="n is 1: use a whole number of at least 2"):
        compare(SMALL, "random", seeds=1)


def test_a_single_policy_is_a_replication() -> None:
    assert isinstance(replicate(SMALL.but(duration=5), 2), Replication)
    assert list(replicate(SMALL.but(duration=5), 2, "random")) == ["random"]
