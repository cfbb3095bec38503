from __future__ import annotations

from collections.abc import Sequence

import pytest

from lbkit import compare, replicate, run
from lbkit.viz.scenario import MEAN, VARIABILITY, Settings, scenario, verdict


@pytest.mark.parametrize("word", VARIABILITY)
def test_variability_changes_the_spread_and_not_the_mean(word: str) -> None:
    assert VARIABILITY[word].mean == pytest.approx(MEAN)


def test_a_wrong_setting_names_the_one_that_was_meant() -> None:
    with pytest.raises(TypeError, match=r"^Settings: unknown field server; .*; did you mean servers\?"):
        Settings(server=3)


def test_variability_grows() -> None:
    spreads = []
    for service in VARIABILITY.values():
        draws = [service.quantile((i + 0.5) / 2000) for i in range(2000)]
        mean = sum(draws) / len(draws)
        spreads.append(sum((d - mean) ** 2 for d in draws) / len(draws) / mean**2)
    assert spreads == sorted(spreads)
    assert spreads[0] == pytest.approx(0, abs=1e-12)


def test_the_sliders_mean_what_they_say() -> None:
    experiment = scenario(Settings(servers=5, unequal=0.8, load=0.6, failures=2, clients=7, seed=3), 5000)
    speeds = [s.speed for s in experiment.servers]
    assert (max(speeds), min(speeds)) == (1.0, pytest.approx(0.2))
    assert experiment.load == pytest.approx(0.6)
    assert (experiment.traffic.clients, experiment.seed) == (7, 3)
    assert [(e.action.value, e.server) for e in experiment.events] == [
        ("crash", "s1"),
        ("crash", "s2"),
        ("recover", "s1"),
        ("recover", "s2"),
    ]
    assert len(run(experiment)) == pytest.approx(5000, rel=0.1)


def test_never_all_servers_fail() -> None:
    assert len({e.server for e in scenario(Settings(servers=2, failures=3), 100).events}) == 1


POLICIES = ["round_robin", "least_connections"]


def test_one_seed_is_ahead_and_does_not_win() -> None:
    said = verdict(compare(scenario(Settings(unequal=0.7), 5000), POLICIES))
    assert said.startswith("Least connections is ahead on this seed: 99 % of its answers take at most ")
    assert "Round robin gives s4 25% of the requests, though its capacity is 12% of the total" in said


def over_seeds(settings: Settings, requests: int, policies: Sequence[str] = POLICIES) -> str:
    experiment = scenario(settings, requests)
    return verdict(compare(experiment, policies), replicate(experiment, 6, policies))


def test_a_winner_stands_on_an_interval() -> None:
    said = over_seeds(Settings(unequal=0.7), 5000)
    assert said.startswith("Least connections wins: 99 % of its answers take at most ")
    assert " ± " in said
    assert "(6 seeds, 95 % confidence)" in said


def test_who_cannot_be_told_from_the_best_is_named() -> None:
    """Nobody wins while another may be as good, however clearly the worst of them loses."""
    said = over_seeds(Settings(), 2000, ["random", "weighted_round_robin", "earliest_deadline"])
    assert said.partition(":")[0] == "Earliest deadline is ahead, though not clearly of weighted round robin"


def test_equal_policies_have_no_winner() -> None:
    """Servers that are all alike have equal weights."""
    said = over_seeds(Settings(unequal=0), 2000, ["random", "weighted_random"])
    assert said.startswith("No clear winner (6 seeds, 95 % confidence): ")


def test_verdict_of_losses() -> None:
    settings = Settings(unequal=0, failures=2, load=0.3)
    said = verdict(compare(scenario(settings, 5000), POLICIES))
    assert said.startswith("Round robin is ahead on this seed: it lost ")
    assert over_seeds(settings, 5000).startswith("Round robin wins: it lost ")


def test_a_small_difference_is_hardly_one() -> None:
    said = verdict(compare(scenario(Settings(unequal=0, load=0.1, variability="none"), 2000), POLICIES))
    assert said.startswith("Hardly a difference: ")


def test_verdict_of_one_and_of_none() -> None:
    one = run(scenario(Settings(), 500))
    assert verdict([one]).startswith("Round robin: 99 % of the answers take at most ")
    assert verdict([]) == "Not one request was answered."
