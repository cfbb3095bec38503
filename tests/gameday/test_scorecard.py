"""Game days, measured and compared."""

from __future__ import annotations

import re
from math import isnan

import pytest

from lbkit.gameday import MEASURES, Design, Incident, play, references, scorecard, ticket_shop
from lbkit.gameday.scorecard import AFTER, CALM

QUIET = ticket_shop(incidents=[], length=6.0)
HARD = ticket_shop(incidents=[Incident("scraper", 1, 2, 60), Incident("region", 3, 5)], length=6.0)
THREE, TEN = Design({"europe": 3}), Design({"europe": 10})


def test_a_day_without_incidents_keeps_all_promises_with_enough_servers() -> None:
    measures = play(QUIET, TEN).measures
    assert list(measures) == list(MEASURES)
    assert measures["availability"] == 1
    assert measures["goodput"] == pytest.approx(QUIET.rate, rel=0.2)
    assert measures["fairness"] > 0.8  # customers come by chance, and the scraper not at all
    assert measures["cost"] == 100


def test_the_scraper_counts_for_fairness_and_for_nothing_else() -> None:
    day = play(HARD, TEN)
    by_scraper = len(day.result) - len(day.customers)
    assert 60 < by_scraper < 80  # those of the incident, and its usual visits
    assert HARD.scraper not in day.customers.client
    assert day.measures["fairness"] < play(QUIET, TEN).measures["fairness"]


def test_all_customers_of_the_time_are_let_down_where_the_only_region_is_down() -> None:
    day = play(HARD, TEN)
    down = [let_down for arrival, let_down in day.fates if 3 <= arrival < 4.5]
    assert all(down)
    assert day.let_down["a region is down"] > 2 / (2 + AFTER) - 0.1
    assert day.let_down[CALM] < 0.05
    assert day.measures["availability"] == pytest.approx(1 - 2 / 6, abs=0.1)


def test_a_second_region_that_is_found_serves_the_customers_of_the_first() -> None:
    card = scorecard(HARD, {"one": TEN, "two": references()["the course"]}, 3)
    assert card["two"]["availability"].mean > 0.98
    duel = card.duel("two", "one")
    assert duel["availability"] == duel["cost"] == "better"
    assert card.duel("one", "two") == {m: SWAPPED[how] for m, how in duel.items()}
    assert card.kept("one", "availability") is False
    assert card.kept("one", "cost") is False
    assert card.kept("two", "cost") is True


SWAPPED = {"better": "worse", "worse": "better", "no difference": "no difference"}


def test_the_same_design_twice_is_neither_better_nor_worse() -> None:
    card = scorecard(QUIET, {"a": THREE, "b": THREE}, seeds=[4, 7])
    assert set(card.duel("a", "b").values()) == {"no difference"}
    assert card["a"].seeds == (4, 7)
    assert "Than 'b' it is neither better nor worse." in card.verdict("a")


def test_one_seed_says_nothing_of_chance() -> None:
    card = scorecard(QUIET, {"a": THREE, "b": TEN}, 1)
    assert card.kept("a", "p99") is None
    assert set(card.duel("a", "b").values()) == {"no difference"}
    assert "one game day" in card._repr_html_()


def test_the_table_has_a_row_for_each_design_and_a_sign_for_each_promise() -> None:
    card = scorecard(HARD, {"one": TEN, "two": THREE}, 2)
    rows = list(card.rows())
    assert [row[0] for row in rows] == ["one", "two"]
    assert all(cell[-1] in "✓✗?" for row in rows for cell in row[1:6])
    assert rows[0][3] == "100 ✗"
    assert repr(card).count("\n") == 2
    assert "✓ promise kept" in card._repr_html_()


def test_a_promise_that_was_not_given_has_no_sign() -> None:
    card = scorecard(QUIET.but(promises={"cost": 80}), {"one": THREE}, 2)
    (row,) = card.rows()
    assert [cell[-1] in "✓✗?" for cell in row[1:6]] == [False, False, True, False, False]
    assert row[-1] == "1 of 1"


def test_a_day_without_a_good_answer_is_a_day_too() -> None:
    dead = ticket_shop(incidents=[Incident("slow", 0, 6, 0.001)], length=6.0)
    alone = Design({"europe": 1})
    measures = play(dead, alone).measures
    assert measures["availability"] == 0
    assert isnan(measures["p99"])
    assert isnan(measures["fairness"])
    card = scorecard(dead, {"dead": alone}, 2)
    assert card.promises_kept("dead") == 1  # the cost
    assert "-" in next(card.rows())[2]


def test_incidents_of_one_kind_are_told_apart_by_their_start() -> None:
    twice = ticket_shop(incidents=[Incident("crash", 1, 2), Incident("crash", 3, 4)], length=6.0)
    assert list(play(twice, THREE).let_down) == ["a server crashes, 1 s", "a server crashes, 3 s", CALM]


@pytest.mark.parametrize(
    ("designs", "seeds", "message"),
    [
        ({}, 5, "designs is {}: use a table of names and designs"),
        ({"mine": "round_robin"}, 5, "designs.mine is 'round_robin': use a Design"),
        ({"mine": THREE}, 0, "seeds"),
        ({"mine": THREE}, [], "the number of seeds"),
        ({"mine": THREE}, [1, "x"], "a seed"),
    ],
)
def test_wrong_designs_and_seeds_are_refused(designs: object, seeds: object, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        scorecard(QUIET, designs, seeds)


def test_an_unknown_design_is_named() -> None:
    with pytest.raises(KeyError, match="no design 'on': there are one; did you mean one"):
        scorecard(QUIET, {"one": THREE}, 1)["on"]
