"""Make the timetables of the courses: `python -m docs.timetables` writes them into docs/pages/teaching.

docs/courses.toml says what comes when. A block that reads notebooks has to last at least as long as reading
and running its sections takes (docs/timings.py): what is too short is an error here, before it is one in a
room.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docs import timings

HERE = Path(__file__).parent
PAGES = HERE / "pages" / "teaching"
COURSES = HERE / "courses.toml"
SLACK = 0.9  # of the estimate: a block may be this short, as few people read every word
BEGIN, END = "<!-- timetable: {name}, made by docs/timetables.py -->", "<!-- end of timetable -->"


@dataclass(frozen=True)
class Block:
    """A row of a timetable: `minutes` of something; `sections` of a notebook, or all of them."""

    minutes: int
    what: str
    notebook: str = ""
    sections: tuple[str, ...] = ()
    lab: str = ""
    deck: str = ""

    @classmethod
    def of(cls, table: Mapping[str, Any]) -> Block:
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in table.items()})


@dataclass(frozen=True)
class Need:
    """What a block takes: minutes of reading and doing, and seconds of execution as measured."""

    people: float
    seconds: float

    @property
    def minutes(self) -> float:
        return self.people + self.seconds / 60


def need(block: Block) -> Need | None:
    """Return what a notebook or a lab takes; None for others. Raises ValueError for unknown ones."""
    if block.lab:
        folder = next(iter(timings.LABS.glob(f"{block.lab}")), None)
        if folder is None:
            raise ValueError(f"{block.what}: there is no lab {block.lab}")
        stated = re.search(
            r"\*\*Time\*\* \| (\d+) "
            "minutes",
            (folder / "README.md").read_text(encoding="utf-8"),
        )
        return Need(float(stated[1]), sum(seconds_of(f"lab {block.lab}").values())) if stated else None
    if not block.notebook:
        return None
    parts = {
        part.title: part
        for part in timings.sections(timings.read(timings.NOTEBOOKS / f"{block.notebook}.ipynb"))
    }
    wanted = block.sections or tuple(title for title in parts if title not in ("Summary", "Exercises"))
    if missing := [title for title in wanted if title not in parts]:
        raise ValueError(
            f"{block.what}: {block.notebook} has no section {missing[0]!r}; it has {', '.join(parts)}"
        )
    took = seconds_of(block.notebook)
    cells = {cell["id"] for title in wanted for cell in parts[title].cells}
    return Need(sum(parts[title].minutes for title in wanted), sum(took.get(cell, 0.0) for cell in cells))


def seconds_of(name: str) -> dict[str, float]:
    """Return the seconds of each cell; nothing for a notebook that has not been measured."""
    found: dict[str, float] = timings.measured().get(name, {}).get("cells", {})
    return found


def courses() -> dict[str, list[tuple[str, str, list[Block]]]]:
    """Return the days of each course: a title, when it begins, and its blocks."""
    said = tomllib.loads(COURSES.read_text(encoding="utf-8"))
    return {
        name: [(day["title"], day["start"], [Block.of(block) for block in day["block"]]) for day in days]
        for name, days in said.items()
    }


def faults() -> list[str]:
    """Return what is too short, one line for each."""
    found = []
    for name, days in courses().items():
        for title, _, blocks in days:
            for block in blocks:
                takes = need(block)
                if takes and block.minutes < SLACK * takes.minutes:
                    found.append(
                        f"{name}, {title}: {block.what!r} has {block.minutes} minutes, and takes "
                        f"{takes.minutes:.0f}"
                    )
    return found


def table(start: str, blocks: list[Block]) -> str:
    """Return a day as a table."""
    hours, minutes = map(int, start.split(":"))
    at = 60 * hours + minutes
    lines = ["| from | min | what | reading, doing | running |", "|---|--:|---|--:|--:|"]
    for block in blocks:
        takes = need(block)
        people, ran = (f"{takes.people:.0f} min", running(takes.seconds)) if takes else ("", "")
        lines.append(f"| {at // 60}:{at % 60:02} | {block.minutes} | {linked(block)} | {people} | {ran} |")
        at += block.minutes
    return "\n".join([*lines, f"| {at // 60}:{at % 60:02} | | end | | |"])


def running(seconds: float) -> str:
    if not seconds:
        return "not measured"
    return f"{seconds:.0f} s" if seconds < 60 else f"{seconds / 60:.1f} min"


def linked(block: Block) -> str:
    """Return what a block does, with links to what it uses."""
    links = []
    if block.deck:
        links.append(f'<a href="../slides/{block.deck}.html">slides</a>')
    if block.notebook:
        parts = "" if not block.sections else ": " + ", ".join(f"“{title}”" for title in block.sections)
        links.append(f"[{block.notebook}](../../../notebooks/{block.notebook}.ipynb){parts}")
    if block.lab:
        links.append(f"[lab {block.lab}](../../../labs/{block.lab}/README.md)")
    return "; ".join([f"**{block.what}**", *links])


def filled(text: str) -> str:
    """Return a page with its timetables made anew."""
    all_of = courses()

    def made(mark: re.Match[str]) -> str:
        name = mark[1]
        parts = [f"### {title}\n\n{table(start, blocks)}" for title, start, blocks in all_of[name]]
        return "\n\n".join([BEGIN.format(name=name), *parts, END])

    pattern = BEGIN.format(name="([a-z-]+)").replace(".", r"\.") + r".*?" + END
    return re.sub(pattern, made, text, flags=re.DOTALL)


def stale() -> list[Path]:
    """Return the pages whose timetables have other rows than they would have now.

    Minutes of reading do not count: they change with each word of a notebook, and `faults` looks at them."""
    found = [(path, path.read_text(encoding="utf-8")) for path in sorted(PAGES.glob("*.md"))]
    return [path for path, text in found if rows(filled(text)) != rows(text)]


def rows(text: str) -> str:
    return re.sub(r"[\d.]+ (?:min|s)\b|not measured", "", text)


def main() -> None:
    if short := faults():
        sys.exit("\n".join(short))
    for path in sorted(PAGES.glob("*.md")):
        path.write_text(filled(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
