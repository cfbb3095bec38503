"""A comparison as one self-contained HTML file, without network access or Jupyter."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from importlib.util import find_spec
from typing import Any

from lbkit.result import Result
from lbkit.table import table

LEGEND = {
    "req/s": "good answers a second that ended in the measured time",
    "wait": "mean time until a server began to serve a request",
    "slowdown": "mean of latency over service time: 1 without any waiting",
    "errors %": "requests without a good answer",
    "p99": "99 % of the good answers took no longer than this",
    "fair by count": "Jain's index of requests per server: 1 if all servers get the same number",
    "fair by capacity": "Jain's index of requests per capacity: 1 if each gets its share of the capacity",
    "busiest %": "utilisation of the busiest server",
}

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }}
.wide {{ overflow-x: auto; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; }}
th, td {{ border-bottom: 1px solid #ddd; }}
dl {{ display: grid; grid-template-columns: max-content auto; gap: 0 1rem; color: #555; }}
dd {{ margin: 0; }}
pre {{ background: #f6f6f6; padding: 1rem; overflow-x: auto; }}
</style>
{script}
</head>
<body>
<h1>{title}</h1>
<div class="wide">{table}</div>
<dl>{legend}</dl>
{figures}
<details>
<summary>The experiment, to try again</summary>
<p>Save it as <code>experiment.toml</code>, then <code>lbkit compare experiment.toml{policies}</code>.</p>
<pre>{experiment}</pre>
</details>
</body>
</html>
"""


def report(results: Sequence[Result], title: str, figures: Sequence[Any] | None = None) -> str:
    """Return an HTML page of one experiment under several policies: a table, figures and the experiment.

    `figures` default to those of `lbkit.viz`, or to none if plotly is not installed."""
    if figures is None:
        figures = own_figures(results) if find_spec("plotly") else []
    script, drawn = "", ""
    if figures:
        from plotly.offline import get_plotlyjs

        script = f"<script>{get_plotlyjs()}</script>"  # 4 MB, so once for all figures
        drawn = "\n".join(map(as_html, figures))
    return PAGE.format(
        title=escape(title),
        script=script,
        table=table(results),
        legend="".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in LEGEND.items()),
        figures=drawn,
        policies=escape("".join(f" -p {r.policy}" for r in results)),
        experiment=escape(results[0].experiment.to_toml()),
    )


def as_html(figure: Any) -> str:
    """Return a plotly figure as HTML, with what it shows in words."""
    from lbkit.viz.alt_text import alt_text

    html = figure.to_html(full_html=False, include_plotlyjs=False, config={"displayModeBar": False})
    return f'<div role="img" aria-label="{escape(alt_text(figure))}">{html}</div>'


def own_figures(results: Sequence[Result]) -> list[Any]:
    from lbkit.viz import figures as draw

    together = (draw.latency_cdf, draw.percentiles, draw.latency_over_time, draw.shares)
    return [
        *(d(results) for d in together),
        *(draw.backend_load(r) for r in results),
        *(draw.attempts(r) for r in results if r.attempt_events),
    ]
