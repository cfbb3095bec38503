from __future__ import annotations

import pytest
from needs import need_module

need_module("ipywidgets")
need_module("anywidget")

from lbkit import Balancer, algorithms, forget
from lbkit.viz.choice import MAX_POLICIES, STARTERS, Choice
from lbkit.viz.families import FAMILIES, OWN, family
from lbkit.viz.style import LOOKS, policy_look


def test_starters_have_a_solid_line_and_a_colour_of_their_own() -> None:
    looks = [policy_look(name) for name in STARTERS]
    assert len({look.colour for look in looks}) == len(STARTERS)
    assert {look.dash for look in looks} == {"solid"}


def test_every_algorithm_of_the_kit_has_a_family_and_a_line() -> None:
    offers = {offer["name"]: offer for offer in Choice(["random"]).offers}
    assert [name for name in LOOKS if offers[name]["family"] == OWN] == []
    assert all(offers[name]["line"] for name in LOOKS)
    used = {family(cls) for name, cls in algorithms().items() if name in LOOKS}
    assert used == set(FAMILIES) - {OWN}


def test_offers_of_a_family_stand_together() -> None:
    order = [offer["family"] for offer in Choice(["random"]).offers]
    assert order == sorted(order, key=list(FAMILIES).index)


def test_one_of_your_own_comes_first_and_has_a_button() -> None:
    class OfYourOwn(Balancer):
        """Takes the first <b>one</b>.

        More."""

        def pick(self, backends, key, now):  # type: ignore[no-untyped-def]
            return backends[0]

    choice = Choice(["random"])
    offer = choice.offers[[o["name"] for o in choice.offers].index("of_your_own")]
    assert (offer["family"], offer["line"]) == (OWN, "Takes the first <b>one</b>.")
    assert "of_your_own" in choice.buttons
    assert choice.offers[0]["family"] == OWN
    forget("of_your_own")
    choice.refresh()
    assert "of_your_own" not in choice.buttons


def test_a_press_chooses_one_more_or_one_less_and_says_so_once() -> None:
    choice, said = Choice(["random"]), []
    choice.observe_choice(lambda: said.append(list(choice.chosen)))
    choice.press("maglev")
    choice.press("random")
    choice.press("maglev")  # the last one stays
    assert said == [["random", "maglev"], ["maglev"]]


@pytest.mark.parametrize("message", [None, "random", {}, {"press": 3}, {"press": ["a"]}, {"press": "nope"}])
def test_a_message_that_names_no_algorithm_changes_nothing(message: object) -> None:
    choice = Choice(["random", "maglev", "ip_hash", "prequal"])
    choice._received(choice, message, [])
    assert choice.chosen == ["random", "maglev", "ip_hash", "prequal"]


def test_the_same_one_twice_is_one() -> None:
    choice = Choice(["random", "random"])
    assert choice.chosen == ["random"]
    choice.choose_only(["maglev", "maglev", "random"])
    assert choice.chosen == ["maglev", "random"]


def test_one_more_drops_the_oldest() -> None:
    choice = Choice(STARTERS)
    assert choice.chosen == list(STARTERS[:MAX_POLICIES])
    choice.press("maglev")
    assert choice.chosen == [*STARTERS[1:MAX_POLICIES], "maglev"]


@pytest.mark.parametrize("names", [["no_such"], []])
def test_without_any_that_exists_the_first_starter_is_chosen(names: list[str]) -> None:
    assert Choice(names).chosen == [STARTERS[0]]
