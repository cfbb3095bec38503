"""A table of routing rules as a figure, and a widget that says which rule takes a request, and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from textwrap import wrap
from typing import Any

import ipywidgets as widgets

from lbkit.core.routing import Action, Explanation, Redirect, RouteTable, Routing, Rule, Sample, Split
from lbkit.viz.drawing import HIDDEN, Figure, figure
from lbkit.viz.style import AMBER, FAINT, INK
from lbkit.viz.widget import ControlPanel

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
FITS, SKIPPED, NOT_ASKED = "fits", "skipped", "not asked"
MARKS = {FITS: "▶", SKIPPED: "✕", NOT_ASKED: "·"}  # the state is not in the colour alone
MOST_ROWS = 40
WIDEST = 74  # characters of a line of a reason
LINE, GAP = 17, 12  # pixels


def conditions(rule: Rule) -> str:
    """Return what a rule asks of a request, in words."""
    texts = [f"{what} is {wanted}" for what, wanted, _, _ in rule.when.conditions()]
    for when in rule.unless:
        texts.append(
            "unless " + " and ".join(f"{what} is {wanted}" for what, wanted, _, _ in when.conditions())
        )
    return ", ".join(texts) or "all requests"


def action(then: Action) -> str:
    """Return what a rule does, in words."""
    if isinstance(then, Split):
        total = sum(then.shares.values())
        return "split: " + ", ".join(f"{name} {share / total:.0%}" for name, share in then.shares.items())
    if isinstance(then, Redirect):
        return f"redirect {then.status} to {then.to}"
    if then.pools:
        return f"pool {then.pools[0]}"
    return "maintenance page" if then.kind == "maintenance" else f"answer {getattr(then, 'status', '')}"


def rules(routing: Routing, explanation: Explanation | None = None) -> Figure:
    """Return the rules in their order; with an explanation, also what each says about the request.

    The first that fits decides, so the rules after it are not asked."""
    steps = {step.rule: step for step in explanation.steps} if explanation else {}
    rows = []
    for rule in routing.rules[:MOST_ROWS]:
        step = steps.get(rule.name)
        state = (FITS if step.fits else SKIPPED) if step else NOT_ASKED
        why = step.why if step else ("not asked: " if explanation else "") + conditions(rule)
        rows.append((state, rule.name, action(rule.then), why))
    if explanation and not any(state == FITS for state, *_ in rows):
        rows.append((FITS, "no rule", explanation.outcome, "what is left"))
    return _drawn(_title(explanation, routing), rows)


def _title(explanation: Explanation | None, routing: Routing) -> str:
    if explanation:
        return escape(f"{explanation.path[:40]!r} → {explanation.outcome}", quote=False)
    more = f", the first {MOST_ROWS}" if len(routing.rules) > MOST_ROWS else ""
    return f"{len(routing.rules)} rules{more}; the first that fits decides"


def _drawn(name: str, rows: list[tuple[str, str, str, str]]) -> Figure:
    """Return rows of text: a mark, the rule's name with its action, and below it what was compared."""
    colours = {FITS: AMBER, SKIPPED: INK, NOT_ASKED: FAINT}
    marks: list[dict[str, Any]] = []
    y = 0.0
    for state, rule, does, why in rows:
        lines = wrap(why, WIDEST)[:6] or [""]
        ink = FAINT if state == NOT_ASKED else INK
        bold = f"<b>{escape(rule[:60])}</b>" if state == FITS else escape(rule[:60])
        text = f"{bold}  {'→ ' if does else ''}{escape(does[:80])}<br>" + "<br>".join(
            f"<span style='font-size:12px'>{escape(line)}</span>" for line in lines
        )
        place = {"xref": "paper", "yref": "paper", "y": 1, "yanchor": "top", "yshift": -y, "showarrow": False}
        mark = {"size": 15, "color": colours[state]}
        marks.append({"text": MARKS[state], "x": 0, "xanchor": "left", "font": mark, **place})
        font = {"size": 13, "color": ink}
        marks.append(
            {"text": text, "x": 0, "xshift": 24, "xanchor": "left", "align": "left", "font": font, **place}
        )
        y += LINE * (1 + len(lines)) + GAP
    drawn = figure(
        name, [{"type": "scatter", "x": [], "y": [], "showlegend": False}], xaxis=HIDDEN, yaxis=HIDDEN
    )
    drawn.update_layout(annotations=marks, height=y + 60, margin={"l": 8, "r": 8, "b": 8})
    return drawn


class RuleExplorer(ControlPanel):
    """A request to type, above the rules: which of them takes it, and why each before it does not.

    `explanation` is the one on the screen. `headers`: one in each line, such as `Cookie: a=b`.
    """

    def __init__(
        self,
        routing: Routing | Iterable[Rule],
        target: str = "/",
        method: str = "GET",
        host: str = "localhost",
        headers: Mapping[str, str] | None = None,
        client: str = "127.0.0.1",
    ) -> None:
        self.routing = routing if isinstance(routing, Routing) else Routing(tuple(routing))
        self.table = RouteTable(self.routing)
        self.explanation: Explanation | None = None
        text = "\n".join(f"{name}: {value}" for name, value in (headers or {}).items())
        super().__init__(
            {
                "method": widgets.Dropdown(
                    options=METHODS, value=method, description="method", layout={"width": "190px"}
                ),
                "target": widgets.Text(target, description="path", continuous_update=True),
                "host": widgets.Text(host, description="host"),
                "client": widgets.Text(client, description="client"),
                "headers": widgets.Textarea(
                    text, description="headers", placeholder="X-Beta: 1", layout={"height": "56px"}
                ),
            },
            "lbkit-rules",
        )

    def draw(self) -> None:
        values = self.values
        target = values["target"].strip()
        if not target.startswith("/"):
            self.summary.value = "A path begins with /, as in /shop/cart?id=3."
            return
        fields = {}
        for line in values["headers"].splitlines():
            name, colon, value = line.partition(":")
            if line.strip() and not (colon and name.strip()):
                self.summary.value = f"No header field: {escape(line)}. Write a name, a colon and a value."
                return
            if line.strip():
                fields[name.strip()] = value.strip()
        request = Sample(target, values["method"], values["host"].strip(), fields, values["client"].strip())
        self.explanation = self.table.explain(request)
        self.view.show(rules(self.routing, self.explanation))
        asked = len(self.explanation.steps)
        were = "was" if asked == 1 else "were"
        self.summary.value = (
            f"{escape(self.explanation.outcome)}; {asked} of {len(self.routing.rules)} rules {were} asked."
        )
