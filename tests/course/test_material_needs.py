from __future__ import annotations

import json
from pathlib import Path

import pytest

from lbkit.course.material_needs import features_used
from lbkit.material import find_course

COURSE = find_course()
assert COURSE
NOTEBOOKS = COURSE / "notebooks"


def notebook(folder: Path, *sources: str, kind: str = "code") -> Path:
    path = folder / "it.ipynb"
    path.write_text(json.dumps({"cells": [{"cell_type": kind, "source": [source]} for source in sources]}))
    return path


@pytest.mark.parametrize(
    ("sources", "used"),
    [
        (['run(experiment, on="nginx")'], ["nginx"]),
        (['if reason := why_not("redis"):'], ["redis"]),
        (['run(experiment, on="sim")'], []),
        (['print(render(experiment, "haproxy"))'], []),  # shows a configuration, and runs nothing
        (["for engine in PROGRAMS: why_not(engine)", 'PROGRAMS = ["nginx", "caddy"]'], ["nginx", "caddy"]),
        (['names = ["nginx"]', 'why_not("live")'], ["live"]),
    ],
)
def test_what_cells_ask_for_is_found(sources: list[str], used: list[str], tmp_path: Path) -> None:
    assert features_used(notebook(tmp_path, *sources)) == used


def test_a_text_asks_for_nothing(tmp_path: Path) -> None:
    assert features_used(notebook(tmp_path, 'why_not("redis")', kind="markdown")) == []


def test_what_is_no_notebook_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "it.ipynb"
    path.write_text("[]")
    with pytest.raises(ValueError, match="not a notebook"):
        features_used(path)


@pytest.mark.parametrize(
    ("name", "used"),
    [
        ("01-reverse-proxies", {"live", "nginx", "haproxy", "apache", "caddy", "cert"}),
        ("03b-more-algorithms", set()),
        ("05-health-checks", {"live", "haproxy"}),
    ],
)
def test_notebooks_of_the_course(name: str, used: set[str]) -> None:
    assert set(features_used(NOTEBOOKS / f"{name}.ipynb")) == used
