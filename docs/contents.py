"""Writes the tables of notebooks into README and notebooks/index.ipynb, from the notebooks and labs.

`python docs/contents.py` rewrites both, `--check` exits with 1 if one is not up to date, and `--minutes`
prints how the minutes of each notebook come about.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # this tree, whatever is installed

from lbkit.course.contents import PROGRAMS, Chapter, chapters
from lbkit.course.lab import Lab, all_labs

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
INDEX = ROOT / "notebooks" / "index.ipynb"
BLOCK = re.compile(r"<!-- begin (\S+) -->\n.*?<!-- end \1 -->", re.DOTALL)

# Ways through the course: notebooks by number, and labs, of each sitting.
WAYS = {
    "two-evenings": ("evening", ["00 03", "lab01 05"]),
    "two-weeks": (
        "day",
        [
            *("00 01", "02", "03", "lab01 lab02", "04 lab09", "05 lab07"),
            *("06 lab08", "07 lab05", "07b lab10", "09", "10", "11", "12"),
        ],
    ),
}

# A careful first reading, also for readers with another first language.
WORDS_A_MINUTE = 150
LINES_A_MINUTE = 8
MINUTES_EACH = {  # of what is to be played with
    r"Scene|Playground|\w*Explorer|\w+Panel|Theatre|Workbench|Dashboard|EngineSelector": 3,
    r"predict": 1,
}
WORD = re.compile(r"\w[\w'.-]*")
NUMBERED = re.compile(r"([A-Z]+)(\d+)")


def estimate(cells: list[dict[str, Any]]) -> dict[str, float]:
    """Return the minutes that a notebook takes without its exercises: of its text, code and widgets."""
    texts, codes = (
        "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == kind)
        for kind in ("markdown", "code")
    )
    told = re.sub(r"\]\([^)]*\)", "]", texts.partition("## Exercises")[0])  # nobody reads addresses of links
    lines = [line for line in codes.splitlines() if line.strip() and not line.strip().startswith("#")]
    played = (each * len(re.findall(rf"\b(?:{name})\(", codes)) for name, each in MINUTES_EACH.items())
    return {
        "text": len(WORD.findall(told)) / WORDS_A_MINUTE,
        "code": len(lines) / LINES_A_MINUTE,
        "widgets": float(sum(played)),
    }


class Tables:
    """The tables in Markdown. `notebooks` is the folder of their links; `labs` says where one begins."""

    def __init__(self, notebooks: str, labs: str) -> None:
        self.course = chapters(INDEX.parent)
        self.notebooks, self.labs = notebooks, labs

    def filled(self, text: str) -> str:
        """Return a text with what is between its marks made anew. Raises KeyError for an unknown mark."""
        made = {"notebooks": self.all_of_it, **{way: lambda way=way: self.way(way) for way in WAYS}}
        return BLOCK.sub(
            lambda found: f"<!-- begin {found[1]} -->\n\n{made[found[1]]()}\n<!-- end {found[1]} -->", text
        )

    def all_of_it(self) -> str:
        lines = [
            [
                self.chapter(one),
                one.title,
                str(one.minutes),
                ", ".join(PROGRAMS[name] for name in one.programs),
                counted(one.claims),
                ", ".join(self.lab(lab, lab.name[:2]) for lab in one.labs),
            ]
            for one in self.course
        ]
        return markdown(["notebook", "title", "minutes", "better with", "claims", "labs"], lines, right=2)

    def way(self, name: str) -> str:
        """Return the table of a way: what to do in each sitting, and how long it takes."""
        unit, sittings = WAYS[name]
        known = {one.number: (self.chapter(one), one.minutes) for one in self.course}
        for lab in all_labs():
            known[f"lab{lab.name[:2]}"] = (
                self.lab(lab, f"lab {lab.name.replace('-', ' ')}"),
                lab.task.minutes,
            )
        lines = []
        for number, sitting in enumerate(sittings, 1):
            links, minutes = zip(*(known[part] for part in sitting.split()), strict=True)
            lines.append([str(number), ", ".join(links), hours(sum(minutes))])
        return markdown([unit, "what", "time"], lines, right=2)

    def chapter(self, one: Chapter) -> str:
        return f"[{one.number} {one.topic}]({self.notebooks}{one.file})"

    def lab(self, lab: Lab, words: str) -> str:
        return f"[{words}]({self.labs.format(name=lab.name, module=lab.task.module)})"


def markdown(head: Sequence[str], lines: Sequence[Sequence[str]], right: int) -> str:
    """Return a table whose column number `right` has numbers."""
    sides = ["--:" if number == right else ":--" for number in range(len(head))]
    return "".join(re.sub(" +", " ", f"| {' | '.join(cells)} |\n") for cells in (head, sides, *lines))


def hours(minutes: int) -> str:
    whole, rest = divmod(minutes, 60)
    return f"{whole} h {rest:02}" if whole else f"{rest} min"


def counted(claims: Sequence[str]) -> str:
    """Return how many claims there are, and the numbers of those that have one: "4 (A1-A3, RP1)"."""
    numbered = sorted({(found[1], int(found[2])) for name in claims if (found := NUMBERED.fullmatch(name))})
    rows: list[list[tuple[str, int]]] = []
    for family, number in numbered:
        if rows and rows[-1][-1] == (family, number - 1):
            rows[-1].append((family, number))
        else:
            rows.append([(family, number)])
    dash = "\u2011"  # where no line is broken
    ends = (dash.join(f"{family}{number}" for family, number in dict.fromkeys((r[0], r[-1]))) for r in rows)
    return f"{len(claims)} ({', '.join(ends)})" if rows else str(len(claims) or "")


def readme(text: str) -> str:
    """Return README with the tables of now."""
    return Tables("notebooks/", "labs/{name}/").filled(text)


def index(text: str) -> str:
    """Return the notebook index.ipynb with the tables of now. Its links are those of a learner's workbook."""
    book = json.loads(text)
    tables = Tables("", "labs/{name}/{module}.ipynb")
    for cell in book["cells"]:
        cell["source"] = tables.filled("".join(cell["source"])).splitlines(keepends=True)
    return json.dumps(book, indent=1, ensure_ascii=False) + "\n"


def main(option: str = "") -> None:
    if option == "--minutes":
        for one in chapters(INDEX.parent):
            parts = estimate(json.loads((INDEX.parent / one.file).read_text(encoding="utf-8"))["cells"])
            told = ", ".join(f"{name} {minutes:.0f}" for name, minutes in parts.items())
            print(f"{one.file:32}{one.minutes:4} minutes; by the estimate {sum(parts.values()):.0f} ({told})")
        return
    made = {path: make(path.read_text(encoding="utf-8")) for path, make in ((README, readme), (INDEX, index))}
    old = [path for path, text in made.items() if text != path.read_text(encoding="utf-8")]
    if option == "--check":
        if old:
            sys.exit(f"{', '.join(path.name for path in old)}: not up to date, run `python docs/contents.py`")
        return
    for path in old:
        path.write_text(made[path], encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
