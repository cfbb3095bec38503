"""A page with a dashboard, and a model in the place of the kernel: no JupyterLab."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import plotly.offline

import lbkit.viz.dashboard
from lbkit.viz import Dashboard

STYLE = Path(lbkit.viz.dashboard.__file__).with_name("dashboard.css")
PAGE = """<!doctype html>
<meta charset="utf-8">
<style>{style}</style>
<style>:root {{ color-scheme: light dark; }} body {{ margin: 8px; background: Canvas; }}</style>
<div id="place"></div>
<script type="application/json" id="traits">{traits}</script>
<script>{plotly}</script>
<script type="module">
{module}
const traits = JSON.parse(document.getElementById("traits").textContent);
const heard = {{}};
const model = {{
  traits, sent: [],
  get: (name) => traits[name],
  on: (name, call) => (heard[name] = call),
  off: () => {{}},
  send: (message) => model.sent.push(message),
  set: (name, value) => {{ traits[name] = value; heard[`change:${{name}}`]?.(); }},
  tell: (message) => heard["msg:custom"](message),
}};
globalThis.__lbkit.scripts.set("here", Promise.resolve(Plotly));
globalThis.model = model;
globalThis.leave = await render({{ model, el: document.getElementById("place") }});
globalThis.board = document.getElementById("place").board;
</script>"""


def write(folder: Path, dashboard: Dashboard, **others: str) -> Path:
    """Write the page of a dashboard; `others`: traits in the place of its own."""
    traits = {"spec": dashboard.spec, "past": dashboard.past, "version": "here", **others}
    path = folder / "dashboard.html"
    path.write_text(
        PAGE.format(
            style=STYLE.read_text(),
            traits=json.dumps(traits).replace("<", "\\u003c"),
            plotly=plotly.offline.get_plotlyjs(),
            module=str(dashboard._esm).replace("export default", "// export default"),
        ),
        encoding="utf-8",
    )
    return path


def opened(page: Any, path: Path) -> Any:
    """Return the page, opened; `problems` has what goes wrong on it."""
    page.problems = []
    page.on(
        "console", lambda message: page.problems.append(message.text) if message.type == "error" else None
    )
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.goto(f"file://{path}")
    page.wait_for_function("globalThis.board")
    return page
