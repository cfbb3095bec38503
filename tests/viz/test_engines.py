from __future__ import annotations

import pytest
from needs import need_module

need_module("plotly")
need_module("ipywidgets")
need_module("anywidget")

from lbkit.viz import EngineSelector


def reasons(name: str) -> str:
    return "caddy needs caddy: apt-get install caddy" if name == "caddy" else ""


def test_what_cannot_be_is_grey_and_says_why() -> None:
    where = EngineSelector(("sim", "nginx", "caddy"), ask=reasons)
    assert where.value == "sim"
    assert [b.disabled for b in where.buttons.values()] == [False, False, True]
    assert where.buttons["caddy"].tooltip == "caddy needs caddy: apt-get install caddy"
    assert "apt-get install caddy" in where.children[-1].value


def test_one_is_chosen_always() -> None:
    where = EngineSelector(("sim", "nginx", "caddy"), value="nginx", ask=reasons)
    assert where.value == "nginx"
    where.buttons["sim"].value = True
    assert where.value == "sim"
    assert not where.buttons["nginx"].value
    where.buttons["sim"].value = False  # pressed again
    assert where.value == "sim"
    assert where.buttons["sim"].value


def test_what_a_panel_cannot_do_is_grey_too() -> None:
    where = EngineSelector(("sim", "live"), value="sim", never={"sim": "no clock"}, ask=reasons)
    assert where.value == "live"
    assert where.buttons["sim"].disabled
    where.lock(True)
    assert all(b.disabled for b in where.buttons.values())
    where.lock(False)
    assert not where.buttons["live"].disabled


def test_with_nothing_to_choose() -> None:
    assert EngineSelector(("caddy",), ask=reasons).value == ""
    with pytest.raises(ValueError, match="unknown feature iis"):
        EngineSelector(("iis",))
