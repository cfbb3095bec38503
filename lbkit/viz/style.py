"""The style of figures: what a colour, a dash and a symbol mean, the same in every figure.

A policy has a colour and a dash that depend on its name only. Algorithms of your own share a colour that no
algorithm of the kit has. Servers and clients have colours that no policy has, engines have symbols, and red
means failure. tests/viz/test_style.py checks the distances between colours, for normal vision, deuteranopia
and protanopia, tests/viz/theatre/test_stage_colours.py those on the stage. Backgrounds are transparent and
texts mid-grey: readable on light and dark pages.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from textwrap import wrap
from typing import Any

from lbkit.core import algorithms
from lbkit.table import duration as duration

BLUE, ORANGE, AMBER, MAGENTA = "#1458B9", "#F56901", "#ECB600", "#A1008C"
SKY, GREEN, VIOLET, TEAL = "#6CADFF", "#48DF8B", "#9D6CFF", "#008FB9"
COLOURS = (BLUE, ORANGE, AMBER, MAGENTA, SKY, GREEN, VIOLET, TEAL)
OWN = "#6000FE"  # algorithms of your own
# On the stage of the theatre, beside policies: as far from them as from each other when seen with dichromacy.
CLIENTS = ("#0000AC", "#ACA061", "#F0489E", "#1D7F55", "#00DAE1", "#4A040F", "#073663", "#5F4000")
SERVERS = ("#97727C", "#8FA98D", "#4D644A", "#D1BEDE")
FAILED = "#C80004"
INK = "#7B828C"
DARK = "#222222"  # text on cells that are light on any page
# A grey that can be seen on light and dark pages is too faint for letters on both: a page that says its own
# colour of text gives it to what is grey. (JupyterLab's name of it, then that of the documentation site.)
INK_CSS = (
    f'.js-plotly-plot text[style*="rgb({", ".join(str(int(INK[i : i + 2], 16)) for i in (1, 3, 5))})"] '
    "{ fill: var(--jp-content-font-color1, var(--color-foreground-primary, #59606a)) !important; }"
)
# The line that ipywidgets draws around what has the focus is too thin for many eyes, and for a projector.
FOCUS_CSS = (
    ".jp-OutputArea-output :is(button, select, textarea, input, .noUi-handle, "
    ".jupyter-widget-Collapse-header):focus-visible "
    "{ outline: 2px solid var(--jp-brand-color1, Highlight) !important; outline-offset: 1px; }"
)
LIGHTER = "#FF6E64"  # than FAILED: for its letters on dark pages
FAILED_TEXT = f"var(--lbkit-failed, {FAILED})"
FAILED_CSS = f'[data-jp-theme-light="false"] {{ --lbkit-failed: {LIGHTER}; }}'
GRID = "rgba(128,136,146,0.22)"
FAINT = "rgba(128,136,146,0.7)"
HEAT = ((0.0, "rgba(160,90,44,0.05)"), (0.5, "rgba(160,90,44,0.5)"), (1.0, "rgba(160,90,44,1)"))

DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
PATTERNS = ("", "/", ".", "x", "-", "+")  # bars have no dashes
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "pentagon", "star")
ENGINES = ("sim", "live", "nginx", "haproxy", "apache", "caddy", "docker")

# One row for each dash, one column for each colour. Algorithms that are often compared, such as those of a
# family, are in different columns.
POLICIES: tuple[tuple[str, ...], ...] = (
    # blue, orange, amber, magenta, sky, green, violet, teal
    (
        *("round_robin", "least_connections", "power_of_two", "random"),
        *("weighted_round_robin", "least_response_time", "consistent_hash", "ip_hash"),
    ),
    (
        *("peak_ewma", "maglev", "earliest_deadline", "consecutive_round_robin"),
        *("bounded_hash", "static_round_robin", "weighted_least_connections", "prequal"),
    ),
    (
        *("modulo_hash", "fast_round_robin", "jump_hash", "rendezvous"),
        *("power_of_choices", "multi_probe", "interleaved_round_robin", "weighted_random"),
    ),
    (
        *("nginx_least_connections", "zone_aware", "haproxy_least_connections", "by_busyness"),
        *("haproxy_random", "join_idle_queue", "by_traffic", "first_available"),
    ),
    (
        *("priority_levels", "nginx_ring", "anomaly_mitigation", "haproxy_ring"),
        *("cross_zone", "choice_of_two", "locality_weighted", "subset"),
    ),
    (
        *("nginx_hash", "haproxy_map", "client_side_weighted", "nginx_ip_hash"),
        *("caddy_least_connections", "caddy_random_choose", "geographic"),
    ),
)


@dataclass(frozen=True, slots=True)
class Look:
    """The colour, dash, pattern and symbol of a policy or a server."""

    colour: str
    number: int = 0  # of its dash and pattern
    symbol: str = SYMBOLS[0]
    broad: bool = False  # a pale band for a simulation, on which lines of real engines can be seen

    @property
    def dash(self) -> str:
        return DASHES[self.number % len(DASHES)]

    @property
    def pattern(self) -> str:
        return PATTERNS[self.number % len(PATTERNS)]

    @property
    def line(self) -> dict[str, Any]:
        return {"color": self.colour, "dash": self.dash, "width": 8 if self.broad else 2}

    @property
    def marker(self) -> dict[str, Any]:
        return {"color": self.colour, "pattern": {"shape": self.pattern, "fgopacity": 0.5, "size": 6}}

    def on(self, engine: str) -> Look:
        """Return this look with the symbol of an engine."""
        number = ENGINES.index(engine) if engine in ENGINES else len(ENGINES) - 1
        return replace(self, symbol=SYMBOLS[number])


LOOKS = {name: Look(COLOURS[c], row) for row, names in enumerate(POLICIES) for c, name in enumerate(names)}


def policy_look(name: str) -> Look:
    """Return a policy's look, which depends on its name only: the same in every figure and session."""
    return LOOKS.get(name, Look(OWN))


