"""What the course's notebooks use of the things that a machine may lack, read from their cells."""

from __future__ import annotations

import json
import re
from pathlib import Path

from lbkit.needs import FEATURES

_ASKS = re.compile(r"""why_not\(|\bon=["']""")
_ASKS_A_NAME = re.compile(r"why_not\([a-z]")
_TEXTS = re.compile(r"""["'](\w+)["']""")


def features_used(notebook: Path) -> list[str]:
    """Return the features that cells of a notebook ask for, by `why_not(...)` or `run(..., on=...)`.

    Raises ValueError for a file that is no notebook, OSError."""
    try:
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{notebook}: not a notebook ({error!r})") from None
    found = {text for source in sources if _ASKS.search(source) for text in _TEXTS.findall(source)}
    if any(map(_ASKS_A_NAME.search, sources)):  # in a loop over programs, which are listed in any cell
        texts = {text for source in sources for text in _TEXTS.findall(source)}
        found |= {text for text in texts if text in FEATURES and FEATURES[text].programs}
    return [name for name in FEATURES if name in found and name != "sim"]
