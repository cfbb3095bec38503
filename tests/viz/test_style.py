from __future__ import annotations

from itertools import combinations

import pytest
from viz.colour import DEUTERANOPIA, NORMAL, PROTANOPIA, Vector, contrast, distance

from lbkit import algorithms
from lbkit.viz.style import (
    COLOURS,
    DASHES,
    ENGINES,
    FAILED,
    INK,
    INK_CSS,
    LIGHTER,
    LOOKS,
    OWN,
    PATTERNS,
    POLICIES,
    SERVERS,
    SYMBOLS,
    duration,
    layout,
    policy_look,
    server_look,
)

ALL = (*COLOURS, OWN, *SERVERS, FAILED)


def test_every_algorithm_of_the_kit_has_a_look_of_its_own() -> None:
    of_the_kit = {name for name, cls in algorithms().items() if cls.__module__.startswith("lbkit.")}
    assert set(LOOKS) == of_the_kit
    assert len(set(LOOKS.values())) == len(LOOKS)
    assert len(POLICIES) <= len(DASHES) == len(set(DASHES)) == len(set(PATTERNS))


LEAST = {"normal": (NORMAL, 0.145), "deuteranopia": (DEUTERANOPIA, 0.095), "protanopia": (PROTANOPIA, 0.095)}


@pytest.mark.parametrize(("vision", "least"), LEAST.values(), ids=LEAST)
def test_no_two_colours_are_close_to_each_other(vision: tuple[Vector, ...], least: float) -> None:
    close = {
        (one, other): round(distance(one, other, vision), 4)
        for one, other in combinations(ALL, 2)
        if distance(one, other, vision) < least
    }
    assert close == {}


@pytest.mark.parametrize(
    ("one", "other", "vision"),
    [("#009E73", "#CC79A7", DEUTERANOPIA), ("#2350BE", "#B324C1", PROTANOPIA)],
    ids=["green and pink", "blue and purple"],
)
def test_the_measure_finds_colours_that_are_confused(
    one: str, other: str, vision: tuple[Vector, ...]
) -> None:
    assert distance(one, other) > 0.2
    assert distance(one, other, vision) < 0.08


@pytest.mark.parametrize("colour", ALL)
def test_a_line_stands_out_from_light_and_dark_pages(colour: str) -> None:
    assert contrast(colour, "#ffffff") > 1.7
    assert contrast(colour, "#111111") > 2.6


def test_an_algorithm_of_your_own_shares_its_colour_with_no_other() -> None:
    assert policy_look("my_own") == policy_look("my_own")
    assert policy_look("my_own").colour == OWN
    assert OWN not in {look.colour for look in LOOKS.values()}


def test_servers_and_failures_have_colours_that_no_policy_has() -> None:
    policies = {look.colour for look in LOOKS.values()} | {OWN}
    assert not policies & {server_look(i).colour for i in range(30)}
    assert FAILED not in policies | set(SERVERS)


def test_servers_with_one_colour_differ_in_dash_and_symbol() -> None:
    looks = [server_look(i) for i in range(len(SERVERS) * len(DASHES))]
    assert len({(look.colour, look.dash) for look in looks}) == len(looks)
    assert len({(look.colour, look.symbol) for look in looks}) == len(looks)


def test_every_engine_has_a_symbol_of_its_own() -> None:
    assert len({policy_look("random").on(engine).symbol for engine in ENGINES}) == len(ENGINES)
    assert len(set(SYMBOLS)) == len(SYMBOLS)
    assert {policy_look("random").on(engine).colour for engine in ENGINES} == {policy_look("random").colour}


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.00085, "850 µs"),
        (0.0125, "12.5 ms"),
        (0.9999, "1 s"),
        (1.0, "1 s"),
        (10.0, "10 s"),
        (1234.5, "1,234 s"),
        (float("nan"), "-"),
    ],
)
def test_durations_have_the_units_that_people_say(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_a_long_title_is_wrapped_and_has_room() -> None:
    short, long = layout("short"), layout("a finding " * 20)
    assert "<br>" in long["title"]["text"]
    assert long["margin"]["t"] > short["margin"]["t"]


def test_letters_can_be_read_on_light_and_dark_pages() -> None:
    # One grey for both has at most 4.3, so a page gives its own colour to letters; this is for what cannot.
    assert min(contrast(INK, "#ffffff"), contrast(INK, "#111111")) > 3.8
    assert contrast("#59606a", "#ffffff") >= 4.5
    assert "#59606a" in INK_CSS
    assert contrast(FAILED, "#ffffff") >= 4.5
    assert contrast(LIGHTER, "#111111") >= 4.5
