"""What axe-core says of a page: the findings that would keep somebody from using it."""

from __future__ import annotations

from typing import Any

from needs import need_module

GRAVE = ("serious", "critical")
OURS = ".jp-OutputArea-output"  # what lbkit shows in JupyterLab; the rest of its page is not lbkit's


def findings(page: Any, where: str = "") -> list[str]:
    """Return the serious and critical findings in a page, or in the elements that `where` selects."""
    need_module("axe_playwright_python", "axe-playwright-python")
    from axe_playwright_python.sync_playwright import Axe

    context = {"include": [[where]]} if where else None
    found = Axe().run(page, context=context, options={"resultTypes": ["violations"]}).response
    return [
        f"{one['id']}: {node['target'][-1]}: {node['html'][:200]}"
        for one in found["violations"]
        if one["impact"] in GRAVE
        for node in one["nodes"]
    ]
