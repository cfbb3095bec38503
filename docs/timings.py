"""Measure how long the notebooks and labs take: `make timings` writes docs/timings.toml.

Each notebook is executed as a learner would run it, and the seconds of each cell are noted; a lab
runs with the authors' solution in it. How long people take is an estimate, from what there is to read
and to do. docs/timetables.py makes the courses' timetables of it.
"""

from __future__ import annotations

import json
import os
import platform
import re
import resource
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import tomli_w

from lbkit.needs import PROGRAMS, find_program

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS, LABS = ROOT / "notebooks", ROOT / "labs"
MEASURED = Path(__file__).with_name("timings.toml")

# Assumed: a reader with another first language, who runs each cell and looks at its result.
WORDS_A_MINUTE = 150
MINUTES = {"code": 1.0, "stage": 4.0, "guess": 2.0, "exercise": 8.0}
SIGNS = {
    "stage": re.compile(
        r"^(?:\w+ = )?(?:Theatre|Scene|Playground|Explorer|Dashboard|\w+Panel|Workbench)\(", re.M
    ),
    "guess": re.compile(r"\bpredict\("),
}
TIMEOUT = 600  # seconds for a cell


@dataclass(frozen=True)
class Section:
    """A part of a notebook below a heading of the first or second level."""

    title: str
    cells: tuple[dict[str, Any], ...]

    @property
    def counts(self) -> dict[str, int]:
        """What there is to read, in words, and to do."""
        texts = [source(cell) for cell in self.cells if cell["cell_type"] == "markdown"]
        codes = [source(cell) for cell in self.cells if cell["cell_type"] == "code"]
        found = {kind: sum(bool(sign.search(code)) for code in codes) for kind, sign in SIGNS.items()}
        words = sum(len(text.split()) for text in texts)
        exercises = sum(len(re.findall(r"^\d+\. ", after(text), re.M)) for text in texts)
        return {"words": words, "code": len(codes), "exercise": exercises, **found}

    @property
    def minutes(self) -> float:
        """The estimate for a reader, without the exercises, which are homework."""
        counts = self.counts
        return counts["words"] / WORDS_A_MINUTE + sum(MINUTES[k] * counts[k] for k in ("code", *SIGNS))


def source(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])


def after(text: str) -> str:
    """Return what follows the heading of exercises."""
    return text.partition("## Exercises")[2]


def sections(notebook: dict[str, Any]) -> list[Section]:
    """Return the sections of a notebook, in order. A heading may also stand inside a cell."""
    found: list[tuple[str, list[dict[str, Any]]]] = [("", [])]
    for cell in notebook["cells"]:
        texts = (
            re.split(r"^(?=##? )", source(cell), flags=re.M)
            if cell["cell_type"] == "markdown"
            else [source(cell)]
        )
        for text in texts:
            if cell["cell_type"] == "markdown" and (heading := re.match(r"##? (.+)", text)):
                found.append((heading[1].strip(), []))
            if text.strip():
                found[-1][1].append(cell | {"source": text})
    return [Section(title, tuple(cells)) for title, cells in found if cells]


def read(path: Path) -> dict[str, Any]:
    """Return a notebook; of a lab, with the authors' solution in it."""
    notebook: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        if cell.get("id", "").startswith("solution"):  # the first of them gets it all
            whole = (path.parent / "source" / "solution.py").read_text(encoding="utf-8")
            cell["source"] = whole if cell["id"] == "solution" else ""
    return notebook


def all_notebooks() -> Iterator[Path]:
    """Yield the notebooks in the order of the course, and then the labs'."""
    yield from (path for path in sorted(NOTEBOOKS.glob("[0-9]*.ipynb")))
    yield from sorted(LABS.glob("[0-9]*/*.ipynb"))


def name_of(path: Path) -> str:
    """Return the short name of a notebook or a lab: 03-algorithms, lab 01-turns."""
    return f"lab {path.parent.name}" if LABS in path.parents else path.stem


def executed(path: Path) -> dict[str, Any]:
    """Execute a notebook; return the seconds of each cell by its id, and which have `failed`: on a
    busy machine, live parts may not hold what they promise."""
    import nbformat
    from nbclient import NotebookClient

    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "work"
        shutil.copytree(NOTEBOOKS, place, ignore=shutil.ignore_patterns("*.ipynb", "solutions"))
        book = nbformat.reads(json.dumps(read(path)), as_version=4)
        where = {"metadata": {"path": place}}
        client = NotebookClient(
            book, timeout=TIMEOUT, kernel_name="python3", resources=where, allow_errors=True
        )
        own = {"PYTHONPATH": str(ROOT), "LBKIT_PROGRESS": str(place / "progress.json")}
        client.execute(env=os.environ | own)
    failed = [
        cell["id"]
        for cell in book["cells"]
        if any(o["output_type"] == "error" for o in cell.get("outputs", ()))
    ]
    seconds = {cell["id"]: round(s, 1) for cell in book["cells"] if (s := took(cell)) >= 0.1}
    return {"cells": seconds} | ({"failed": failed} if failed else {})


def took(cell: dict[str, Any]) -> float:
    """Return the seconds from the start of a cell to its end, as the kernel has noted them."""
    times = cell.get("metadata", {}).get("execution", {})
    if not {"iopub.execute_input", "iopub.status.idle"} <= times.keys():
        return 0.0
    start, end = (datetime.fromisoformat(times[f"iopub.{at}"]) for at in ("execute_input", "status.idle"))
    return (end - start).total_seconds()


def conditions() -> dict[str, Any]:
    """Return what a reader needs to know of the machine. `busy`: processes that want a core."""
    return {
        "date": f"{datetime.now():%Y-%m-%d}",
        "cores": os.cpu_count() or 1,
        "busy": os.getloadavg()[0],
        "python": platform.python_version(),
        "programs": sorted(name for name in PROGRAMS if find_program(PROGRAMS[name].names)),
    }


def measured() -> dict[str, Any]:
    """Return what was measured last, by notebook: seconds by cell, `processor` time, `machine`."""
    with MEASURED.open("rb") as file:
        return tomllib.load(file)


def main(wanted: Iterable[str]) -> None:
    """Measure these notebooks, by a part of their names, or all; the others keep their figures."""
    known = measured() if MEASURED.exists() else {}
    words = list(wanted)
    for path in all_notebooks():
        name = name_of(path)
        if words and not any(word in name for word in words):
            continue
        before, about = processor_time(), conditions()
        found = executed(path)
        about |= {"busy": round((about["busy"] + os.getloadavg()[0]) / 2, 1)}
        known[name] = {"processor": round(processor_time() - before, 1), "machine": about, **found}
        print(
            f"{sum(found['cells'].values()):6.1f} s, processor {known[name]['processor']:5.1f} s  {name}",
            flush=True,
        )
        if failed := found.get("failed"):
            print(f"          failed: {', '.join(failed)}", flush=True)
        MEASURED.write_text(tomli_w.dumps(dict(sorted(known.items()))), encoding="utf-8")


def processor_time() -> float:
    """Return the seconds for which ended processes have computed that this one, or those, have started."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main(sys.argv[1:])
