"""Health checks of one server under several rules, redrawn while a slider moves."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any, NamedTuple

import ipywidgets as widgets

from lbkit.core.health import CheckRules, CheckState, Health
from lbkit.viz.drawing import Figure, Trace, figure
from lbkit.viz.states import level, strips
from lbkit.viz.style import FAILED, INK, axis
from lbkit.viz.widget import ControlPanel

SECONDS = 60.0  # length of the time axis
BROKEN, MENDED = 20.0, 40.0  # when a fault begins and ends
ROW = 60  # pixels

# Kind of fault -> (how a probe sent at a moment fails, by an even draw from [0, 1); empty if it passes).
REFUSED, LATE = "connection refused", "no answer in time"


def _killed(at: float, draw: float) -> str:
    return REFUSED if BROKEN <= at < MENDED else ""


def _stopped(at: float, draw: float) -> str:
    return LATE if BROKEN <= at < MENDED else ""


def _one_in_ten(at: float, draw: float) -> str:
    return LATE if draw < 0.1 else ""


def _half(at: float, draw: float) -> str:
    return LATE if BROKEN <= at < MENDED and draw < 0.5 else ""


FAULTS: dict[str, Callable[[float, float], str]] = {
    "kill -9": _killed,
    "SIGSTOP": _stopped,
    "one check in ten fails": _one_in_ten,
    "half of the checks fail": _half,
}


class Check(NamedTuple):
    """A probe that was sent at `sent` and had its outcome at `at`, and the state from then on."""

    sent: float
    at: float
    fault: str
    state: CheckState


def checked(rules: CheckRules, fault: str, seed: int = 1) -> list[Check]:
    """Return the checks of a server with a fault of FAULTS, in order."""
    health, rng = Health(rules), random.Random(seed)
    sent, checks = rules.interval / 2, []
    while sent < SECONDS:
        said = FAULTS[fault](sent, rng.random())
        at = sent + (rules.timeout if said == LATE else 0.0)
        health.observe(not said)
        checks.append(Check(sent, at, said, health.state))
        sent += health.next_check(rng)
    return checks


def timeline(rows: Mapping[str, list[Check]]) -> Figure:
    """Return the states that checks lead to, a row for each name, with a mark for each probe."""
    edges = sorted({0.0, SECONDS, *(c.at for checks in rows.values() for c in checks if c.at < SECONDS)})
    levels: dict[str, list[int]] = {}
    for name, checks in rows.items():
        state, coming = CheckState.UP, iter([*checks, None])
        ahead = next(coming)
        levels[name] = []
        for start, _ in pairwise(edges):
            while ahead and ahead.at <= start:
                state, ahead = ahead.state, next(coming)
            levels[name].append(level(state.label))
    heat = strips(edges, levels) | {"hoverinfo": "skip"}
    marks: list[Trace] = [
        {
            "type": "scatter",
            "mode": "markers",
            "name": what,
            "x": [c.sent for checks in rows.values() for c in checks if bool(c.fault) == failed],
            "y": [name for name, checks in rows.items() for c in checks if bool(c.fault) == failed],
            "text": [c.fault or "passed" for cs in rows.values() for c in cs if bool(c.fault) == failed],
            "marker": look,
            "hovertemplate": "%{y}: sent at %{x:.3~g} s, %{text}<extra></extra>",
        }
        for what, failed, look in (
            ("probe passes", False, {"symbol": "line-ns", "size": 14, "line": {"color": INK, "width": 1.5}}),
            ("probe fails", True, {"symbol": "x-thin", "size": 9, "line": {"color": FAILED, "width": 2}}),
        )
    ]
    return figure(
        "",
        [heat, *marks],
        xaxis=axis("time (s)", range=[0, SECONDS], showgrid=False),
        yaxis=axis("", type="category", autorange="reversed", showgrid=False),
        height=130 + ROW * len(rows),
    )


def finding(checks: list[Check], rules: CheckRules, fault: str) -> str:
    """Return what the rules make of a fault: when it is found, how often they are wrong, what they cost."""
    outs = [
        after.at
        for before, after in pairwise([None, *checks])
        if after and not after.state.in_service and (before is None or before.state.in_service)
    ]
    broken = FAULTS[fault] in (_killed, _stopped)
    found = [at - BROKEN for at in outs if at >= BROKEN]
    if broken:
        said = f"found after {found[0]:.3g} s" if found else "never found"
    else:
        times = "once" if len(outs) == 1 else f"{len(outs)} times" if outs else "never"
        said = f"{times} out of service"
    return f"{said}, {1 / rules.interval:.3g} probes a second"


class HealthPanel(ControlPanel):
    """Sliders for the rules of checks, and kinds of faults; `checks` has those on the screen, by row."""

    def __init__(
        self, interval: float = 2.0, fall: int = 3, rise: int = 2, fault: str = "one check in ten fails"
    ) -> None:
        seconds: dict[str, Any] = {"min": 0.5, "max": 5.0, "step": 0.5, "readout_format": ".1f"}
        controls: dict[str, Any] = {
            "interval": widgets.FloatSlider(interval, description="interval (s)", **seconds),
            "fall": widgets.IntSlider(fall, 1, 10, description="fall"),
            "rise": widgets.IntSlider(rise, 1, 10, description="rise"),
            "seed": widgets.IntSlider(1, 1, 20, description="seed"),
            "fault": widgets.Dropdown(options=list(FAULTS), value=fault, description="fault"),
        }
        self.checks: dict[str, list[Check]] = {}
        super().__init__(controls, "lbkit-health-panel")

    def draw(self) -> None:
        values = self.values
        interval, fault = values["interval"], values["fault"]
        rules = {
            f"fall={fall}, rise={rise}": CheckRules(
                interval=interval, timeout=min(1.0, interval), fall=fall, rise=rise
            )
            for fall, rise in ((1, 1), (values["fall"], values["rise"]))
        }
        self.checks = {name: checked(each, fault, values["seed"]) for name, each in rules.items()}
        self.view.show(timeline(self.checks))
        said = [f"{name}: {finding(self.checks[name], each, fault)}" for name, each in rules.items()]
        self.summary.value = "<br>".join(said)
