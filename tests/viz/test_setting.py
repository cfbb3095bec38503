from __future__ import annotations

import re

import pytest
from needs import need_module

need_module("plotly")

from lbkit.viz.scenario import LIMITS, Settings
from lbkit.viz.setting import read, to_link, to_python, to_text

SETTING = Settings(servers=7, unequal=0.25, load=0.9, variability="much", failures=1, clients=50, seed=4)
POLICIES = ["round_robin", "maglev"]


def test_a_text_and_a_link_give_the_setting_back() -> None:
    assert read(to_text(SETTING, POLICIES)) == (SETTING, POLICIES)
    assert read(to_link(SETTING, POLICIES)) == (SETTING, POLICIES)
    assert read(f"http://localhost:8866/{to_link(SETTING, POLICIES)}#top") == (SETTING, POLICIES)


def test_a_link_has_what_is_not_as_at_the_beginning() -> None:
    assert to_link(Settings(load=0.9), ["random"]) == "?policies=random&load=0.9"
    assert read("?load=0.9") == (Settings(load=0.9), None)


def test_the_line_of_python_has_the_same() -> None:
    assert to_python(Settings(load=0.9), ["random"]) == 'Playground(run, ["random"], load=0.9)'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("lod = 0.5", "unknown setting lod; .*; did you mean load?"),
        ("load = 1.5", "load is 1.5: use a number from 0.1 to 0.98"),
        ("load = true", "load is True: use a number from"),
        ("servers = 2.5", "servers is 2.5: use a whole number from 2 to 20"),
        ("seed = inf", "seed is inf: use a whole number from 1 to 50"),
        ("load = nan", "load is nan: use a number from"),
        ("?servers=many", "servers is 'many': use a whole number"),
        ('variability = "huge"', "variability is 'huge': use none, little, medium, much, extreme"),
        ('policies = "random"', "policies is 'random': use a list of names"),
        ("policies = []", "policies is []: use a list of names"),
        ('policies = ["rundom"]', "policies: no algorithm 'rundom'; did you mean random?"),
        ("variability = [1]", "variability is [1]: use none, little"),
        ("policies = [[1]]", "policies: no algorithm [1]; one of your own"),
        ("policies = [1]", "policies: no algorithm 1; one of your own"),
        ("load is 0.5", "neither a link nor TOML"),
    ],
)
def test_a_text_that_is_wrong_names_the_field_and_the_mend(text: str, said: str) -> None:
    with pytest.raises(ValueError, match="^" + re.escape(said).replace(r"\.\*", ".*")):
        read(text)


def test_every_number_has_limits_that_its_first_value_keeps() -> None:
    for name, (low, high) in LIMITS.items():
        assert low <= getattr(Settings(), name) <= high
