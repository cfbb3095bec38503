from __future__ import annotations

import pytest

from lbkit.core.routing import (
    Fixed,
    Maintenance,
    Redirect,
    RouteTable,
    Routing,
    Rule,
    Sample,
    Split,
    ToPool,
    When,
)
from lbkit.viz import RuleExplorer, figures
from lbkit.viz.rules import MARKS, MOST_ROWS

ROUTING = Routing(
    (
        Rule("no admin", Fixed(403), When(prefix=("/admin",)), unless=(When(client=("10.0.0.0/8",)),)),
        Rule("old", Redirect("/new{rest}", 301), When(prefix=("/old",))),
        Rule("beta", Split({"stable": 95, "canary": 5}), When(header={"X-Beta": "*"})),
        Rule("api", ToPool("api"), When(prefix=("/api",), method=("GET", "POST"))),
        Rule("shop", Maintenance(), When(prefix=("/shop",))),
    )
)


def texts(routing: Routing, *request: object, **more: object) -> list[str]:
    explanation = RouteTable(routing).explain(Sample(*request, **more)) if request else None  # type: ignore[arg-type]
    return [note.text for note in figures.rules(routing, explanation).layout.annotations]


def test_each_rule_has_its_state_and_its_reason() -> None:
    found = texts(ROUTING, "/api/x")
    marks, rows = found[::2], found[1::2]
    assert marks == [MARKS["skipped"]] * 3 + [MARKS["fits"], MARKS["not asked"]]
    assert "path is /api/x, not below /admin" in rows[0]
    assert "header X-Beta is absent" in rows[2]
    assert "<b>api</b>" in rows[3]
    assert "<b>" not in rows[4]


def test_without_a_request_the_table_says_what_each_rule_asks_and_does() -> None:
    rows = texts(ROUTING)[1::2]
    assert "answer 403" in rows[0]
    assert "unless client is in 10.0.0.0/8" in rows[0]
    assert "redirect 301 to /new{rest}" in rows[1]
    assert "split: stable 95%, canary 5%" in rows[2]
    assert "maintenance page" in rows[4]


def test_what_no_rule_fits_has_a_row_of_its_own() -> None:
    assert "no rule" in texts(ROUTING, "/x")[-1]


def test_texts_of_a_request_are_no_html() -> None:
    explorer = RuleExplorer(ROUTING, "/<script>alert(1)</script>", headers={"X-Beta": "<b>"})
    assert "<script>" not in explorer.view.spec.replace("\\u003c", "<")
    explorer.controls["headers"].value = "<img>"
    assert "<img>" not in explorer.summary.value


def test_a_long_table_is_cut_and_says_so() -> None:
    routing = Routing(tuple(Rule(f"r{i}", ToPool("a"), When(path=(f"/{i}",))) for i in range(100)))
    drawn = figures.rules(routing)
    assert len(drawn.layout.annotations) == 2 * MOST_ROWS
    assert f"100 rules, the first {MOST_ROWS}" in drawn.layout.title.text


def test_the_title_has_the_path_as_it_was_typed() -> None:
    drawn = figures.rules(ROUTING, RouteTable(ROUTING).explain(Sample("/shop/é")))
    assert drawn.layout.title.text.startswith("'/shop/é' → the maintenance page, retry")


def test_a_figure_is_valid_for_plotly() -> None:
    import plotly.graph_objects as go

    go.Figure(figures.rules(ROUTING, RouteTable(ROUTING).explain(Sample("/api"))).to_dict())


def test_typing_a_request_shows_the_rule_that_takes_it() -> None:
    explorer = RuleExplorer(ROUTING)
    assert "pool default: no rule fits" in explorer.summary.value
    explorer.controls["target"].value = "/x/../%61dmin"
    assert explorer.explanation
    assert explorer.explanation.path == "/admin"
    assert "403; 1 of 5 rules was asked" in explorer.summary.value
    explorer.controls["client"].value = "10.0.0.1"
    assert "no rule fits" in explorer.summary.value
    explorer.controls["target"].value = "/api"
    explorer.controls["method"].value = "DELETE"
    assert "method is DELETE, not GET or POST" in explorer.view.spec
    explorer.controls["headers"].value = "x-beta: 1\nCookie: a=b"
    assert "canary 5.000%" in explorer.summary.value
    explorer.reset.click()
    assert "pool default: no rule fits" in explorer.summary.value


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [("target", "shop", "A path begins with /"), ("headers", "nonsense", "No header field: nonsense")],
)
def test_what_is_no_request_leaves_the_figure_and_says_why(name: str, value: str, said: str) -> None:
    explorer = RuleExplorer(ROUTING, "/api")
    before = explorer.view.number
    explorer.controls[name].value = value
    assert said in explorer.summary.value
    assert explorer.view.number == before
