"""The stage's script and style, as one text each: for the widget, and for pages that need no Python."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from lbkit.viz.style import policy_look

COMMENT = re.compile(r"^ *//.*\n", re.MULTILINE)
STAGE = Path(__file__).with_name("stage")


@cache
def script() -> str:
    """Return one ES module that exports `default {render}`. Its files only declare: any order will do.

    Lines that are comments are left out, as each saved page has the script."""
    return "\n".join(COMMENT.sub("", path.read_text(encoding="utf-8")) for path in sorted(STAGE.glob("*.js")))


@cache
def style() -> str:
    return (STAGE / "stage.css").read_text(encoding="utf-8")


def spec(films: Sequence[dict[str, Any]], hands: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return what the stage plays: films, the colours of their policies, and what hands can do."""
    names = {film["policy"] for film in films}
    names |= {state["state"] for film in films for state in film["states"] if state["kind"] == "policy"}
    colours = {name: policy_look(name).colour for name in sorted(names)}
    return {"films": films, "colours": colours, "hands": hands}