def named_look(name: str, number: int) -> Look:
    """Return the look of line `number` in a figure of names: a policy's, or a shade for any other name."""
    return policy_look(name) if name in LOOKS or name in algorithms() else shade(number)


def server_look(number: int) -> Look:
    """Return the look of server `number` of an experiment: after four colours, the dash and symbol change."""
    turn, colour = divmod(number, len(SERVERS))
    return Look(SERVERS[colour], turn, SYMBOLS[turn % len(SYMBOLS)])


def shade(number: int) -> Look:
    """Return the look of line `number` in figures of neither policies nor servers: a grey, and a dash."""
    return Look(INK, number)


def title(name: str) -> str:
    """Return a name as readers write it: `power_of_two` is "power of two"."""
    return name.replace("_", " ")


WITH_UNIT = re.compile(r"(?<=\d) (?=(s|ms|µs|%)\b)")  # a space that no line ends at
WIDE = 62  # characters in a line of a title: about 400 pixels


def axis(name: str = "", **more: Any) -> dict[str, Any]:
    """Return an axis with its title, which includes the unit."""
    return {
        "title": {"text": name, "standoff": 6},
        "gridcolor": GRID,
        "linecolor": GRID,
        "zerolinecolor": GRID,
        "ticks": "",
        "automargin": True,
        "ticklabeloverflow": "allow",  # the margin grows; to hide labels, plotly would measure all for each
        **more,
    }


# Of an axis for which the margin does not grow.
FIXED_MARGIN: dict[str, Any] = {"automargin": False, "ticklabeloverflow": "hide past div"}

LEGEND = {
    "orientation": "h",
    "yref": "container",
    "y": 0,
    "yanchor": "bottom",
    "x": 0,
    "itemsizing": "constant",
}


def layout(name: str = "", height: int = 340, **more: Any) -> dict[str, Any]:
    """Return the layout of all figures; a long title is wrapped, and the margin above has room for it."""
    lines = wrap(WITH_UNIT.sub("\u00a0", name), WIDE)
    return {
        "title": {
            "text": "<br>".join(lines),
            "font": {"size": 14},
            "x": 0,
            "xref": "container",
            "y": 1,
            "yref": "container",
            "yanchor": "top",
            "pad": {"l": 8, "t": 8 + 9 * (len(lines) - 1)},  # plotly centres the lines around its place
        },
        "template": {},  # plotly's own is 7 kB a figure
        "height": height,
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"color": INK, "size": 12, "family": "system-ui, sans-serif"},
        "margin": {"l": 56, "r": 16, "t": 20 + 18 * len(lines), "b": 72},
        "legend": LEGEND,
        "hoverlabel": {"font": {"size": 12}},
        "bargap": 0.25,
        **more,
    }
