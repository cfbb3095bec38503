"""The dashboard in a notebook."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anywidget
import plotly
import traitlets
from ipywidgets import widget_serialization

from lbkit.alerts import Rule
from lbkit.core.options import number
from lbkit.core.text import did_you_mean, shown
from lbkit.metrics import PANELS, Panel, panels
from lbkit.metrics.names import IN_FLIGHT
from lbkit.metrics.panels import BYTES, BYTES_PER_SECOND, COUNT, PER_SECOND, SECONDS, SHARE
from lbkit.result import Result
from lbkit.viz.dashboard.follow import Follower, Session
from lbkit.viz.dashboard.frames import look
from lbkit.viz.dashboard.lamps import STATES, usual_rules
from lbkit.viz.dashboard.reel import interval, reel
from lbkit.viz.drawing import latency_axis
from lbkit.viz.states import COLOURS, LEVELS
from lbkit.viz.style import FAILED, FIXED_MARGIN, HEAT, INK, axis, layout, title
from lbkit.viz.widget import Photographed, Script, module, script

WINDOW = 60.0  # seconds on the screen
SMOOTH = 25  # frames over which rates and percentiles are taken
WATCHED = 60.0  # seconds in which a result plays, at most, unless a pace is given
HEIGHT = 170  # pixels of a chart
SHOWN = ("Requests", "Latency")
UNITS = {
    PER_SECOND: {"ticksuffix": "/s", "rangemode": "tozero"},
    SHARE: {"tickformat": ".0%", "rangemode": "tozero"},
    BYTES: {"ticksuffix": "B", "rangemode": "tozero"},
    BYTES_PER_SECOND: {"ticksuffix": "B/s", "rangemode": "tozero"},
    COUNT: {"rangemode": "tozero"},
}
OF_PROGRAMS = {"nginx": "nginx' stub_status", "haproxy": "HAProxy's show stat"}


class Dashboard(Photographed, anywidget.AnyWidget):
    """Rates, percentiles, states of servers, requests in flight and alerts of a run, as it goes on.

    `Dashboard(session)` follows a LiveSession of any engine that runs, by what its proxy or program tells;
    with `clients=True` by what its clients see. `Dashboard(result)` plays a result, of any engine, from the
    same metrics. What a program does not tell is shown as not told. `session.stop` and `close` end it."""

    _esm = module("plotly.js", "dashboard/clock.js", "dashboard/charts.js", "dashboard/dashboard.js")
    _css = Path(__file__).with_name("dashboard.css")
    script = traitlets.Instance(Script).tag(sync=True, **widget_serialization)
    version = traitlets.Unicode(plotly.__version__).tag(sync=True)
    spec = traitlets.Unicode("{}").tag(sync=True)  # what does not change with each frame
    follower: Follower | None = None  # of a session
    past = traitlets.Unicode("{}").tag(sync=True)  # all frames, of what is over

    def __init__(
        self,
        source: Result | Session,
        rules: Sequence[Rule] | None = None,
        every: float = 0.2,
        show: Sequence[str] = SHOWN,
        clients: bool = False,
        window: float = WINDOW,
        pace: float | None = None,
        **layout: Any,
    ) -> None:
        """`rules`: of lbkit.alerts, by default the usual ones over some seconds. `every`: seconds between
        frames. `show`: titles of lbkit.metrics.PANELS. `window`: seconds on the screen. `pace`: of a result,
        how many of its seconds pass in one; 0 shows its end at once; by default it plays a minute at most.

        Raises ValueError for others, and for a session that does not run."""
        number(0.05, every=every)
        number(1, window=window)
        number(0, pace=pace or 0.0)
        super().__init__(script=script(), layout=layout)
        self._clients = clients
        if isinstance(source, Result):
            self._play(source, rules, every, show, window, pace)
        elif hasattr(source, "metrics") and hasattr(source, "watchers"):
            self._follow(source, rules, every, show, window)
        else:
            raise ValueError(f"source is {shown(source)}: use a Result, or a LiveSession that runs")

    # -- a result ------------------------------------------------------------------------------------

    def _play(
        self,
        result: Result,
        rules: Sequence[Rule] | None,
        every: float,
        show: Sequence[str],
        window: float,
        pace: float | None,
    ) -> None:
        duration = result.experiment.traffic.duration
        if pace is None:
            pace = max(1.0, duration / WATCHED)
        step = interval(result, every * (pace or 1.0))
        chosen = panels_of(show, SMOOTH * step)
        rules = usual_rules(result.experiment) if rules is None else rules
        made = reel(result, chosen, rules, step)
        words = f"{title(result.policy)} on {result.engine}"
        sight = min(max(window, window * pace), made.frames[-1][0])
        self._tell(words, chosen, made.lines, made.rows, rules, sight, pace=pace)
        self.past = dumps({"frames": made.frames, "notes": made.notes})

    # -- a running session -----------------------------------------------------------------------------

    def _follow(
        self,
        session: Session,
        rules: Sequence[Rule] | None,
        every: float,
        show: Sequence[str],
        window: float,
    ) -> None:
        if not session.running:
            raise ValueError(
                "session does not run: start it, as `with LiveSession(experiment) as session:` does"
            )
        smooth = SMOOTH * every
        chosen = panels_of(show, smooth)
        rules = usual_rules(session.experiment, IN_FLIGHT) if rules is None else rules
        self.follower = follower = Follower(
            session, chosen, rules, every, window, smooth, self._clients, self._feed, self._over
        )
        self._known: tuple[Any, ...] = ()
        self._retell()
        follower.start()

    def _retell(self) -> None:
        """Tell the page of names, where there are new ones."""
        follower = self.follower
        assert follower
        recorder, session = follower.recorder, follower.session
        known = session.policy, *map(len, recorder.lines), len(recorder.rows)
        if known == self._known:
            return
        self._known = known
        source = "what clients see" if self._clients else OF_PROGRAMS.get(session.on, "the proxy's counters")
        words = f"{title(session.policy)} on {session.on}, by {source}"
        self._tell(
            words,
            recorder.panels,
            recorder.lines,
            recorder.rows,
            follower.lamps.rules,
            follower.window,
            untold="" if self._clients else session.untold,
            live=True,
        )

    def _feed(self, message: dict[str, Any]) -> None:
        self._retell()
        self.send(message)

    def _over(self, why: str) -> None:
        follower = self.follower
        if follower:
            self.past = dumps({"frames": [*follower.frames], "notes": [*follower.notes], "over": why})

    def _received(self, widget: object, message: dict[str, Any], buffers: object) -> None:
        if message.get("do") == "catch up":
            if self.follower:
                self.send({"all": [*self.follower.frames], "notes": [*self.follower.notes]})
        elif message.get("do") == "stop":
            self.stop()
        else:
            super()._received(widget, message, buffers)

    def stop(self) -> None:
        """Follow the session no longer. Safe to repeat."""
        if self.follower:
            self.follower.close()

    def close(self) -> None:
        self.stop()
        super().close()

    # -- what the page is told ---------------------------------------------------------------------------

    def _tell(
        self,
        words: str,
        chosen: Sequence[Panel],
        lines: Sequence[Sequence[str]],
        rows: Sequence[str],
        rules: Sequence[Rule],
        window: float,
        **more: Any,
    ) -> None:
        self.spec = dumps(
            {
                "words": words,
                "window": window,
                "panels": [
                    {
                        "title": panel.title,
                        "unit": panel.unit,
                        "help": panel.help,
                        "lines": [{"name": name, **look(panel, names, i)} for i, name in enumerate(names)],
                        "layout": chart(axis_of(panel)),
                    }
                    for panel, names in zip(chosen, lines, strict=True)
                ],
                "rows": rows,
                "heat": {"layout": chart(ROWS), "scale": HEAT},
                "states": {
                    "layout": chart(ROWS),
                    "levels": LEVELS,
                    "colours": COLOURS,
                },
                "rules": [
                    {
                        "name": rule.name,
                        "severity": rule.severity,
                        "summary": rule.summary,
                        "asks": sorted({name for c in rule.conditions for name in c.query.series}),
                    }
                    for rule in rules
                ],
                "lamps": STATES,
                "failed": FAILED,
                "ink": INK,
                **more,
            }
        )


ROWS = {"type": "category", "showgrid": False, "autorange": "reversed", **FIXED_MARGIN}


def axis_of(panel: Panel) -> dict[str, Any]:
    """Return the vertical axis of a panel, with ticks in the units that people say."""
    if panel.unit == SECONDS:
        ticks = latency_axis([{"y": [0.001, 1.0]}], "y", "")
        return ticks | FIXED_MARGIN
    return axis(**UNITS[panel.unit], **FIXED_MARGIN, nticks=5)


def chart(vertical: dict[str, Any]) -> dict[str, Any]:
    """Return the layout of a small chart over time; without automatic margins, which cost a second layout."""
    more = {"margin": {"l": 58, "r": 16, "t": 6, "b": 22}, "showlegend": False, "hovermode": "x"}
    time = axis(**FIXED_MARGIN, showgrid=False, ticksuffix=" s", nticks=6, fixedrange=True)
    return layout("", 170, xaxis=time, yaxis=vertical | {"fixedrange": True}, **more) | {
        "title": {"text": ""}
    }


def panels_of(show: Sequence[str], window: float) -> list[Panel]:
    """Return the panels with these titles. Raises ValueError for one that does not exist, and for none."""
    there = {panel.title: panel for panel in panels(window)}
    if isinstance(show, str) or not show:
        raise ValueError(f"show is {show!r}: use a list of titles, such as {list(SHOWN)}")
    for name in show:
        if name not in there:
            titles = ", ".join(panel.title for panel in PANELS)
            raise ValueError(f"show has {name!r}: there are {titles}{did_you_mean(name, there)}")
    return [there[name] for name in show]


def dumps(told: Any) -> str:
    return json.dumps(told, allow_nan=False, separators=(",", ":"))
