"""A page that plays films without Python: one file, for slides and courses. It makes no requests."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from typing import Any

from lbkit.viz.theatre.script import script, spec, style

# Of pages that play films; {title} is to be filled in. Such a page may run its own scripts, and load nothing.
HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'unsafe-inline'; \
style-src 'unsafe-inline'; img-src data:">
<title>{title}</title>
"""

PAGE = (
    HEAD
    + """<style>
html {{ background: #fff; }}
@media screen and (prefers-color-scheme: dark) {{ html {{ background: #111418; }} }}
body {{ margin: 0 auto; max-width: 1400px; padding: 8px; }}
{style}
</style>
</head>
<body>
<div id="theatre"></div>
<script type="application/json" id="spec">{spec}</script>
<script type="module">
{script}
const text = document.getElementById("spec").textContent;
const model = {{ get: (name) => ({{ spec: text, number: 1 }})[name], on() {{}}, off() {{}} }};
render({{ model, el: document.getElementById("theatre") }});
</script>
</body>
</html>
"""
)


def page(films: Sequence[dict[str, Any]]) -> str:
    """Return the HTML of a page that plays films, given as plain data, side by side."""
    said = json.dumps(spec(films), allow_nan=False, separators=(",", ":"))
    return PAGE.format(
        title=escape(" and ".join(film["title"] for film in films)),
        style=style(),
        spec=said.replace("<", "\\u003c"),  # no text of a film can end the script
        script=script(),
    )
