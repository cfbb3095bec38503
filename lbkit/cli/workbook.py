"""The workbook: a learner's copies of the notebooks, so that work in the course changes no tracked file."""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path

from lbkit.material import ORIGINALS


def update(notebooks: Path, workbook: Path, without: Collection[str] = ()) -> list[Path]:
    """Copy the notebooks into the workbook; return the copies that were changed and so keep an older version.

    Folders named in `without` are left out.
    A copy of which only outputs differ is replaced by a newer version; one that was deleted is made anew.
    Raises OSError."""
    kept = []
    for source in _files(notebooks, without):
        name = source.relative_to(notebooks)
        copy, original = workbook / name, workbook / ORIGINALS / name
        if copy.exists() and original.exists():
            if _same(original, source):
                continue
            if not _same(copy, original):
                kept.append(copy)
                continue
        for target in (copy, original):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    return kept


def fill(notebooks: Path, workbook: Path) -> list[Path]:
    """Copy notebooks, and the labs of this installation; return what `update` returns. Raises OSError."""
    from lbkit.course import all_labs

    kept = update(notebooks, workbook)
    for lab in all_labs():
        kept += update(lab.folder, workbook / "labs" / lab.name, without=("source",))
    return kept


def _files(folder: Path, without: Collection[str]) -> Iterator[Path]:
    """Yield the files of a folder, without hidden ones and without caches."""
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if path.is_file() and not any(part.startswith((".", "__")) or part in without for part in parts):
            yield path


def _same(one: Path, other: Path) -> bool:
    return _work(one) == _work(other)


def _work(path: Path) -> object:
    """Return what a learner may have changed: of a notebook its cells without their outputs."""
    data = path.read_bytes()
    if path.suffix != ".ipynb":
        return data
    try:
        return [(cell["cell_type"], "".join(cell["source"])) for cell in json.loads(data)["cells"]]
    except (ValueError, KeyError, TypeError):  # not a notebook any more: a change, too
        return data
