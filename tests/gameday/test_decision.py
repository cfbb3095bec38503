"""Which algorithm for which system: the table finds the one that is known to be right."""

from __future__ import annotations

import re

import pytest

from lbkit import Constant, Experiment, Poisson, Policy, Server, Traffic, run, servers
from lbkit.gameday import DecisionTable, System, decision_table
from lbkit.gameday.decision import NEEDS, cold

UNEVEN = Experiment(
    [
        Server("old", service=Constant(0.05), weight=1),
        Server("new", service=Constant(0.05), speed=4, weight=4),
    ],
    Traffic(duration=10, warmup=2),
).at_load(0.6)
CACHES = Experiment(
    servers(5, service=Constant(0.001)), Traffic(Poisson(100), duration=8, paths=100), Policy(key="path")
)


@pytest.fixture(scope="module")
def table() -> DecisionTable:
    systems = {"uneven": System(UNEVEN, "p99"), "caches": System(CACHES, "cold")}
    return decision_table(systems, ["round_robin", "weighted_round_robin", "consistent_hash"], seeds=4)


def test_each_system_has_the_winner_that_theory_knows(table: DecisionTable) -> None:
    assert table.best("uneven") == ["weighted_round_robin"]
    assert table.best("caches") == ["consistent_hash"]
    assert table.verdict("caches") == "caches: consistent_hash."
    assert table.algorithms == ["round_robin", "weighted_round_robin", "consistent_hash"]


def test_the_best_has_the_factor_one_and_no_other_a_smaller_one(table: DecisionTable) -> None:
    for system in table:
        factors = {name: table.factor(system, name) for name in table.algorithms}
        assert factors[table.best(system)[0]] == 1
        assert min(factors.values()) == 1


def test_the_table_marks_the_best(table: DecisionTable) -> None:
    rows = {row[0]: [cell.endswith("✓") for cell in row[1:]] for row in table.rows()}
    assert rows == {
        "round robin": [False, False],
        "weighted round robin": [True, False],
        "consistent hash": [False, True],
    }
    assert "cache misses, %" in table._repr_html_()
    assert repr(table).splitlines() == [table.verdict(system) for system in table]


def test_equal_algorithms_cannot_be_told_apart() -> None:
    """With equal weights, weighted round robin is round robin."""
    same = Experiment(servers(3), Traffic(duration=4)).at_load(0.5)
    found = decision_table({"same": System(same)}, ["round_robin", "weighted_round_robin"], seeds=3)
    assert len(found.best("same")) == 2
    assert found.verdict("same") == "same: any of them; the seeds cannot tell them apart."


def test_each_server_misses_each_path_once_where_all_serve_all() -> None:
    few = CACHES.but(paths=10, duration=20)
    assert cold(run(few.but(policy="round_robin"))) == pytest.approx(5 * 10 / 2000, rel=0.1)
    assert cold(run(few.but(policy=Policy("consistent_hash", key="path")))) == pytest.approx(
        10 / 2000, rel=0.1
    )


def test_more_goodput_is_better() -> None:
    half = Experiment(
        [Server("bad", error_rate=1.0), Server("good", service=Constant(0.001))], Traffic(Poisson(50), 6)
    )
    found = decision_table(
        {"half": System(half.but(policy=Policy(retries=0)), "goodput")},
        ["round_robin", "choice_of_two"],
        seeds=3,
    )
    best = found.best("half")[0]
    assert found.value("half", best).mean == max(found.value("half", a).mean for a in found.algorithms)
    assert all(found.factor("half", a) >= 1 for a in found.algorithms)


@pytest.mark.parametrize(
    ("systems", "algorithms", "seeds", "message"),
    [
        ({}, ["random"], 3, "systems is {}: use a table"),
        ({"a": UNEVEN}, ["random"], 3, "systems.a is"),
        ({"a": System(UNEVEN)}, [], 3, "algorithms is empty"),
        ({"a": System(UNEVEN)}, ["random", "random"], 3, "algorithms has 'random' twice"),
        ({"a": System(UNEVEN)}, ["random"], 1, "seeds"),
        ({"a": System(UNEVEN)}, ["randon"], 3, "did you mean random"),
    ],
)
def test_wrong_arguments_are_refused(systems: object, algorithms: object, seeds: int, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        decision_table(systems, algorithms, seeds)


def test_an_unknown_need_is_named() -> None:
    with pytest.raises(ValueError, match=f"needs is 'p98': use one of {', '.join(NEEDS)}"):
        System(UNEVEN, "p98")


def test_an_unknown_system_is_named(table: DecisionTable) -> None:
    with pytest.raises(KeyError, match="no system 'cache': there are uneven, caches; did you mean caches"):
        table["cache"]
