from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lbkit.cli.saving import FIGURE, saving
from lbkit.course import progress


def test_figures_are_saved_without_their_pictures_and_other_pictures_are_kept() -> None:
    figure = {FIGURE: {"data": []}, "image/png": "AAAA"}
    picture = {"image/png": "BBBB"}
    cells = [
        {"cell_type": "markdown", "source": "text"},
        {"cell_type": "code", "outputs": [{"data": figure}, {"data": picture}, {"text": "printed"}]},
    ]
    saving(model={"type": "notebook", "content": {"cells": cells}}, path="x.ipynb", contents_manager=None)
    assert figure == {FIGURE: {"data": []}}
    assert picture == {"image/png": "BBBB"}


def test_other_files_are_left_alone() -> None:
    for model in (
        {"type": "file", "content": "text"},
        {"type": "notebook", "content": None},
        {"type": "directory"},
    ):
        before = dict(model)
        saving(model=model, path="x", contents_manager=None)
        assert model == before


def test_claims_that_ran_without_an_error_are_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LBKIT_PROGRESS", str(tmp_path / "progress.json"))

    def cell(claim: str, count: int | None, *outputs: str) -> dict[str, Any]:
        made = [{"output_type": kind} for kind in outputs]
        return {"metadata": {"tags": [f"claim-{claim}"]}, "execution_count": count, "outputs": made}

    cells = [cell("S1", 3, "stream"), cell("S2", None), cell("S3", 4, "error"), cell("S4", 5)]
    saving(model={"type": "notebook", "content": {"cells": cells}}, path="workbook/04.ipynb")
    assert progress.read_progress()["claims"] == {"S1": "04.ipynb", "S4": "04.ipynb"}


def test_a_notebook_is_saved_also_where_progress_cannot_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "progress.json").write_text("not ours")
    monkeypatch.setenv("LBKIT_PROGRESS", str(tmp_path / "progress.json"))
    cells = [{"metadata": {"tags": ["claim-S1"]}, "execution_count": 1, "outputs": []}]
    saving(model={"type": "notebook", "content": {"cells": cells}}, path="04.ipynb")
    assert (tmp_path / "progress.json").read_text() == "not ours"
