from __future__ import annotations

from lbkit.cli.saving import FIGURE, without_pictures


def test_figures_are_saved_without_their_pictures_and_other_pictures_are_kept() -> None:
    figure = {FIGURE: {"data": []}, "image/png": "AAAA"}
    picture = {"image/png": "BBBB"}
    cells = [
        {"cell_type": "markdown", "source": "text"},
        {"cell_type": "code", "outputs": [{"data": figure}, {"data": picture}, {"text": "printed"}]},
    ]
    without_pictures(
        model={"type": "notebook", "content": {"cells": cells}}, path="x.ipynb", contents_manager=None
    )
    assert figure == {FIGURE: {"data": []}}
    assert picture == {"image/png": "BBBB"}


def test_other_files_are_left_alone() -> None:
    for model in (
        {"type": "file", "content": "text"},
        {"type": "notebook", "content": None},
        {"type": "directory"},
    ):
        before = dict(model)
        without_pictures(model=model, path="x", contents_manager=None)
        assert model == before
