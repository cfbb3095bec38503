"""Writes docs/claims.md, the table of all claims: what each says, the cell that shows it, what breaks it.

`python docs/claims.py` makes the page of docs/claims.toml, of the notebooks' tags, and of the mutations that
the tests try; with --check it only exits with 1 if the page is not up to date.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # this tree, whatever is installed

from notebooks.book import NOTEBOOKS, Cell, Edit, cells
from notebooks.mutations import MUTATIONS, Mutation

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "claims.md"
STATEMENTS: dict[str, str] = tomllib.loads((ROOT / "docs" / "claims.toml").read_text(encoding="utf-8"))

INTRODUCTION = """\
# Claims

Each claim of the course has an id. Cells with that tag have assertions that hold the claim, and each such
cell has mutations: another algorithm, a feature switched off, a broken line of the package. `make notebooks`
runs every mutation and requires that the cell then fails, so no claim rests on an assertion that cannot fail.
This page is made from the notebooks and the mutations (`make claims`).

Engines: *sim* is virtual time, *live* is lbkit's proxy on real sockets, and the name of a program means that
program itself, as a peer. {counted}
"""
HEAD = "| claim | what it says | cell | engine | with one of these changes it fails |\n|---|---|---|---|---|"

# What a mutation needs -> where its claim is judged; all other needs are parts of lbkit's proxy.
ENGINES = {"": "sim", "documents": "sim", "monitor": "Prometheus"} | {
    program: program for program in ("docker", "nginx", "haproxy", "apache", "caddy")
}
LIVE = re.compile(r"\blive\b")
LONGEST = 60  # of a piece of code in a table


def page() -> str:
    """Return the page. Raises KeyError for a claim without a statement or a mutation."""
    counted = f"There are {len(STATEMENTS)} claims and {len(MUTATIONS)} mutations."
    parts = [INTRODUCTION.format(counted=counted)]
    for path in NOTEBOOKS:
        book = cells(path)
        shown = [(claim, cell) for cell in book for claim in cell.claims]
        rows = []
        for claim in dict.fromkeys(claim for claim, _ in shown):
            first, *others = (row(claim, path.stem, cell) for name, cell in shown if name == claim)
            rows += [first, *(re.sub(r"^\| .*? \| .*? \|", "| | |", other) for other in others)]
        if rows:
            title = book[0].source.partition("\n")[0].removeprefix("# ")
            number = path.stem.partition("-")[0]
            parts.append(f"## {number}. [{title}](../notebooks/{path.name})\n")
            parts += [HEAD, *rows, ""]
    return "\n".join(parts)


def row(claim: str, notebook: str, cell: Cell) -> str:
    """Return the line of a table for a claim in a cell."""
    mutations = [m for m in MUTATIONS if (m.claim, m.notebook, m.at) == (claim, notebook, cell.id)]
    if not mutations and "assert " in cell.source:
        raise KeyError(f"{claim} in {notebook}[{cell.id}] has no mutation: tests/notebooks/mutations.py")
    if claim not in STATEMENTS:
        raise KeyError(f"{claim} in {notebook}[{cell.id}] has no line in docs/claims.toml")
    changes = "<br>".join(dict.fromkeys(change for m in mutations for change in changes_of(m)))
    columns = (
        claim,
        STATEMENTS[claim],
        code(cell.id),
        engines(cell, mutations),
        changes or "its figure only",
    )
    return f"| {' | '.join(columns)} |"


def engines(cell: Cell, mutations: list[Mutation]) -> str:
    """Return where a claim is judged, the simulator first."""
    found = {ENGINES.get(m.needs, "live") for m in mutations}
    if LIVE.search(cell.source):
        found.add("live")
    return ", ".join(sorted(found, key=lambda name: (name != "sim", name != "live", name)))


def changes_of(mutation: Mutation) -> Iterator[str]:
    """Yield one piece of text for a mutation: its edits and patches together."""
    edits = [edited(edit, mutation.at) for edit in mutation.edits]
    patches = [f"{code(target.removeprefix('lbkit.'))} replaced" for target, _ in mutation.patches]
    yield "; ".join(edits + patches)


def edited(edit: Edit, at: str) -> str:
    there = "" if edit.cell == at else f" in {code(edit.cell)}"
    if not edit.old:
        return f"first {code(edit.new)}{there}"
    return f"{code(edit.old)} → {code(edit.new) if edit.new.strip() else 'nothing'}{there}"


def code(text: str) -> str:
    """Return a piece of code for a table: on one line, not too long, and without a column's end."""
    line = " ".join(text.split())
    if len(line) > LONGEST:
        line = f"{line[: LONGEST - 2].rstrip()} ..."
    line = line.replace("|", "\\|")
    return f"`` {line} ``" if "`" in line else f"`{line}`"


def main() -> int:
    """Rewrite the page, or check it; return the exit status."""
    new = page()
    if sys.argv[1:] != ["--check"]:
        PAGE.write_text(new, encoding="utf-8")
    elif not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != new:
        print("docs/claims.md is not up to date: make claims")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
